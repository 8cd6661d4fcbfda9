//! Reads the client's own request from the config file's `client` section.

use super::body::{self, Body};
use super::files::Files;
use super::request::{ClientRequest, Draft, Setting};
use crate::probe::service::message::{Content, Field, Place};
use crate::secret::is_in_field;
use serde_json::Value;

/// The section, if a JSON document is one.
pub fn section(document: &Value) -> Option<&Value> {
    document.get("client").filter(|client| client.is_object())
}

/// Reads it.
pub fn parse(client: &Value, setting: &Setting) -> Result<ClientRequest, String> {
    let members = |key: &str| client.get(key).and_then(Value::as_object).into_iter().flatten().take(1000);
    let mut draft = Draft::following(true);
    draft.url(client.get("path").and_then(Value::as_str).ok_or("client.path is missing: write path: /asr")?)?;
    for (name, value) in members("headers") {
        if is_in_field(name) {
            return Err(format!(
                "client.headers.{name} looks like a secret: name it under headers, from the environment or a file"
            ));
        }
        draft.header(name, &plain(value)).map_err(|error| format!("client.headers: {error}"))?;
    }
    let query = members("query").map(|(name, value)| body::text(name, &plain(value), Place::Query)).collect();
    let files: Vec<(&String, &Value)> = members("files").collect();
    let json = client.get("json").filter(|json| !json.is_null());
    let has_fields = members("fields").next().is_some();
    let body = match json {
        Some(_) if has_fields || !files.is_empty() => {
            return Err("client.json stands for the whole body: it excludes client.fields and client.files".into());
        }
        Some(json) => Body::json(json.clone()),
        None if files.is_empty() && !has_fields => Body::none(),
        None => {
            let mut fields: Vec<Field> =
                members("fields").map(|(name, value)| body::text(name, &plain(value), Place::Form)).collect();
            for (name, path) in &files {
                let path = path.as_str().ok_or(format!("client.files.{name} is not a file's name"))?;
                let file = Files::beside(setting.folder)
                    .part(path)
                    .map_err(|error| format!("client.files.{name}: {error}"))?;
                draft.paths.insert((*name).clone(), path.to_owned());
                fields.push(Field {
                    name: (*name).clone(),
                    place: Place::Form,
                    content: Content::File(file),
                    guess: false,
                });
            }
            let urlencoded = files.is_empty()
                && draft.content_type.as_ref().is_some_and(|declared| body::essence(declared).ends_with("urlencoded"));
            if urlencoded { Body::urlencoded(fields) } else { Body::multipart(fields) }
        }
    };
    let usual = if body.encoding == crate::probe::service::message::Encoding::None { "GET" } else { "POST" };
    draft.method = Some(client.get("method").and_then(Value::as_str).unwrap_or(usual).to_owned());
    let body = match draft.content_type.take() {
        Some(declared) if json.is_some() => Body { content_type: declared, ..body },
        _ => body,
    };
    draft.finish("config", String::new(), query, body)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
