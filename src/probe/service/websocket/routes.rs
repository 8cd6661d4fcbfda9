//! Where a server takes WebSockets. Such routes stand in no schema, so the known ones are tried, beside one that cannot
//! exist: a server that refuses a session before accepting it answers 403, and so do many for a path that they lack.

use super::METHOD;
use crate::probe::Ask;
use crate::probe::service::message::{Encoding, Place};
use crate::probe::service::recognize::questions::{Answer, Questions};
use crate::probe::service::recognize::{Discovered, at};
use crate::probe::service::schema::{Candidate, Described};
use crate::probe::service::transport::{Failure, Reply};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;
use url::Url;

/// Paths of speech servers, the more common first.
const KNOWN: &[&str] = &["/asr", "/ws", "/v1/audio/stream", "/stream", "/transcribe", "/"];
/// The field of the query that speech servers have.
const LANGUAGE: &str = "language";
/// Longest wait for one answer; less where the server may know nothing of WebSockets.
const PATIENCE: Duration = Duration::from_secs(3);
const PATIENCE_GUESS: Duration = Duration::from_secs(2);
/// Between a session that was only a knock and the next one.
const PAUSE: Duration = Duration::from_millis(100);
/// Fields of the URL's query that are sent, at most.
const QUERY_MAX: usize = 30;

/// Looks for a route. `named` is the path that the user gave; `only` says that the server was named ws://, so that nothing
/// but a WebSocket is expected.
///
/// # Errors
/// The server does not answer at all.
pub fn discover(
    questions: &mut Questions,
    server: &Url,
    ask: &Ask,
    only: bool,
) -> Result<(Discovered, Option<String>), Failure> {
    let mut knock = |path: &str| answered(questions.knock(path, if only { PATIENCE } else { PATIENCE_GUESS }));
    let own = Some(server.path()).filter(|path| only && *path != "/");
    let named = ask.operation.as_deref().or(own).map(|path| path.split('?').next().unwrap_or(path));
    // What this server says of a path that it cannot have.
    let control_path = format!("/gpu-doctor-{:x}", std::process::id());
    let control = knock(&control_path)?;
    let mut seen = Vec::new();
    let known = KNOWN.get(..tried(only, control.status)).unwrap_or(KNOWN);
    let paths = named.map_or_else(|| known.to_vec(), |path| vec![path]);
    for path in paths {
        let reply = match knock(path) {
            Ok(reply) => reply,
            // One path may hang; the server itself has answered.
            Err(_) if only => continue,
            Err(_) => break,
        };
        let speaks = reply.status == 101;
        let refuses = reply.status != control.status && matches!(reply.status, 401 | 403 | 429 | 503);
        if speaks || refuses || named.is_some() && only {
            let by = words(path, &reply, &control, &control_path);
            let whisper = String::from_utf8_lossy(&reply.body).contains("\"useAudioWorklet\"");
            let kind = if whisper { "whisper-websocket" } else { "websocket" };
            if speaks {
                // The place that the knock took must be free again for the conversation.
                std::thread::sleep(PAUSE);
            }
            return Ok((route(server, path, kind, ask.server.as_ref().filter(|_| only)), Some(by)));
        }
        seen.push(format!("{path} {}", reply.status));
    }
    let error = format!(
        "no WebSocket route was found ({}; {control_path}, which cannot exist, {}): name it, as in ws://HOST:PORT/asr",
        seen.join(", "),
        control.status
    );
    Ok((Discovered { schema: Some(Err(error)), ..Discovered::default() }, None))
}

/// How many of the known paths are tried. A server that may have no WebSocket at all is not asked for long: one that has,
/// answers 403 to other paths, or 404; one that fails or wants credentials tells nothing by any path.
fn tried(only: bool, control: u16) -> usize {
    match control {
        _ if only => KNOWN.len(),
        101 | 403 => KNOWN.len(),
        400 | 404 | 405 | 426 => 2,
        _ => 0,
    }
}

/// How the route is told from a path that does not exist.
fn words(path: &str, reply: &Reply, control: &Reply, control_path: &str) -> String {
    let status = reply.status;
    match (status, control.status) {
        (101, 101) => format!("WebSocket at {path}: accepted, as at any other path"),
        (101, other) => format!("WebSocket at {path}: accepted; {control_path}, which cannot exist, gets {other}"),
        (_, other) if status == other => format!(
            "WebSocket at {path}: HTTP {status}, and the same for {control_path}, which cannot exist: either the path is \
             wrong or the server refuses every session before accepting it"
        ),
        (_, other) => {
            format!("WebSocket at {path}: refused with HTTP {status}; {control_path}, which cannot exist, gets {other}")
        }
    }
}

/// The route as an operation. The query of the URL that the user `wrote` is part of every session.
fn route(server: &Url, path: &str, kind: &'static str, wrote: Option<&Url>) -> Discovered {
    let field = |name: String, required: bool, schema: Value| Described {
        name,
        place: Place::Query,
        required,
        kind: "string",
        schema,
    };
    let pairs = wrote.into_iter().flat_map(|url| url.query_pairs()).take(QUERY_MAX);
    let mut fields: Vec<Described> =
        pairs.map(|(name, value)| field(name.into_owned(), true, json!({ "const": value }))).collect();
    if !fields.iter().any(|field| field.name == LANGUAGE) {
        fields.push(field(LANGUAGE.into(), false, json!({ "type": "string" })));
    }
    let operation = Candidate {
        method: METHOD.into(),
        path: path.into(),
        encoding: Encoding::Raw,
        content_type: "audio/wav".into(),
        fields,
        known: Vec::new(),
    };
    let schema = Some(Ok(at(server, path).to_string()));
    Discovered { kind: Some(kind), operation: Some(operation), schema, ..Discovered::default() }
}

/// An answer that began counts: a session that was accepted may fail afterwards.
fn answered(result: Answer) -> Answer {
    match result {
        Err(Failure { partial: Some(reply), .. }) => Ok(Rc::from(reply)),
        other => other,
    }
}
