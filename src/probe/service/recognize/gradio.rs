//! Gradio: its page's configuration, and the description of its named functions.

use super::family::{Recognized, Signs, Suspicion, likely_or};
use super::operation::{example, posted};
use super::questions::{Questions, text};
use crate::probe::service::message::base64;
use crate::probe::service::schema::{Candidate, forbidden};
use crate::probe::service::synthesis::samples;
use serde_json::{Value, json};

/// Suspected by the paths of its schema; possible of a server without one.
pub fn suspected(signs: &Signs) -> Suspicion {
    let listed = signs.lists("/gradio_api/info") || signs.lists("/config") && signs.lists("/queue/join");
    likely_or(listed, signs.undescribed())
}

/// Asks for the configuration and the functions.
pub fn recognize(signs: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let page = || |questions: &mut Questions| questions.ok("/").is_some_and(|reply| text(&reply).contains("gradio"));
    if suspected(signs) != Suspicion::Likely && !page()(questions) {
        return None;
    }
    let config = questions.json("/config")?;
    let version = config.get("version")?.as_str()?.to_owned();
    config.get("dependencies")?;
    // Before version 5 there was none.
    let prefix = config.get("api_prefix").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/').to_owned();
    let info = questions.json(&format!("{prefix}/info"));
    let named = info.as_ref().and_then(|info| info.get("named_endpoints")?.as_object());
    let functions = named.into_iter().flatten().filter(|(path, _)| !forbidden(path)).take(3);
    let functions: Vec<(&str, Value)> =
        functions.filter_map(|(path, function)| Some((path.as_str(), data(function)?))).collect();
    let operation = |way: &str, (path, data): &(&str, Value)| -> Candidate {
        posted(&format!("{prefix}/{way}{path}"), &[("data", example("array", data.clone()))])
    };
    // The first answers with the result, the other only with the number under which the result can be fetched.
    let direct = functions.iter().map(|function| operation("run", function));
    let operations: Vec<Candidate> =
        direct.chain(functions.iter().map(|function| operation("call", function))).collect();
    Some(Recognized {
        kind: "gradio",
        by: format!("GET /config: version {version:?}"),
        version: Some(version),
        lack: operations.is_empty().then(|| format!("GET {prefix}/info names no function that could be called")),
        operations,
        described_at: Some(format!("{prefix}/info")),
        states: vec![],
        ..Recognized::default()
    })
}

/// A value for each parameter of a function: what it says itself, a file as a data URL.
fn data(function: &Value) -> Option<Value> {
    let value = |parameter: &Value| -> Value {
        let component = parameter.get("component").and_then(Value::as_str).unwrap_or_default();
        let file = match component {
            "Audio" => Some(samples::speech()),
            "Image" => Some(samples::image()),
            _ => None,
        };
        if let Some(file) = file {
            let url = format!("data:{};base64,{}", file.media_type, base64(&file.bytes));
            return json!({"url": url, "orig_name": file.name, "meta": {"_type": "gradio.FileData"}});
        }
        let default = parameter.get("parameter_default").filter(|value| !value.is_null());
        let choice = parameter.pointer("/type/enum/0");
        default.or(choice).or(parameter.get("example_input")).cloned().unwrap_or(Value::Null)
    };
    let parameters = function.get("parameters")?.as_array()?;
    Some(Value::Array(parameters.iter().take(64).map(value).collect()))
}
