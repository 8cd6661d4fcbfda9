//! Plays what servers answered that are too large to start in a test: `fixtures/servers/recorded/NAME.yaml`.
//!
//! A file that brings this in brings `scripted_server` in too.
#![allow(dead_code)]

use crate::scripted_server::{Received, ScriptedServer};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A server's answers, in order: the first that fits a request is given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    /// Headers of every answer.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    answers: Vec<Answer>,
    /// To what no other fits.
    otherwise: Answer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// `POST /v1/completions`; a `*` at the end stands for any rest.
    #[serde(default)]
    to: String,
    #[serde(default)]
    when: When,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// `${model}` stands for what the request has there.
    #[serde(default)]
    body: String,
    /// A file beside this one whose text is the body.
    file: Option<PathBuf>,
}

/// What the request must be like. Fields are those of a JSON object, of a form, and of the query.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct When {
    /// Every one of these fields is missing.
    lacks: Vec<String>,
    /// Every one of these is there.
    has: Vec<String>,
    /// There with exactly this value, as text.
    equals: BTreeMap<String, String>,
    /// There with another value than this.
    differs: BTreeMap<String, String>,
    /// There, but not of this kind: `string`, `number`, `boolean`, `array`, `object`.
    is_no: BTreeMap<String, String>,
    /// There, with this text somewhere in its value as JSON.
    holds: BTreeMap<String, String>,
    /// A list of so many items.
    length: BTreeMap<String, usize>,
    /// The body is not JSON.
    no_json: bool,
    /// The body has fewer bytes than this, by its content-length.
    shorter_than: Option<usize>,
}

fn ok() -> u16 {
    200
}

/// Starts the server of `fixtures/servers/recorded/NAME.yaml`.
pub fn recorded(name: &str) -> ScriptedServer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/servers/recorded");
    let file = folder.join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut played: Recorded = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    for answer in played.answers.iter_mut().chain([&mut played.otherwise]) {
        if let Some(beside) = &answer.file {
            let path = folder.join(beside);
            answer.body = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    ScriptedServer::start(move |request, stream| {
        let fields = fields(request);
        let fits = |answer: &&Answer| answer.is_to(request) && answer.when.fits(request, &fields);
        let answer = played.answers.iter().find(fits).unwrap_or(&played.otherwise);
        let _ = stream.write_all(answer.written(&played.headers, &fields).as_bytes());
    })
}

impl Answer {
    fn is_to(&self, request: &Received) -> bool {
        let path = request.target.split('?').next().unwrap_or_default();
        let asked = format!("{} {path}", request.method);
        match self.to.strip_suffix('*') {
            Some(start) => asked.starts_with(start),
            None => asked == self.to,
        }
    }

    fn written(&self, everywhere: &BTreeMap<String, String>, fields: &Map<String, Value>) -> String {
        let fill = |text: String, (name, value): (&String, &Value)| match text.contains("${") {
            true => text.replace(&format!("${{{name}}}"), &as_text(value)),
            false => text,
        };
        let body = fields.iter().fold(self.body.clone(), fill);
        let mut headers = everywhere.clone();
        headers.extend(self.headers.clone());
        headers.entry("content-type".into()).or_insert_with(|| "application/json".into());
        headers.insert("content-length".into(), body.len().to_string());
        headers.insert("connection".into(), "close".into());
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("HTTP/1.1 {} Recorded\r\n{lines}\r\n{body}", self.status)
    }
}

impl When {
    fn fits(&self, request: &Received, fields: &Map<String, Value>) -> bool {
        let text = |name: &str| fields.get(name).map(as_text);
        self.lacks.iter().all(|name| !fields.contains_key(name))
            && self.has.iter().all(|name| fields.contains_key(name))
            && self.equals.iter().all(|(name, value)| text(name).as_ref() == Some(value))
            && self.differs.iter().all(|(name, value)| text(name).is_some_and(|found| found != *value))
            && self.is_no.iter().all(|(name, kind)| fields.get(name).is_some_and(|found| kind_of(found) != kind))
            && self
                .holds
                .iter()
                .all(|(name, part)| fields.get(name).is_some_and(|found| found.to_string().contains(part)))
            && self.length.iter().all(|(name, items)| {
                fields.get(name).and_then(Value::as_array).is_some_and(|found| found.len() == *items)
            })
            && self.shorter_than.is_none_or(|most| body_bytes(request).is_some_and(|bytes| bytes < most))
            && (!self.no_json || serde_json::from_str::<Value>(&request.body).is_err())
    }
}

fn body_bytes(request: &Received) -> Option<usize> {
    let head = request.head.to_ascii_lowercase();
    head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The fields of the query and of the body, whatever form it has.
fn fields(request: &Received) -> Map<String, Value> {
    let (_, query) = request.target.split_once('?').unwrap_or_default();
    let pairs = |text: &str| -> Vec<(String, Value)> {
        url::form_urlencoded::parse(text.as_bytes()).map(|(name, value)| (name.into(), Value::from(&*value))).collect()
    };
    let mut fields: Map<String, Value> = pairs(query).into_iter().collect();
    let head = request.head.to_ascii_lowercase();
    if head.contains("content-type: multipart/form-data") {
        fields.extend(parts(&request.body));
    } else if head.contains("content-type: application/x-www-form-urlencoded") {
        fields.extend(pairs(&request.body));
    } else if let Ok(Value::Object(object)) = serde_json::from_str(&request.body) {
        fields.extend(object);
    }
    fields
}

/// The parts of a multipart body, those of files too.
fn parts(body: &str) -> Vec<(String, Value)> {
    let boundary = body.lines().next().unwrap_or_default();
    let parts = body.split(boundary).filter(|_| !boundary.is_empty());
    let part = |text: &str| {
        let (head, value) = text.split_once("\r\n\r\n")?;
        let (_, named) = head.split_once("; name=\"")?;
        let (name, _) = named.split_once('"')?;
        Some((name.to_owned(), Value::from(value.strip_suffix("\r\n").unwrap_or(value))))
    };
    parts.filter_map(part).collect()
}
