//! Values that the user gave.

use crate::probe::service::client;
use crate::probe::service::message::{Content, Place};
use serde_json::{Map, Value};
use std::sync::Arc;

/// The user's text as a value of the kind that the schema wants; `@FILE` stands for a file's content.
///
/// # Errors
/// The file and why it cannot be read.
pub fn content(text: &str, kind: &str, place: Place) -> Result<Content, String> {
    if let Some(name) = text.strip_prefix('@').filter(|name| !name.is_empty()) {
        let file = client::given_file(name)?;
        return Ok(match (place, std::str::from_utf8(&file.bytes)) {
            (Place::Form, _) if matches!(kind, "file" | "array") => Content::File(file),
            (Place::Json, Ok(text)) if matches!(kind, "object" | "array") => typed(text, kind, place),
            (Place::Json, _) => Content::Base64(file),
            (_, Ok(text)) => Content::Text(text.to_owned()),
            _ => return Err(format!("{name} holds bytes that are no text, and no file goes there")),
        });
    }
    Ok(typed(text, kind, place))
}

/// The bytes of a whole body: the text itself, or the content of `@FILE`.
///
/// # Errors
/// The file and why it cannot be read.
pub fn raw(text: &str) -> Result<Arc<[u8]>, String> {
    match text.strip_prefix('@').filter(|name| !name.is_empty()) {
        Some(name) => client::given_file(name).map(|file| file.bytes),
        None => Ok(Arc::from(text.as_bytes())),
    }
}

fn typed(text: &str, kind: &str, place: Place) -> Content {
    match (place, kind) {
        (Place::Json | Place::Body, "integer" | "number" | "boolean" | "object" | "array") => {
            serde_json::from_str(text).map_or_else(|_| Content::Text(text.into()), Content::Json)
        }
        _ => Content::Text(text.into()),
    }
}

/// Sets a field within fields, `top_k` or `sampling.top_k`, to JSON where the text is some, else to the text.
pub fn within(value: &mut Value, path: &str, text: &str) {
    let mut place = value;
    for name in path.split('.').take(16) {
        if !place.is_object() && !place.is_array() {
            *place = Value::Object(Map::new());
        }
        let index = name.parse::<usize>().ok();
        place = match (place, index) {
            (Value::Array(items), Some(index)) if index < items.len() => match items.get_mut(index) {
                Some(item) => item,
                None => return,
            },
            (Value::Object(members), _) => members.entry(name).or_insert(Value::Null),
            _ => return,
        };
    }
    let was_text = place.is_string();
    *place = serde_json::from_str(text).ok().filter(|_| !was_text).unwrap_or_else(|| text.into());
}

/// The tensor with the user's value: a JSON list is its data, anything else each of its elements.
pub fn tensor(tensor: &Value, text: &str) -> Value {
    let mut tensor = tensor.clone();
    let bytes = tensor.get("datatype").and_then(Value::as_str) == Some("BYTES");
    let value: Value =
        serde_json::from_str(text).ok().filter(|value: &Value| !bytes || value.is_array()).unwrap_or(text.into());
    if let Some(Value::Array(data)) = tensor.get_mut("data") {
        match value {
            Value::Array(list) => *data = list,
            one => data.iter_mut().for_each(|old| *old = one.clone()),
        }
    }
    tensor
}
