//! Reads a server's OpenAPI document (3.0 and 3.1) as plain JSON: real servers' documents break typed readers.

#[cfg(test)]
mod tests;

use crate::probe::service::message::{Encoding, Place};
use crate::snapshot::{Operation, SchemaField};
use serde_json::{Map, Value};

/// References followed for one schema, and schemas merged into one, at most.
const HOPS: usize = 16;
/// Operations and fields that are looked at, at most.
const OPERATIONS: usize = 2000;
const FIELDS: usize = 200;

/// What the document says of one field.
#[derive(Debug, Clone)]
pub struct Described {
    pub name: String,
    pub place: Place,
    pub required: bool,
    /// `file`, `string`, `integer`, `number`, `boolean`, `object`, `array`.
    pub kind: &'static str,
    /// The schema, references resolved at its top.
    pub schema: Value,
}

impl Described {
    /// The field as the snapshot records it.
    pub fn record(&self) -> SchemaField {
        SchemaField {
            name: self.name.clone(),
            place: self.place.name().into(),
            required: self.required,
            kind: self.kind.into(),
        }
    }
}

/// One operation that could be an inference.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub method: String,
    pub path: String,
    pub encoding: Encoding,
    /// Media type of the body, empty without one.
    pub content_type: String,
    pub fields: Vec<Described>,
}

impl Candidate {
    /// The operation as the snapshot records it.
    pub fn record(&self) -> Operation {
        Operation {
            method: self.method.clone(),
            path: self.path.clone(),
            content_type: self.content_type.clone(),
            fields: self.fields.iter().map(Described::record).collect(),
        }
    }
}

/// What the user wants tried.
#[derive(Debug, Default)]
pub struct Wish<'a> {
    /// Path of the client's request.
    pub client_path: Option<&'a str>,
    /// How the client's request writes its body.
    pub client_encoding: Option<Encoding>,
    /// Path that the user named.
    pub named: Option<&'a str>,
}

/// An OpenAPI document.
#[derive(Debug)]
pub struct Document {
    root: Value,
}

impl Document {
    /// Takes the bytes of an answer that should be such a document.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let start = String::from_utf8_lossy(bytes.get(..bytes.len().min(60)).unwrap_or_default()).into_owned();
        let root: Value = serde_json::from_slice(bytes).map_err(|error| {
            if start.trim_start().starts_with('<') {
                format!("expected an OpenAPI document in JSON, got HTML: {start:?}")
            } else {
                format!("expected an OpenAPI document, got invalid JSON ({error}): {start:?}")
            }
        })?;
        if root.get("openapi").and_then(Value::as_str).is_none_or(|version| !version.starts_with("3.")) {
            return Err(format!("expected an OpenAPI 3.0 or 3.1 document, got other JSON: {start:?}"));
        }
        if root.get("paths").and_then(Value::as_object).is_none() {
            return Err("the OpenAPI document has no object `paths`".into());
        }
        Ok(Self { root })
    }

    /// `fastapi` or `openapi`.
    pub fn kind(&self) -> &'static str {
        match self.root.pointer("/components/schemas/HTTPValidationError") {
            Some(_) => "fastapi",
            None => "openapi",
        }
    }

    /// Whether the document lists the path, as a GET or as a POST of completions.
    pub fn lists(&self, path: &str) -> bool {
        let item = self.root.get("paths").and_then(|paths| paths.get(path));
        item.is_some_and(|item| {
            item.get("get").is_some() || path.ends_with("completions") && item.get("post").is_some()
        })
    }

    /// The operation to try: the client's, else the named one, else the most inference-like POST.
    pub fn choose(&self, wish: &Wish) -> Result<Candidate, String> {
        let operations = self.operations();
        let at = |path: &str| {
            let found = operations.iter().filter(|(template, ..)| same_path(template, path));
            found.max_by_key(|(_, method, _)| *method == "post")
        };
        // A client may use a path that the schema does not list: a hidden one, or a wrong one.
        if let Some((path, method, operation)) = wish.client_path.and_then(at) {
            return Ok(self.candidate(path, method, operation, wish.client_encoding));
        }
        if let Some(path) = wish.named {
            return at(path)
                .map(|(path, method, operation)| self.candidate(path, method, operation, None))
                .ok_or(format!("the schema has no operation at {path}"));
        }
        let posts = operations.iter().filter(|(path, method, _)| *method == "post" && !forbidden(path));
        // Of equals the first one stands.
        let best = posts
            .map(|(path, method, operation)| self.candidate(path, method, operation, None))
            .enumerate()
            .max_by_key(|(index, candidate)| (likeness(candidate), std::cmp::Reverse(*index)));
        best.map(|(_, candidate)| candidate).ok_or("the schema has no POST operation that may be tried".into())
    }

    fn operations(&self) -> Vec<(&str, &str, &Value)> {
        let mut found = Vec::new();
        for (path, item) in self.root.get("paths").and_then(Value::as_object).into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                if matches!(method.as_str(), "post" | "put" | "get" | "patch") && found.len() < OPERATIONS {
                    found.push((path.as_str(), method.as_str(), operation));
                }
            }
        }
        found
    }

    fn candidate(&self, path: &str, method: &str, operation: &Value, wanted: Option<Encoding>) -> Candidate {
        let mut candidate = Candidate {
            method: method.to_uppercase(),
            path: path.to_owned(),
            encoding: Encoding::None,
            content_type: String::new(),
            fields: Vec::new(),
        };
        let item = self.root.get("paths").and_then(|paths| paths.get(path));
        for holder in [item, Some(operation)].into_iter().flatten() {
            for parameter in holder.get("parameters").and_then(Value::as_array).into_iter().flatten().take(FIELDS) {
                candidate.fields.extend(self.parameter(parameter));
            }
        }
        let body = operation.get("requestBody").map(|body| self.resolve(body));
        let content = body.as_ref().and_then(|body| body.get("content")).and_then(Value::as_object);
        if let Some((media, described)) = content.and_then(|content| preferred(content, wanted)) {
            candidate.content_type = media.clone();
            candidate.encoding = encoding(media);
            let schema = described.get("schema").map(|schema| self.resolve(schema)).unwrap_or_default();
            let place = if candidate.encoding == Encoding::Json { Place::Json } else { Place::Form };
            if candidate.encoding != Encoding::Raw {
                candidate.fields.extend(self.properties(&schema, place));
            }
        }
        candidate
    }

    fn parameter(&self, parameter: &Value) -> Option<Described> {
        let parameter = self.resolve(parameter);
        let name = parameter.get("name")?.as_str()?.to_owned();
        let place = match parameter.get("in")?.as_str()? {
            "query" => Place::Query,
            "path" => Place::Path,
            "header" => Place::Header,
            _ => return None,
        };
        let mut schema = parameter.get("schema").map(|schema| self.resolve(schema)).unwrap_or_default();
        if let (Some(example), Some(object)) = (parameter.get("example"), schema.as_object_mut()) {
            object.insert("example".into(), example.clone());
        }
        let required = parameter.get("required") == Some(&Value::Bool(true)) || place == Place::Path;
        Some(Described { name, place, required, kind: kind(&schema), schema })
    }

    /// The properties of an object's schema, in its order.
    pub fn properties(&self, schema: &Value, place: Place) -> Vec<Described> {
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let describe = |(name, schema): (&String, &Value)| {
            let schema = self.resolve(schema);
            let required = required.contains(&name.as_str());
            Described { name: name.clone(), place, required, kind: kind(&schema), schema }
        };
        properties.take(FIELDS).map(describe).collect()
    }

    /// The schema with its local reference followed, `allOf` merged and the first usable alternative taken.
    pub fn resolve(&self, schema: &Value) -> Value {
        let mut hops = HOPS;
        self.resolve_within(schema, &mut hops)
    }

    fn resolve_within(&self, schema: &Value, hops: &mut usize) -> Value {
        let Some(object) = schema.as_object() else { return schema.clone() };
        if *hops == 0 {
            return Value::Object(Map::new());
        }
        *hops -= 1;
        let mut merged = match object.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#')) {
            Some(pointer) => match self.root.pointer(pointer) {
                Some(target) => self.resolve_within(target, hops),
                None => Value::Object(Map::new()),
            },
            None => Value::Object(Map::new()),
        };
        for part in object.get("allOf").and_then(Value::as_array).into_iter().flatten().take(HOPS) {
            let part = self.resolve_within(part, hops);
            merge(&mut merged, &part);
        }
        let alternatives = ["anyOf", "oneOf"].iter().find_map(|key| object.get(*key)).and_then(Value::as_array);
        let is_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) == Some("null");
        if let Some(first) = alternatives.and_then(|list| list.iter().find(|schema| !is_null(schema))) {
            let part = self.resolve_within(first, hops);
            merge(&mut merged, &part);
        }
        let mut own = object.clone();
        for key in ["$ref", "allOf", "anyOf", "oneOf"] {
            own.shift_remove(key);
        }
        merge(&mut merged, &Value::Object(own));
        merged
    }
}

/// Lays `part` over `whole`; `required` and `properties` add up.
fn merge(whole: &mut Value, part: &Value) {
    let (Some(whole), Some(part)) = (whole.as_object_mut(), part.as_object()) else { return };
    for (key, value) in part {
        match (whole.get_mut(key), value) {
            (Some(Value::Array(old)), Value::Array(new)) if key == "required" => old.extend(new.iter().cloned()),
            (Some(Value::Object(old)), Value::Object(new)) if key == "properties" => {
                old.extend(new.iter().map(|(name, schema)| (name.clone(), schema.clone())));
            }
            _ => drop(whole.insert(key.clone(), value.clone())),
        }
    }
}

/// Media types in the order in which they are preferred: files travel best in multipart.
fn preferred(content: &Map<String, Value>, wanted: Option<Encoding>) -> Option<(&String, &Value)> {
    let rank = |media: &String| match encoding(media) {
        own if Some(own) == wanted => 0,
        Encoding::Multipart => 1,
        Encoding::Json => 2,
        Encoding::Urlencoded => 3,
        _ => 4,
    };
    content.iter().min_by_key(|(media, _)| rank(media))
}

fn encoding(media: &str) -> Encoding {
    match media.split(';').next().unwrap_or_default().trim() {
        "multipart/form-data" => Encoding::Multipart,
        "application/x-www-form-urlencoded" => Encoding::Urlencoded,
        json if json == "application/json" || json.ends_with("+json") => Encoding::Json,
        _ => Encoding::Raw,
    }
}

/// The field's kind in the snapshot's words.
pub fn kind(schema: &Value) -> &'static str {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
    let declared = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        other => other.and_then(Value::as_str),
    };
    let is_file = text("format") == "binary"
        || declared == Some("file")
        || !text("contentMediaType").is_empty() && text("contentEncoding").is_empty();
    match declared {
        _ if is_file => "file",
        Some("integer") => "integer",
        Some("number") => "number",
        Some("boolean") => "boolean",
        Some("array") => "array",
        Some("object") => "object",
        None if schema.get("properties").is_some() => "object",
        _ => "string",
    }
}

/// Whether a path matches a template such as `/v1/{model}/infer`.
pub fn same_path(template: &str, path: &str) -> bool {
    let (mut left, mut right) = (template.trim_end_matches('/').split('/'), path.trim_end_matches('/').split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || a.starts_with('{') && a.ends_with('}') && !b.is_empty() => {}
            _ => return false,
        }
    }
}

/// Paths that could change the server rather than ask it.
pub fn forbidden(path: &str) -> bool {
    const WORDS: &[&str] = &[
        "shutdown", "reload", "delete", "admin", "train", "unload", "restart", "stop", "kill", "finetune", "remove",
        "reset", "login", "logout", "register", "abort", "cancel", "update", "sleep",
    ];
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    words.map(str::to_ascii_lowercase).any(|word| WORDS.iter().any(|bad| word.starts_with(bad)))
}

/// How much an operation looks like an inference.
fn likeness(candidate: &Candidate) -> u32 {
    const VERBS: &[&str] = &[
        "asr",
        "infer",
        "predict",
        "transcri",
        "generat",
        "recogni",
        "detect",
        "classif",
        "embed",
        "completion",
        "translat",
        "invocation",
        "speech",
        "tts",
        "segment",
        "caption",
        "score",
        "diarize",
        "vad",
    ];
    const PAYLOADS: &[&str] = &["audio", "image", "file", "prompt", "messages", "input", "text", "wav", "video"];
    let path = candidate.path.to_ascii_lowercase();
    let any = |list: &[&str], text: &str| list.iter().any(|word| text.contains(word));
    let field = |test: &dyn Fn(&Described) -> bool| candidate.fields.iter().any(test);
    4 * u32::from(field(&|f| f.kind == "file"))
        + 3 * u32::from(any(VERBS, &path))
        + 2 * u32::from(field(&|f| any(PAYLOADS, &f.name.to_ascii_lowercase())))
        + u32::from(candidate.encoding != Encoding::None)
}
