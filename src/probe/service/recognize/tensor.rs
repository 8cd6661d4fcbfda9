//! A tensor of KServe v2: its dimensions made concrete, and plausible values for it.

use crate::probe::service::synthesis::samples;
use serde_json::{Value, json};

/// Values of one tensor, at most: a longer JSON body would take seconds to write and read.
const VALUES: usize = 4 << 20;
/// From so many values on they travel as bytes, where the server takes them so: a picture is 204 ms as JSON, 10 as bytes.
const BINARY_FROM: usize = 4096;

/// An input, as the model's metadata and Triton's configuration describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub name: String,
    datatype: String,
    /// -1 stands for any size.
    shape: Vec<i64>,
    pub optional: bool,
    /// The first dimension is the batch.
    batched: bool,
}

/// What a tensor's name tells of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Audio,
    Image,
    /// Number of samples of the sound beside it.
    Length,
    Other,
}

/// Half precision, for which JSON has no numbers by the protocol.
pub fn is_half(datatype: &str) -> bool {
    matches!(datatype, "FP16" | "BF16")
}

impl Tensor {
    /// Reads an entry of the metadata's `inputs`; `None` if it is malformed.
    pub fn read(input: &Value, config: &Value) -> Option<Self> {
        let name = input.get("name")?.as_str()?.to_owned();
        let configured = config.get("input").and_then(Value::as_array).into_iter().flatten();
        let own = configured.into_iter().find(|own| own.get("name").and_then(Value::as_str) == Some(&name));
        let says_optional = |holder: &Value| holder.get("optional").and_then(Value::as_bool);
        let shape: Vec<i64> = input.get("shape")?.as_array()?.iter().map(Value::as_i64).collect::<Option<_>>()?;
        Some(Self {
            datatype: input.get("datatype")?.as_str()?.to_owned(),
            optional: own.and_then(says_optional).or(says_optional(input)).unwrap_or(false),
            batched: config.get("max_batch_size").and_then(Value::as_i64).is_some_and(|size| size > 0),
            name,
            shape,
        })
    }

    fn content(&self) -> Content {
        let name = self.name.to_ascii_lowercase();
        let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let audio = is(&["audio", "wav", "speech", "signal", "waveform", "samples", "pcm"]);
        let length = is(&["len", "num_samples", "n_samples"]);
        match () {
            () if self.datatype == "BYTES" || is(&["rate"]) => Content::Other,
            () if length && !self.datatype.starts_with("FP") => Content::Length,
            () if audio => Content::Audio,
            () if is(&["image", "img", "pixel", "frame"]) => Content::Image,
            () => Content::Other,
        }
    }

    /// Whether the dimension is any, and neither the batch nor told by the name.
    fn is_open_at(&self, index: usize) -> bool {
        self.shape.get(index).is_some_and(|size| *size < 0)
            && !(index == 0 && (self.batched || self.shape.len() > 1))
            && self.datatype != "BYTES"
            && self.content() == Content::Other
    }

    /// Whether it has a dimension whose size nothing tells.
    pub fn is_open(&self) -> bool {
        (0..self.shape.len()).any(|index| self.is_open_at(index))
    }

    /// The concrete dimensions; `size` for those of which nothing is known.
    fn dimensions(&self, size: u64) -> Vec<u64> {
        let one = |(index, wanted): (usize, &i64)| match (*wanted, self.content()) {
            (wanted, _) if wanted >= 0 => wanted as u64,
            _ if index == 0 && (self.batched || self.shape.len() > 1) => 1,
            (_, Content::Audio) => 16000,
            (_, Content::Image) => 224,
            _ if self.is_open_at(index) => size,
            _ => 1,
        };
        self.shape.iter().enumerate().map(one).collect()
    }

    /// Number of its values; `None` if there are too many.
    pub fn count(&self, size: u64) -> Option<usize> {
        let product = self.dimensions(size).iter().try_fold(1_u64, |product, size| product.checked_mul(*size))?;
        usize::try_from(product).ok().filter(|count| *count <= VALUES)
    }

    /// The tensor as it is sent. `beside` are the request's tensors, this one too. Where it travels as bytes, `data` is
    /// the pattern that is repeated in them, and `parameters` tells their number.
    pub fn concrete(&self, size: u64, binary: bool, beside: &[Tensor]) -> Result<Value, String> {
        let shape = self.dimensions(size);
        let count = self.count(size);
        let count = count.ok_or_else(|| {
            format!("input {} of shape {shape:?} has more than {VALUES} values: give it with --field", self.name)
        })?;
        let width = crate::probe::service::tensor_bytes::width(&self.datatype);
        let as_bytes = binary && (is_half(&self.datatype) || count >= BINARY_FROM);
        let mut tensor = json!({"name": self.name, "shape": shape, "datatype": self.datatype});
        let pattern = match (self.content(), self.datatype.as_str()) {
            (Content::Audio, datatype) if datatype.starts_with("FP") || datatype == "BF16" => speech(count),
            (Content::Length, _) => {
                let sound = beside.iter().find(|other| other.content() == Content::Audio);
                vec![json!(sound.and_then(|sound| sound.count(size)).unwrap_or(count))]
            }
            _ => vec![self.one()],
        };
        if let (true, Some(width)) = (as_bytes, width) {
            tensor["parameters"] = json!({"binary_data_size": count * width});
            tensor["data"] = Value::Array(pattern);
        } else {
            tensor["data"] = Value::Array(pattern.into_iter().cycle().take(count).collect());
        }
        Ok(tensor)
    }

    /// A value for each element.
    fn one(&self) -> Value {
        let name = self.name.to_ascii_lowercase();
        let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
        match self.datatype.as_str() {
            "BOOL" => json!(false),
            "BYTES" if is(&["lang", "locale"]) => json!("en"),
            "BYTES" if is(&["task"]) => json!("transcribe"),
            "BYTES" => json!("hello"),
            "FP16" | "FP32" | "FP64" | "BF16" if is(&["rate"]) => json!(16000.0),
            "FP16" | "FP32" | "FP64" | "BF16" => json!(0.5),
            _ if is(&["rate"]) => json!(16000),
            _ if is(&["max_tokens", "output_len", "max_new"]) => json!(4),
            _ => json!(1),
        }
    }
}

/// Samples of the built-in speech from -1 to 1, as many as needed if there are so many.
fn speech(count: usize) -> Vec<Value> {
    let file = samples::speech();
    // The sample's header has the plain 44 bytes.
    let pcm = file.bytes.get(44..).unwrap_or_default();
    let sample = |pair: &[u8]| {
        let value = i16::from_le_bytes([pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0)]);
        json!((f64::from(value) / 32768.0 * 1e4).round() / 1e4)
    };
    pcm.chunks_exact(2).map(sample).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(input: Value, config: Value) -> Tensor {
        Tensor::read(&input, &config).unwrap()
    }

    fn sent(input: Value, size: u64) -> Value {
        let tensor = read(input, Value::Null);
        tensor.concrete(size, true, std::slice::from_ref(&tensor)).unwrap()
    }

    #[test]
    fn dimensions_are_told_by_the_batch_the_name_and_else_by_the_ladder() {
        let audio = sent(json!({"name": "audio", "datatype": "FP32", "shape": [-1, -1]}), 128);
        assert_eq!(audio["shape"], json!([1, 16000]));
        assert_eq!(audio["parameters"]["binary_data_size"], 64000);
        assert!(audio["data"].as_array().unwrap().iter().any(|value| value.as_f64().unwrap().abs() > 0.1), "speech");
        assert_eq!(
            sent(json!({"name": "input_ids", "datatype": "INT64", "shape": [-1, -1]}), 128)["shape"],
            json!([1, 128])
        );
        assert_eq!(
            sent(json!({"name": "pixels", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}), 1)["shape"],
            json!([1, 224, 224, 3])
        );
        assert_eq!(sent(json!({"name": "TEXT", "datatype": "BYTES", "shape": [-1]}), 512)["data"], json!(["hello"]));
        let config = json!({"max_batch_size": 8, "input": [{"name": "x", "optional": true}]});
        let batched = read(json!({"name": "x", "datatype": "FP32", "shape": [-1]}), config);
        assert!(batched.optional && !batched.is_open());
        let both = [
            read(json!({"name": "audio_signal", "datatype": "FP32", "shape": [-1, -1]}), Value::Null),
            read(json!({"name": "audio_signal_len", "datatype": "INT64", "shape": [-1]}), Value::Null),
        ];
        assert_eq!(both[1].concrete(1, false, &both).unwrap()["data"], json!([16000]));
    }

    #[test]
    fn half_precision_travels_as_bytes_only() {
        let half = sent(json!({"name": "x", "datatype": "FP16", "shape": [8]}), 1);
        assert_eq!((half["parameters"]["binary_data_size"].clone(), half["data"].clone()), (json!(16), json!([0.5])));
        let tensor = read(json!({"name": "x", "datatype": "FP16", "shape": [8]}), Value::Null);
        assert_eq!(tensor.concrete(1, false, &[]).unwrap()["data"].as_array().unwrap().len(), 8);
    }

    proptest! {
        #[test]
        fn any_metadata_is_read_in_bounds(name in ".{0,20}", datatype in "[A-Z0-9]{0,5}", shape in prop::collection::vec(any::<i64>(), 0..6), size in any::<u64>()) {
            let input = json!({"name": name, "datatype": datatype, "shape": shape});
            let tensor = Tensor::read(&input, &Value::Null).unwrap();
            if let Ok(sent) = tensor.concrete(size, true, std::slice::from_ref(&tensor)) {
                prop_assert!(sent["data"].as_array().unwrap().len() <= VALUES);
            }
        }
    }
}
