//! KServe's older protocol: `/v1/models/NAME:predict`.

use super::family::{Recognized, Signs, Suspicion, likely_or};
use super::kserve::is_name;
use super::operation::{example, posted};
use super::questions::Questions;
use serde_json::{Value, json};

/// The model's name in `/v1/models/NAME:predict`.
pub fn model_in_path(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/models/")?.split([':', '/']).next().filter(|name| !name.is_empty())
}

/// Suspected by the client's path; possible of a server without a schema, or one whose schema lists the protocol.
pub fn suspected(signs: &Signs) -> Suspicion {
    let listed = signs.lists("/v1/models/{model_name}:predict");
    likely_or(listed || signs.path_begins("/v1/models/"), signs.undescribed())
}

/// Asks whether it is alive, and for its models.
pub fn recognize(signs: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let listed = questions.json("/v1/models").and_then(|listed| {
        let models = listed.get("models")?.as_array()?.clone();
        Some(models.into_iter().filter_map(|name| name.as_str().map(str::to_owned)).take(256).collect::<Vec<_>>())
    });
    let alive = match listed {
        Some(_) => true,
        None => questions.json("/").is_some_and(|answer| answer == json!({"status": "alive"})),
    };
    if !alive {
        return None;
    }
    let named = signs.path.and_then(model_in_path).or(signs.model.as_deref()).map(str::to_owned);
    let model = named.or(listed.as_ref().and_then(|models| models.first().cloned())).filter(|name| is_name(name));
    let mut found = Recognized {
        kind: "kserve",
        by: match &listed {
            Some(models) => format!("GET /v1/models: {models:?}"),
            None => "GET /: {\"status\":\"alive\"}".into(),
        },
        models: listed,
        states: vec!["/".into()],
        ..Recognized::default()
    };
    match model {
        Some(model) => {
            found.states.push(format!("/v1/models/{model}"));
            found.described_at = Some("/v1/models".into());
            found.operations = predictions(&model);
        }
        None => {
            found.lack =
                Some("the server does not list its models: name one, --operation /v1/models/NAME:predict".into())
        }
    }
    Some(found)
}

/// The protocol does not tell what an instance is: a row of numbers, then a text.
fn predictions(model: &str) -> Vec<crate::probe::service::schema::Candidate> {
    let path = format!("/v1/models/{model}:predict");
    let instances = [json!([[1.0, 1.0, 1.0, 1.0]]), json!(["hello"]), Value::Array(vec![json!({"text": "hello"})])];
    instances.into_iter().map(|value| posted(&path, &[("instances", example("array", value))])).collect()
}
