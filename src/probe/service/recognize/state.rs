//! What the server's own endpoints tell of its state, asked before any request is tried: is the model loaded, is the
//! engine awake? At most six cheap GETs, chosen by what the server is.

use super::kserve::model_in_path;
use super::{Discovered, at};
use crate::probe::service::record::Recorder;
use crate::probe::service::transport::{Http, Outgoing, Payload, Reply};
use crate::snapshot::{Fact, StateAnswer};
use std::time::{Duration, Instant};
use url::Url;

/// Questions at most, the wait for one, and for all.
const MOST: usize = 6;
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_FOR_ALL: Duration = Duration::from_secs(2);
/// Characters kept of an answer.
const ANSWER_CAP: usize = 300;
/// Metrics that tell the state of an engine.
const METRICS: &[&str] = &["vllm:engine_sleep_state{"];

/// Health and readiness endpoints that an OpenAPI document may list, the more telling ones first.
const LISTED: &[&str] =
    &["/is_sleeping", "/health/ready", "/v1/health/ready", "/readyz", "/ready", "/health", "/healthz"];
/// Of those, how many are asked.
const LISTED_MAX: usize = 3;

/// Asks the endpoints. One that does not answer ends the asking.
pub fn ask(
    http: &Http,
    server: &Url,
    everywhere: &[(String, String)],
    found: &Discovered,
    client_path: Option<&str>,
    recorder: &Recorder,
) -> Vec<StateAnswer> {
    let mut answers = Vec::new();
    let end = Instant::now() + PATIENCE_FOR_ALL;
    for path in places(found, client_path) {
        let limit = PATIENCE.min(end.saturating_duration_since(Instant::now())).min(http.time_left() / 8);
        if limit < Duration::from_millis(50) {
            break;
        }
        let (url, headers) = (at(server, &path), everywhere.to_vec());
        let outgoing = Outgoing { method: "GET".into(), url, headers, payload: Payload::Empty, follow: false };
        match http.send(&outgoing, limit) {
            Ok(reply) => {
                let status = Fact::Known(reply.status.into());
                let answer = recorder.clean(&excerpt(&path, &reply), ANSWER_CAP);
                answers.push(StateAnswer { path, status, answer });
            }
            Err(failure) => {
                let status = Fact::unknown(failure.why, recorder.clean(&failure.text, ANSWER_CAP));
                answers.push(StateAnswer { path, status, answer: String::new() });
                break;
            }
        }
    }
    answers
}

/// The endpoints that this server should have.
fn places(found: &Discovered, client_path: Option<&str>) -> Vec<String> {
    let mut places = Vec::new();
    if let Some(document) = &found.document {
        let prefix = found.schema_prefix();
        let listed = LISTED.iter().filter(|path| document.lists(path)).take(LISTED_MAX);
        places.extend(listed.map(|path| format!("{prefix}{path}")));
        // vLLM mounts its metrics outside the document; /is_sleeping is there in its development mode only.
        if document.lists("/v1/completions") || document.lists("/v1/chat/completions") {
            places.push(format!("{prefix}/metrics"));
        }
        return places;
    }
    let infer = found.operation.as_ref().map(|operation| operation.path.as_str());
    // A KServe server that lists the model and does not describe it, as Triton does before it has loaded one.
    let undescribed = found.lack().rsplit_once("/v2/models/").and_then(|(_, rest)| rest.split([':', '/']).next());
    let model = client_path.and_then(model_in_path).or(infer.and_then(model_in_path)).or(undescribed);
    let classic = client_path.and_then(|path| path.strip_prefix("/v1/models/")?.split([':', '/']).next());
    if found.kind == Some("kserve-v2") || model.is_some() || found.lack().contains("repository index") {
        places.extend(["/v2/health/live", "/v2/health/ready"].map(String::from));
        places.extend(model.filter(|name| is_name(name)).map(|name| format!("/v2/models/{name}/ready")));
    } else if let Some(name) = classic.filter(|name| is_name(name)) {
        // KServe v1 and TensorFlow Serving.
        places.extend(["/".to_owned(), format!("/v1/models/{name}")]);
    } else {
        // llama.cpp and others; TorchServe; ollama.
        places.extend(["/health", "/ping", "/api/ps"].map(String::from));
    }
    places.truncate(MOST);
    places
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// The answer; of metrics the lines that tell the state.
fn excerpt(path: &str, reply: &Reply) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    if !path.ends_with("/metrics") {
        return text.into_owned();
    }
    let telling = |line: &&str| METRICS.iter().any(|metric| line.starts_with(metric));
    // Of each engine, the line that says whether it is awake.
    let lines = text.lines().filter(telling).filter(|line| line.contains("\"awake\""));
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::service::schema::Document;

    fn of(document: &str) -> Discovered {
        Discovered { document: Some(Document::read(document.as_bytes()).unwrap()), ..Discovered::default() }
    }

    #[test]
    fn what_is_asked_follows_what_the_server_is() {
        let vllm = of(r#"{"openapi": "3.1.0", "paths": {"/v1/completions": {"post": {}}, "/health": {"get": {}},
            "/is_sleeping": {"get": {}}, "/sleep": {"post": {}}}}"#);
        assert_eq!(places(&vllm, None), ["/is_sleeping", "/health", "/metrics"]);
        let plain = of(r#"{"openapi": "3.1.0", "paths": {"/asr": {"post": {}}, "/health": {"post": {}}}}"#);
        assert!(places(&plain, None).is_empty(), "only what the document lists as a GET is asked");
        let unrecognized = Discovered::default();
        assert_eq!(places(&unrecognized, None), ["/health", "/ping", "/api/ps"]);
        let triton = places(&unrecognized, Some("/v2/models/asr/infer"));
        assert_eq!(triton, ["/v2/health/live", "/v2/health/ready", "/v2/models/asr/ready"]);
        let schema =
            "http://h/docs.json: got HTTP 404; http://h:8000/v2/models/echo: expected a KServe v2 server, got HTTP 404";
        let unloaded = Discovered { schema: Some(Err(schema.into())), ..Discovered::default() };
        assert_eq!(places(&unloaded, None)[2], "/v2/models/echo/ready");
        assert_eq!(places(&unrecognized, Some("/v1/models/m:predict")), ["/", "/v1/models/m"]);
        assert_eq!(places(&unrecognized, Some("/v2/models/a%2fb/infer")).len(), 2, "no made-up paths");
    }

    #[test]
    fn of_metrics_only_the_state_is_kept() {
        let body = "# HELP vllm:engine_sleep_state x\nvllm:engine_sleep_state{engine=\"0\",sleep_state=\"awake\"} 0.0\n\
                    vllm:engine_sleep_state{engine=\"0\",sleep_state=\"discard_all\"} 1.0\nother 3\n";
        let reply = Reply { status: 200, body: body.into(), ..Reply::default() };
        assert_eq!(excerpt("/metrics", &reply), r#"vllm:engine_sleep_state{engine="0",sleep_state="awake"} 0.0"#);
        assert_eq!(excerpt("/health", &Reply { body: vec![b'a', 0xff], ..reply }), "a\u{fffd}");
    }
}
