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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, method: Option<&str>, media: Option<&str>, fields: &[(&str, &str)]) -> Option<Candidate> {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (method, content_type) = (method.map(str::to_owned), media.map(str::to_owned));
        operation(&Ask { operation: Some(path.into()), method, content_type, fields, ..Ask::default() })
    }

    #[test]
    fn a_file_makes_a_form_and_numbers_make_json() {
        let form = told("/asr", None, None, &[("audio", "@a.wav"), ("lang", "en")]).unwrap();
        assert_eq!((form.method.as_str(), form.encoding), ("POST", Encoding::Multipart));
        assert!(form.fields.iter().all(|field| field.place == Place::Form && field.required));
        assert_eq!(form.fields.iter().map(|field| field.kind).collect::<Vec<_>>(), ["file", "string"]);
        let json = told("/m/{id}", None, None, &[("id", "7"), ("n", "3"), ("x", "[1]"), ("text", "hi")]).unwrap();
        assert_eq!((json.content_type.as_str(), json.encoding), ("application/json", Encoding::Json));
        let kinds: Vec<_> = json.fields.iter().map(|field| (field.name.as_str(), field.kind, field.place)).collect();
        let expected = [
            ("id", "integer", Place::Path),
            ("n", "integer", Place::Json),
            ("text", "string", Place::Json),
            ("x", "array", Place::Json),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn other_bodies_are_the_one_value_and_a_get_has_a_query() {
        let raw = told("/raw", None, Some("audio/wav"), &[("body", "@a.wav"), ("lang", "en")]).unwrap();
        assert_eq!((raw.encoding, raw.fields.len(), raw.fields[0].place), (Encoding::Raw, 1, Place::Query));
        let get = told("/hello", None, None, &[]).unwrap();
        assert_eq!((get.method.as_str(), get.encoding), ("GET", Encoding::None));
        let query = told("/hello", Some("GET"), None, &[("q", "x")]).unwrap();
        assert_eq!(query.fields[0].place, Place::Query);
        assert!(told("a-model", None, None, &[]).is_none(), "no path");
    }
}
