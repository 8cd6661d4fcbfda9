//! A server that speaks gRPC: what it is, which inference to try, in which state it is.

use super::{HEALTH, INFER, MEDIA_TYPE, SERVICE, call};
use crate::probe::Ask;
use crate::probe::service::message::{Encoding, Place};
use crate::probe::service::recognize::{Discovered, kserve};
use crate::probe::service::record::Recorder;
use crate::probe::service::schema::{Candidate, Described};
use crate::probe::service::transport::{Failure, Http, Outgoing, Reply, Trust};
use crate::snapshot::{Fact, Readiness, RequestFacts, StateAnswer, Unknown, Why};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use url::Url;

/// Longest wait for one answer about the server, and about its state.
const PATIENCE: Duration = Duration::from_secs(5);
const STATE_PATIENCE: Duration = Duration::from_secs(1);
/// Longest wait for the answer whether a port speaks gRPC at all.
const GUESS_PATIENCE: Duration = Duration::from_millis(1500);
/// Characters kept of an answer about the state; names of models that are kept.
const ANSWER_CAP: usize = 300;
const MODELS_MAX: usize = 100;

/// What the server says of itself beyond its operation.
#[derive(Debug, Default)]
pub struct Told {
    version: Option<String>,
    by: Option<String>,
    models: Option<Vec<String>>,
}

/// Asks the server what it serves. An error means that it does not speak gRPC.
///
/// # Errors
/// As of a server that is not reached; the text says what the port seems to speak.
pub fn discover(
    http: &Http,
    server: &Url,
    everywhere: &[(String, String)],
    ask: &Ask,
) -> Result<(Discovered, Told), Failure> {
    let send = |path: &str, request: &Value| {
        let outgoing = call(server, path, request, everywhere).unwrap_or_else(|_| live(server, everywhere));
        http.send(&outgoing, PATIENCE)
    };
    let first = send(&service("ServerMetadata"), &json!({})).map_err(|failure| not_grpc(server, failure))?;
    if first.grpc_status.is_none() {
        let text = format!(
            "{}:{} answers HTTP/2 ({}), but not gRPC: name it http://",
            server.host_str().unwrap_or("?"),
            server.port_or_known_default().unwrap_or(0),
            first.status
        );
        return Err(crate::probe::service::transport::failure(Why::Malformed, text));
    }
    let mut told = Told::default();
    let metadata = answer(&first);
    let kind = match metadata.as_ref().ok().and_then(|metadata| metadata.get("name")?.as_str()) {
        Some("triton") => "triton",
        Some("mlserver") => "mlserver",
        Some(_) => "kserve-v2",
        None => "grpc",
    };
    if let Ok(metadata) = &metadata {
        let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        told.version = Some(text("version")).filter(|version| !version.is_empty());
        told.by = Some(format!("ServerMetadata: {} {}", text("name"), text("version")).trim_end().to_owned());
    }
    // KServe's own client asks by HTTP's paths; the same questions exist here.
    let mut question = |path: &str, _: Option<&Value>| {
        let (call, request) = match path.strip_prefix("/v2").map(|rest| rest.trim_start_matches('/')) {
            Some("") => return metadata.clone(),
            Some("repository/index") => ("RepositoryIndex", json!({})),
            Some(rest) => {
                let rest = rest.strip_prefix("models/").unwrap_or(rest);
                match rest.strip_suffix("/config") {
                    Some(model) => ("ModelConfig", json!({ "name": model })),
                    None => ("ModelMetadata", json!({ "name": rest })),
                }
            }
            None => return Err(format!("gRPC has no call for {path}")),
        };
        let reply = send(&service(call), &request).map_err(|failure| failure.text)?;
        let answer = answer(&reply).map_err(|error| format!("{call}: {error}"))?;
        if call == "RepositoryIndex" {
            let names = answer.as_array().into_iter().flatten().filter_map(|model| model.get("name")?.as_str());
            let mut names: Vec<String> = names.map(str::to_owned).take(MODELS_MAX).collect();
            names.dedup();
            told.models = Some(names);
        }
        Ok(answer)
    };
    let given = ask.fields.get("model_name").or(ask.fields.get("model")).map(String::as_str);
    let named = given.or(ask.operation.as_deref().filter(|path| !path.starts_with(SERVICE)));
    let found = kserve::discover(named, &mut question);
    let schema_url = |call: &str| super::super::recognize::at(server, &service(call)).to_string();
    let found = match found {
        Ok(candidate) => Discovered {
            kind: Some(kind),
            operation: Some(as_call(candidate)),
            schema: Some(Ok(schema_url("ModelMetadata"))),
            ..Discovered::default()
        },
        Err(error) => Discovered { kind: Some(kind), schema: Some(Err(error)), ..Discovered::default() },
    };
    Ok((found, told))
}

/// The inference of KServe v2 as a call: the model's name is a field of the message.
fn as_call(candidate: Candidate) -> Candidate {
    let model = kserve::model_in_path(&candidate.path).unwrap_or_default();
    let name = Described {
        name: "model_name".into(),
        place: Place::Message,
        required: true,
        kind: "string",
        schema: json!({ "const": model }),
    };
    Candidate {
        path: INFER.into(),
        encoding: Encoding::Grpc,
        content_type: MEDIA_TYPE.into(),
        fields: std::iter::once(name).chain(candidate.fields).collect(),
        ..candidate
    }
}

/// The lightest call: is the server alive?
pub fn live(server: &Url, everywhere: &[(String, String)]) -> Outgoing {
    let url = super::super::recognize::at(server, &service("ServerLive"));
    let bytes = super::frame::framed(&[]).into();
    let payload = crate::probe::service::transport::Payload::Bytes { bytes, content_type: MEDIA_TYPE.into() };
    Outgoing { method: "POST".into(), url, headers: everywhere.to_vec(), payload, follow: false }
}

/// What the calls about the server's state answer, told as JSON. One that fails ends the asking.
pub fn state(
    http: &Http,
    server: &Url,
    everywhere: &[(String, String)],
    found: &Discovered,
    recorder: &Recorder,
) -> Vec<StateAnswer> {
    let model = found.operation.as_ref().and_then(|operation| {
        let name = operation.fields.iter().find(|field| field.place == Place::Message)?;
        name.schema.get("const")?.as_str()
    });
    let calls = [
        Some((HEALTH.to_owned(), json!({}))),
        Some((service("ServerLive"), json!({}))),
        Some((service("ServerReady"), json!({}))),
        model.map(|model| (service("ModelReady"), json!({ "name": model }))),
    ];
    let mut answers = Vec::new();
    let end = Instant::now() + 2 * STATE_PATIENCE;
    for (path, request) in calls.into_iter().flatten() {
        let limit = STATE_PATIENCE.min(end.saturating_duration_since(Instant::now())).min(http.time_left() / 8);
        let Ok(outgoing) = call(server, &path, &request, everywhere) else { continue };
        let (status, answer) = match http.send(&outgoing, limit) {
            Ok(reply) => (Fact::Known(reply.status.into()), String::from_utf8_lossy(&reply.body).into_owned()),
            Err(failure) => (Fact::unknown(failure.why, recorder.clean(&failure.text, ANSWER_CAP)), String::new()),
        };
        let failed = status.known().is_none();
        answers.push(StateAnswer { path, status, answer: recorder.clean(&answer, ANSWER_CAP) });
        if failed {
            break;
        }
    }
    answers
}

impl Told {
    /// Fills the facts about the server, its state included.
    pub fn record(self, state: &[StateAnswer], room: &mut RequestFacts) {
        let lack = |call: &str| Unknown::new(Why::Absent, format!("{call} did not tell"));
        room.server_version = self.version.ok_or_else(|| lack("ServerMetadata")).into();
        room.recognized_by = Fact::Known(self.by.unwrap_or("it answers gRPC".into()));
        if let Some(models) = self.models {
            room.served_models = Fact::Known(models);
        }
        let says = |path: &str, key: &str| {
            let answer = state.iter().find(|answer| answer.path == path && answer.status.known() == Some(&200));
            let said = answer.and_then(|answer| serde_json::from_str::<Value>(&answer.answer).ok());
            said.and_then(|said| said.get(key)?.as_bool()).ok_or_else(|| lack(path)).into()
        };
        let serving = state.iter().find(|answer| answer.path == HEALTH && answer.status.known() == Some(&200));
        let serving = serving.map(|answer| answer.answer.contains("\"SERVING\""));
        let ready: Fact<bool> = says(&service("ServerReady"), "ready");
        room.readiness = Fact::Known(Readiness {
            // It has answered.
            live: Fact::Known(true),
            ready: match (ready, serving) {
                (Fact::Unknown(_), Some(serving)) => Fact::Known(serving),
                (ready, _) => ready,
            },
            model_loaded: says(&service("ModelReady"), "ready"),
            warmed_up: Fact::unknown(Why::NotAsked, "no request had been sent yet"),
        });
    }
}

/// Of a port that was named http:// and answered no HTTP/1: the failure, with the right name if it speaks gRPC.
pub fn named_rightly(server: &Url, failure: Failure, deadline: Instant) -> Failure {
    if failure.own || failure.partial.is_some() || failure.why != Why::Malformed {
        return failure;
    }
    let scheme = if server.scheme() == "https" { "grpcs" } else { "grpc" };
    let place = format!("{}:{}", server.host_str().unwrap_or("?"), server.port_or_known_default().unwrap_or(0));
    let speaks = format!("{scheme}://{place}").parse().is_ok_and(|url| {
        // Nothing of the user's is needed to learn what a port speaks.
        let http = Http::new(&url, &Trust::default(), deadline);
        let reply = http.and_then(|http| http.send(&live(server, &[]), GUESS_PATIENCE));
        reply.is_ok_and(|reply| reply.content_type.starts_with(MEDIA_TYPE))
    });
    match speaks {
        true => Failure { text: format!("{place}: this port speaks gRPC: name it {scheme}://{place}"), ..failure },
        false => failure,
    }
}

/// Of a port that was named grpc:// and answered no HTTP/2.
fn not_grpc(server: &Url, failure: Failure) -> Failure {
    let http2 = failure.text.split_once("http2 error: ").map(|(_, error)| error.to_owned());
    if failure.own || failure.why != Why::Malformed && http2.is_none() {
        return failure;
    }
    let (host, port) = (server.host_str().unwrap_or("?"), server.port_or_known_default().unwrap_or(0));
    let cause = http2.unwrap_or_else(|| failure.text.clone());
    let text = format!("{host}:{port} does not answer gRPC ({cause}); if it speaks HTTP/1.1, name it http://");
    Failure { why: Why::Malformed, text, ..failure }
}

fn service(call: &str) -> String {
    format!("{SERVICE}{call}")
}

/// The answer's JSON, or the status and the words of the refusal.
fn answer(reply: &Reply) -> Result<Value, String> {
    match reply.status {
        200 => serde_json::from_slice(&reply.body).map_err(|error| error.to_string()),
        status => {
            let name = reply.grpc_status.clone().unwrap_or_else(|| format!("HTTP {status}"));
            Err(format!("{name}: {}", String::from_utf8_lossy(&reply.body)))
        }
    }
}
