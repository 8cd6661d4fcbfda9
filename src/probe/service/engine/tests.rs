//! Scripted servers that answer as the real ones do, on two ports where the real ones have two.

#[path = "../../../../tests/setup/scripted_server.rs"]
mod scripted_server;

use super::*;
use crate::probe::service::transport::Route;
use crate::snapshot::{Exchange, StateAnswer};
use scripted_server::{Received, ScriptedServer};
use serde_json::{Value, json};
use std::time::Instant;

const JSON: &str = "application/json";
const SECRET: &str = "Bearer 0123456789abcdef";

fn answer(name: &str) -> String {
    std::fs::read_to_string(format!("{}/fixtures/engines/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// An asker with a secret header.
fn asker(url: &str) -> Asker {
    let server: url::Url = url.parse().unwrap();
    let headers = vec![("authorization".to_owned(), SECRET.to_owned())];
    let recorder = Recorder::new(&server, &headers);
    Asker::new(server, Route::default(), headers, recorder, Instant::now() + Duration::from_secs(20)).unwrap()
}

/// Facts of a server that answered these at its state endpoints.
fn facts(kind: &str, states: &[(&str, u64, &str)]) -> Facts {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"));
    let answers = states.iter().map(|(path, status, answer)| StateAnswer {
        path: (*path).into(),
        status: Fact::Known(*status),
        answer: (*answer).into(),
    });
    facts.request.reachable = Fact::Known(true);
    facts.request.server_kind = Fact::Known(kind.into());
    facts.request.state_answers = Fact::Known(answers.collect());
    facts
}

fn ports(server: &ScriptedServer) -> ports::Ports {
    let port = server.url().rsplit_once(':').unwrap().1.parse().unwrap();
    ports::Ports {
        triton_metrics: Ok(port),
        torchserve_management: port,
        ray_dashboard: port,
        ..ports::Ports::default()
    }
}

/// A port on which nothing listens.
fn closed() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn triton() -> ScriptedServer {
    ScriptedServer::answering(|request| match (request.method.as_str(), request.target.as_str()) {
        ("GET", "/v2") => (200, JSON, r#"{"name":"triton","version":"2.51.0","extensions":[]}"#.into()),
        ("POST", "/v2/repository/index") => {
            let index = json!([
                {"name": "echo", "version": "1", "state": "READY"},
                {"name": "scale", "version": "1", "state": "READY"},
                {"name": "wants", "version": "1", "state": "UNAVAILABLE",
                 "reason": "Invalid argument: instance group wants_0 of model wants has kind KIND_GPU but no GPUs are available"},
                {"name": "../../x", "version": "1", "state": "READY"},
            ]);
            (200, JSON, index.to_string())
        }
        (_, "/v2/models/echo/config") => (200, JSON, answer("triton-config-python.json")),
        (_, "/v2/models/scale/config") => (200, JSON, answer("triton-config-pytriton.json")),
        _ => (404, JSON, "{}".into()),
    })
}

fn metrics(body: String) -> ScriptedServer {
    ScriptedServer::answering(move |_| (200, "text/plain", body.clone()))
}

fn has_secret(request: &Received) -> bool {
    request.head.contains(SECRET)
}

#[test]
fn triton_tells_its_models_and_its_metrics_port_gets_no_secret() {
    let (server, beside) = (triton(), metrics(answer("triton-metrics-no-gpu.prom")));
    let mut asker = asker(&server.url());
    let engine = examine(&mut asker, &facts("kserve-v2", &[]), &ports(&beside));
    assert_eq!(engine.kind.known().unwrap(), "triton");
    assert_eq!(engine.version.known().unwrap(), "2.51.0");
    let models = engine.models.known().unwrap();
    let device = |index: usize| models[index].device.known().map(String::as_str);
    assert_eq!((device(0), device(1), device(2)), (Some("cpu"), Some("cpu"), None));
    let group = &models[0].instance_groups.known().unwrap()[0];
    assert_eq!((group.name.as_str(), group.kind.as_str(), group.count), ("echo_0", "KIND_CPU", 1));
    assert_eq!(models[0].backend.known().unwrap(), "python");
    assert_eq!((models[0].proxied.known(), models[1].proxied.known()), (Some(&false), Some(&true)));
    assert!(models[2].reason.known().unwrap().contains("no GPUs are available"));
    assert_eq!(models[3].device.reason().unwrap().why, Why::Malformed, "a made-up name is never asked for");
    assert_eq!(engine.gpu_metrics_present.known(), Some(&false));

    assert!(server.received().iter().all(has_secret), "the server's own port gets the user's header");
    assert!(server.received().iter().all(|one| !one.target.contains("..")));
    assert_eq!(beside.received().len(), 1);
    let asked = &beside.received()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/metrics"));
    assert!(!asked.head.to_ascii_lowercase().contains("authorization"), "{}", asked.head);
    let told = engine.answers.known().unwrap();
    assert!(told.iter().any(|one| one.url == format!("{}/metrics", beside.url())), "{told:?}");
    assert!(!serde_json::to_string(&engine).unwrap().contains("0123456789abcdef"));
}

#[test]
fn metrics_tell_of_gpus_only_if_they_are_this_tritons() {
    let real = answer("triton-metrics-no-gpu.prom");
    let with = format!("{real}nv_gpu_utilization{{gpu_uuid=\"GPU-5f3c2a10\"}} 0.25\n");
    let line = "nv_cpu_utilization 0.1\n";
    let long = format!("{real}{}", line.repeat(crate::probe::service::transport::BODY_CAP / line.len() + 1));
    for (body, expected) in [
        (with, Ok(true)),
        (real.clone(), Ok(false)),
        (real.replace("model=\"echo\"", "model=\"other\""), Err(Why::Malformed)),
        ("python_info 1\n".into(), Err(Why::Malformed)),
        (long, Err(Why::Malformed)),
    ] {
        let beside = metrics(body);
        let told = triton::gpu_metrics(&mut asker("http://127.0.0.1:1/"), &ports(&beside), &["echo"]);
        assert_eq!(told.map_err(|unknown| unknown.why), expected);
    }
    let nothing = ports::Ports { triton_metrics: Ok(closed()), ..Default::default() };
    let told = triton::gpu_metrics(&mut asker("http://127.0.0.1:1/"), &nothing, &["echo"]);
    assert_eq!(told.unwrap_err().why, Why::Absent, "a closed port is not the word that there is no GPU");
}

#[test]
fn the_model_that_was_tried_is_asked_about_among_many() {
    let server = ScriptedServer::answering(|request| match request.target.as_str() {
        "/v2" => (200, JSON, r#"{"name":"triton","version":"2.51.0"}"#.into()),
        "/v2/repository/index" => {
            let index: Vec<Value> = (0..200).map(|n| json!({"name": format!("m{n}"), "state": "READY"})).collect();
            (200, JSON, Value::from(index).to_string())
        }
        _ => (
            200,
            JSON,
            r#"{"backend":"onnxruntime","instance_group":[{"kind":"KIND_GPU","count":2,"gpus":[0,1]}]}"#.into(),
        ),
    });
    let mut facts = facts("kserve-v2", &[]);
    let exchange = json!({"author": "doctor", "method": "POST", "path": "/v2/models/m40/infer", "content_type": "",
        "fields": [], "status": {"known": 200}, "accepted": true, "duration_ms": 1.0, "answer": "", "names_missing": [],
        "curl": ""});
    facts.request.good = Fact::Known(serde_json::from_value::<Exchange>(exchange).unwrap());
    let nothing = ports::Ports { triton_metrics: Ok(closed()), ..Default::default() };
    let engine = examine(&mut asker(&server.url()), &facts, &nothing);
    let models = engine.models.known().unwrap();
    assert_eq!(models.len(), MODELS_MAX);
    assert_eq!(models[40].device.known().unwrap(), "gpu");
    assert_eq!(models[40].instance_groups.known().unwrap()[0].gpus, [0, 1]);
    assert_eq!(models[39].device.reason().unwrap().why, Why::NotAsked);
    let configs = server.received().iter().filter(|request| request.target.ends_with("/config")).count();
    assert_eq!(configs, ASKED_MAX);
}

const TORCHSERVE: &[(&str, u64, &str)] = &[
    (
        "/health",
        404,
        r#"{ "code": 404, "type": "ResourceNotFoundException", "message": "Requested resource is not found" }"#,
    ),
    ("/ping", 200, "{\n  \"status\": \"Healthy\"\n}"),
];

fn torchserve_management(gpu: bool) -> ScriptedServer {
    let described = answer("torchserve-model.json");
    let described = if gpu { described.replace("\"gpu\": false", "\"gpu\": true") } else { described };
    ScriptedServer::answering(move |request| match request.target.as_str() {
        "/models" => (200, JSON, r#"{"models": [{"modelName": "m", "modelUrl": "m.mar"}]}"#.into()),
        "/models/m" => (200, JSON, described.clone()),
        _ => (404, JSON, "{}".into()),
    })
}

#[test]
fn torchserve_tells_its_workers_at_its_management_port() {
    for (gpu, device) in [(false, "cpu"), (true, "gpu")] {
        let (server, beside) = (metrics(String::new()), torchserve_management(gpu));
        let engine = examine(&mut asker(&server.url()), &facts("unrecognized", TORCHSERVE), &ports(&beside));
        assert_eq!(engine.kind.known().unwrap(), "torchserve");
        let models = engine.models.known().unwrap();
        assert_eq!(models[0].device.known().unwrap(), device);
        assert_eq!(models[0].version.known().unwrap(), "1.0");
        let workers = models[0].workers.known().unwrap();
        assert_eq!((workers[0].id.as_str(), workers[0].gpu_usage.known().unwrap().as_str()), ("9000", "N/A"));
        assert!(!beside.received().iter().any(has_secret));
    }
}

#[test]
fn a_management_port_that_wants_a_key_gets_none() {
    let beside = ScriptedServer::answering(|_| (403, JSON, r#"{"code": 403, "type": "InvalidKeyException"}"#.into()));
    let server = metrics(String::new());
    let engine = examine(&mut asker(&server.url()), &facts("unrecognized", TORCHSERVE), &ports(&beside));
    assert_eq!(engine.models.reason().unwrap().why, Why::Denied);
    assert_eq!(beside.received().len(), 1);
}

#[test]
fn ollama_tells_how_much_of_each_model_is_in_gpu_memory() {
    let server = ScriptedServer::answering(|request| match request.target.as_str() {
        "/api/version" => (200, JSON, r#"{"version":"0.12.3"}"#.into()),
        "/api/ps" => (200, JSON, answer("ollama-ps.json")),
        _ => (404, "text/plain", "404 page not found".into()),
    });
    // Before the doctor's request no model was in memory.
    let facts = facts("unrecognized", &[("/health", 404, ""), ("/api/ps", 200, r#"{"models":[]}"#)]);
    let engine = examine(&mut asker(&server.url()), &facts, &ports::Ports::default());
    assert_eq!((engine.kind.known().unwrap().as_str(), engine.version.known().unwrap().as_str()), ("ollama", "0.12.3"));
    let models = engine.models.known().unwrap();
    let devices: Vec<&str> = models.iter().map(|model| model.device.known().unwrap().as_str()).collect();
    assert_eq!(devices, ["gpu", "both", "cpu"]);
    assert_eq!(models[1].size_vram_bytes.known(), Some(&20_000_000_000));
    assert_eq!(models[2].name, "all-minilm:latest");
}

#[test]
fn tgi_is_told_from_its_likes() {
    let info = |text: String| {
        let server = ScriptedServer::answering(move |request| match request.target.as_str() {
            "/info" => (200, JSON, text.clone()),
            _ => (404, "text/plain", String::new()),
        });
        let engine = examine(&mut asker(&server.url()), &facts("unrecognized", &[]), &ports::Ports::default());
        assert!(server.received().len() <= 2, "{:?}", server.received());
        engine
    };
    let tgi = info(answer("tgi-info.json"));
    assert_eq!((tgi.kind.known().unwrap().as_str(), tgi.version.known().unwrap().as_str()), ("tgi", "1.4.0"));
    assert_eq!(tgi.image_label.known().unwrap(), "sha-0000000");
    let model = &tgi.models.known().unwrap()[0];
    assert_eq!((model.name.as_str(), model.device.known().unwrap().as_str()), ("bigscience/bloom-560m", "cpu"));
    assert_eq!(model.dtype.known().unwrap(), "torch.float32");
    let gpu = info(answer("tgi-info.json").replace("\"model_device_type\":\"cpu\"", "\"model_device_type\":\"cuda\""));
    assert_eq!(gpu.models.known().unwrap()[0].device.known().unwrap(), "gpu");
    let newer = info(r#"{"model_id":"m","max_best_of":2,"router":"text-generation-router","version":"3.0.0"}"#.into());
    assert_eq!(newer.kind.known().unwrap(), "tgi");
    assert_eq!(newer.models.known().unwrap()[0].device.reason().unwrap().why, Why::NotAsked);
    for other in [
        r#"{"model_id":"m","model_dtype":"float16","model_type":{"embedding":{"pooling":"cls"}},"max_concurrent_requests":512}"#,
        r#"{"model":null,"server":{"devices":["cpu"],"workers_per_device":1}}"#,
        "[1, 2]",
        "ok",
    ] {
        let engine = info(other.into());
        assert_eq!(engine.kind.known().unwrap(), "unrecognized", "{other}");
        assert_eq!(engine.models.reason().unwrap().why, Why::NotAsked);
    }
}

#[test]
fn ray_serve_tells_what_each_deployment_is_given() {
    let server = ScriptedServer::answering(|request| match request.target.as_str() {
        "/-/routes" => (200, JSON, r#"{"/":"default"}"#.into()),
        _ => (404, JSON, "{}".into()),
    });
    let dashboard = ScriptedServer::answering(|request| match request.target.as_str() {
        "/api/serve/applications/" => (200, JSON, answer("ray-applications.json")),
        _ => (404, JSON, "{}".into()),
    });
    let mut facts = facts("fastapi", &[]);
    facts.request.schema_url = Fact::Known(format!("{}/openapi.json", server.url()));
    let engine = examine(&mut asker(&server.url()), &facts, &ports(&dashboard));
    assert_eq!(engine.kind.known().unwrap(), "ray-serve");
    let models = engine.models.known().unwrap();
    let told: Vec<_> = models.iter().map(|one| (one.name.as_str(), one.gpus_per_replica.known().copied())).collect();
    let expected =
        [("default/Ingress", Some(0.0)), ("default/Asr", Some(0.5)), ("default/Llm", Some(2.0)), ("default/Vad", None)];
    assert_eq!(told, expected);
    assert_eq!((models[1].replicas.known(), models[1].device.known().unwrap().as_str()), (Some(&2), "gpu"));
    assert_eq!(models[0].device.known().unwrap(), "cpu");
    assert!(!dashboard.received().iter().any(has_secret));
}

#[test]
fn of_an_unrecognized_server_no_other_port_is_asked() {
    let beside = metrics(answer("triton-metrics-no-gpu.prom"));
    for (kind, states) in
        [("fastapi", &[][..]), ("unrecognized", &[("/ping", 200, r#"{"status":"Healthy"}"#)]), ("kserve-v2", &[])]
    {
        let server = ScriptedServer::answering(|request| match request.target.as_str() {
            "/v2" => (200, JSON, r#"{"name":"mlserver","version":"1.7.1"}"#.into()),
            _ => (404, JSON, "{}".into()),
        });
        let engine = examine(&mut asker(&server.url()), &facts(kind, states), &ports(&beside));
        assert_eq!(engine.kind.known().unwrap(), "unrecognized", "{kind}");
        assert!(server.received().iter().all(|request| request.method == "GET"));
    }
    assert!(beside.received().is_empty());
}

#[test]
fn a_port_that_keeps_silent_is_asked_once() {
    let server = metrics(String::new());
    let beside = ScriptedServer::start(|_, _| std::thread::sleep(Duration::from_secs(4)));
    let started = Instant::now();
    let engine = examine(&mut asker(&server.url()), &facts("unrecognized", TORCHSERVE), &ports(&beside));
    assert_eq!(engine.models.reason().unwrap().why, Why::TimedOut);
    assert!(started.elapsed() < Duration::from_millis(2500), "{:?}", started.elapsed());
    assert_eq!(beside.received().len(), 1);
}

#[test]
fn another_port_that_redirects_leads_nowhere() {
    let elsewhere = metrics(answer("triton-metrics-no-gpu.prom"));
    let target = format!("{}/metrics", elsewhere.url());
    let beside = ScriptedServer::start(move |_, stream| {
        let head = format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
        let _ = std::io::Write::write_all(stream, head.as_bytes());
    });
    let told = triton::gpu_metrics(&mut asker("http://127.0.0.1:1/"), &ports(&beside), &[]);
    assert_eq!(told.unwrap_err().why, Why::Absent);
    assert!(elsewhere.received().is_empty());
}
