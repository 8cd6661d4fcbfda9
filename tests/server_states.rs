//! Servers that are up while their model is not: what they answer for themselves, and what is made of it.

#[path = "setup/scripted_server.rs"]
mod scripted_server;

use gpu_doctor::check::{Checks, Verdict, View, judge};
use gpu_doctor::probe::{Ask, Context, service};
use gpu_doctor::snapshot::{Facts, SCHEMA, Snapshot, Target, Unknown, Why};
use scripted_server::ScriptedServer;
use std::time::{Duration, Instant};

const JSON: &str = "application/json";

/// Asks the server and judges its answers: the facts, and whether each of these checks holds.
fn examined(server: &ScriptedServer, client: Option<&str>, checks: &[&str]) -> (Facts, Vec<bool>) {
    let ask = Ask {
        server: Some(server.url().parse().unwrap()),
        client_request: client.map(|path| {
            ("the test".to_owned(), format!("curl {}{path} -H 'content-type: {JSON}' -d '{{}}'", server.url()))
        }),
        requests: 1,
        ..Ask::default()
    };
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"));
    (service::PROBE.run)(&Context { ask, deadline: Instant::now() + Duration::from_secs(20) }, &mut facts);
    let snapshot = Snapshot {
        schema: SCHEMA.into(),
        schema_minor: 0,
        tool: "test".into(),
        taken_at: String::new(),
        target: Target { server: Some(server.url()), server_is_local: Some(true), ..Target::default() },
        probes: Vec::new(),
        facts: facts.clone(),
    };
    let all = Checks::load(None).unwrap();
    let findings = judge(&all, &snapshot, &View::of(&snapshot)).unwrap();
    let holds = |id: &&str| findings.iter().any(|f| f.check.spec.id == **id && f.verdict == Verdict::Holds);
    (facts, checks.iter().map(holds).collect())
}

fn paths(facts: &Facts) -> Vec<(String, u64)> {
    let answers = facts.request.state_answers.known().unwrap();
    answers.iter().map(|one| (one.path.clone(), one.status.known().copied().unwrap_or(0))).collect()
}

const LOADED: &[&str] = &["model-not-loaded", "all-requests-rejected"];

#[test]
fn triton_without_the_model() {
    for ready in [false, true] {
        let server =
            ScriptedServer::answering(move |request| match (request.method.as_str(), request.target.as_str()) {
                (_, "/v2/health/live" | "/v2/health/ready") => (200, JSON, String::new()),
                (_, "/v2/models/asr/ready") => (if ready { 200 } else { 400 }, JSON, String::new()),
                ("POST", "/v2/models/asr/infer") if ready => (200, JSON, r#"{"outputs": [{"data": [1]}]}"#.into()),
                (_, path) if path.starts_with("/v2/models/asr") => {
                    (400, JSON, r#"{"error":"Request for unknown model: 'asr' is not found"}"#.into())
                }
                (_, "/v2") => (200, JSON, r#"{"name":"triton","version":"2.51.0","extensions":[]}"#.into()),
                _ => (404, JSON, String::new()),
            });
        let (facts, held) = examined(&server, Some("/v2/models/asr/infer"), LOADED);
        assert_eq!(held[0], !ready, "{:?}", facts.request);
        let expected = [
            ("/v2/health/live", 200),
            ("/v2/health/ready", 200),
            ("/v2/models/asr/ready", if ready { 200 } else { 400 }),
        ];
        assert_eq!(paths(&facts), expected.map(|(path, status)| (path.to_owned(), status)));
    }
}

#[test]
fn triton_of_which_no_model_could_be_loaded() {
    let server = ScriptedServer::answering(|request| match request.target.as_str() {
        "/v2" => (200, JSON, r#"{"name":"triton","version":"2.51.0","extensions":[]}"#.into()),
        "/v2/repository/index" => {
            (200, JSON, r#"[{"name":"asr","version":"1","state":"UNAVAILABLE","reason":"failed to load"}]"#.into())
        }
        "/v2/health/live" => (200, JSON, String::new()),
        _ => (400, JSON, String::new()),
    });
    let (facts, held) = examined(&server, None, LOADED);
    assert!(held[0], "{:?}", facts.request);
}

#[test]
fn torchserve_without_a_worker_is_healthy_by_its_own_word() {
    let body = r#"{
  "code": 503,
  "type": "ServiceUnavailableException",
  "message": "Model \"m\" has no worker to serve inference request. Please use scale workers API to add workers."
}"#;
    let failed = r#"{"code": 503, "type": "InternalServerException", "message": "Prediction failed"}"#;
    for (body, expected) in [(body, [true, true]), (failed, [false, true])] {
        let server = ScriptedServer::answering(move |request| match request.target.as_str() {
            "/ping" => (200, JSON, r#"{"status": "Healthy"}"#.into()),
            "/predictions/m" => (503, JSON, body.into()),
            _ => (
                404,
                JSON,
                r#"{"code": 404, "type": "ResourceNotFoundException", "message": "no such resource"}"#.into(),
            ),
        });
        let (facts, held) = examined(&server, Some("/predictions/m"), LOADED);
        assert_eq!(held, expected, "{:?}", facts.request);
    }
}

#[test]
fn llama_cpp_that_is_still_loading() {
    let body = r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;
    let server = ScriptedServer::answering(move |_| (503, JSON, body.into()));
    let (facts, held) = examined(&server, None, LOADED);
    assert!(held[0], "without a client's request too: {:?}", facts.request);
    assert_eq!(paths(&facts)[0], ("/health".to_owned(), 503));
    assert!(server.received().iter().filter(|request| request.method == "GET").count() <= 12);
}

#[test]
fn mlserver_and_kserve_that_do_not_know_the_model() {
    let server = ScriptedServer::answering(|request| match request.target.as_str() {
        path if path.starts_with("/v2/models/nope") => (404, JSON, r#"{"error":"Model nope not found"}"#.into()),
        "/v2/health/live" | "/v2/health/ready" => (200, JSON, String::new()),
        _ => (404, JSON, r#"{"detail":"Not Found"}"#.into()),
    });
    assert!(examined(&server, Some("/v2/models/nope/infer"), LOADED).1[0]);
    let kserve = ScriptedServer::answering(|request| match request.target.as_str() {
        "/" => (200, JSON, r#"{"status":"alive"}"#.into()),
        "/v1/models/m" => (503, JSON, r#"{"name":"m","ready":false}"#.into()),
        "/v1/models/m:predict" => (503, JSON, r#"{"error":"Model with name m is not ready."}"#.into()),
        _ => (404, JSON, String::new()),
    });
    assert!(examined(&kserve, Some("/v1/models/m:predict"), LOADED).1[0]);
}

/// vLLM's document as far as it matters here.
const VLLM: &str = r##"{"openapi": "3.1.0", "info": {"title": "FastAPI"}, "paths": {
    "/health": {"get": {}}, "/is_sleeping": {"get": {}},
    "/v1/completions": {"post": {"requestBody": {"content": {"application/json": {"schema": {"type": "object",
        "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}}}}}}},
    "components": {"schemas": {"HTTPValidationError": {}}}}"##;

#[test]
fn vllm_asleep_by_its_endpoint_or_by_its_metrics() {
    let check = &["engine-sleeping-or-unloaded"];
    for (endpoint, metrics, expected) in [
        ((200, r#"{"is_sleeping":true}"#), "0.0", true),
        ((404, r#"{"detail":"Not Found"}"#), "0.0", true),
        ((200, r#"{"is_sleeping":false}"#), "1.0", false),
    ] {
        let server = ScriptedServer::answering(move |request| match request.target.as_str() {
            "/openapi.json" => (200, JSON, VLLM.into()),
            "/is_sleeping" => (endpoint.0, JSON, endpoint.1.into()),
            "/health" => (200, JSON, String::new()),
            "/metrics" => {
                let noise = "vllm:num_requests_running{engine=\"0\"} 0.0\n".repeat(500);
                let awake = format!(
                    "vllm:engine_sleep_state{{engine=\"0\",model_name=\"tiny\",sleep_state=\"awake\"}} {metrics}\n"
                );
                (200, "text/plain", format!("{noise}{awake}{noise}"))
            }
            "/v1/completions" => (200, JSON, r#"{"choices":[{"text":"x"}]}"#.into()),
            _ => (404, JSON, String::new()),
        });
        let (facts, held) = examined(&server, None, check);
        assert_eq!(held, [expected], "{:?}", facts.request.state_answers);
    }
}

#[test]
fn ollama_with_and_without_a_model_in_memory() {
    for (models, expected) in [("[]", true), (r#"[{"name": "llama3.2", "size_vram": 3400000000}]"#, false)] {
        let server = ScriptedServer::answering(move |request| match request.target.as_str() {
            "/api/ps" => (200, JSON, format!("{{\"models\": {models}}}")),
            "/api/generate" => (200, JSON, r#"{"response": "hi", "done": true}"#.into()),
            _ => (404, "text/plain", "404 page not found".into()),
        });
        let (facts, held) = examined(&server, Some("/api/generate"), &["engine-sleeping-or-unloaded"]);
        assert_eq!(held, [expected], "{:?}", facts.request.state_answers);
    }
}

#[test]
fn a_server_that_hangs_on_its_health_costs_little() {
    let server = ScriptedServer::start(|request, stream| {
        if request.target == "/health" {
            std::thread::sleep(Duration::from_secs(6));
        }
        let _ = std::io::Write::write_all(stream, scripted_server::respond(404, JSON, "{}").as_bytes());
    });
    let started = Instant::now();
    let (facts, _) = examined(&server, None, &[]);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let answers = facts.request.state_answers.known().unwrap();
    assert_eq!(answers.len(), 1, "the first silence ends the asking");
    assert_eq!(answers[0].status.reason().unwrap().why, Why::TimedOut);
}
