//! Attributes of nodes (`AttributeProto`), without payloads of large tensors.

use super::structure::{Attribute, NamedTensor};
use super::tensor::{self, Tensor};
use super::wire::{Fault, Fields, ReadAt, Reader, Span, Value};

/// Most integers or texts that are kept of one attribute.
const ITEMS_LIMIT: usize = 1024;

/// What an attribute says, apart from its graphs.
#[derive(Debug, Default)]
pub struct Read {
    /// Its name.
    pub name: String,
    /// Its value, unless it holds graphs.
    pub value: Option<Attribute>,
    /// Tensors in it, sparse ones among them.
    pub tensors: Vec<Tensor>,
    /// Graphs in it.
    pub graphs: Vec<Span>,
}

/// Reads the attribute in `span`. With `keep` false only its tensors and graphs are read.
pub fn read<S: ReadAt>(reader: &mut Reader<S>, span: Span, keep: bool) -> Result<Read, Fault> {
    let mut found = Read::default();
    let (mut ints, mut texts, mut floats) = (Vec::new(), Vec::new(), 0usize);
    let mut fields = Fields::of(span, "an attribute");
    while let Some(field) = fields.next(reader)? {
        match field {
            (5, Value::Span(value)) => found.tensors.push(tensor::read(reader, value, keep)?),
            (22, Value::Span(value)) => found.tensors.push(tensor::sparse(reader, value)?),
            (6 | 11, Value::Span(graph)) => found.graphs.push(graph),
            (1, Value::Span(name)) if keep => found.name = reader.text(name)?,
            (2, Value::Fixed) if keep => found.value = Some(Attribute::Float),
            (3, Value::Varint(number)) if keep => found.value = Some(Attribute::Int(number as i64)),
            (4, Value::Span(text)) if keep => found.value = Some(Attribute::Text(reader.text(text)?)),
            (7, Value::Span(packed)) if keep => floats = floats.saturating_add((packed.bytes() / 4) as usize),
            (7, Value::Fixed) if keep => floats = floats.saturating_add(1),
            (8, Value::Varint(number)) if keep && ints.len() < ITEMS_LIMIT => ints.push(number as i64),
            (8, Value::Span(packed)) if keep => reader.packed(packed, |number| {
                if ints.len() < ITEMS_LIMIT {
                    ints.push(number as i64);
                }
            })?,
            (9, Value::Span(text)) if keep && texts.len() < ITEMS_LIMIT => texts.push(reader.text(text)?),
            (21, Value::Span(name)) if keep => found.value = Some(Attribute::Reference(reader.text(name)?)),
            _ => {}
        }
        if found.tensors.len().max(found.graphs.len()) > ITEMS_LIMIT {
            let what = format!("an attribute has more than {ITEMS_LIMIT} tensors or graphs");
            return Err(Fault::TooLarge(what));
        }
    }
    if keep && found.value.is_none() && found.graphs.is_empty() {
        found.value = Some(match found.tensors.first() {
            Some(tensor) => Attribute::Tensor(Box::new(NamedTensor::of(tensor))),
            None if !ints.is_empty() => Attribute::Ints(ints),
            None if !texts.is_empty() => Attribute::Texts(texts),
            None if floats > 0 => Attribute::Floats(floats),
            None => Attribute::Other,
        });
    }
    Ok(found)
}

impl NamedTensor {
    /// The parts of a tensor that a placement needs.
    pub fn of(tensor: &Tensor) -> Self {
        Self {
            name: tensor.name.clone(),
            bytes: tensor.bytes.unwrap_or(0),
            element_type: tensor.element_type,
            dims: tensor.dims.clone(),
            values: tensor.values.clone(),
            from_node: false,
        }
    }
}

/// The tensor of a Constant node from any of its attributes (onnx's operator `Constant`).
pub fn constant(attribute: &Read) -> Option<NamedTensor> {
    const FLOAT: u64 = 1;
    const INT64: u64 = 7;
    const STRING: u64 = 8;
    let tensor = |element_type, width, dims: Vec<i64>, values: Vec<f64>| {
        let count = dims.iter().product::<i64>().unsigned_abs();
        Some(NamedTensor { element_type, bytes: count * width, dims, values, ..NamedTensor::default() })
    };
    match (attribute.name.as_str(), attribute.value.as_ref()?) {
        ("value_int", Attribute::Int(number)) => tensor(INT64, 8, Vec::new(), vec![*number as f64]),
        ("value_ints", Attribute::Ints(numbers)) => {
            tensor(INT64, 8, vec![numbers.len() as i64], numbers.iter().map(|number| *number as f64).collect())
        }
        ("value_ints", Attribute::Other) => tensor(INT64, 8, vec![0], Vec::new()),
        ("value_float", Attribute::Float) => tensor(FLOAT, 4, Vec::new(), Vec::new()),
        ("value_floats", Attribute::Floats(count)) => tensor(FLOAT, 4, vec![*count as i64], Vec::new()),
        ("value_floats", Attribute::Other) => tensor(FLOAT, 4, vec![0], Vec::new()),
        ("value_string", Attribute::Text(text)) => tensor(STRING, text.len() as u64, Vec::new(), Vec::new()),
        ("value_strings", Attribute::Texts(texts)) => {
            let bytes = texts.iter().map(|text| text.len() as u64).sum();
            Some(NamedTensor { element_type: STRING, bytes, dims: vec![texts.len() as i64], ..NamedTensor::default() })
        }
        _ => None,
    }
}
