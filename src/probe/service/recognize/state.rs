//! What the server's own endpoints tell of its state, asked before any request is tried: is the model loaded, is the
//! engine awake? A few cheap GETs, chosen by what the server is; what was asked already is not asked again.

use super::kserve::{is_name, model_in_path};
use super::questions::Questions;
use super::{Discovered, kserve_v1};
use crate::probe::service::record::Recorder;
use crate::probe::service::transport::Reply;
use crate::snapshot::{Fact, StateAnswer};
use std::time::{Duration, Instant};

/// Questions at most, the wait for one, and for all.
const MOST: usize = 4;
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
    questions: &mut Questions,
    found: &Discovered,
    client_path: Option<&str>,
    recorder: &Recorder,
) -> Vec<StateAnswer> {
    let mut answers = Vec::new();
    questions.one_for_the_state();
    let end = questions.end_after(PATIENCE_FOR_ALL);
    for path in places(found, client_path) {
        let limit = PATIENCE.min(end.saturating_duration_since(Instant::now()));
        if limit < Duration::from_millis(50) || questions.left() == 0 && !questions.knows(&path) {
            break;
        }
        match questions.get_at(&path, limit) {
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
    let prefix = &found.prefix;
    // What only one family has stands at the root, whatever is mounted behind it.
    let family =
        found.states.iter().map(|path| if path.starts_with("/-/") { path.clone() } else { format!("{prefix}{path}") });
    let mut places: Vec<String> = family.collect();
    if let Some(document) = &found.document {
        let listed = LISTED.iter().filter(|path| document.lists(path)).take(LISTED_MAX);
        places.extend(listed.map(|path| format!("{prefix}{path}")));
        // vLLM mounts its metrics outside the document; /is_sleeping is there in its development mode only.
        if document.lists("/v1/completions") || document.lists("/v1/chat/completions") {
            places.push(format!("{prefix}/metrics"));
        }
    } else if places.is_empty() {
        places.extend(by_client(client_path));
    }
    let mut seen = Vec::new();
    places.retain(|path| {
        !seen.contains(path) && {
            seen.push(path.clone());
            true
        }
    });
    places.truncate(MOST);
    places
}

/// Of a server that nobody knows: what the client's path says of it.
fn by_client(client_path: Option<&str>) -> Vec<String> {
    if let Some(name) = client_path.and_then(model_in_path) {
        let model = is_name(name).then(|| format!("/v2/models/{name}/ready"));
        return ["/v2/health/live", "/v2/health/ready"].map(String::from).into_iter().chain(model).collect();
    }
    match client_path.and_then(kserve_v1::model_in_path).filter(|name| is_name(name)) {
        // KServe v1 and TensorFlow Serving.
        Some(name) => vec!["/".to_owned(), format!("/v1/models/{name}")],
        None => vec!["/health".to_owned()],
    }
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
        assert_eq!(places(&unrecognized, None), ["/health"]);
        let triton = places(&unrecognized, Some("/v2/models/asr/infer"));
        assert_eq!(triton, ["/v2/health/live", "/v2/health/ready", "/v2/models/asr/ready"]);
        assert_eq!(places(&unrecognized, Some("/v1/models/m:predict")), ["/", "/v1/models/m"]);
        assert_eq!(places(&unrecognized, Some("/v2/models/a%2fb/infer")).len(), 2, "no made-up paths");
        let ollama = Discovered { states: vec!["/api/ps".into()], ..Discovered::default() };
        assert_eq!(places(&ollama, Some("/v2/models/asr/infer")), ["/api/ps"], "the family knows better");
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
