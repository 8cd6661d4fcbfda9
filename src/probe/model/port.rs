//! Inputs and outputs of a model.

use super::tensor::element_type;
use super::wire::{Fault, Fields, ReadAt, Reader, Span, Value};
use crate::snapshot::ModelPort;

/// Most dimensions that are told.
const RANK_LIMIT: usize = 64;

/// Reads the `ValueInfoProto` in `span`.
pub fn read<S: ReadAt>(reader: &mut Reader<S>, span: Span) -> Result<ModelPort, Fault> {
    let mut port = ModelPort { name: String::new(), element_type: "unknown".into(), shape: Vec::new() };
    let mut fields = Fields::of(span, "an input or output");
    while let Some(field) = fields.next(reader)? {
        match field {
            (1, Value::Span(name)) => port.name = reader.text(name)?,
            (2, Value::Span(kind)) => {
                let mut fields = Fields::of(kind, "a type");
                while let Some(field) = fields.next(reader)? {
                    // Sequences, maps, optionals and sparse tensors are other fields.
                    if let (1, Value::Span(tensor)) = field {
                        tensor_type(reader, tensor, &mut port)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(port)
}

/// A `TypeProto.Tensor`.
fn tensor_type<S: ReadAt>(reader: &mut Reader<S>, span: Span, port: &mut ModelPort) -> Result<(), Fault> {
    let mut fields = Fields::of(span, "a tensor type");
    while let Some(field) = fields.next(reader)? {
        match field {
            (1, Value::Varint(code)) => {
                port.element_type = element_type(code).map_or("unknown", |(name, _)| name).into();
            }
            (2, Value::Span(shape)) => {
                let mut fields = Fields::of(shape, "a shape");
                while let Some(field) = fields.next(reader)? {
                    if let (1, Value::Span(dimension)) = field
                        && port.shape.len() < RANK_LIMIT
                    {
                        port.shape.push(dimension_text(reader, dimension)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A `TensorShapeProto.Dimension`: a number, a name, or `?` for neither.
fn dimension_text<S: ReadAt>(reader: &mut Reader<S>, span: Span) -> Result<String, Fault> {
    let mut text = "?".to_string();
    let mut fields = Fields::of(span, "a dimension");
    while let Some(field) = fields.next(reader)? {
        match field {
            (1, Value::Varint(number)) => text = (number as i64).to_string(),
            (2, Value::Span(name)) if name.bytes() > 0 => text = reader.text(name)?,
            _ => {}
        }
    }
    Ok(text)
}
