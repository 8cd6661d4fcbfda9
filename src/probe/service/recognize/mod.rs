//! Finds out what the server is and which operation to try: OpenAPI first, KServe v2 next.

pub mod kserve;
pub mod state;

use crate::probe::Ask;
use crate::probe::service::message::{Encoding, Message};
use crate::probe::service::schema::{Candidate, Document, Wish};
use crate::probe::service::transport::{Failure, Http, Outgoing, Payload, Reply};
use crate::snapshot::{Fact, Operation, RequestFacts, Why};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Longest wait for a description.
const PATIENCE: Duration = Duration::from_secs(5);

/// What answers for a TLS port that is spoken to in plain HTTP, by the texts of nginx, Go and Apache.
const SPEAKS_TLS: &[&str] =
    &["plain HTTP request was sent to HTTPS port", "HTTP request to an HTTPS server", "speaking plain HTTP to an SSL"];

/// What the server says of itself.
#[derive(Debug, Default)]
pub struct Discovered {
    pub kind: Option<&'static str>,
    pub document: Option<Document>,
    pub operation: Option<Candidate>,
    /// Where the usable schema is, or why there is none.
    pub schema: Option<Result<String, String>>,
}

/// Asks the server for its schema. An error means that it did not answer HTTP at all.
pub fn discover(
    http: &Http,
    server: &Url,
    everywhere: &[(String, String)],
    ask: &Ask,
    client: Option<&Message>,
) -> Result<Discovered, Failure> {
    let get = |url: Url| {
        let headers = everywhere.to_vec();
        let outgoing = Outgoing { method: "GET".into(), url, headers, payload: Payload::Empty, follow: true };
        http.send(&outgoing, PATIENCE)
    };
    let base = server.path().trim_end_matches('/').to_owned();
    let mut places = vec![format!("{base}/openapi.json")];
    if !base.is_empty() {
        places.push("/openapi.json".into());
    }
    // BentoML's place for the same.
    places.push("/docs.json".into());
    let wish = Wish {
        client_path: client.map(|message| message.path.as_str()),
        client_encoding: client.map(|message| message.encoding),
        named: ask.operation.as_deref(),
    };
    let mut errors = Vec::new();
    let mut document = None;
    for place in places {
        let url = at(server, &place);
        match get(url.clone()) {
            Ok(reply) => {
                reject_tls(&reply)?;
                match described(&reply) {
                    Ok(found) => {
                        document = Some((url, found, place));
                        break;
                    }
                    Err(error) => errors.push(format!("{url}: {error}")),
                }
            }
            Err(failure) => errors.push(reached(failure)?),
        }
    }
    if let Some((url, found, place)) = document {
        let prefix = place.strip_suffix("/openapi.json").unwrap_or_default();
        let kind = Some(found.kind());
        match chosen(&found, &wish, &base, prefix) {
            Ok(operation) => {
                let schema = Some(Ok(url.to_string()));
                return Ok(Discovered { kind, document: Some(found), operation: Some(operation), schema });
            }
            Err(error) => {
                // The schema is there, but has nothing to try; KServe servers may describe only their own routes in it.
                let other = kserve(http, server, everywhere, ask, client);
                if let Ok(found) = other {
                    return Ok(found);
                }
                let schema = Some(Err(format!("{url}: {error}")));
                return Ok(Discovered { kind, document: Some(found), operation: None, schema });
            }
        }
    }
    match kserve(http, server, everywhere, ask, client) {
        Ok(found) => Ok(found),
        Err(error) => {
            errors.push(error);
            Ok(Discovered { schema: Some(Err(errors.join("; "))), ..Discovered::default() })
        }
    }
}

/// The server's address with another path and no query.
pub fn at(server: &Url, path: &str) -> Url {
    let mut url = server.clone();
    url.set_path(path);
    url.set_query(None);
    url
}

fn reject_tls(reply: &Reply) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(&reply.body);
    if reply.status == 400 && SPEAKS_TLS.iter().any(|words| text.contains(words)) {
        let text = "the port speaks TLS, plain HTTP was sent: name it https://";
        return Err(crate::probe::service::transport::failure(Why::Malformed, text.into()));
    }
    Ok(())
}

/// A failure after the head of an answer is one of the schema only; before it, the server is not reached.
fn reached(failure: Failure) -> Result<String, Failure> {
    let redirects = failure.text.contains("redirected more than");
    match &failure.partial {
        Some(reply) => Ok(format!("{} (HTTP {})", failure.text, reply.status)),
        None if redirects => Ok(failure.text),
        None => Err(failure),
    }
}

fn described(reply: &Reply) -> Result<Document, String> {
    if reply.status != 200 {
        return Err(format!("expected an OpenAPI document, got HTTP {}", reply.status));
    }
    if reply.cut {
        return Err(format!(
            "expected an OpenAPI document, got more than {} bytes",
            crate::probe::service::transport::BODY_CAP
        ));
    }
    Document::read(&reply.body)
}

/// The operation, with its path as the server sees it.
fn chosen(document: &Document, wish: &Wish, base: &str, prefix: &str) -> Result<Candidate, String> {
    let inner = |path| str::strip_prefix(path, prefix).unwrap_or(path);
    let mut wish = Wish {
        client_path: wish.client_path.map(inner),
        client_encoding: wish.client_encoding,
        named: wish.named.map(inner),
    };
    // The path of the server's URL may name the operation, or only where the server is mounted.
    let mounted = Some(base).filter(|base| !base.is_empty() && wish.named.is_none() && prefix.is_empty());
    let by_base = mounted.and_then(|base| document.choose(&Wish { named: Some(base), ..Wish::default() }).ok());
    let listed = |path| document.choose(&Wish { named: Some(path), ..Wish::default() }).is_ok();
    if !wish.client_path.is_some_and(listed)
        && let Some(found) = by_base
    {
        return Ok(found);
    }
    wish.named = wish.named.filter(|path| !path.is_empty());
    let found = document.choose(&wish)?;
    Ok(Candidate { path: format!("{prefix}{}", found.path), ..found })
}

fn kserve(
    http: &Http,
    server: &Url,
    everywhere: &[(String, String)],
    ask: &Ask,
    client: Option<&Message>,
) -> Result<Discovered, String> {
    let mut question = |path: &str, body: Option<&Value>| {
        let payload = match body {
            None => Payload::Empty,
            Some(body) => Payload::Bytes {
                bytes: Arc::from(body.to_string().into_bytes()),
                content_type: "application/json".into(),
            },
        };
        let method = if body.is_some() { "POST" } else { "GET" }.to_owned();
        let url = at(server, path);
        let outgoing = Outgoing { method, url: url.clone(), headers: everywhere.to_vec(), payload, follow: false };
        let reply = http.send(&outgoing, PATIENCE).map_err(|failure| failure.text)?;
        if reply.status != 200 {
            return Err(format!("{url}: expected a KServe v2 server, got HTTP {}", reply.status));
        }
        serde_json::from_slice(&reply.body).map_err(|error| format!("{url}: expected JSON: {error}"))
    };
    let in_client = client.and_then(|message| kserve::model_in_path(&message.path));
    let named = ask.operation.as_deref().or(ask.fields.get("model").map(String::as_str));
    let operation = kserve::discover(in_client.or(named), &mut question)?;
    let place = at(server, operation.path.trim_end_matches("/infer")).to_string();
    Ok(Discovered { kind: Some("kserve-v2"), document: None, operation: Some(operation), schema: Some(Ok(place)) })
}

impl Discovered {
    /// Path under which the server's schema, and so its other endpoints, are mounted; empty if at the root.
    pub fn schema_prefix(&self) -> String {
        let url = self.schema.as_ref().and_then(|schema| schema.as_ref().ok()?.parse::<Url>().ok());
        url.and_then(|url| url.path().strip_suffix("/openapi.json").map(str::to_owned)).unwrap_or_default()
    }

    /// An endpoint that costs the server next to nothing: where it describes itself, or its health.
    pub fn light(&self, server: &Url) -> Url {
        let schema = || self.schema.as_ref()?.as_ref().ok()?.parse().ok();
        match self.kind {
            Some("kserve-v2") => at(server, "/v2/health/live"),
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
    pub fn record(&self, client: Option<&Message>, room: &mut RequestFacts) {
        room.reachable = Fact::Known(true);
        room.reach_error = Fact::unknown(Why::Absent, "the server answers HTTP");
        room.server_kind = Fact::Known(self.kind.unwrap_or("unrecognized").into());
        (room.schema_url, room.schema_error) = match &self.schema {
            Some(Ok(url)) => (Fact::Known(url.clone()), Fact::unknown(Why::Absent, "the schema is usable")),
            Some(Err(error)) => (Fact::unknown(Why::Absent, error.clone()), Fact::Known(error.clone())),
            None => return,
        };
        room.operation = match (&self.operation, client) {
            (Some(operation), _) => Fact::Known(Operation {
                method: operation.method.clone(),
                path: operation.path.clone(),
                content_type: operation.content_type.clone(),
                fields: operation.fields.iter().map(|field| field.record()).collect(),
            }),
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
        };
    }
}
