//! Fields and files of a Python call, as its library writes them.

use super::literal::{Reader, Value};
use super::{Library, headers, named};
use crate::probe::service::client::body::{self, Body};
use crate::probe::service::client::files::{Files, media_type};
use crate::probe::service::client::request::{Draft, Setting, absolute};
use crate::probe::service::message::{Content, Encoding, Field, File, Place};
use crate::probe::source::syntax::{Argument, Call};
use serde_json::Value as Json;

/// Reads what a call sends.
pub struct Sent<'a> {
    pub reader: &'a Reader<'a>,
    pub calls: &'a [Call],
    pub setting: &'a Setting<'a>,
    pub line: usize,
    pub library: Library,
    pub draft: Draft,
}

impl Sent<'_> {
    /// The fields of the query, and the body.
    pub fn read(&mut self, call: &Call, get: bool) -> Result<(Vec<Field>, Body), String> {
        if let Some(argument) = named(call, "headers") {
            headers(&self.reader.value(argument.value.clone()), self.line, &mut self.draft)?;
        }
        let query = match named(call, "params") {
            Some(argument) => self.form(&self.reader.value(argument.value.clone()), Place::Query, "params")?,
            None => Vec::new(),
        };
        // requests.post(url, data, json): httpx has names only.
        let skip = if call.callee.ends_with(".request") { 2 } else { 1 };
        let positional: Vec<&Argument> =
            call.arguments.iter().filter(|one| one.name.is_none() && !one.unpacked).collect();
        let position =
            |index: usize| positional.get(skip + index).copied().filter(|_| self.library == Library::Requests && !get);
        let data = named(call, "data").or(named(call, "content")).or(position(0));
        let json = named(call, "json").or(position(1));
        let value = |argument: Option<&Argument>| argument.map(|argument| self.reader.value(argument.value.clone()));
        let none = |value: &Value| *value == Value::Plain(Json::Null);
        let form_name = data.map(|argument| self.reader.source.written(argument.value.clone()));
        let (data, json) = (value(data).filter(|v| !none(v)), value(json).filter(|v| !none(v)));
        let files = value(named(call, "files")).filter(|v| !none(v));
        if let Some(fields) = form_name.filter(|name| self.is_form(name)).map(|name| self.appended(&name)) {
            return Ok((query, self.declared(fields?)));
        }
        let body = match (data, json, files) {
            (data, _, Some(files)) => {
                let mut fields = match &data {
                    Some(data) => self.form(data, Place::Form, "data")?,
                    None => Vec::new(),
                };
                fields.extend(self.files(&files)?);
                Body::multipart(fields)
            }
            (Some(data @ (Value::Dict(_) | Value::List(_))), _, None) => {
                Body::urlencoded(self.form(&data, Place::Form, "data")?)
            }
            (Some(data), _, None) => return Ok((query, self.raw(data)?)),
            (None, Some(json), None) => self.json(json)?,
            (None, None, None) => Body::none(),
        };
        Ok((query, self.declared(body)))
    }

    /// The body under the content type that the client's headers declare. That of a form needs its own boundary.
    fn declared(&mut self, body: Body) -> Body {
        match self.draft.content_type.take() {
            Some(declared) if body.encoding == Encoding::Multipart => {
                self.draft.note(format!(
                    "line {}: the header content-type ({declared}) takes the boundary of the multipart body away; the form was \
                     sent with a right one",
                    self.line
                ));
                body
            }
            Some(content_type) if body.encoding != Encoding::None => Body { content_type, ..body },
            _ => body,
        }
    }

    fn asked(&self, field: &str, value: &Value) -> Result<Content, String> {
        let text = self.setting.asked(field, self.line, value.open().unwrap_or("an expression"))?;
        match text.strip_prefix('@') {
            Some(path) => Ok(Content::File(Files::beside(self.setting.folder).part(&absolute(path))?)),
            None => Ok(Content::Text(text.to_owned())),
        }
    }

    /// Pairs of a form or a query: a dictionary, or a list of pairs.
    fn form(&mut self, value: &Value, place: Place, argument: &str) -> Result<Vec<Field>, String> {
        let Some(pairs) = pairs(value) else {
            return Err(format!(
                "{}:{}: {argument}= is {}, which the file does not tell; write it out in the call",
                self.setting.file(),
                self.line,
                value.open().unwrap_or("no dictionary")
            ));
        };
        let mut fields = Vec::new();
        for (name, value) in pairs {
            let several = match value {
                Value::List(list) => list,
                one => vec![one],
            };
            for one in several {
                let content = match &one {
                    Value::Plain(Json::Null) if self.library != Library::Httpx => continue,
                    Value::Plain(Json::Null) => Content::Text(String::new()),
                    Value::Plain(Json::Bool(truth)) => Content::Text(self.bool(*truth).to_owned()),
                    Value::Plain(Json::String(text)) => Content::Text(text.clone()),
                    Value::Plain(other) => Content::Text(other.to_string()),
                    Value::Bytes(bytes) => Content::Text(String::from_utf8_lossy(bytes).into_owned()),
                    Value::Base64(path) => Content::Base64(self.file(&name, path, None, None)?),
                    Value::Content(path) | Value::File(path) => Content::File(self.file(&name, path, None, None)?),
                    other => self.asked(&name, other)?,
                };
                fields.push(Field { name: name.clone(), place, content, guess: false });
            }
        }
        Ok(fields)
    }

    fn bool(&self, truth: bool) -> &'static str {
        match (self.library, truth) {
            (Library::Httpx, true) => "true",
            (Library::Httpx, false) => "false",
            (_, true) => "True",
            (_, false) => "False",
        }
    }

    /// `files={"audio": open(...)}`, `("audio", ("name.wav", open(...), "audio/wav"))`.
    fn files(&mut self, value: &Value) -> Result<Vec<Field>, String> {
        let Some(pairs) = pairs(value) else {
            let what = value.open().unwrap_or("no dictionary");
            return Err(format!(
                "{}:{}: files= is {what}, which the file does not tell",
                self.setting.file(),
                self.line
            ));
        };
        let mut fields = Vec::new();
        for (name, value) in pairs {
            let content = self.part(&name, &value)?;
            fields.push(Field { name, place: Place::Form, content, guess: false });
        }
        Ok(fields)
    }

    fn part(&mut self, name: &str, value: &Value) -> Result<Content, String> {
        let (file_name, content, media) = match value {
            Value::List(parts) => (
                parts.first().and_then(Value::text).map(str::to_owned),
                parts.get(1).cloned().unwrap_or(Value::Plain(Json::Null)),
                parts.get(2).and_then(Value::text).map(str::to_owned),
            ),
            other => (None, other.clone(), None),
        };
        let literal = |bytes: Vec<u8>| {
            let file = file_name.clone().unwrap_or_else(|| name.to_owned());
            let media_type = media.clone().unwrap_or_else(|| self.usual(&file));
            Content::File(File { name: file, media_type, bytes: bytes.into() })
        };
        Ok(match &content {
            // (None, "text"): a form field without a file name.
            Value::Plain(Json::String(text)) if matches!(value, Value::List(_)) && file_name.is_none() => {
                Content::Text(text.clone())
            }
            Value::Plain(Json::String(text)) => literal(text.clone().into_bytes()),
            Value::Bytes(bytes) => literal(bytes.clone()),
            Value::File(path) => Content::File(self.file(name, path, file_name, media)?),
            // Bytes alone have no name: requests takes the field's.
            Value::Content(path) => {
                let file_name = file_name
                    .unwrap_or_else(|| if self.library == Library::Httpx { "upload".into() } else { name.to_owned() });
                Content::File(self.file(name, path, Some(file_name), media)?)
            }
            other => match self.asked(name, other)? {
                Content::File(file) => {
                    let media_type = media.unwrap_or_else(|| self.usual(&file.name));
                    Content::File(File { name: file_name.unwrap_or(file.name), media_type, bytes: file.bytes })
                }
                other => other,
            },
        })
    }

    /// The media type that the library gives a file of that name. requests gives none.
    fn usual(&self, name: &str) -> String {
        match self.library {
            Library::Requests => String::new(),
            _ => media_type(name).to_owned(),
        }
    }

    fn file(&mut self, field: &str, path: &str, name: Option<String>, media: Option<String>) -> Result<File, String> {
        let given = self.setting.given_file(field);
        let path = given.as_deref().unwrap_or(path);
        let file = Files::beside(self.setting.folder).part(path).map_err(|error| {
            format!("{}:{}: {error}; name another: --field {field}=@FILE", self.setting.file(), self.line)
        })?;
        self.draft.paths.insert(field.to_owned(), path.to_owned());
        let name = name.unwrap_or(file.name);
        let media_type = media.unwrap_or_else(|| self.usual(&name));
        Ok(File { name, media_type, bytes: file.bytes })
    }

    fn raw(&mut self, data: Value) -> Result<Body, String> {
        let declared = self.draft.content_type.take();
        let (bytes, text) = match data {
            Value::Plain(Json::String(text)) => (text.into_bytes(), true),
            Value::Bytes(bytes) => (bytes, false),
            Value::File(path) | Value::Content(path) => {
                self.draft.paths.insert(String::new(), path.clone());
                (Files::beside(self.setting.folder).read(&path)?, false)
            }
            other => {
                let what = other.open().unwrap_or("an expression");
                let place = format!("{}:{}", self.setting.file(), self.line);
                return Err(format!("{place}: the body is {what}, which the file does not tell; write it out"));
            }
        };
        // requests and httpx declare nothing for a text of one's own.
        let usual = match (self.library, text) {
            (Library::Aiohttp, true) => "text/plain; charset=utf-8",
            (Library::Aiohttp, false) => "application/octet-stream",
            _ => "",
        };
        Ok(Body::of_bytes(bytes, declared.unwrap_or_else(|| usual.to_owned())))
    }

    fn json(&mut self, value: Value) -> Result<Body, String> {
        let Value::Dict(members) = value else {
            return match value.json() {
                Some(json) => Ok(Body::json(json)),
                None => {
                    let what = value.open().unwrap_or("an expression").to_owned();
                    Err(format!("{}:{}: json= is {what}, which the file does not tell", self.setting.file(), self.line))
                }
            };
        };
        let mut object = serde_json::Map::new();
        let mut files = Vec::new();
        for (name, value) in members {
            match (&value, value.json()) {
                (_, Some(json)) => drop(object.insert(name, json)),
                (Value::Base64(path), _) => {
                    let file = self.file(&name, path, None, None)?;
                    files.push(Field { name, place: Place::Json, content: Content::Base64(file), guess: false });
                }
                _ => {
                    let content = match self.asked(&name, &value)? {
                        Content::File(file) => Content::Base64(file),
                        Content::Text(text) => Content::Json(serde_json::from_str(&text).unwrap_or(Json::String(text))),
                        other => other,
                    };
                    files.push(Field { name, place: Place::Json, content, guess: false });
                }
            }
        }
        let mut body = Body::json(Json::Object(object));
        body.fields.extend(files);
        Ok(body)
    }

    /// Whether a name is that of an aiohttp.FormData.
    fn is_form(&self, name: &str) -> bool {
        let source = self.reader.source;
        let value = source.assigned_once(name).map(|value| source.written(value)).unwrap_or_default();
        value.ends_with("FormData()") || self.calls.iter().any(|call| call.callee == format!("{name}.add_field"))
    }

    /// What was added to a form: `form.add_field("lang", "en")`.
    fn appended(&mut self, form: &str) -> Result<Body, String> {
        let callee = format!("{form}.add_field");
        let mut fields = Vec::new();
        let mut multipart = false;
        for call in self.calls.iter().filter(|call| call.callee == callee && call.tokens.start < self.reader.before) {
            self.line = call.line;
            let positional: Vec<&Argument> = call.arguments.iter().filter(|one| one.name.is_none()).collect();
            let value = |name: &str, index: Option<usize>| {
                let argument = named(call, name).or(index.and_then(|index| positional.get(index).copied()));
                argument.map(|argument| self.reader.value(argument.value.clone()))
            };
            let (Some(name), Some(content)) = (value("name", Some(0)), value("value", Some(1))) else { continue };
            let name = match name.text() {
                Some(name) => name.to_owned(),
                None => {
                    return Err(format!(
                        "{}:{}: the name of a form field is not written out",
                        self.setting.file(),
                        call.line
                    ));
                }
            };
            let file_name = value("filename", None).and_then(|value| value.text().map(str::to_owned));
            let media = value("content_type", None).and_then(|value| value.text().map(str::to_owned));
            let is_file = file_name.is_some() || matches!(content, Value::File(_) | Value::Content(_));
            multipart |= is_file || media.is_some();
            let content = if is_file {
                let file_name = Value::Plain(file_name.map_or(Json::Null, Json::String));
                let usual = media.unwrap_or_else(|| "application/octet-stream".into());
                self.part(&name, &Value::List(vec![file_name, content, Value::Plain(Json::String(usual))]))?
            } else {
                match content {
                    Value::Plain(Json::String(text)) => Content::Text(text),
                    Value::Bytes(bytes) => Content::Text(String::from_utf8_lossy(&bytes).into_owned()),
                    Value::Base64(path) => Content::Base64(self.file(&name, &path, None, None)?),
                    // aiohttp refuses other types; what the user gives is a text.
                    Value::Plain(other) => Content::Text(other.to_string()),
                    other => self.asked(&name, &other)?,
                }
            };
            fields.push(Field { name, place: Place::Form, content, guess: false });
        }
        Ok(if multipart { Body::multipart(fields) } else { body_of_form(fields) })
    }
}

/// The pairs of a dictionary, or of a list of them; `None` for anything else.
fn pairs(value: &Value) -> Option<Vec<(String, Value)>> {
    match value {
        Value::Dict(members) => Some(members.clone()),
        Value::List(list) => {
            let pair = |pair: &Value| match pair {
                Value::List(pair) => Some((pair.first()?.text()?.to_owned(), pair.get(1)?.clone())),
                _ => None,
            };
            Some(list.iter().filter_map(pair).collect())
        }
        _ => None,
    }
}

fn body_of_form(fields: Vec<Field>) -> Body {
    if fields.is_empty() { body::Body::none() } else { Body::urlencoded(fields) }
}
