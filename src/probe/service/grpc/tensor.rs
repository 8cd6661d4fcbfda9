//! Values of tensors between JSON lists, as KServe v2 writes them over HTTP, and the raw bytes of gRPC.

use super::messages::{Contents, TensorHead};
use crate::probe::service::tensor_bytes;
use serde_json::{Value, json};

/// Values of an answer that are told, at most.
const TOLD: usize = 256;

/// A tensor in JSON (`name`, `datatype`, `shape`, `data`) as its head and its raw values.
///
/// # Errors
/// The value that is not of the tensor's type, in words.
pub fn raw(tensor: &Value) -> Result<(TensorHead, Vec<u8>), String> {
    let text = |key: &str| tensor.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, datatype) = (text("name"), text("datatype"));
    let shape = tensor.get("shape").and_then(Value::as_array).into_iter().flatten();
    let shape = shape.map(|size| size.as_i64().ok_or(format!("{name}: {size} is no size of a dimension")));
    let shape = shape.collect::<Result<Vec<i64>, String>>()?;
    let mut bytes = Vec::new();
    for value in tensor.get("data").and_then(Value::as_array).into_iter().flatten() {
        tensor_bytes::write(value, &datatype, &mut bytes)
            .ok_or_else(|| format!("{name}: {value} is no value of type {datatype}"))?;
    }
    Ok((TensorHead { name, datatype, shape, contents: None }, bytes))
}

/// A tensor of an answer in JSON, with its first values.
pub fn told(head: &TensorHead, raw: Option<&[u8]>) -> Value {
    let data = match (raw, &head.contents) {
        (Some(raw), _) => values(&head.datatype, raw),
        (None, Some(contents)) => listed(contents),
        (None, None) => Vec::new(),
    };
    json!({ "name": head.name, "datatype": head.datatype, "shape": head.shape, "data": data })
}

fn values(datatype: &str, mut raw: &[u8]) -> Vec<Value> {
    let mut data = Vec::new();
    while data.len() < TOLD
        && !raw.is_empty()
        && let Some((value, rest)) = read(datatype, raw)
    {
        data.push(value);
        raw = rest;
    }
    data
}

fn read<'a>(datatype: &str, raw: &'a [u8]) -> Option<(Value, &'a [u8])> {
    macro_rules! number {
        ($type:ty) => {{
            let (bytes, rest) = raw.split_first_chunk()?;
            (json!(<$type>::from_le_bytes(*bytes)), rest)
        }};
    }
    Some(match datatype {
        "BOOL" => raw.split_first().map(|(byte, rest)| (json!(*byte != 0), rest))?,
        "INT8" => number!(i8),
        "UINT8" => number!(u8),
        "INT16" => number!(i16),
        "UINT16" => number!(u16),
        "INT32" => number!(i32),
        "UINT32" => number!(u32),
        "INT64" => number!(i64),
        "UINT64" => number!(u64),
        "FP32" => number!(f32),
        "FP64" => number!(f64),
        "BYTES" => {
            let (length, rest) = raw.split_first_chunk()?;
            let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            (json!(String::from_utf8_lossy(text)), rest)
        }
        _ => return None,
    })
}

fn listed(contents: &Contents) -> Vec<Value> {
    fn first<T: Clone + Into<Value>>(list: &[T]) -> impl Iterator<Item = Value> {
        list.iter().take(TOLD).cloned().map(Into::into)
    }
    let texts = contents.bytes_contents.iter().take(TOLD).map(|text| json!(String::from_utf8_lossy(text)));
    first(&contents.bool_contents)
        .chain(first(&contents.int_contents))
        .chain(first(&contents.int64_contents))
        .chain(first(&contents.uint_contents))
        .chain(first(&contents.uint64_contents))
        .chain(first(&contents.fp32_contents))
        .chain(first(&contents.fp64_contents))
        .chain(texts)
        .take(TOLD)
        .collect()
}
