//! The operation as the user describes it, where the server does not.

use super::operation;
use crate::probe::Ask;
use crate::probe::service::message::{Encoding, Place};
use crate::probe::service::schema::{Candidate, Described, kind};
use serde_json::{Value, json};

/// The name of the value that is the whole body, where the body is neither a form nor JSON.
pub const BODY: &str = "body";

/// The operation by its path, method, content type and fields; `None` without a path.
pub fn operation(ask: &Ask) -> Option<Candidate> {
    let path = ask.operation.as_deref().filter(|path| path.starts_with('/'))?;
    let is_file = |value: &String| value.starts_with('@');
    let encoding = match (&ask.content_type, ask.method.as_deref()) {
        (Some(media), _) => crate::probe::service::schema::encoding(media),
        (None, Some("GET" | "HEAD" | "DELETE")) => Encoding::None,
        (None, _) if ask.fields.is_empty() => Encoding::None,
        (None, _) if ask.fields.values().any(is_file) => Encoding::Multipart,
        (None, _) => Encoding::Json,
    };
    let usual = match encoding {
        Encoding::Multipart => "multipart/form-data",
        Encoding::Json => "application/json",
        _ => "",
    };
    let place = match encoding {
        Encoding::Multipart | Encoding::Urlencoded => Place::Form,
        Encoding::Json => Place::Json,
        Encoding::Raw | Encoding::None => Place::Query,
    };
    let method = ask.method.clone().unwrap_or_else(|| match (encoding, ask.fields.is_empty()) {
        (Encoding::None, true) => "GET".into(),
        _ => "POST".into(),
    });
    let fields = ask.fields.iter().filter(|(name, _)| encoding != Encoding::Raw || name.as_str() != BODY);
    let fields = fields.map(|(name, value)| described(name, value, path, place)).collect();
    let content_type = ask.content_type.clone().unwrap_or_else(|| usual.into());
    Some(Candidate { method, path: path.into(), encoding, content_type, fields, known: Vec::new() })
}

/// A value that reads as JSON is of that type.
fn described(name: &str, value: &str, path: &str, place: Place) -> Described {
    let in_path = path.contains(&format!("{{{name}}}"));
    let schema = match serde_json::from_str::<Value>(value) {
        _ if value.starts_with('@') && place == Place::Form => operation::file(),
        Ok(Value::Number(number)) if number.is_f64() => json!({"type": "number"}),
        Ok(Value::Number(_)) => json!({"type": "integer"}),
        Ok(Value::Bool(_)) => json!({"type": "boolean"}),
        Ok(Value::Array(_)) => json!({"type": "array"}),
        Ok(Value::Object(_)) => json!({"type": "object"}),
        _ => json!({"type": "string"}),
    };
    let place = if in_path { Place::Path } else { place };
    Described { name: name.into(), place, required: true, kind: kind(&schema), schema }
}
