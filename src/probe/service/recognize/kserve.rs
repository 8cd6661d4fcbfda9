//! The narrow KServe v2 client: which model, which tensors, made of which values.
//!
//! Protocol: <https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol>.

use crate::probe::service::message::{Encoding, Place};
use crate::probe::service::schema::{Candidate, Described};
use crate::probe::service::synthesis::samples;
use serde_json::{Value, json};

/// Values of one tensor, at most: a longer JSON body would take seconds to write and read.
const ELEMENTS: u64 = 4 << 20;

/// Asks the server: path and JSON body (POST) or none (GET); gives the JSON answer of a 200.
pub type Ask<'a> = dyn FnMut(&str, Option<&Value>) -> Result<Value, String> + 'a;

/// Finds the model to try and describes its infer operation. `wanted` is a model's name or an infer path.
pub fn discover(wanted: Option<&str>, ask: &mut Ask) -> Result<Candidate, String> {
    let server = ask("/v2", None)?;
    if server.get("name").is_none() || server.get("extensions").is_none() && server.get("version").is_none() {
        return Err("the answer to GET /v2 is not a KServe v2 server's metadata".into());
    }
    let named = wanted.map(|text| model_in_path(text).unwrap_or(text).to_owned());
    let model = match named {
        Some(model) => model,
        None => first_ready(&ask("/v2/repository/index", Some(&json!({})))?)?,
    };
    let valid = !model.is_empty() && model.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !valid {
        return Err(format!("{model:?} is not a model's name"));
    }
    let metadata = ask(&format!("/v2/models/{model}"), None)?;
    // Triton only: which inputs are optional, and whether the first dimension is the batch.
    let config = ask(&format!("/v2/models/{model}/config"), None).unwrap_or_default();
    let inputs = metadata.get("inputs").and_then(Value::as_array);
    let inputs = inputs.ok_or_else(|| format!("the metadata of model {model} has no list `inputs`"))?;
    let mut fields = Vec::new();
    for input in inputs.iter().take(200) {
        fields.push(
            described(input, &config)
                .ok_or_else(|| format!("an input of model {model} is not as KServe v2 says: {input}"))??,
        );
    }
    Ok(Candidate {
        method: "POST".into(),
        path: format!("/v2/models/{model}/infer"),
        encoding: Encoding::Json,
        content_type: "application/json".into(),
        fields,
    })
}

/// The model's name in `/v2/models/NAME/...`.
pub fn model_in_path(path: &str) -> Option<&str> {
    path.strip_prefix("/v2/models/")?.split('/').next().filter(|name| !name.is_empty())
}

fn first_ready(index: &Value) -> Result<String, String> {
    let models = index.as_array().ok_or("the repository index is not a list")?;
    let ready = |model: &&Value| model.get("state").and_then(Value::as_str).is_none_or(|state| state == "READY");
    let name = models.iter().find(ready).and_then(|model| model.get("name")).and_then(Value::as_str);
    name.map(str::to_owned).ok_or(format!("none of the {} models in the repository index is ready", models.len()))
}

/// `None` if the input is malformed, an error if it cannot be made up.
fn described(input: &Value, config: &Value) -> Option<Result<Described, String>> {
    let name = input.get("name")?.as_str()?.to_owned();
    let datatype = input.get("datatype")?.as_str()?;
    let shape: Vec<i64> = input.get("shape")?.as_array()?.iter().map(Value::as_i64).collect::<Option<_>>()?;
    let configured = config.get("input").and_then(Value::as_array).into_iter().flatten();
    let own = configured.into_iter().find(|own| own.get("name").and_then(Value::as_str) == Some(&name));
    let optional = own.and_then(|own| own.get("optional")).and_then(Value::as_bool).unwrap_or(false);
    let batched = config.get("max_batch_size").and_then(Value::as_i64).is_some_and(|size| size > 0);
    Some(tensor(&name, datatype, &shape, batched).map(|tensor| Described {
        name,
        place: Place::Tensor,
        required: !optional,
        kind: "array",
        schema: json!({ "tensor": tensor }),
    }))
}

/// A tensor with concrete dimensions and plausible values.
fn tensor(name: &str, datatype: &str, shape: &[i64], batched: bool) -> Result<Value, String> {
    let lower = name.to_ascii_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let audio = is(&["audio", "wav", "speech", "signal", "waveform", "samples"]) && !is(&["rate", "len"]);
    let image = is(&["image", "img", "pixel", "frame"]);
    let numeric = datatype != "BYTES";
    let dimension = |(index, size): (usize, &i64)| match *size {
        size if size >= 0 => size as u64,
        _ if index == 0 && (batched || shape.len() > 1) => 1,
        _ if audio && numeric => 16000,
        _ if image && numeric => 224,
        _ => 1,
    };
    let shape: Vec<u64> = shape.iter().enumerate().map(dimension).collect();
    let count = shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size)).filter(|n| *n <= ELEMENTS);
    let count = count.ok_or(format!("input {name} of shape {shape:?} has more than {ELEMENTS} values"))? as usize;
    let one = match datatype {
        "BOOL" => json!(false),
        "BYTES" if is(&["lang", "locale"]) => json!("en"),
        "BYTES" => json!("hello"),
        "FP16" | "FP32" | "FP64" | "BF16" => json!(0.5),
        _ if is(&["rate"]) => json!(16000),
        _ if is(&["max_tokens", "output_len"]) => json!(4),
        _ => json!(1),
    };
    let data: Vec<Value> = if audio && datatype.starts_with("FP") { speech(count) } else { vec![one; count] };
    Ok(json!({ "name": name, "shape": shape, "datatype": datatype, "data": data }))
}

/// Samples of the built-in speech from -1 to 1, repeated as often as needed.
fn speech(count: usize) -> Vec<Value> {
    let file = samples::speech();
    // The sample's header has the plain 44 bytes.
    let pcm = file.bytes.get(44..).unwrap_or_default();
    let sample = |pair: &[u8]| {
        let value = i16::from_le_bytes([pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0)]);
        json!((f64::from(value) / 32768.0 * 1e4).round() / 1e4)
    };
    pcm.chunks_exact(2).map(sample).cycle().take(count).collect()
}
