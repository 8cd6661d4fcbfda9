//! Answers in JSON: pydantic's entries, wherever they are nested, and the texts beside them.

use super::{Complaint, NODES, values};
use crate::probe::service::message::Place;
use serde_json::{Map, Value};

/// Walks an answer for pydantic's entries (`loc`, `type`) and collects its texts.
pub fn walk(answer: &Value, complaint: &mut Complaint, texts: &mut Vec<String>) {
    let mut open = vec![answer];
    let mut visited = 0;
    while let Some(value) = open.pop() {
        visited += 1;
        if visited > NODES {
            return;
        }
        match value {
            Value::String(text) => texts.push(text.clone()),
            Value::Array(list) => open.extend(list.iter().rev()),
            Value::Object(object) => match object.get("loc").and_then(Value::as_array) {
                Some(loc) => entry(object, loc, complaint, texts),
                // What the request sent comes back under `input`: not the server's words.
                None => open.extend(object.iter().filter(|(key, _)| *key != "input").map(|(_, v)| v)),
            },
            _ => {}
        }
    }
}

fn entry(object: &Map<String, Value>, loc: &[Value], complaint: &mut Complaint, texts: &mut Vec<String>) {
    let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
    let message = object.get("msg").and_then(Value::as_str).unwrap_or_default();
    let mut path: Vec<String> =
        loc.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
    let place = match path.first().map(String::as_str) {
        Some("query") if path.len() > 1 => Some(Place::Query),
        Some("path") if path.len() > 1 => Some(Place::Path),
        Some("header") if path.len() > 1 => Some(Place::Header),
        _ => None,
    };
    if place.is_some() || path.len() > 1 && path.first().is_some_and(|first| first == "body") {
        path.remove(0);
    }
    // The whole body was not what it should be.
    if kind.starts_with("json_invalid") || kind == "value_error.jsondecode" || path.len() == 1 && path[0] == "body" {
        texts.push(if kind.is_empty() { message.to_owned() } else { format!("{message} ({kind})") });
        if kind != "missing" && kind != "value_error.missing" {
            return;
        }
    }
    // A nested field keeps its whole path, so that it is not taken for one at the top.
    let name = path.join(".");
    if matches!(kind, "missing" | "value_error.missing") || message.eq_ignore_ascii_case("field required") {
        complaint.missing(&name, place);
    } else {
        values::entry(object, &name, complaint);
    }
}

/// vLLM names the field in `error.param`: `body.messages`. It does so for wrong values too.
pub fn param(answer: &Value, complaint: &mut Complaint) {
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str);
    let Some(param) = text("/error/param").and_then(|param| param.strip_prefix("body.")) else { return };
    let message = text("/error/message").unwrap_or_default();
    let other = message.contains("'type': '") && !message.contains("'type': 'missing'");
    if !other && !param.bytes().all(|byte| byte.is_ascii_digit()) {
        complaint.missing(param, None);
    }
}
