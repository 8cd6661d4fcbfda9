//! The requests that the doctor would send, for the command that only prints them.

use super::message::{Content, Place};
use super::recognize::{self, questions::Questions};
use super::record::Recorder;
use super::schema::operation::Credential;
use super::schema::{Candidate, Document, Wish};
use super::spoken::Spoken;
use super::synthesis::plan::{Plan, Planned, plan};
use super::synthesis::{Source, Synthesis};
use super::transport::{Http, Route, Trust};
use super::{everywhere, without_credentials};
use crate::probe::Ask;
use crate::secret::{MASK, is_in_field};
use crate::snapshot::{Facts, Unknown, Why};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Instant;
use url::Url;

/// Where the requests go, and each of them.
#[derive(Debug, Serialize)]
pub struct Requests {
    /// The document's file or URL.
    pub schema: String,
    /// The server's base URL, without credentials.
    pub server: String,
    /// The requests, in the document's order.
    pub requests: Vec<Request>,
}

/// One request.
#[derive(Debug, Serialize)]
pub struct Request {
    /// `POST`.
    pub method: String,
    /// The operation's path, as the document writes it.
    pub path: String,
    /// Media type of the body; empty without one.
    pub content_type: String,
    /// What is sent.
    pub fields: Vec<Field>,
    /// The body as the schema sees it; files by their description. Null without one.
    pub body: Option<Value>,
    /// Whether every value is as the schema wants it; null where that could not be decided.
    pub valid: Option<bool>,
    /// What is not.
    pub problems: Vec<String>,
    /// What could not be validated.
    pub undecided: Vec<String>,
    /// The credentials that the server wants and that were not given; empty if it wants none that is lacking.
    pub credentials: Vec<String>,
    /// As a curl command line, secrets left out, files by their names.
    pub curl: String,
}

/// One value of a request.
#[derive(Debug, Serialize)]
pub struct Field {
    /// Name.
    pub name: String,
    /// `form`, `json`, `query`, `path`, `header`, `cookie`, `tensor` or `body` (the whole of it).
    pub place: String,
    /// Whether the schema says that it is required.
    pub required: bool,
    /// `file`, `string`, `integer`, `number`, `boolean`, `object`, `array`, or empty where the schema does not tell.
    pub kind: String,
    /// The value; of a file its description.
    pub value: Value,
    /// `given`, `const`, `enum`, `example`, `default`, `sample`, `server`, `name` or `type`.
    pub source: Source,
    /// Whether the value is the doctor's guess.
    pub guess: bool,
}

/// The requests by an OpenAPI document; nothing is asked of any server.
///
/// # Errors
/// What is wrong with the document, or that it has no such operation.
pub fn of_document(origin: &str, bytes: &[u8], ask: &Ask, all: bool) -> Result<Requests, String> {
    let document = read(bytes).map_err(|problem| format!("{origin}: {problem}"))?;
    let standard = || Url::parse("http://127.0.0.1:8000").ok();
    let server = ask.server.as_ref().map(without_credentials).or_else(standard).ok_or("no URL")?;
    let candidates = match all {
        true => document.operations().iter().map(|operation| operation.candidate(&document, None)).collect(),
        false => {
            let wish = Wish { named: ask.operation.as_deref(), ..Wish::default() };
            vec![document.choose(&wish).map_err(|problem| format!("{origin}: {problem}"))?]
        }
    };
    let base = document.base_path();
    let under = |candidate: Candidate| Candidate { path: format!("{base}{}", candidate.path), ..candidate };
    let candidates = candidates.into_iter().map(under).collect();
    Ok(requests(origin, &server, ask, Some(&document), candidates))
}

/// The requests to a server, which is asked for its description only.
///
/// # Errors
/// That it cannot be reached, or does not describe itself.
pub fn of_server(ask: &Ask, all: bool) -> Result<Requests, String> {
    let server =
        ask.server.as_ref().map(without_credentials).ok_or("name a server with --server, or a --schema file")?;
    if Spoken::by(&server) != Spoken::Http {
        return Err(format!(
            "{server}: only requests over HTTP are shown beforehand; gpu-doctor run --server {server} sends its own and \
             shows it"
        ));
    }
    let deadline = Instant::now() + ask.timeout;
    let route = Route { trust: Trust::default(), connection: ask.connection.clone() };
    let http = Http::new(&server, &route, deadline).map_err(|failure| failure.text)?;
    let everywhere = everywhere(ask);
    let mut questions = Questions::new(&http, &server, &everywhere);
    // No process is looked at: a description is all that is asked for.
    let facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "only the server's description is asked for"));
    let found = recognize::discover(&server, &mut questions, ask, None, &facts).map_err(|failure| failure.text)?;
    let Some(operation) = &found.operation else { return Err(lack(&server, found.lack())) };
    let origin = match &found.schema {
        Some(Ok(url)) => url.clone(),
        _ => server.to_string(),
    };
    let candidates = match &found.document {
        Some(document) if all => {
            let prefix = &found.prefix;
            let every = document.operations();
            let under = |candidate: Candidate| Candidate { path: format!("{prefix}{}", candidate.path), ..candidate };
            every.iter().map(|operation| under(operation.candidate(document, None))).collect()
        }
        _ => vec![operation.clone()],
    };
    Ok(requests(&origin, &server, ask, found.document.as_ref(), candidates))
}

/// Why there is no request, with the server's URL unless that stands in it.
fn lack(server: &Url, lack: &str) -> String {
    if lack.starts_with(server.as_str()) { lack.to_owned() } else { format!("{server}: {lack}") }
}

/// JSON, or YAML with its whole numbers and truth values as keys.
fn read(bytes: &[u8]) -> Result<Document, String> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first.is_none_or(|byte| b"{[<".contains(byte)) {
        return Document::read(bytes);
    }
    let mut value: serde_yaml::Value =
        serde_yaml::from_slice(bytes).map_err(|error| format!("expected JSON or YAML: {error}"))?;
    value.apply_merge().map_err(|error| format!("expected JSON or YAML: {error}"))?;
    Document::of(json(value))
}

fn json(value: serde_yaml::Value) -> Value {
    use serde_yaml::Value as Yaml;
    match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::Bool(value),
        Yaml::Number(number) => serde_json::to_value(number).unwrap_or_default(),
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => items.into_iter().map(json).collect(),
        Yaml::Mapping(members) => {
            let key = |key: Yaml| match key {
                Yaml::String(text) => text,
                other => json(other).to_string(),
            };
            Value::Object(members.into_iter().map(|(name, member)| (key(name), json(member))).collect())
        }
        Yaml::Tagged(tagged) => json(tagged.value),
    }
}

pub(super) fn requests(
    origin: &str,
    server: &Url,
    ask: &Ask,
    document: Option<&Document>,
    candidates: Vec<Candidate>,
) -> Requests {
    let headers = everywhere(ask);
    let mut recorder = Recorder::new(server, &headers);
    let synthesis = Synthesis { given: &ask.fields, supported: BTreeMap::new(), document };
    let written = |candidate: &Candidate| {
        let plan = plan(candidate, &synthesis);
        recorder.learn(&plan.message);
        written(candidate, plan, &headers, &recorder)
    };
    let requests = candidates.iter().map(written).collect();
    Requests { schema: recorder.clean(origin, 2000), server: server.to_string(), requests }
}

fn written(candidate: &Candidate, plan: Plan, headers: &[(String, String)], recorder: &Recorder) -> Request {
    let valid = match (plan.problems.is_empty(), plan.undecided.is_empty()) {
        (false, _) => Some(false),
        (true, false) => None,
        (true, true) => Some(true),
    };
    let secret = |value: &Planned| value.source == Source::Given && is_in_field(&value.name);
    let mut body = plan.body.clone();
    for value in plan.values.iter().filter(|value| secret(value)) {
        if let Some(member) = body.as_mut().and_then(Value::as_object_mut).and_then(|body| body.get_mut(&value.name)) {
            *member = MASK.into();
        }
    }
    let field = |value: &Planned| Field {
        name: value.name.clone(),
        place: value.place.name().into(),
        required: value.required,
        kind: value.kind.into(),
        value: if secret(value) { MASK.into() } else { value.value.clone() },
        source: value.source,
        guess: value.source.is_guess(),
    };
    Request {
        method: candidate.method.clone(),
        path: candidate.path.clone(),
        content_type: candidate.content_type.clone(),
        fields: plan.values.iter().map(field).collect(),
        body,
        valid,
        problems: plan.problems.iter().map(|problem| recorder.clean(problem, 400)).collect(),
        undecided: plan.undecided.iter().map(|what| recorder.clean(what, 400)).collect(),
        credentials: lacking(&plan, headers),
        curl: recorder.clean(&recorder.curl(&plan.message), 20_000),
    }
}

/// The lists of credentials, in words, unless one of them is given as a whole or none is needed.
pub(super) fn lacking(plan: &Plan, headers: &[(String, String)]) -> Vec<String> {
    let has = |credential: &Credential| match credential.place {
        Place::Header => headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(&credential.name)),
        _ => plan.message.field(&credential.name).is_some_and(|field| matches!(field.content, Content::Text(_))),
    };
    if plan.credentials.iter().any(|list| list.iter().all(has)) {
        return Vec::new();
    }
    let words =
        |credential: &Credential| format!("{} in the {} {}", credential.what, credential.place.name(), credential.name);
    plan.credentials.iter().map(|list| list.iter().map(words).collect::<Vec<_>>().join(" and ")).collect()
}

/// Everything that is made of a document's bytes, for the fuzz target.
pub fn of_bytes(bytes: &[u8]) {
    let Ok(document) = Document::read(bytes) else { return };
    let given = BTreeMap::new();
    for operation in document.operations().iter().take(8) {
        let candidate = operation.candidate(&document, None);
        let synthesis = Synthesis { given: &given, supported: BTreeMap::new(), document: Some(&document) };
        let plan = plan(&candidate, &synthesis);
        let server = Url::parse("http://127.0.0.1:1/");
        if let Ok(server) = server {
            let _ = plan.message.outgoing(&server, &[]);
            let _ = Recorder::new(&server, &[]).curl(&plan.message);
        }
    }
}
