//! Inputs and outputs of a model.

use super::structure::{Container, TypedName};
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

/// Reads the `ValueInfoProto` in `span` with the type that decides about kernels.
pub fn typed<S: ReadAt>(reader: &mut Reader<S>, span: Span) -> Result<TypedName, Fault> {
    let mut found = TypedName::default();
    let mut fields = Fields::of(span, "an input or output");
    while let Some(field) = fields.next(reader)? {
        match field {
            (1, Value::Span(name)) => found.name = reader.text(name)?,
            (2, Value::Span(kind)) => whole_type(reader, kind, &mut found, 0)?,
            _ => {}
        }
    }
    Ok(found)
}

/// A `TypeProto`: a tensor, a sequence of tensors, or one of them or nothing.
fn whole_type<S: ReadAt>(reader: &mut Reader<S>, span: Span, found: &mut TypedName, depth: usize) -> Result<(), Fault> {
    const DEPTH_LIMIT: usize = 4;
    let mut fields = Fields::of(span, "a type");
    while let Some(field) = fields.next(reader)? {
        match field {
            (1, Value::Span(tensor)) => {
                found.container = Container::Tensor;
                tensor_shape(reader, tensor, found)?;
            }
            // A sequence's and an optional's element type is their field 1.
            (number @ (4 | 9), Value::Span(inner)) if depth < DEPTH_LIMIT => {
                let mut fields = Fields::of(inner, "a type");
                while let Some(field) = fields.next(reader)? {
                    if let (1, Value::Span(element)) = field {
                        whole_type(reader, element, found, depth + 1)?;
                    }
                }
                found.shape = None;
                found.container = match (number, found.container) {
                    (4, Container::Tensor) => Container::Sequence,
                    (9, Container::Tensor) => Container::Optional,
                    (9, Container::Sequence) => Container::OptionalSequence,
                    _ => Container::Unknown,
                };
            }
            _ => {}
        }
    }
    Ok(())
}

/// A `TypeProto.Tensor` as numbers.
fn tensor_shape<S: ReadAt>(reader: &mut Reader<S>, span: Span, found: &mut TypedName) -> Result<(), Fault> {
    let mut fields = Fields::of(span, "a tensor type");
    while let Some(field) = fields.next(reader)? {
        match field {
            (1, Value::Varint(code)) => found.element_type = code,
            (2, Value::Span(shape)) => {
                let mut dims = Vec::new();
                let mut fields = Fields::of(shape, "a shape");
                while let Some(field) = fields.next(reader)? {
                    if let (1, Value::Span(dimension)) = field
                        && dims.len() < RANK_LIMIT
                    {
                        let mut size = None;
                        let mut fields = Fields::of(dimension, "a dimension");
                        while let Some(field) = fields.next(reader)? {
                            if let (1, Value::Varint(number)) = field {
                                size = Some(number as i64).filter(|size| *size >= 0);
                            }
                        }
                        dims.push(size);
                    }
                }
                found.shape = Some(dims);
            }
            _ => {}
        }
    }
    Ok(())
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
