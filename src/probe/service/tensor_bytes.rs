//! KServe v2's extension for binary data: tensors as bytes behind the JSON head.
//!
//! Extension: <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md>.

use serde_json::Value;

/// Bytes of one body's tensors, at most.
const CAP: usize = 64 << 20;
/// The header that tells where the JSON ends.
pub const HEADER: &str = "inference-header-content-length";

/// Bytes of one element; `None` if they differ in length or the type is not known.
pub fn width(datatype: &str) -> Option<usize> {
    Some(match datatype {
        "BOOL" | "UINT8" | "INT8" => 1,
        "UINT16" | "INT16" | "FP16" | "BF16" => 2,
        "UINT32" | "INT32" | "FP32" => 4,
        "UINT64" | "INT64" | "FP64" => 8,
        _ => return None,
    })
}

/// The body with the bytes of those tensors that have a `binary_data_size`, and the length of its JSON head. `None` if
/// there is no such tensor.
pub fn written(mut body: Value) -> Option<(Vec<u8>, usize)> {
    let mut bytes: Vec<u8> = Vec::new();
    for tensor in body.get_mut("inputs")?.as_array_mut()? {
        let Some(size) = tensor.pointer("/parameters/binary_data_size").and_then(Value::as_u64) else { continue };
        let datatype = tensor.get("datatype")?.as_str()?.to_owned();
        let pattern = tensor.as_object_mut()?.shift_remove("data")?;
        let mut elements: Vec<u8> = Vec::new();
        pattern.as_array()?.iter().try_for_each(|value| write(value, &datatype, &mut elements))?;
        let size = usize::try_from(size)
            .ok()
            .filter(|size| bytes.len().saturating_add(*size) <= CAP && !elements.is_empty())?;
        bytes.extend(elements.iter().cycle().take(size));
    }
    if bytes.is_empty() {
        return None;
    }
    let mut whole = body.to_string().into_bytes();
    let head = whole.len();
    whole.extend(bytes);
    Some((whole, head))
}

/// Writes one value, little-endian; text with its length before it. `None` if it is not of the type.
pub fn write(value: &Value, datatype: &str, bytes: &mut Vec<u8>) -> Option<()> {
    // A truth value and a number without a fraction are integers too.
    let whole = || {
        let exact = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
        let truth = || value.as_bool().map(i128::from);
        exact.or_else(truth).or_else(|| value.as_f64().filter(|real| real.fract() == 0.0).map(|real| real as i128))
    };
    let real = || value.as_f64().or_else(|| value.as_bool().map(|truth| f64::from(u8::from(truth))));
    match datatype {
        "BOOL" => bytes.push(u8::from(whole()? != 0)),
        "INT8" => bytes.extend(i8::try_from(whole()?).ok()?.to_le_bytes()),
        "UINT8" => bytes.extend(u8::try_from(whole()?).ok()?.to_le_bytes()),
        "INT16" => bytes.extend(i16::try_from(whole()?).ok()?.to_le_bytes()),
        "UINT16" => bytes.extend(u16::try_from(whole()?).ok()?.to_le_bytes()),
        "INT32" => bytes.extend(i32::try_from(whole()?).ok()?.to_le_bytes()),
        "UINT32" => bytes.extend(u32::try_from(whole()?).ok()?.to_le_bytes()),
        "INT64" => bytes.extend(i64::try_from(whole()?).ok()?.to_le_bytes()),
        "UINT64" => bytes.extend(u64::try_from(whole()?).ok()?.to_le_bytes()),
        "FP16" => bytes.extend(half(real()? as f32).to_le_bytes()),
        // The upper half of a float.
        "BF16" => bytes.extend((((real()? as f32).to_bits() >> 16) as u16).to_le_bytes()),
        "FP32" => bytes.extend((real()? as f32).to_le_bytes()),
        "FP64" => bytes.extend(real()?.to_le_bytes()),
        "BYTES" => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            bytes.extend(u32::try_from(text.len()).ok()?.to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        _ => return None,
    }
    Some(())
}

/// IEEE 754 half precision, cut rather than rounded; too small becomes zero, too large infinity.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let exponent = (bits >> 23 & 0xff) as i32 - 127 + 15;
    match exponent {
        _ if value.is_nan() => sign | 0x7e00,
        31.. => sign | 0x7c00,
        ..=0 => sign,
        _ => sign | (exponent as u16) << 10 | (bits >> 13) as u16 & 0x3ff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn bytes_stand_behind_the_head_and_nothing_else_changes() {
        let body = json!({"inputs": [
            {"name": "x", "shape": [3], "datatype": "FP16", "parameters": {"binary_data_size": 6}, "data": [0.5]},
            {"name": "lang", "shape": [1], "datatype": "BYTES", "data": ["en"]}]});
        let (bytes, head) = written(body).unwrap();
        let json: Value = serde_json::from_slice(&bytes[..head]).unwrap();
        assert_eq!(json["inputs"][0].get("data"), None);
        assert_eq!(json["inputs"][1]["data"], json!(["en"]));
        assert_eq!(&bytes[head..], &[0x00, 0x38, 0x00, 0x38, 0x00, 0x38], "0.5 is 0x3800");
        assert_eq!(written(json!({"inputs": [{"name": "x", "datatype": "FP32", "data": [1]}]})), None);
    }

    #[test]
    fn numbers_are_written_as_their_types_say() {
        let written = |value: Value, datatype: &str| {
            let mut bytes = Vec::new();
            write(&value, datatype, &mut bytes).map(|()| bytes)
        };
        let element = |value: &Value, datatype: &str| written(value.clone(), datatype).unwrap();
        assert_eq!(written(json!(300), "UINT8"), None);
        assert_eq!(written(json!(0.5), "INT32"), None);
        assert_eq!(written(json!("x"), "FP32"), None);
        assert_eq!(element(&json!(2.0), "INT8"), [2]);
        assert_eq!(element(&json!(u64::MAX), "UINT64"), [0xff; 8]);
        assert_eq!(element(&json!("ja"), "BYTES"), [2, 0, 0, 0, b'j', b'a']);
        assert_eq!(element(&json!(1.0), "FP16"), [0x00, 0x3c]);
        assert_eq!(element(&json!(-2.0), "FP16"), [0x00, 0xc0]);
        assert_eq!(element(&json!(1e9), "FP16"), [0x00, 0x7c]);
        assert_eq!(element(&json!(1.0), "BF16"), [0x80, 0x3f]);
        assert_eq!(element(&json!(16000), "INT32"), 16000_i32.to_le_bytes());
        assert_eq!(element(&json!(true), "BOOL"), [1]);
    }

    proptest! {
        #[test]
        fn any_body_is_taken(size in any::<u64>(), datatype in "[A-Z0-9]{0,5}", data in prop::collection::vec(any::<f64>(), 0..5)) {
            let body = json!({"inputs": [{"datatype": datatype, "parameters": {"binary_data_size": size}, "data": data}]});
            if let Some((bytes, head)) = written(body) {
                prop_assert!(bytes.len() - head <= CAP);
            }
        }
    }
}
