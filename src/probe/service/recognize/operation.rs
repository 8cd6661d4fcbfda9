//! Operations that a family of servers is known to have, written as a schema would describe them.

use crate::probe::service::message::{Encoding, Place};
use crate::probe::service::schema::{Candidate, Described, Document, kind, same_path};
use serde_json::{Value, json};

/// Tokens that a generating model is asked for.
pub const TOKENS: u64 = 4;

/// A POST of JSON.
pub fn posted(path: &str, fields: &[(&str, Value)]) -> Candidate {
    let fields = fields.iter().map(|(name, schema)| field(name, Place::Json, schema.clone())).collect();
    Candidate {
        method: "POST".into(),
        path: path.into(),
        encoding: Encoding::Json,
        content_type: "application/json".into(),
        fields,
        known: Vec::new(),
    }
}

/// A POST of a form with files.
pub fn form(path: &str, fields: &[(&str, Value)]) -> Candidate {
    let fields = fields.iter().map(|(name, schema)| field(name, Place::Form, schema.clone())).collect();
    Candidate {
        method: "POST".into(),
        path: path.into(),
        encoding: Encoding::Multipart,
        content_type: "multipart/form-data".into(),
        fields,
        known: Vec::new(),
    }
}

/// A POST of bytes without a form.
pub fn raw(path: &str, content_type: &str) -> Candidate {
    Candidate {
        method: "POST".into(),
        path: path.into(),
        encoding: Encoding::Raw,
        content_type: content_type.into(),
        fields: Vec::new(),
        known: Vec::new(),
    }
}

fn field(name: &str, place: Place, schema: Value) -> Described {
    Described { name: name.into(), place, required: true, kind: kind(&schema), schema }
}

/// One of the models.
pub fn one_of(models: &[String]) -> Value {
    json!({"type": "string", "enum": models})
}

/// A value that is sent unless the user says otherwise.
pub fn example(kind: &str, value: Value) -> Value {
    json!({"type": kind, "example": value})
}

/// A file.
pub fn file() -> Value {
    json!({"type": "string", "format": "binary", "contentMediaType": "audio/wav"})
}

/// The operation as the document describes it, with what is known of its fields besides.
pub fn laid_over(document: Option<&Document>, prefix: &str, known: Candidate) -> Candidate {
    let listed = document.and_then(|document| document.at(&known.path, Some(known.encoding)));
    // A template describes the request in general; what is known is about this very path.
    let usable = |listed: &Candidate| listed.encoding == known.encoding && !listed.path.contains('{');
    let Some(mut listed) = listed.filter(usable) else {
        return Candidate { path: format!("{prefix}{}", known.path), ..known };
    };
    listed.known.extend(known.fields.iter().map(|field| field.name.clone()));
    for field in known.fields {
        match listed.fields.iter_mut().find(|old| old.name == field.name) {
            Some(old) => *old = field,
            None => listed.fields.push(field),
        }
    }
    Candidate { path: format!("{prefix}{}", listed.path), ..listed }
}

/// Lets a field that names the model be one of those that the server has.
pub fn with_models(mut candidate: Candidate, models: &[String]) -> Candidate {
    let open = |schema: &Value| schema.get("enum").is_none() && schema.get("const").is_none();
    let fields = &mut candidate.fields;
    let field = fields.iter_mut().find(|field| {
        matches!(field.name.as_str(), "model" | "model_id" | "model_name")
            && field.kind == "string"
            && open(&field.schema)
    });
    if let Some((name, schema)) =
        field.and_then(|field| Some((field.name.clone(), field.schema.as_object_mut()?))).filter(|_| !models.is_empty())
    {
        // The schema's own default may be a model that this server does not have.
        schema.retain(|key, _| !matches!(key.as_str(), "default" | "example" | "examples"));
        schema.insert("enum".into(), json!(models));
        candidate.known.push(name);
    }
    candidate
}

/// The operation at that path, taken out of the list.
pub fn taken(operations: &mut Vec<Candidate>, path: &str) -> Option<Candidate> {
    let at = operations.iter().position(|one| same_path(&one.path, path) || one.path == path)?;
    Some(operations.remove(at))
}
