//! TensorFlow Serving: told by its words. It lists its models nowhere, so one has to be named or guessed.

use super::family::{Recognized, Signs, Suspicion, likely_or};
use super::kserve::is_name;
use super::kserve_v1::model_in_path;
use super::operation::{example, posted};
use super::questions::Questions;
use crate::probe::service::engine::option_values;
use crate::probe::service::schema::Candidate;
use serde_json::{Map, Value, json};

/// The names that the image and the program use unless told otherwise.
const USUAL: &[&str] = &["model", "default"];
/// Values of one instance, at most.
const VALUES: i64 = 1 << 16;

/// Suspected by its words for a path that it does not have.
pub fn suspected(signs: &Signs) -> Suspicion {
    likely_or(signs.says("\"Malformed request: "), false)
}

/// Asks for the signature of the model.
pub fn recognize(signs: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let mut found = Recognized {
        kind: "tf-serving",
        by: "its words for a path that it does not have: \"Malformed request\"".into(),
        ..Recognized::default()
    };
    let started = signs.commands.iter().find_map(|words| option_values(words, &["--model_name"]).last());
    let named = signs.path.and_then(model_in_path).or(signs.model.as_deref()).or(started);
    let tried: Vec<&str> = named.map_or_else(|| USUAL.to_vec(), |name| vec![name]);
    for name in tried.iter().filter(|name| is_name(name)) {
        let place = format!("/v1/models/{name}/metadata");
        if let Some(metadata) = questions.json(&place) {
            found.operations = operation(name, &metadata).into_iter().collect();
            found.states = vec![format!("/v1/models/{name}")];
            found.models = Some(vec![(*name).to_owned()]);
            found.lack = found.operations.is_empty().then(|| format!("{place} has no signature that could be filled"));
            found.described_at = Some(place);
            return Some(found);
        }
    }
    found.states = named.iter().filter(|name| is_name(name)).map(|name| format!("/v1/models/{name}")).collect();
    found.lack = Some(format!(
        "TensorFlow Serving does not list its models, and none is called {}: name one, --operation /v1/models/NAME:predict",
        tried.join(" or ")
    ));
    Some(found)
}

/// The predict call of the default signature, else of the first.
fn operation(model: &str, metadata: &Value) -> Option<Candidate> {
    let signatures = metadata.pointer("/metadata/signature_def/signature_def")?.as_object()?;
    let usable =
        |signature: &&Value| signature.get("inputs").and_then(Value::as_object).is_some_and(|all| !all.is_empty());
    let usual = signatures.get("serving_default").filter(usable);
    let signature = usual.or_else(|| signatures.values().find(usable))?;
    let inputs = signature.get("inputs")?.as_object()?;
    let mut instance = Map::new();
    for (name, input) in inputs.iter().take(64) {
        let dimensions = input.pointer("/tensor_shape/dim").and_then(Value::as_array).into_iter().flatten();
        let size = |one: &Value| match one.get("size")? {
            Value::String(text) => text.parse::<i64>().ok(),
            other => other.as_i64(),
        };
        // The first dimension is the list of instances.
        let shape: Vec<i64> = dimensions.skip(1).take(8).map(|one| size(one).unwrap_or(-1)).collect();
        let one = value(input.get("dtype").and_then(Value::as_str).unwrap_or_default());
        instance.insert(name.clone(), filled(&shape, &one)?);
    }
    let instances = json!([instance]);
    Some(posted(&format!("/v1/models/{model}:predict"), &[("instances", example("array", instances))]))
}

fn value(dtype: &str) -> Value {
    match dtype {
        "DT_STRING" => json!("hello"),
        "DT_BOOL" => json!(false),
        "DT_FLOAT" | "DT_DOUBLE" | "DT_HALF" | "DT_BFLOAT16" => json!(0.5),
        _ => json!(1),
    }
}

/// Nested lists of that shape; `None` if they would be too large.
fn filled(shape: &[i64], one: &Value) -> Option<Value> {
    let sizes: Vec<i64> = shape.iter().map(|size| if *size < 0 { 1 } else { *size }).collect();
    sizes.iter().try_fold(1_i64, |product, size| product.checked_mul(*size)).filter(|count| *count <= VALUES)?;
    Some(sizes.iter().rev().fold(one.clone(), |inner, size| Value::Array(vec![inner; *size as usize])))
}
