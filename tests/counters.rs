//! The server's own counters, read in step with the window's requests: real servers through the binary, and pages that
//! vanish, run backwards, hang or are no metrics.

#[path = "setup/scripted_server.rs"]
mod scripted_server;
mod setup;

use gpu_doctor::probe::{Ask, Context, service};
use gpu_doctor::snapshot::{CountersFacts, Fact, Facts, Unknown, Why};
use scripted_server::{Received, ScriptedServer};
use serde_json::Value;
use setup::doctor::gpu_doctor;
use setup::real_server::{Server, free_port, program, triton_of};
use setup::venv::venv;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The facts of a run of the binary against this server, and its report.
fn run(url: &str, settings: &str) -> (Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (saved, config) = (place("snapshot.json"), place("config.yaml"));
    std::fs::write(&config, settings).unwrap();
    let options = ["--requests", "6", "--save", &saved, "--config", &config];
    let said = gpu_doctor(&[&["run", "--format", "json", "--server", url][..], &options].concat(), &[]);
    let snapshot: Value = serde_json::from_slice(&std::fs::read(&saved).unwrap()).unwrap();
    (snapshot["facts"].clone(), said.report())
}

fn known(fact: &Value) -> Value {
    fact.get("known").unwrap_or_else(|| panic!("it is not known: {fact}")).clone()
}

/// The counters of a model; what they gained is held against what was sent.
fn model<'a>(facts: &'a Value, software: &str, name: &str) -> &'a Value {
    let counters = &facts["counters"];
    // Where the page is, the server's command line tells.
    let process = &facts["process"];
    assert_eq!(counters["software"]["known"], serde_json::json!([software]), "{counters} {process}");
    assert_eq!(counters["doubts"]["known"], serde_json::json!([]), "{counters}");
    let models = counters["models"]["known"].as_array().unwrap();
    models.iter().find(|one| one["model"] == name).unwrap_or_else(|| panic!("{name} is not among {models:#?}"))
}

fn sent(facts: &Value) -> f64 {
    let sent = known(&facts["execution"]["requests_ok"]).as_f64().unwrap();
    assert!(sent > 0.0);
    sent
}

/// No check that reads counters is left open, and none holds.
fn assert_healthy(report: &Value) {
    let findings = report["findings"].as_array().unwrap();
    let open = findings.iter().filter(|finding| finding["stage"] == "load");
    let open: Vec<&Value> =
        open.filter(|finding| ["unknown", "holds"].contains(&finding["verdict"].as_str().unwrap())).collect();
    assert!(open.is_empty(), "{open:#?}");
}

fn triton(options: &[&str]) -> Option<(Server, u16)> {
    let port = free_port();
    let own = ["--allow-metrics=true", "--metrics-address=127.0.0.1", &format!("--metrics-port={port}")];
    Some((triton_of("shapes", &venv("triton")?, "/v2/health/ready", &[&own[..], options].concat()), port))
}

#[test]
fn the_real_triton_counts_what_was_sent() {
    let Some((server, port)) = triton(&["--model-control-mode=explicit", "--load-model=vad"]) else { return };
    let (facts, report) = run(&server.url, "");
    let vad = model(&facts, "triton", "vad");
    assert_eq!(known(&facts["counters"]["pages"])[0], format!("http://127.0.0.1:{port}/metrics"));
    for count in ["requests_ok", "inferences", "executions"] {
        assert_eq!(known(&vad[count]).as_f64(), Some(sent(&facts)), "{count}: {vad}");
    }
    assert_eq!(known(&vad["requests_failed"]), 0.0);
    let (queue, compute, request) = (known(&vad["queue_ms"]), known(&vad["compute_ms"]), known(&vad["request_ms"]));
    let (queue, compute, request) = (queue.as_f64().unwrap(), compute.as_f64().unwrap(), request.as_f64().unwrap());
    assert!(compute > 0.0 && queue >= 0.0 && compute + queue <= request, "{vad}");
    assert!(request <= known(&facts["execution"]["request_ms_median"]).as_f64().unwrap() * 3.0 + 5.0, "{vad}");
    // The conversation had its requests before.
    assert!(known(&known(&vad["totals"])["requests_ok"]).as_f64().unwrap() >= 1.0, "{vad}");
    assert!(vad["cache_hits"]["unknown"]["why"] == "absent" && vad["running_most"]["unknown"]["why"] == "unsupported");
    let engine = known(&facts["engine"]["models"]);
    let own = engine.as_array().unwrap().iter().find(|one| one["name"] == "vad").unwrap();
    assert_eq!((known(&own["max_batch_size"]), known(&own["dynamic_batching"])), (16.into(), false.into()), "{own}");
    assert_healthy(&report);
}

/// Clients that send the same request without a pause until they are dropped.
struct Clients(std::sync::Arc<std::sync::atomic::AtomicBool>, Vec<std::thread::JoinHandle<u64>>);

impl Clients {
    fn start(count: usize, port: u16, path: &'static str, body: &str) -> Self {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let client = |_| {
            let (stop, body) = (stop.clone(), body.to_owned());
            std::thread::spawn(move || {
                let mut answered = 0;
                while !stop.load(Ordering::SeqCst) {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                    let length = body.len();
                    let head =
                        format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n");
                    write!(stream, "{head}content-type: application/json\r\n\r\n{body}").unwrap();
                    let mut answer = String::new();
                    let _ = stream.read_to_string(&mut answer);
                    answered += u64::from(answer.starts_with("HTTP/1.1 200"));
                }
                answered
            })
        };
        Self(stop.clone(), (0..count).map(client).collect())
    }

    /// Ends them; requests that were answered.
    fn end(self) -> u64 {
        self.0.store(true, Ordering::SeqCst);
        self.1.into_iter().map(|client| client.join().unwrap()).sum()
    }
}

#[test]
fn the_load_of_other_clients_shows_in_the_real_tritons_counters() {
    let Some((server, _)) = triton(&["--model-control-mode=explicit", "--load-model=vad"]) else { return };
    let sound = format!("[{}]", vec!["0.5"; 600].join(","));
    let body = format!(
        r#"{{"inputs": [{{"name": "audio", "datatype": "FP32", "shape": [1, 600], "data": {sound}}},
            {{"name": "sample_rate", "datatype": "INT32", "shape": [1, 1], "data": [16000]}}]}}"#
    );
    let clients = Clients::start(16, server.port, "/v2/models/vad/infer", &body);
    std::thread::sleep(Duration::from_millis(500));
    let (facts, report) = run(&server.url, "");
    assert!(clients.end() > 50);
    let vad = model(&facts, "triton", "vad");
    let (inferences, executions) = (known(&vad["inferences"]), known(&vad["executions"]));
    assert!(inferences.as_f64().unwrap() > sent(&facts), "others asked too: {vad}");
    assert_eq!(inferences, executions, "this model has no dynamic_batching: {vad}");
    let finding =
        report["findings"].as_array().unwrap().iter().find(|one| one["check"] == "triton-no-dynamic-batching");
    let finding = finding.unwrap_or_else(|| panic!("{}", report["findings"]));
    assert_eq!(finding["verdict"], "holds", "{finding} {vad}");
    let said = finding["why"].as_str().unwrap();
    assert!(said.starts_with("vad: ") && said.contains("its configuration has no dynamic_batching"), "{said}");
}

#[test]
fn a_page_of_another_triton_is_left_alone() {
    let Some((other, port)) = triton(&["--model-control-mode=explicit", "--load-model=image"]) else { return };
    let Some(venv) = venv("triton") else { return };
    // Its own page is off on its address; at the port that its command line names another one answers.
    let options = ["--model-control-mode=explicit", "--load-model=vad", "--allow-metrics=true"];
    let address = ["--metrics-address=127.0.0.9", &format!("--metrics-port={port}")];
    let server = triton_of("shapes", &venv, "/v2/health/ready", &[&options[..], &address].concat());
    let (facts, report) = run(&server.url, "");
    let unknown = &facts["counters"]["models"]["unknown"];
    assert_eq!(unknown["why"], "not_asked", "{unknown}");
    assert!(unknown["detail"].as_str().unwrap().contains("the metrics of another server"), "{unknown}");
    assert_healthy(&report);
    drop(other);
}

#[test]
fn the_server_of_llama_cpp_counts_its_decodings() {
    let Some(server) = program("llama", "llama", &[], "/health") else { return };
    let (facts, report) = run(&server.url, "");
    let llama = model(&facts, "llama_cpp", "");
    assert!(known(&llama["executions"]).as_f64().unwrap() >= sent(&facts), "{llama}");
    assert!(known(&llama["busy_percent"]).as_f64().unwrap() > 0.0, "{llama}");
    assert_eq!(llama["requests_ok"]["unknown"]["why"], "unsupported");
    assert_healthy(&report);
}

#[test]
fn mlserver_counts_what_was_sent_at_a_port_that_only_its_environment_names() {
    let Some(server) = program("mlserver", "mlserver", &[], "/v2/models/vad/ready") else { return };
    let (facts, report) = run(&server.url, "");
    let vad = model(&facts, "mlserver", "vad");
    assert_eq!(known(&vad["requests_ok"]).as_f64(), Some(sent(&facts)), "{vad}");
    assert!(known(&vad["request_ms"]).as_f64().unwrap() > 0.0);
    assert_healthy(&report);
}

#[test]
fn bentoml_counts_what_was_sent_to_an_endpoint() {
    let Some(server) = program("bentoml", "bentoml", &[], "/readyz") else { return };
    let (facts, report) = run(&server.url, "request: {path: /transcribe}");
    let transcribe = model(&facts, "bentoml", "/transcribe");
    assert_eq!(known(&transcribe["requests_ok"]).as_f64(), Some(sent(&facts)), "{transcribe}");
    let models = known(&facts["counters"]["models"]);
    assert!(
        models.as_array().unwrap().iter().all(|one| one["model"] != "/metrics" && one["model"] != "/readyz"),
        "{models}"
    );
    assert_healthy(&report);
}

/// The number of a page's reading, and the requests that were answered.
struct Count(AtomicU64, AtomicU64);

/// The counters of a server like vLLM, whose page is what `page` makes of the number of the reading and of the requests.
fn scripted(
    wait: Duration,
    page: impl Fn(u64, u64) -> (u16, String) + Send + Sync + 'static,
) -> (CountersFacts, Facts, Vec<Received>) {
    let count = Count(AtomicU64::new(0), AtomicU64::new(0));
    let server = ScriptedServer::answering(move |request| {
        let json = "application/json";
        match request.target.as_str() {
            "/openapi.json" => (200, json, DOCUMENT.into()),
            "/v1/models" => (200, json, r#"{"object":"list","data":[{"id":"tiny","owned_by":"vllm"}]}"#.into()),
            "/version" => (200, json, r#"{"version":"0.11.0"}"#.into()),
            "/metrics" => {
                let (status, body) = page(count.0.fetch_add(1, Ordering::SeqCst), count.1.load(Ordering::SeqCst));
                (status, "text/plain; version=0.0.4", body)
            }
            "/v1/chat/completions" | "/v1/completions" => {
                std::thread::sleep(wait);
                count.1.fetch_add(1, Ordering::SeqCst);
                let body = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"text":"hi"}]}"#;
                (200, json, body.into())
            }
            _ => (404, json, r#"{"detail":"Not Found"}"#.into()),
        }
    });
    let ask = Ask {
        server: Some(server.url().parse().unwrap()),
        headers: vec![("authorization".into(), "Bearer s3cr3t-of-the-test".into())],
        requests: 3,
        ..Ask::default()
    };
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"));
    (service::PROBE.run)(&Context { ask, deadline: Instant::now() + Duration::from_secs(25) }, &mut facts);
    assert_eq!(facts.request.server_kind, Fact::Known("vllm".into()), "{:?}", facts.request.recognized_by);
    assert_eq!(facts.execution.requests_ok, Fact::Known(3), "{:?}", facts.execution.requests_sent);
    assert!(!serde_json::to_string(&facts).unwrap().contains("s3cr3t"), "secrets stay out");
    (facts.counters.clone(), facts, server.received())
}

const DOCUMENT: &str = r#"{"openapi":"3.1.0","info":{"title":"FastAPI","version":"0.1.0"},"paths":{
    "/v1/completions":{"post":{"requestBody":{"content":{"application/json":{"schema":{"type":"object","required":["prompt"],
    "properties":{"model":{"type":"string"},"prompt":{"type":"string"}}}}}}}},
    "/v1/chat/completions":{"post":{"requestBody":{"content":{"application/json":{"schema":{"type":"object","required":["messages"],
    "properties":{"model":{"type":"string"},"messages":{"type":"array"}}}}}}}},
    "/v1/models":{"get":{}},"/load":{"get":{}},"/version":{"get":{}}}}"#;

fn vllm(ok: u64, start: f64) -> String {
    format!(
        "process_start_time_seconds {start}\nvllm:request_success_total{{finished_reason=\"stop\",model_name=\"tiny\"}} {ok}\n\
         vllm:num_requests_running{{model_name=\"tiny\"}} 1\nvllm:kv_cache_usage_perc{{model_name=\"tiny\"}} 0.{}\n",
        ok % 10
    )
}

const SOON: Duration = Duration::from_millis(5);

#[test]
fn a_page_is_read_before_and_after_and_a_second_apart_meanwhile() {
    let (counters, _, received) = scripted(Duration::from_millis(900), |_, requests| (200, vllm(requests, 5.0)));
    let models = counters.models.known().unwrap();
    assert_eq!((models.len(), &models[0].requests_ok), (1, &Fact::Known(3.0)), "{counters:#?}");
    assert_eq!(counters.doubts, Fact::Known(vec![]));
    let pages = received.iter().filter(|one| one.target == "/metrics").collect::<Vec<_>>();
    // One of them asked for the engine's state, before the first request.
    assert!((4..=7).contains(&pages.len()), "{}", pages.len());
    assert!(pages.iter().all(|one| one.head.contains("s3cr3t")), "at the server's own port its headers are sent");
}

#[test]
fn a_restart_workers_and_a_page_that_vanishes_are_doubts() {
    let doubts = |wait: Duration, page: fn(u64, u64) -> (u16, String)| -> String {
        let (counters, ..) = scripted(wait, page);
        let of_model = &counters.models.known().unwrap()[0];
        let doubts = counters.doubts.known().unwrap().join("; ");
        assert!(!doubts.is_empty(), "{counters:#?}");
        assert!(of_model.totals.known().unwrap().requests_ok.known().is_some());
        doubts
    };
    // The first reading is for the engine's state.
    let restarted = doubts(SOON, |reading, requests| (200, vllm(100 + requests, if reading < 2 { 5.0 } else { 9.0 })));
    assert!(restarted.ends_with("the server was restarted"), "{restarted}");
    let fallen = doubts(SOON, |reading, requests| (200, vllm(if reading < 2 { 100 } else { 0 } + requests, 5.0)));
    assert!(fallen.contains("fell from"), "{fallen}");
    let slow = Duration::from_millis(900);
    let vanished = doubts(slow, |reading, requests| (if reading == 2 { 404 } else { 200 }, vllm(requests, 5.0)));
    assert!(vanished.ends_with("was gone while requests ran, and came back"), "{vanished}");
    let flipped = doubts(slow, |reading, requests| (200, vllm(if reading == 2 { 1 } else { 50 } + requests, 5.0)));
    assert!(flipped.ends_with("several workers answer on one port, each with its own counters"), "{flipped}");
    let gone = doubts(SOON, |reading, requests| (if reading < 2 { 200 } else { 503 }, vllm(requests, 5.0)));
    assert!(gone.contains("not read after the requests") && gone.contains("answers 503"), "{gone}");
}

#[test]
fn what_is_no_page_of_metrics_is_said_and_stops_nothing() {
    for (body, status, said) in [
        ("x".repeat(10 << 20), 200, "longer than 1 MiB"),
        ("<html><body>hello</body></html>".into(), 200, "has no metrics of any software that is known"),
        ("\u{0}\u{1}\u{2}".into(), 200, "has no metrics of any software that is known"),
        ("python_gc_objects_collected_total{generation=\"0\"} 1\n".into(), 200, "has no metrics of any software"),
        (String::new(), 401, "answers 401"),
    ] {
        let (counters, ..) = scripted(SOON, move |_, _| (status, body.clone()));
        let unknown = counters.models.reason().unwrap();
        assert_eq!(unknown.why, Why::NotAsked, "that a server has no metrics leaves no check open: {unknown}");
        assert!(unknown.detail.contains(said), "{unknown}");
    }
}
