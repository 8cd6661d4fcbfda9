//! Ray Serve: its proxy tells the routes; what is behind them may be FastAPI or take the bare request.

use super::family::{Recognized, Signs, Suspicion, likely_or};
use super::operation::{example, posted, raw};
use super::questions::Questions;
use crate::probe::service::schema::{Candidate, forbidden};
use serde_json::json;

/// Suspected by its words for a path without a route; possible behind any FastAPI, whose answers are the application's.
pub fn suspected(signs: &Signs) -> Suspicion {
    let words = signs.says("/-/routes for available routes");
    likely_or(words, signs.document.is_some() && signs.header("server") == "uvicorn")
}

/// Asks for the routes.
pub fn recognize(signs: &Signs, questions: &mut Questions) -> Option<Recognized> {
    // The proxy's paths stand at the root, whatever prefix the application has.
    let reply = questions.get_at("/-/routes", std::time::Duration::from_secs(2)).ok()?;
    let answer = super::questions::json(&reply).filter(|_| reply.status == 200)?;
    let routes = answer.as_object().filter(|routes| !routes.is_empty())?;
    let plain = |(path, application): (&String, &serde_json::Value)| path.starts_with('/') && application.is_string();
    if !routes.iter().all(plain) {
        return None;
    }
    let listed = routes.iter().map(|(path, application)| format!("{path} ({})", application.as_str().unwrap_or("")));
    let operations = match signs.document {
        Some(_) => Vec::new(),
        None => routes.keys().filter(|path| !forbidden(path)).take(4).flat_map(|path| bare(path)).collect(),
    };
    Some(Recognized {
        kind: "ray-serve",
        by: format!("GET /-/routes: {}", listed.take(4).collect::<Vec<_>>().join(", ")),
        operations,
        described_at: signs.undescribed().then(|| "/-/routes".into()),
        states: vec!["/-/healthz".into()],
        ..Recognized::default()
    })
}

/// A handler that takes the request as it is: JSON more often than sound.
fn bare(path: &str) -> [Candidate; 2] {
    [posted(path, &[("input", example("string", json!("hello")))]), raw(path, "audio/wav")]
}
