//! Finds out what the server is and which operation to try: its OpenAPI document, then the endpoints and headers by which
//! the families of servers are told apart, and what the user says where neither suffices.

mod bentoml;
mod family;
mod gradio;
pub mod kserve;
mod kserve_v1;
mod litserve;
mod ollama;
mod openai;
mod openapi;
mod operation;
mod other;
pub mod questions;
mod ray;
pub mod readiness;
pub mod state;
mod tensor;
mod text_inference;
mod tf_serving;
pub mod told;
mod torchserve;
pub mod whisperlivekit;

use crate::probe::Ask;
use crate::probe::service::engine::{Ports, commands};
use crate::probe::service::message::{Content, Encoding, Message, Place};
use crate::probe::service::record::Recorder;
use crate::probe::service::schema::{Candidate, Document, Wish};
use crate::probe::service::transport::Failure;
use crate::snapshot::{Fact, Facts, Operation, RequestFacts, Unknown, Why};
use family::{Recognized, Signs};
use openapi::{Search, chosen};
use questions::Questions;
use serde_json::Value;
use url::Url;

/// Operations that are tried after the first, at most.
const ALTERNATIVES: usize = 5;
/// Characters kept of what a server says of itself, and models that are told.
const SAID: usize = 200;
const MODELS: usize = 64;

/// What the server says of itself.
#[derive(Debug, Default)]
pub struct Discovered {
    pub kind: Option<&'static str>,
    pub version: Option<String>,
    pub by: Option<String>,
    pub models: Option<Vec<String>>,
    pub document: Option<Document>,
    pub operation: Option<Candidate>,
    /// What is tried where the operation is rejected and nothing tells why, in this order.
    pub alternatives: Vec<Candidate>,
    /// Where the usable schema is, or why there is none.
    pub schema: Option<Result<String, String>>,
    /// Endpoints of the server's state, by its family.
    pub states: Vec<String>,
    /// Path under which its endpoints are mounted.
    pub prefix: String,
    /// What may be asked of it: `POST /asr`.
    pub listed: Vec<String>,
}

/// Asks the server what it is. An error means that it did not answer HTTP at all.
pub fn discover(
    server: &Url,
    questions: &mut Questions,
    ask: &Ask,
    client: Option<&Message>,
    facts: &Facts,
) -> Result<Discovered, Failure> {
    let base = server.path().trim_end_matches('/');
    // A base URL as clients of OpenAI's API have it.
    let base = if matches!(base, "/v1" | "/v2") { "" } else { base };
    let mut search = Search::begin(server, base, questions)?;
    if let Some(found) = &search.found {
        questions.prefix.clone_from(&found.prefix);
    }
    let client_path = client.map(|message| message.path.as_str());
    let named = ask.operation.as_deref();
    let commands = commands(facts);
    let model = model(ask, client);
    let path = client_path.or(named.filter(|path| path.starts_with('/')));
    let torchserve_management = Ports::of(facts).torchserve_management;
    let recognize = |search: &Search, questions: &mut Questions| {
        let document = search.found.as_ref().map(|found| &found.document);
        let (first, model, commands) = (&*search.last, model.clone(), &commands);
        let signs = Signs { first, document, path, model, commands, torchserve_management };
        family::recognize(&signs, questions)
    };
    let mut recognized = recognize(&search, questions);
    if recognized.is_none() && search.found.is_none() {
        search.go_on(server, questions);
        if search.found.is_some() {
            recognized = recognize(&search, questions);
        }
    }
    let wish = Wish { client_path, client_encoding: client.map(|message| message.encoding), named };
    Ok(settle(server, search, recognized, &wish, base, ask))
}

fn described(url: &Url) -> String {
    format!("GET {}: an OpenAPI document", url.path())
}

/// The model that the user means: named, or in the client's request.
fn model(ask: &Ask, client: Option<&Message>) -> Option<String> {
    let bare = || ask.operation.clone().filter(|name| !name.starts_with('/'));
    let in_client = || match &client?.field("model").filter(|field| field.place != Place::Tensor)?.content {
        Content::Text(text) | Content::Json(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    ask.fields.get("model").cloned().or_else(bare).or_else(in_client).filter(|name| name.len() <= 300)
}

/// Puts together what document, family and user say.
fn settle(
    server: &Url,
    search: Search,
    recognized: Option<Recognized>,
    wish: &Wish,
    base: &str,
    ask: &Ask,
) -> Discovered {
    let mut family = recognized.unwrap_or_default();
    let prefix = search.found.as_ref().map(|found| found.prefix.clone()).unwrap_or_default();
    let document = search.found.as_ref().map(|found| &found.document);
    let models = family.models.clone().unwrap_or_default();
    let operations = std::mem::take(&mut family.operations).into_iter();
    let mut operations: Vec<Candidate> =
        operations.map(|known| operation::laid_over(document, &prefix, known)).take(64).collect();
    let pointed = [wish.client_path, wish.named, Some(base).filter(|base| !base.is_empty())];
    let by_path = pointed.into_iter().flatten().find_map(|path| operation::taken(&mut operations, path));
    let by_document = |must: bool| {
        let Some(document) = document else { return Err(None::<String>) };
        let found = chosen(document, wish, base, &prefix).map_err(Some)?;
        let points =
            pointed.into_iter().flatten().any(|path| crate::probe::service::schema::same_path(&found.path, path));
        if must || points { Ok(operation::with_models(found, &models)) } else { Err(None) }
    };
    let named = wish.named.filter(|path| path.starts_with('/'));
    let told = || told::operation(ask);
    let mut error = None;
    // A path that the user names and nobody describes is as the user says.
    let operation = by_path
        .or_else(|| by_document(false).ok())
        .or_else(|| told().filter(|_| named.is_some()))
        .or_else(|| (!operations.is_empty()).then(|| operations.remove(0)))
        .or_else(|| by_document(true).map_err(|problem| error = problem).ok());
    let operation = operation.map(|operation| amended(operation, ask));
    let schema = match (&operation, &search.found, &family.described_at) {
        (Some(_), Some(found), _) => Ok(found.url.to_string()),
        (Some(operation), None, Some(_)) if operation.path.starts_with("/v2/models/") => {
            Ok(at(server, operation.path.trim_end_matches("/infer")).to_string())
        }
        (Some(_), None, Some(place)) => Ok(at(server, &format!("{prefix}{place}")).to_string()),
        (_, found, _) => {
            let url = found.as_ref().map(|found| found.url.to_string());
            let document = error.map(|error| format!("{}: {error}", url.unwrap_or_default()));
            let all = search.errors.into_iter().chain(document).chain(family.lack.clone());
            Err(all.collect::<Vec<_>>().join("; "))
        }
    };
    let (kind, by) = match (&search.found, family.kind) {
        (Some(found), "") => (Some(found.document.kind()), Some(described(&found.url))),
        (None, "") => (None, None),
        (_, kind) => (Some(kind), Some(family.by)),
    };
    let known = operations.iter().chain(&operation).map(|one| format!("{} {}", one.method, one.path));
    let mut listed: Vec<String> = document.map(|document| document.listed(&prefix)).unwrap_or_default();
    for one in known {
        if !listed.contains(&one) {
            listed.push(one);
        }
    }
    operations.truncate(ALTERNATIVES);
    Discovered {
        kind,
        version: family.version,
        by,
        models: family.models,
        document: search.found.map(|found| found.document),
        operation,
        alternatives: operations,
        schema: Some(schema),
        states: family.states,
        prefix,
        listed,
    }
}

/// The operation with what the user says of it.
fn amended(mut operation: Candidate, ask: &Ask) -> Candidate {
    if let Some(method) = &ask.method {
        operation.method.clone_from(method);
    }
    if let Some(media) = &ask.content_type {
        operation.content_type.clone_from(media);
        operation.encoding = crate::probe::service::schema::encoding(media);
        let place = match operation.encoding {
            Encoding::Json => Place::Json,
            _ => Place::Form,
        };
        let in_body = operation.fields.iter_mut().filter(|field| matches!(field.place, Place::Json | Place::Form));
        in_body.for_each(|field| field.place = place);
    }
    operation
}

/// The server's address with another path and no query.
pub fn at(server: &Url, path: &str) -> Url {
    let mut url = server.clone();
    url.set_path(path);
    url.set_query(None);
    url
}

impl Discovered {
    /// Whether it has no operation to try, and may be a server of WebSockets: it was not recognized, but for the framework
    /// that wrote its schema, or is known to be one.
    pub fn is_open(&self) -> bool {
        self.operation.is_none() && matches!(self.kind, None | Some("fastapi" | "openapi" | "whisper-websocket"))
    }

    /// What to try after an operation was rejected: the next alternative that the answer makes worth trying.
    pub fn next<'a>(&'a self, tried: &mut usize, answer: &str) -> Option<&'a Candidate> {
        loop {
            let next = self.alternatives.get(*tried)?;
            *tried += 1;
            if kserve::worth_trying(next, answer) {
                return Some(next);
            }
        }
    }

    /// An endpoint that costs the server next to nothing: where it describes itself, or its health.
    pub fn light(&self, server: &Url) -> Url {
        let schema = || self.schema.as_ref()?.as_ref().ok()?.parse().ok();
        match self.kind {
            Some("kserve-v2" | "triton" | "mlserver" | "kserve" | "openvino") if self.document.is_none() => {
                at(server, "/v2/health/live")
            }
            // Even the answer that there is no such path takes a server that is free to give it.
            _ => schema().unwrap_or_else(|| at(server, "/openapi.json")),
        }
    }

    /// Why no operation is known, in words.
    pub fn lack(&self) -> &str {
        match &self.schema {
            Some(Err(error)) => error,
            _ => "the time was used up",
        }
    }

    /// Fills the facts about the server and its operation.
    pub fn record(&self, client: Option<&Message>, recorder: &Recorder, room: &mut RequestFacts) {
        let untold = |what: &str| Unknown::new(Why::Absent, what);
        let clean = |text: &String| Fact::Known(recorder.clean(text, SAID));
        room.reachable = Fact::Known(true);
        room.reach_error = Fact::unknown(Why::Absent, "the server answers HTTP");
        room.server_kind = Fact::Known(self.kind.unwrap_or("unrecognized").into());
        room.server_version =
            self.version.as_ref().map_or_else(|| Fact::Unknown(untold("the server does not tell its version")), clean);
        room.recognized_by =
            self.by.as_ref().map_or_else(|| Fact::Unknown(untold("the server was not recognized")), clean);
        room.served_models = match &self.models {
            Some(models) => Fact::Known(models.iter().take(MODELS).map(|name| recorder.clean(name, SAID)).collect()),
            None => Fact::Unknown(untold("the server does not list its models")),
        };
        room.listed_operations = match self.listed.is_empty() {
            true => Fact::unknown(Why::Absent, "no schema lists the server's operations"),
            false => Fact::Known(self.listed.iter().map(|one| recorder.clean(one, SAID)).collect()),
        };
        (room.schema_url, room.schema_error) = match &self.schema {
            Some(Ok(url)) => (Fact::Known(url.clone()), Fact::unknown(Why::Absent, "the schema is usable")),
            Some(Err(error)) => (Fact::unknown(Why::Absent, error.clone()), Fact::Known(error.clone())),
            None => return,
        };
        room.operation = self.described(self.operation.as_ref(), client);
    }

    /// The operation that was tried, for the snapshot.
    pub fn described(&self, operation: Option<&Candidate>, client: Option<&Message>) -> Fact<Operation> {
        match (operation, client) {
            (Some(operation), _) => Fact::Known(operation.record()),
            (None, Some(message)) => Fact::Known(Operation {
                method: message.method.clone(),
                path: message.path.clone(),
                content_type: if message.encoding == Encoding::None {
                    String::new()
                } else {
                    message.content_type.clone()
                },
                fields: Vec::new(),
            }),
            (None, None) => Fact::unknown(Why::Absent, self.lack()),
        }
    }
}
