//! TorchServe: told by its words for a path that it does not have. Its models are listed at the management's port.

use super::family::{Recognized, Signs, Suspicion, likely_or, names};
use super::kserve::is_name;
use super::operation::{example, file, form, posted, raw};
use super::questions::Questions;
use crate::probe::service::schema::Candidate;
use serde_json::json;

/// The model's name in `/predictions/NAME`.
fn model_in_path(path: &str) -> Option<&str> {
    path.strip_prefix("/predictions/")?.split('/').next().filter(|name| !name.is_empty())
}

/// Suspected by its words, or by the client's path.
pub fn suspected(signs: &Signs) -> Suspicion {
    let words = signs.says("ResourceNotFoundException") || signs.says("MethodNotAllowedException");
    likely_or(words || signs.path_begins("/predictions/") && signs.undescribed(), false)
}

/// Asks for its health, its own description and its models.
pub fn recognize(signs: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let health = questions.get("/ping").ok()?;
    let status = super::questions::json(&health)?.get("status")?.as_str()?.to_owned();
    if !["Healthy", "Unhealthy", "Partial Healthy"].contains(&status.as_str()) {
        return None;
    }
    let description = questions.read_by("OPTIONS", "/");
    let version = description.as_ref().and_then(|all| all.pointer("/info/version")?.as_str().map(str::to_owned));
    // Inference and management may share one address; another TorchServe may have the usual port.
    let own = questions.json("/models").filter(|listed| listed.get("models").is_some());
    let listed = own.or_else(|| questions.beside(signs.torchserve_management, "/models"));
    let models = listed.as_ref().map(|listed| names(listed.get("models"), "modelName"));
    let named = signs.path.and_then(model_in_path).or(signs.model.as_deref()).map(str::to_owned);
    let model = named.or(models.as_ref().and_then(|models| models.first().cloned())).filter(|name| is_name(name));
    Some(Recognized {
        kind: "torchserve",
        version,
        by: format!("GET /ping: {status:?}, and its words for a path that it does not have"),
        lack: model.is_none().then(|| {
            "its models are listed at the management's port, which did not answer: name one, --operation /predictions/NAME".into()
        }),
        operations: model.map(|model| predictions(&format!("/predictions/{model}"))).unwrap_or_default(),
        models,
        described_at: Some("/ping".into()),
        states: vec!["/ping".into()],
    })
}

/// A handler gets a body as bytes, or its fields; which, only its code tells.
fn predictions(path: &str) -> Vec<Candidate> {
    let data = example("string", json!("hello"));
    let lang = example("string", json!("en"));
    vec![raw(path, "audio/wav"), posted(path, &[("data", data)]), form(path, &[("data", file()), ("lang", lang)])]
}
