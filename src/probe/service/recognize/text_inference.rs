//! Hugging Face's servers in Rust: text-generation-inference and text-embeddings-inference.

use super::family::{Recognized, Signs, Suspicion, likely_or};
use super::operation::{TOKENS, example, posted};
use super::questions::Questions;
use crate::probe::service::schema::Candidate;
use serde_json::{Value, json};

/// Suspected by axum's bare 404, by the title of its schema, or by the client's path.
pub fn suspected(signs: &Signs) -> Suspicion {
    let title = ["Text Generation Inference", "Text Embeddings Inference"].contains(&signs.title());
    let paths = ["/generate", "/embed", "/rerank"].iter().any(|path| signs.path_begins(path));
    likely_or(title || signs.is_axum() || paths && signs.undescribed(), false)
}

/// Asks /info, where both tell what they are.
pub fn recognize(_: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let info = questions.json("/info")?;
    let model = info.get("model_id")?.as_str()?.to_owned();
    let (kind, operations) = match info.get("model_type") {
        Some(model_type) => ("tei", embedding(model_type)),
        None if info.get("max_total_tokens").is_some() || info.get("router").is_some() => ("tgi", generation()),
        None => return None,
    };
    let version = info.get("version").and_then(Value::as_str).map(str::to_owned);
    Some(Recognized {
        kind,
        by: format!("GET /info: model_id {model:?}, version {:?}", version.as_deref().unwrap_or("unknown")),
        version,
        models: Some(vec![model]),
        operations,
        described_at: Some("/info".into()),
        states: vec!["/health".into()],
        ..Recognized::default()
    })
}

fn generation() -> Vec<Candidate> {
    let parameters = example("object", json!({"max_new_tokens": TOKENS}));
    vec![posted("/generate", &[("inputs", example("string", json!("hello"))), ("parameters", parameters)])]
}

/// By what the model is: `embedding`, `classifier` or `reranker`.
fn embedding(model_type: &Value) -> Vec<Candidate> {
    let is = |name: &str| model_type.get(name).is_some() || model_type.as_str() == Some(name);
    let hello = || example("string", json!("hello"));
    vec![if is("reranker") {
        posted("/rerank", &[("query", hello()), ("texts", example("array", json!(["hello", "world"])))])
    } else if is("classifier") {
        posted("/predict", &[("inputs", hello())])
    } else {
        posted("/embed", &[("inputs", hello())])
    }]
}
