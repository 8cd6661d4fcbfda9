//! Reads a server's OpenAPI document (3.0, 3.1, Swagger 2.0) as plain JSON: real servers' documents break typed readers.

mod choice;
pub mod format;
pub mod operation;
pub mod pattern;
#[cfg(test)]
mod tests;
pub mod validate;
pub mod view;

use crate::probe::service::message::{Encoding, Place};
use crate::snapshot::{self, SchemaField};
use choice::likeness;
use operation::{Body, Operation};
use serde_json::{Map, Value};

pub use choice::{forbidden, same_path};

/// References followed for one schema, and schemas merged into one, at most.
const HOPS: usize = 16;
/// Operations and fields that are looked at, at most.
const OPERATIONS: usize = 2000;
const FIELDS: usize = 500;

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
    /// Names of fields of which more is known than the document says: the models that the server really has.
    pub known: Vec<String>,
}

impl Candidate {
    /// The operation as the snapshot records it.
    pub fn record(&self) -> snapshot::Operation {
        snapshot::Operation {
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
        Self::of(root).map_err(|problem| format!("{problem}: {start:?}"))
    }

    /// Takes a value that should be such a document.
    pub fn of(root: Value) -> Result<Self, String> {
        let version = |key: &str| root.get(key).and_then(Value::as_str).unwrap_or_default();
        if !version("openapi").starts_with("3.") && !version("swagger").starts_with("2.") {
            return Err("expected an OpenAPI 3.0, 3.1 or Swagger 2.0 document, got other JSON".into());
        }
        if root.get("paths").and_then(Value::as_object).is_none() {
            return Err("the OpenAPI document has no object `paths`".into());
        }
        Ok(Self { root })
    }

    /// The document itself, into which references lead.
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// Its operations, each as `POST /asr`, those that send something first.
    pub fn listed(&self, prefix: &str) -> Vec<String> {
        const MOST: usize = 200;
        let mut all = self.operations();
        all.sort_by_key(|operation| operation.method == "get");
        let told = |one: &Operation| format!("{} {prefix}{}", one.method.to_uppercase(), one.path);
        all.iter().take(MOST).map(told).collect()
    }

    /// The POST at that path, or whatever it has there; its body in the wanted form, if it has several.
    pub fn at(&self, path: &str, wanted: Option<Encoding>) -> Option<Candidate> {
        let operations = self.operations();
        let here = operations.iter().filter(|operation| same_path(operation.path, path));
        Some(here.max_by_key(|operation| operation.method == "post")?.candidate(self, wanted))
    }

    /// The path under which the document says that its operations stand; empty if at the root.
    pub fn base_path(&self) -> String {
        let server = self.root.pointer("/servers/0/url").or(self.root.get("basePath")).and_then(Value::as_str);
        let server = server.unwrap_or_default().trim_end_matches('/');
        let path = match server.split_once("://") {
            Some((_, rest)) => rest.split_once('/').map(|(_, path)| format!("/{path}")).unwrap_or_default(),
            None => server.to_owned(),
        };
        if path.starts_with('/') && !path.contains(['{', '?', '#']) { path } else { String::new() }
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
            let asks = |operation: &&Operation| !matches!(operation.method, "delete" | "head" | "options");
            let found = operations.iter().filter(|operation| same_path(operation.path, path)).filter(asks);
            found.max_by_key(|operation| operation.method == "post")
        };
        // A client may use a path that the schema does not list: a hidden one, or a wrong one.
        if let Some(operation) = wish.client_path.and_then(at) {
            return Ok(operation.candidate(self, wish.client_encoding));
        }
        if let Some(path) = wish.named {
            return at(path)
                .map(|operation| operation.candidate(self, None))
                .ok_or(format!("the schema has no operation at {path}"));
        }
        let posts = operations.iter().filter(|operation| operation.method == "post" && !forbidden(operation.path));
        // Of equals the first one stands.
        let best = posts
            .map(|operation| operation.candidate(self, None))
            .enumerate()
            .max_by_key(|(index, candidate)| (likeness(candidate), std::cmp::Reverse(*index)));
        best.map(|(_, candidate)| candidate).ok_or("the schema has no POST operation that may be tried".into())
    }

    /// Every operation, in the document's order.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let mut found = Vec::new();
        for (path, item) in self.root.get("paths").and_then(Value::as_object).into_iter().flatten() {
            // A path may be written elsewhere in the document.
            let reference = item.get("$ref").and_then(Value::as_str);
            let item = reference.and_then(|reference| view::target(&self.root, reference).ok()).unwrap_or(item);
            for (method, operation) in item.as_object().into_iter().flatten() {
                let known = matches!(method.as_str(), "post" | "put" | "get" | "patch" | "delete" | "head" | "options");
                if known && operation.is_object() && found.len() < OPERATIONS {
                    found.push(Operation::new(&self.root, path, method, item, operation));
                }
            }
        }
        found
    }

    /// The operation from which a candidate was made, whose path may have got a prefix since.
    pub fn operation(&self, candidate: &Candidate) -> Option<Operation<'_>> {
        let fits = |operation: &Operation| {
            candidate.path.ends_with(operation.path) && operation.method.eq_ignore_ascii_case(&candidate.method)
        };
        self.operations().into_iter().filter(fits).max_by_key(|operation| operation.path.len())
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

/// The body that is preferred: files travel best in multipart.
fn preferred<'b, 'a>(bodies: &'b [Body<'a>], wanted: Option<Encoding>) -> Option<&'b Body<'a>> {
    let rank = |body: &&Body| match body.encoding {
        own if Some(own) == wanted => 0,
        Encoding::Multipart => 1,
        Encoding::Json if body.media_type == "application/json" => 2,
        Encoding::Json => 3,
        Encoding::Urlencoded => 4,
        _ => 5,
    };
    bodies.iter().min_by_key(rank)
}

/// How a body of that media type is written.
pub fn encoding(media: &str) -> Encoding {
    match media.split(';').next().unwrap_or_default().trim() {
        multipart if multipart.starts_with("multipart/") => Encoding::Multipart,
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
