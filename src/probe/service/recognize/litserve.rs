//! LitServe: its /info tells devices and routes, and unless the handler names a type, nobody tells what it wants.

use super::family::{Recognized, Signs, Suspicion, likely_or};
use super::operation::{example, posted};
use super::questions::Questions;
use crate::probe::service::schema::forbidden;
use serde_json::{Value, json};

/// Suspected by the paths of its schema; possible of an uvicorn without one, as it is by default.
pub fn suspected(signs: &Signs) -> Suspicion {
    likely_or(
        signs.lists("/info") && signs.lists("/health"),
        signs.undescribed() && signs.header("server") == "uvicorn",
    )
}

/// Asks /info.
pub fn recognize(signs: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let info = questions.json("/info")?;
    let server = info.get("server")?;
    let devices = server.get("devices")?.as_array()?;
    server.get("workers_per_device")?;
    let routes = server.get("stream").and_then(Value::as_object);
    let routes: Vec<String> = routes.into_iter().flatten().map(|(path, _)| path.clone()).take(16).collect();
    let routes = if routes.is_empty() { vec!["/predict".to_owned()] } else { routes };
    // A route whose handler names a type is described as well as any; one that may do harm is not tried.
    let untyped = |path: &&String| {
        let described = signs.document.and_then(|document| document.at(path, None));
        !forbidden(path) && described.is_none_or(|operation| operation.fields.is_empty())
    };
    let input = || example("string", json!("hello"));
    let operations = routes.iter().filter(untyped).map(|path| posted(path, &[("input", input())])).collect();
    Some(Recognized {
        kind: "litserve",
        by: format!("GET /info: devices {}", Value::from(devices.clone())),
        operations,
        described_at: Some("/info".into()),
        states: vec!["/health".into()],
        ..Recognized::default()
    })
}
