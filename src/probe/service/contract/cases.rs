//! The places in which a good request can be broken, one at a time.

use crate::probe::service::message::{Content, Encoding, Field, File, Message, Place};
use crate::probe::service::schema::Described;
use crate::secret::{MASK, is_in_field};
use serde_json::{Value, json};

/// One broken request.
pub struct Case {
    pub kind: &'static str,
    pub field: String,
    /// What was sent instead; empty where it was left out.
    pub sent: String,
    pub message: Message,
}

/// What no server knows.
const UNKNOWN: &str = "gpu-doctor-unknown";
/// A language code that is nobody's.
const UNKNOWN_LANGUAGE: &str = "xx";
const NO_AUDIO: &[u8] = b"this is not what it should be\n";
/// Names of fields that hold a language, and of those that hold one of a few words.
const LANGUAGES: &[&str] = &["lang", "language", "locale", "language_code", "lang_code", "source_lang", "src_lang"];
const CHOICES: &[&str] = &["model", "task", "decoding", "decoder", "voice", "response_format", "encoding"];

/// Fields left out first, then unknown values, then wrong types. `proven` are those without which the server rejects.
pub fn of(good: &Message, described: &[&Described], proven: &[&str]) -> Vec<Case> {
    let schema = |name: &str| described.iter().find(|field| field.name == name).copied();
    // Credentials are no part of the inference's contract.
    let fields = || good.fields.iter().filter(|field| !matches!(field.place, Place::Path) && !is_in_field(&field.name));
    let mut cases = Vec::new();
    for field in fields() {
        let required = match schema(&field.name) {
            Some(described) => described.required,
            // Without a word of the schema every field that was sent may be required.
            None => true,
        };
        if required || proven.contains(&field.name.as_str()) {
            let message = good.without(&field.name, field.place);
            cases.push(Case {
                kind: "left_out",
                field: field.name.clone(),
                sent: String::new(),
                message: own(message),
            });
        }
    }
    for field in fields() {
        if let Some(value) = unknown_value(field, schema(&field.name)) {
            cases.push(changed("unknown_value", good, field, Content::Text(value.to_owned())));
        }
    }
    for field in fields() {
        if let Some(content) = wrong_type(field, schema(&field.name)) {
            cases.push(changed("wrong_type", good, field, content));
        }
    }
    if good.encoding == Encoding::Raw {
        let message = Message { verbatim: Some(NO_AUDIO.into()), ..good.clone() };
        let sent = format!("{} bytes of plain text", NO_AUDIO.len());
        cases.push(Case { kind: "wrong_type", field: "body".into(), sent, message: own(message) });
    }
    cases
}

fn own(message: Message) -> Message {
    Message { author: "doctor", ..message }
}

fn changed(kind: &'static str, good: &Message, field: &Field, content: Content) -> Case {
    let sent = match &content {
        _ if is_in_field(&field.name) => MASK.into(),
        Content::Text(text) => text.clone(),
        Content::Json(value) => value.to_string(),
        Content::File(file) => format!("{} bytes of plain text as {}", file.bytes.len(), file.name),
        Content::Base64(file) => format!("base64 of {} bytes of plain text", file.bytes.len()),
    };
    let message = good.with(Field { content, guess: true, ..field.clone() });
    Case { kind, field: field.name.clone(), sent, message: own(message) }
}

/// A value that the server cannot know, for a field that takes one of a few.
fn unknown_value(field: &Field, described: Option<&Described>) -> Option<&'static str> {
    if matches!(field.content, Content::File(_) | Content::Base64(_)) || field.place == Place::Tensor {
        return None;
    }
    let name = field.name.to_ascii_lowercase().replace('-', "_");
    let is_text = described.is_none_or(|described| described.kind == "string");
    if LANGUAGES.contains(&name.as_str()) && is_text {
        return Some(UNKNOWN_LANGUAGE);
    }
    let listed = described.is_some_and(|described| described.schema.get("enum").is_some());
    (is_text && (listed || CHOICES.contains(&name.as_str()))).then_some(UNKNOWN)
}

/// A value of another type, where the field has one that can be missed.
fn wrong_type(field: &Field, described: Option<&Described>) -> Option<Content> {
    let bytes: std::sync::Arc<[u8]> = NO_AUDIO.into();
    match &field.content {
        Content::File(file) => return Some(Content::File(File { bytes, ..file.clone() })),
        Content::Base64(file) => return Some(Content::Base64(File { bytes, ..file.clone() })),
        _ => {}
    }
    if field.place == Place::Tensor {
        let Content::Json(tensor) = &field.content else { return None };
        let mut tensor = tensor.clone();
        let other = match tensor.get("datatype").and_then(Value::as_str)? {
            "FP32" => "FP64",
            _ => "FP32",
        };
        *tensor.get_mut("datatype")? = json!(other);
        return Some(Content::Json(tensor));
    }
    let kind = described.map(|described| described.kind);
    let sent = match &field.content {
        Content::Json(value) => Some(value),
        _ => None,
    };
    let kind = kind.or(match sent? {
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("boolean"),
        Value::Array(_) => Some("array"),
        Value::Object(_) => Some("object"),
        _ => Some("string"),
    })?;
    match (kind, field.place) {
        ("integer" | "number" | "boolean" | "array" | "object", _) => Some(Content::Text("not-a-number".into())),
        // A form or a query carries texts alone: every value is one.
        ("string", Place::Json) => Some(Content::Json(json!(17))),
        _ => None,
    }
}
