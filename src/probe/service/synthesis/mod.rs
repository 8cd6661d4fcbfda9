//! Finds a value for a field: the user's, the schema's, a guess by name, at last one by type.

pub mod samples;

use crate::probe::service::message::{Content, Field, File, Place};
use crate::probe::service::schema::{Described, Document, kind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Depth of objects within objects, and values in all, that are made up for one field at most.
const DEPTH: usize = 6;
const VALUES: usize = 500;

/// Makes up fields.
pub struct Synthesis<'a> {
    /// Values that the user gave, by field name: they win over everything.
    pub given: &'a BTreeMap<String, String>,
    /// Values that the server's answers said it supports, by field name.
    pub supported: BTreeMap<String, Vec<String>>,
    /// For references inside schemas.
    pub document: Option<&'a Document>,
}

impl Synthesis<'_> {
    /// A field as the schema describes it.
    pub fn described(&self, field: &Described) -> Field {
        let make = |content, guess| Field { name: field.name.clone(), place: field.place, content, guess };
        if let Some(tensor) = field.schema.get("tensor").filter(|_| field.place == Place::Tensor) {
            let given = self.given.get(&field.name);
            return make(
                Content::Json(given.map_or_else(|| tensor.clone(), |text| filled(tensor, text))),
                given.is_none(),
            );
        }
        if let Some(file) = self.given.get(&field.name).and_then(|text| given_file(text)) {
            return make(of_file(&file, field.place), false);
        }
        if let Some(text) = self.given.get(&field.name) {
            return make(typed(text, kind_of(field), field.place), false);
        }
        if field.kind == "file" || field.kind == "array" && self.items_kind(&field.schema) == "file" {
            return make(file_for(&field.name, &field.schema), true);
        }
        if let Some(content) = base64_for(&field.name, &field.schema) {
            return make(content, true);
        }
        let mut left = VALUES;
        let (value, guess) = self.value(&field.name, &field.schema, DEPTH, &mut left);
        make(Content::Json(value), guess)
    }

    /// A field of which only name and place are known.
    pub fn unnamed(&self, name: &str, place: Place) -> Field {
        // The chat protocol's list; everything else is a text until the server says otherwise.
        let schema = if name == "messages" && place == Place::Json { json!({"type": "array"}) } else { json!({}) };
        if place == Place::Form && looks_like_file(name) && !self.given.contains_key(name) {
            return Field { name: name.into(), place, content: file_for(name, &schema), guess: true };
        }
        let required = true;
        self.described(&Described { name: name.into(), place, required, kind: "string", schema })
    }

    fn items_kind(&self, schema: &Value) -> &'static str {
        match (schema.get("items"), self.document) {
            (Some(items), Some(document)) => kind(&document.resolve(items)),
            (Some(items), None) => kind(items),
            (None, _) => "string",
        }
    }

    /// A value for a schema, and whether it is a guess.
    fn value(&self, name: &str, schema: &Value, depth: usize, left: &mut usize) -> (Value, bool) {
        if depth == 0 || *left == 0 {
            return (Value::Null, true);
        }
        *left -= 1;
        if let Some(value) = schema.get("const") {
            return (value.clone(), false);
        }
        let guess = self.by_name(name, kind(schema));
        if let Some(options) = schema.get("enum").and_then(Value::as_array).filter(|options| !options.is_empty()) {
            let fits = guess.filter(|guess| options.contains(guess));
            return (fits.or_else(|| options.first().cloned()).unwrap_or(Value::Null), false);
        }
        let examples = schema.get("examples").and_then(Value::as_array).and_then(|list| list.first());
        let written = [schema.get("example"), examples, schema.get("default")].into_iter().flatten();
        if let Some(value) = written.into_iter().find(|value| !value.is_null()) {
            return (value.clone(), false);
        }
        if let Some(value) = guess {
            return (value, true);
        }
        (self.by_type(name, schema, depth, left), true)
    }

    fn by_type(&self, name: &str, schema: &Value, depth: usize, left: &mut usize) -> Value {
        let number = |key: &str| schema.get(key).and_then(Value::as_f64);
        match kind(schema) {
            "integer" => {
                let low = number("minimum").or(number("exclusiveMinimum").map(|n| n + 1.0)).unwrap_or(1.0);
                let step = number("multipleOf").filter(|step| *step >= 1.0).unwrap_or(1.0);
                json!(((low / step).ceil() * step) as i64)
            }
            "number" => match (number("minimum"), number("exclusiveMinimum"), number("maximum")) {
                (Some(low), ..) => json!(low),
                (None, Some(low), Some(high)) => json!((low + high) / 2.0),
                (None, Some(low), None) => json!(low + 1.0),
                _ => json!(1.0),
            },
            "boolean" => json!(false),
            "array" => {
                let wanted = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 16);
                let items = schema.get("items").cloned().unwrap_or_default();
                let items = self.document.map_or(items.clone(), |document| document.resolve(&items));
                let singular = name.strip_suffix('s').unwrap_or(name);
                Value::Array((0..wanted).map(|_| self.value(singular, &items, depth - 1, left).0).collect())
            }
            "object" => {
                let mut object = Map::new();
                let described = self.document.map(|document| document.properties(schema, Place::Json));
                for field in described.into_iter().flatten().filter(|field| field.required) {
                    // {"audio": {"content": ...}}: the outer name says what is inside.
                    let inside = matches!(field.name.as_str(), "content" | "data" | "bytes");
                    let value = match base64_for(if inside { name } else { &field.name }, &field.schema) {
                        Some(content) => Value::String(content.as_text()),
                        None => self.value(&field.name, &field.schema, depth - 1, left).0,
                    };
                    object.insert(field.name, value);
                }
                Value::Object(object)
            }
            _ => {
                let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0).min(1000) as usize;
                let most = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(1000).min(1000) as usize;
                let text = "test".repeat(least / 4 + 1);
                Value::String(text.chars().take(most.max(least).max(1).min(text.len())).collect())
            }
        }
    }

    /// What a field of that name usually holds.
    fn by_name(&self, name: &str, kind: &str) -> Option<Value> {
        if let Some(values) = self.supported.get(name) {
            let english =
                values.iter().find(|v| v.eq_ignore_ascii_case("en") || v.starts_with("en-") || *v == "english");
            return english.or(values.first()).map(|value| json!(value));
        }
        let stem = stem(name);
        let value = match (stem.strip_prefix("x_").unwrap_or(&stem), kind) {
            ("messages" | "message", "array") => json!([{"role": "user", "content": "hi"}]),
            ("lang" | "language" | "locale" | "language_code" | "lang_code" | "source_lang" | "src_lang", _) => {
                json!("en")
            }
            ("target_lang" | "tgt_lang" | "target_language", _) => json!("de"),
            ("sample_rate" | "sampling_rate" | "samplerate" | "sr", "string" | "integer" | "number") => json!(16000),
            ("task", _) => json!("transcribe"),
            ("text" | "prompt" | "query" | "question" | "sentence" | "content" | "input", "string") => json!("hello"),
            ("inputs", "string") => json!("hello"),
            ("model", "string") => json!("default"),
            ("user" | "user_id" | "session_id" | "request_id", "string") => json!("gpu-doctor"),
            ("encoding" | "format" | "audio_format", "string") => json!("wav"),
            ("role", "string") => json!("user"),
            ("max_tokens" | "max_new_tokens" | "n_predict" | "max_completion_tokens", _) => json!(4),
            ("temperature", "number") => json!(0.0),
            ("stream", "boolean") => json!(false),
            ("decoding" | "decoder", "string") => json!("greedy"),
            _ => return None,
        };
        let fits = match kind {
            "string" => true,
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            _ => false,
        };
        // A query or form carries a number as text anyway; a JSON string must be one.
        fits.then_some(value)
    }
}

/// Whether a field of which only the name is known is probably a file.
pub fn looks_like_file(name: &str) -> bool {
    ["audio", "file", "image", "wav"].contains(&stem(name).as_str())
}

/// The name in lower snake case, without an ending such as `[]`.
fn stem(name: &str) -> String {
    let mut out = String::new();
    for (index, c) in name.trim_end_matches("[]").chars().enumerate() {
        if c.is_ascii_uppercase() && index > 0 && out.ends_with(|c: char| c.is_ascii_lowercase()) {
            out.push('_');
        }
        out.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    out
}

/// The file that a value names: `@FILE`. That it can be read was seen when the settings were.
pub fn given_file(text: &str) -> Option<File> {
    crate::probe::service::client::given_file(text.strip_prefix('@')?).ok()
}

/// A file of the user's: as a part of a form, as base64 in JSON, else as text.
fn of_file(file: &File, place: Place) -> Content {
    match place {
        Place::Form => Content::File(file.clone()),
        Place::Json => Content::Base64(file.clone()),
        _ => Content::Text(String::from_utf8_lossy(&file.bytes).trim_end().to_owned()),
    }
}

fn kind_of(field: &Described) -> &'static str {
    if field.place == Place::Json { field.kind } else { "string" }
}

/// The user's text as a value of the kind that the schema wants.
fn typed(text: &str, kind: &str, place: Place) -> Content {
    match (place, kind) {
        (Place::Json, "integer" | "number" | "boolean" | "object" | "array") => {
            serde_json::from_str(text).map_or_else(|_| Content::Text(text.into()), Content::Json)
        }
        _ => Content::Text(text.into()),
    }
}

/// The tensor with the user's value: a JSON list is its data, anything else each of its elements.
fn filled(tensor: &Value, text: &str) -> Value {
    let mut tensor = tensor.clone();
    let bytes = tensor.get("datatype").and_then(Value::as_str) == Some("BYTES");
    let value: Value =
        serde_json::from_str(text).ok().filter(|value: &Value| !bytes || value.is_array()).unwrap_or(json!(text));
    if let Some(Value::Array(data)) = tensor.get_mut("data") {
        match value {
            Value::Array(list) => *data = list,
            one => data.iter_mut().for_each(|old| *old = one.clone()),
        }
    }
    tensor
}

fn file_for(name: &str, schema: &Value) -> Content {
    let name = name.to_ascii_lowercase();
    let media = schema.get("contentMediaType").and_then(Value::as_str).unwrap_or_default();
    let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
    Content::File(if media.starts_with("image/") || is(&["image", "img", "photo", "picture", "frame", "mask"]) {
        samples::image()
    } else if media.starts_with("text/") || is(&["text", "document", "csv"]) {
        samples::text()
    } else {
        samples::speech()
    })
}

/// The content of a field that holds base64: by the schema's word, or by its name.
fn base64_for(name: &str, schema: &Value) -> Option<Content> {
    if kind(schema) != "string" || schema.get("enum").is_some() || schema.get("const").is_some() {
        return None;
    }
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let name = stem(name);
    let declared = text("contentEncoding") == "base64" || matches!(text("format").as_str(), "byte" | "base64");
    let named = name.split('_').any(|word| matches!(word, "b64" | "base64"));
    let described = text("description").contains("base64");
    let image = text("contentMediaType").starts_with("image/") || ["image", "img"].iter().any(|w| name.contains(w));
    let audio_or_image = image || name.contains("audio") || name.contains("wav");
    let holds = declared
        || named
        || audio_or_image && (described || matches!(name.as_str(), "audio" | "image" | "input_audio"));
    holds.then(|| Content::Base64(if image { samples::image() } else { samples::speech() }))
}
