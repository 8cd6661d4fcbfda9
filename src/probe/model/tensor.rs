//! A tensor's name, type and size, from its header alone.

use super::wire::{Fault, Fields, ReadAt, Reader, Span, Value};

/// Most elements of a tensor whose values are read: shapes, axes, indices and scalars, never weights.
const VALUES_LIMIT: u64 = 128;
/// Most dimensions that are kept.
const RANK_LIMIT: usize = 64;

/// What a `TensorProto` says of itself; its payload is not read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensor {
    /// Name; empty for the tensor of a Constant node.
    pub name: String,
    /// Element type, `TensorProto.DataType`.
    pub element_type: u64,
    /// Number of elements: the product of the dimensions.
    pub elements: u64,
    /// Size from elements and type, bytes; for text tensors the bytes of their texts. `None` if the type is not known.
    pub bytes: Option<u64>,
    /// Where the payload lies, if in another file.
    pub external: Option<ExternalData>,
    /// The dimensions, the first 64.
    pub dims: Vec<i64>,
    /// The elements, where they were asked for and are few.
    pub values: Vec<f64>,
}

/// Where a tensor's payload lies outside the model's file, as the model writes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExternalData {
    /// File, relative to the model's folder.
    pub location: String,
    /// First byte; `None` if it is not a number.
    pub offset: Option<u64>,
    /// Declared length, bytes; `None` if it is left out or not a number.
    pub length: Option<u64>,
}

/// Name and width in bits of an element type of `TensorProto.DataType` (onnx.proto); sub-byte types are packed.
///
/// Texts have no width; `None` for a type that is not defined.
pub fn element_type(code: u64) -> Option<(&'static str, u64)> {
    Some(match code {
        1 => ("float32", 32),
        2 => ("uint8", 8),
        3 => ("int8", 8),
        4 => ("uint16", 16),
        5 => ("int16", 16),
        6 => ("int32", 32),
        7 => ("int64", 64),
        8 => ("string", 0),
        9 => ("bool", 8),
        10 => ("float16", 16),
        11 => ("float64", 64),
        12 => ("uint32", 32),
        13 => ("uint64", 64),
        14 => ("complex64", 64),
        15 => ("complex128", 128),
        16 => ("bfloat16", 16),
        17 => ("float8e4m3fn", 8),
        18 => ("float8e4m3fnuz", 8),
        19 => ("float8e5m2", 8),
        20 => ("float8e5m2fnuz", 8),
        21 => ("uint4", 4),
        22 => ("int4", 4),
        23 => ("float4e2m1", 4),
        24 => ("float8e8m0", 8),
        25 => ("uint2", 2),
        26 => ("int2", 2),
        _ => return None,
    })
}

/// Reads the header of the `TensorProto` in `span`, and with `values` the elements of a small one.
pub fn read<S: ReadAt>(reader: &mut Reader<S>, span: Span, values: bool) -> Result<Tensor, Fault> {
    const STRING: u64 = 8;
    let mut tensor = Tensor::default();
    let mut elements = Some(1u64);
    let mut text_bytes = 0u64;
    let mut external = ExternalData { offset: Some(0), ..ExternalData::default() };
    let mut is_external = false;
    let mut dims = Vec::new();
    let mut payload = None;
    let mut times = |dimension: u64| {
        elements = elements.and_then(|count| count.checked_mul(dimension));
        if dims.len() < RANK_LIMIT {
            dims.push(dimension as i64);
        }
    };
    let mut fields = Fields::of(span, "a tensor");
    while let Some(field) = fields.next(reader)? {
        match field {
            (1, Value::Varint(dimension)) => times(dimension),
            (1, Value::Span(dimensions)) => reader.packed(dimensions, &mut times)?,
            (2, Value::Varint(code)) => tensor.element_type = code,
            (4 | 5 | 7 | 9 | 10 | 11, Value::Span(data)) if values => payload = Some((field.0, data)),
            (6, Value::Span(text)) => text_bytes = text_bytes.saturating_add(text.bytes()),
            (8, Value::Span(name)) => tensor.name = reader.text(name)?,
            (13, Value::Span(entry)) => external_entry(reader, entry, &mut external)?,
            (14, Value::Varint(location)) => is_external = location == 1,
            _ => {}
        }
    }
    // A negative dimension reads as a number beyond 2^63.
    let sound = |count: &u64| *count < 1 << 63;
    let Some(elements) = elements.filter(sound) else {
        let what = format!("the dimensions of tensor '{}' are negative or have no product below 2^63", tensor.name);
        return Err(Fault::Malformed { at: span.start, what });
    };
    tensor.elements = elements;
    tensor.bytes = element_type(tensor.element_type).map(|(_, bits)| match tensor.element_type {
        STRING => text_bytes,
        _ => u64::try_from((u128::from(elements) * u128::from(bits)).div_ceil(8)).unwrap_or(u64::MAX),
    });
    tensor.external = is_external.then_some(external);
    tensor.dims = dims;
    if let (Some((field, data)), None, true) = (payload, &tensor.external, elements <= VALUES_LIMIT) {
        tensor.values = elements_of(reader, field, data, tensor.element_type)?;
        if tensor.values.len() as u64 != elements {
            tensor.values.clear();
        }
    }
    Ok(tensor)
}

/// The elements of a payload that lies in the field of that number; empty for types that are not told.
fn elements_of<S: ReadAt>(reader: &mut Reader<S>, field: u64, data: Span, kind: u64) -> Result<Vec<f64>, Fault> {
    let mut found = Vec::new();
    match (field, kind) {
        // Small floats lie in int32_data as their bits.
        (5 | 7 | 11, 1..=3 | 5..=7 | 9 | 12 | 13) => reader.packed(data, |bits| {
            if (found.len() as u64) < VALUES_LIMIT {
                found.push(bits as i64 as f64);
            }
        })?,
        (4 | 9 | 10, _) => {
            let (bytes, width) = (reader.bytes(data, VALUES_LIMIT * 8)?, element_type(kind).map_or(0, |of| of.1 / 8));
            if width > 0 {
                found.extend(bytes.chunks_exact(width as usize).map_while(|chunk| number(chunk, kind)));
            }
        }
        _ => {}
    }
    Ok(found)
}

/// One little-endian element.
fn number(chunk: &[u8], kind: u64) -> Option<f64> {
    Some(match kind {
        1 => f32::from_le_bytes(chunk.try_into().ok()?).into(),
        2 | 9 => (*chunk.first()?).into(),
        3 => (*chunk.first()? as i8).into(),
        4 => u16::from_le_bytes(chunk.try_into().ok()?).into(),
        5 => i16::from_le_bytes(chunk.try_into().ok()?).into(),
        6 => i32::from_le_bytes(chunk.try_into().ok()?).into(),
        7 => i64::from_le_bytes(chunk.try_into().ok()?) as f64,
        10 => half(u16::from_le_bytes(chunk.try_into().ok()?)),
        11 => f64::from_le_bytes(chunk.try_into().ok()?),
        12 => u32::from_le_bytes(chunk.try_into().ok()?).into(),
        13 => u64::from_le_bytes(chunk.try_into().ok()?) as f64,
        _ => return None,
    })
}

/// A number of IEEE 754's binary16.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// A `SparseTensorProto` as one tensor: its values' name and type, its own shape, the bytes of values and indices.
pub fn sparse<S: ReadAt>(reader: &mut Reader<S>, span: Span) -> Result<Tensor, Fault> {
    let (mut values, mut indices) = (Tensor::default(), Tensor::default());
    let mut dims = Vec::new();
    let mut fields = Fields::of(span, "a sparse tensor");
    while let Some(field) = fields.next(reader)? {
        match field {
            (1, Value::Span(tensor)) => values = read(reader, tensor, false)?,
            (2, Value::Span(tensor)) => indices = read(reader, tensor, false)?,
            (3, Value::Varint(dimension)) if dims.len() < RANK_LIMIT => dims.push(dimension as i64),
            (3, Value::Span(packed)) => reader.packed(packed, |dimension| {
                if dims.len() < RANK_LIMIT {
                    dims.push(dimension as i64);
                }
            })?,
            _ => {}
        }
    }
    values.bytes = values.bytes.map(|bytes| bytes.saturating_add(indices.bytes.unwrap_or(0)));
    values.dims = dims;
    Ok(values)
}

/// One `StringStringEntryProto` of `external_data`.
fn external_entry<S: ReadAt>(reader: &mut Reader<S>, span: Span, external: &mut ExternalData) -> Result<(), Fault> {
    let (mut key, mut value) = (String::new(), String::new());
    let mut fields = Fields::of(span, "an external data entry");
    while let Some(field) = fields.next(reader)? {
        match field {
            (1, Value::Span(text)) => key = reader.text(text)?,
            (2, Value::Span(text)) => value = reader.text(text)?,
            _ => {}
        }
    }
    match key.as_str() {
        "location" => external.location = value,
        "offset" => external.offset = value.trim().parse().ok(),
        "length" => external.length = value.trim().parse().ok(),
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(bytes: &[u8]) -> Result<Tensor, Fault> {
        let mut reader = Reader::new(bytes, bytes.len() as u64);
        let whole = reader.whole();
        read(&mut reader, whole, true)
    }

    #[test]
    fn bytes_come_from_dimensions_and_type() {
        // dims 3 and 5 (unpacked), int4; name "w".
        let odd = tensor(&[8, 3, 8, 5, 16, 22, 66, 1, b'w']).unwrap();
        assert_eq!((odd.name.as_str(), odd.elements, odd.bytes), ("w", 15, Some(8)));
        // dims [2, 128] packed, float16.
        let packed = tensor(&[10, 3, 2, 128, 1, 16, 10]).unwrap();
        assert_eq!((packed.elements, packed.bytes), (256, Some(512)));
        // No dims at all: a scalar.
        assert_eq!(tensor(&[16, 7]).unwrap().bytes, Some(8));
        // Texts: the bytes of the texts.
        assert_eq!(tensor(&[8, 2, 16, 8, 50, 3, b'a', b'b', b'c', 50, 1, b'd']).unwrap().bytes, Some(4));
    }

    #[test]
    fn negative_dimensions_are_a_fault_and_a_new_type_has_no_size() {
        let minus_one = [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 16, 1];
        assert!(matches!(tensor(&minus_one), Err(Fault::Malformed { .. })));
        assert_eq!(tensor(&[8, 1, 16, 99]).unwrap().bytes, None);
        assert_eq!(tensor(&[8, 1]).unwrap().bytes, None);
    }

    #[test]
    fn external_data_is_taken_as_written() {
        let entry = |key: &str, value: &str| {
            let mut inner = vec![10, key.len() as u8];
            inner.extend(key.bytes());
            inner.extend([18, value.len() as u8]);
            inner.extend(value.bytes());
            let mut field = vec![106, inner.len() as u8];
            field.extend(inner);
            field
        };
        let mut bytes = vec![8, 4, 16, 1, 112, 1];
        bytes.extend(entry("location", "w.bin"));
        bytes.extend(entry("offset", "64"));
        bytes.extend(entry("length", "x"));
        let expected = ExternalData { location: "w.bin".into(), offset: Some(64), length: None };
        assert_eq!(tensor(&bytes).unwrap().external, Some(expected));
    }
}
