//! Text Generation Inference: `GET /info`.
//!
//! Fields: <https://huggingface.co/docs/text-generation-inference/reference/api_reference>. Newer releases tell no
//! device.

use super::Told;
use super::answers::text;
use super::asker::Asker;
use crate::snapshot::{EngineModel, Fact, Unknown, Why};
use serde_json::Value;

/// Whether the answer is TGI's. Text Embeddings Inference tells much the same, and its `model_type`.
pub fn is_info(info: &Value) -> bool {
    let own = ["model_device_type", "max_best_of", "max_stop_sequences"].iter().any(|name| info.get(name).is_some());
    let router = info.get("router").and_then(Value::as_str) == Some("text-generation-router");
    info.get("model_id").is_some_and(Value::is_string) && (own || router) && info.get("model_type").is_none()
}

/// What it says.
pub fn told(asker: &Asker, info: &Value) -> Told {
    let untold = Unknown::new(Why::NotAsked, "/info of this release of TGI does not tell it");
    let name = text(info, "model_id").map(|name| asker.clean(name)).unwrap_or_default();
    let mut model = EngineModel::all_unknown(name, &untold);
    let told = |name: &str| match asker.text_of(info, name) {
        Fact::Unknown(Unknown { why: Why::Absent, .. }) => Fact::Unknown(untold.clone()),
        fact => fact,
    };
    model.dtype = told("model_dtype");
    model.device = told("model_device_type").map(|device| match device.as_str() {
        "cuda" => "gpu".into(),
        _ => device,
    });
    Told { version: told("version"), image_label: told("docker_label"), models: Fact::Known(vec![model]) }
}
