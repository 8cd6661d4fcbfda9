//! Reads the client's own request from a Postman collection (format 2.0 and 2.1).

use super::body::{self, Body};
use super::choice;
use super::files::Files;
use super::request::{ClientRequest, Draft, Setting};
use crate::probe::service::message::{Content, Field, Place};
use crate::probe::service::secrets::shown_url;
use serde_json::Value;

/// Requests that are looked at, and folders inside folders, at most.
const REQUESTS: usize = 5000;
const DEPTH: usize = 16;

/// Whether a JSON document is a collection.
pub fn is_collection(document: &Value) -> bool {
    document.get("item").is_some_and(Value::is_array)
}

/// Reads the item that looks most like an inference.
pub fn parse(document: &Value, setting: &Setting) -> Result<ClientRequest, String> {
    let mut items = Vec::new();
    gather(document, DEPTH, &mut items);
    let told: Vec<(String, u8)> = items.iter().map(|(name, request)| (name.clone(), rank(request))).collect();
    let (at, (name, request)) = choice::first_of_likeliest(items, |(_, request)| rank(request))
        .ok_or("the Postman collection has no requests")?;
    let others: Vec<String> =
        told.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, (name, _))| format!("{name:?}")).collect();
    let filled = |text: &str| fill(text, document);
    let mut draft = Draft::default();
    draft.notes.extend(choice::others(others.len(), &others));
    draft.method = Some(text(request, "method").unwrap_or("GET").to_owned());
    let url = filled(url_of(request).ok_or("the Postman item has no URL")?);
    match url.strip_prefix("{{").and_then(|rest| rest.split_once("}}")) {
        Some((variable, path)) if path.starts_with('/') => {
            draft.note(format!("the variable {variable} of the URL is set outside of the collection"));
            draft.url(path)?;
        }
        _ => draft.url(&url)?,
    }
    for header in list(request, "header").filter(|header| header.get("disabled") != Some(&Value::Bool(true))) {
        let (Some(name), Some(value)) = (text(header, "key"), text(header, "value")) else { continue };
        let value = filled(value);
        match value.contains("{{") {
            true => draft
                .note(format!("the header {name} holds a variable that the collection does not set; it was left out")),
            false => draft.header(name, &value)?,
        }
    }
    authorize(request.get("auth").or(document.get("auth")), &filled, &mut draft)?;
    let body = match request.get("body").filter(|body| !body.is_null()) {
        Some(body) => read_body(body, &filled, &mut draft, setting)?,
        None => Body::none(),
    };
    draft.finish("postman", format!("item {name:?}"), Vec::new(), body)
}

fn gather<'a>(folder: &'a Value, depth: usize, items: &mut Vec<(String, &'a Value)>) {
    for item in folder.get("item").and_then(Value::as_array).into_iter().flatten() {
        if items.len() >= REQUESTS {
            return;
        }
        if let Some(request) = item.get("request").filter(|request| request.is_object()) {
            items.push((text(item, "name").unwrap_or("?").chars().take(80).collect(), request));
        } else if depth > 0 {
            gather(item, depth - 1, items);
        }
    }
}

fn url_of(request: &Value) -> Option<&str> {
    let url = request.get("url")?;
    url.as_str().or_else(|| text(url, "raw"))
}

fn rank(request: &Value) -> u8 {
    let has_body = request.get("body").is_some_and(|body| !body.is_null());
    choice::likeness(text(request, "method").unwrap_or("GET"), url_of(request).unwrap_or_default(), has_body)
}

/// The text with the collection's own variables.
fn fill(text_: &str, document: &Value) -> String {
    let mut filled = text_.to_owned();
    for variable in list(document, "variable") {
        if let (Some(key), Some(value)) = (text(variable, "key"), text(variable, "value")) {
            filled = filled.replace(&format!("{{{{{key}}}}}"), value);
        }
    }
    filled.chars().take(1 << 20).collect()
}

fn authorize(auth: Option<&Value>, filled: &dyn Fn(&str) -> String, draft: &mut Draft) -> Result<(), String> {
    let Some(auth) = auth else { return Ok(()) };
    let kind = text(auth, "type").unwrap_or_default();
    let value = |key: &str| {
        let one = list(auth, kind).find(|one| text(one, "key") == Some(key));
        one.and_then(|one| text(one, "value")).map(filled).filter(|value| !value.contains("{{"))
    };
    match kind {
        "" | "noauth" => {}
        "bearer" if value("token").is_some() => {
            draft.header("authorization", &format!("Bearer {}", value("token").unwrap_or_default()))?;
        }
        "basic" if value("username").is_some() => {
            draft.basic(&format!(
                "{}:{}",
                value("username").unwrap_or_default(),
                value("password").unwrap_or_default()
            ));
        }
        "apikey" if value("key").is_some() && value("value").is_some() => {
            draft.header(&value("key").unwrap_or_default(), &value("value").unwrap_or_default())?;
        }
        other => {
            draft.note(format!("the item's authorization ({other}) cannot be read; use --bearer-env or --basic-env"))
        }
    }
    Ok(())
}

fn read_body(
    body: &Value,
    filled: &dyn Fn(&str) -> String,
    draft: &mut Draft,
    setting: &Setting,
) -> Result<Body, String> {
    let mode = text(body, "mode").unwrap_or_default();
    let enabled = |key: &'static str| list(body, key).filter(|one| one.get("disabled") != Some(&Value::Bool(true)));
    Ok(match mode {
        "raw" => {
            let language = body.pointer("/options/raw/language").and_then(Value::as_str);
            let usual = if language == Some("json") { "application/json" } else { "text/plain" };
            let declared = draft.content_type.take().unwrap_or_else(|| usual.to_owned());
            Body::of_bytes(filled(text(body, "raw").unwrap_or_default()).into_bytes(), declared)
        }
        "urlencoded" => {
            let pairs = enabled("urlencoded")
                .filter_map(|one| Some((text(one, "key")?, text(one, "value").unwrap_or_default())));
            Body::urlencoded(pairs.map(|(key, value)| body::text(key, &filled(value), Place::Form)).collect())
        }
        "formdata" => {
            let mut fields = Vec::new();
            for one in enabled("formdata") {
                let name = text(one, "key").unwrap_or_default();
                if text(one, "type") == Some("file") {
                    let source = one.get("src").and_then(|src| src.as_str().or_else(|| src.get(0)?.as_str()));
                    let given = setting.given_file(name);
                    let source = given.as_deref().or(source);
                    let source =
                        source.ok_or(format!("the item names no file for {name:?}; give it: --field {name}=@FILE"))?;
                    let file = Files::beside(setting.folder).part(source)?;
                    draft.paths.insert(name.to_owned(), source.to_owned());
                    fields.push(Field {
                        name: name.into(),
                        place: Place::Form,
                        content: Content::File(file),
                        guess: false,
                    });
                } else {
                    fields.push(body::text(name, &filled(text(one, "value").unwrap_or_default()), Place::Form));
                }
            }
            Body::multipart(fields)
        }
        "file" => {
            let source = body.pointer("/file/src").and_then(Value::as_str).ok_or("the item's body names no file")?;
            draft.paths.insert(String::new(), source.to_owned());
            Body::of_bytes(Files::beside(setting.folder).read(source)?, draft.content_type.take().unwrap_or_default())
        }
        "" => Body::none(),
        other => return Err(format!("the body of the Postman item {:?} is of the kind {other}", shown_url(other))),
    })
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().take(1000)
}
