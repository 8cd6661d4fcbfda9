//! Servers of many kinds are told apart by what they answer, with few questions, and each gets a request that it accepts.

#[path = "setup/recorded_server.rs"]
mod recorded_server;
#[path = "setup/scripted_server.rs"]
mod scripted_server;

use gpu_doctor::probe::{Ask, Context, service};
use gpu_doctor::snapshot::{Fact, Facts, Unknown, Why};
use recorded_server::recorded;
use scripted_server::ScriptedServer;
use std::time::{Duration, Instant};

fn probe(ask: Ask) -> Facts {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"));
    (service::PROBE.run)(&Context { ask, deadline: Instant::now() + Duration::from_secs(20) }, &mut facts);
    facts
}

fn ask(server: &ScriptedServer, fields: &[(&str, &str)], client: Option<&str>) -> Ask {
    Ask {
        server: Some(server.url().parse().unwrap()),
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        client_request: client.map(|text| ("the test".to_owned(), text.replace("URL", &server.url()))),
        requests: 1,
        window: Duration::from_millis(200),
        ..Ask::default()
    }
}

/// What is said before the first request that is no question.
fn questions(server: &ScriptedServer) -> usize {
    let question = |method: &str, target: &str| {
        method == "GET" || method == "OPTIONS" || (method == "POST" && target == "/v2/repository/index")
    };
    server.received().iter().take_while(|one| question(&one.method, &one.target)).count()
}

/// File, fields that the user gives, kind, version, models, operation, questions at most.
type Row = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
    usize,
);

const ROWS: &[Row] = &[
    ("vllm", &[], "vllm", "0.32.0", &["tiny"], "POST /v1/chat/completions", 5),
    ("sglang", &[], "sglang", "0.5.3", &["Qwen/Qwen2.5-0.5B-Instruct"], "POST /v1/chat/completions", 5),
    ("llama", &[], "llama.cpp", "b6000-abcdef0", &["/models/tiny.gguf"], "POST /v1/chat/completions", 4),
    ("localai", &[], "localai", "v3.5.0 (5a3b2c1d)", &["phi-2"], "POST /v1/chat/completions", 5),
    ("speech", &[], "openai", "", &["Systran/faster-whisper-tiny.en"], "POST /v1/audio/transcriptions", 4),
    ("tgi", &[], "tgi", "2.4.0", &["bigscience/bloom-560m"], "POST /generate", 3),
    ("tei", &[], "tei", "1.7.0", &["BAAI/bge-small-en-v1.5"], "POST /embed", 3),
    ("ollama", &[], "ollama", "0.12.3", &["llama3.2:1b"], "POST /api/generate", 6),
    ("triton", &[], "triton", "2.51.0", &["vad", "echo"], "POST /v2/models/vad/infer", 8),
    ("triton", &[("model", "echo")], "triton", "2.51.0", &["vad", "echo"], "POST /v2/models/echo/infer", 8),
    ("mlserver", &[], "mlserver", "1.7.1", &["vad"], "POST /v2/models/vad/infer", 7),
    ("openvino", &[], "openvino", "2025.3.0", &["resnet"], "POST /v2/models/resnet/infer", 8),
    ("kserve-v1", &[], "kserve", "", &["iris"], "POST /v1/models/iris:predict", 5),
    ("litserve", &[], "litserve", "", &[], "POST /predict", 7),
    ("bentoml", &[], "bentoml", "1.4.39", &[], "POST /transcribe", 4),
    ("ray-serve", &[], "ray-serve", "", &[], "POST /asr", 3),
    ("torchserve", &[("lang", "en")], "torchserve", "0.12.0", &["m"], "POST /predictions/m", 5),
    ("tf-serving", &[("model", "m")], "tf-serving", "", &["m"], "POST /v1/models/m:predict", 4),
    ("gradio", &[], "gradio", "5.44.1", &[], "POST /gradio_api/run/predict", 8),
    ("whisperlivekit", &[], "whisper-websocket", "", &["faster-whisper/base"], "POST /v1/audio/transcriptions", 4),
];

#[test]
fn each_is_told_apart_and_gets_a_request_that_it_accepts() {
    for (name, fields, kind, version, models, operation, most) in ROWS {
        let server = recorded(name);
        let facts = probe(ask(&server, fields, None));
        let room = &facts.request;
        let received: Vec<String> =
            server.received().iter().map(|one| format!("{} {}", one.method, one.target)).collect();
        let told = |fact: &Fact<String>| fact.known().cloned().unwrap_or_default();
        assert_eq!(
            (told(&room.server_kind).as_str(), told(&room.server_version).as_str()),
            (*kind, *version),
            "{name}: {received:?}"
        );
        assert!(!told(&room.recognized_by).is_empty(), "{name}");
        let served = room.served_models.known().cloned().unwrap_or_default();
        assert_eq!(served, *models, "{name}: {:?}", room.served_models);
        let good =
            room.good.known().unwrap_or_else(|| panic!("{name}: {:?} {:?} {received:?}", room.good, room.attempts));
        assert_eq!(format!("{} {}", good.method, good.path), *operation, "{name}: {received:?}");
        assert_eq!(room.operation.known().map(|one| one.path.as_str()), Some(good.path.as_str()), "{name}");
        assert!(questions(&server) <= *most, "{name}: {} {received:?}", questions(&server));
        let mut once = received.iter().filter(|one| one.starts_with("GET ")).collect::<Vec<_>>();
        once.sort();
        let all = once.len();
        once.dedup();
        assert_eq!(once.len(), all, "{name} is asked twice: {received:?}");
        let ready = room.readiness.known().unwrap();
        assert_eq!(
            [&ready.live, &ready.ready, &ready.model_loaded, &ready.warmed_up].map(|fact| fact.known()),
            [Some(&true); 4]
        );
    }
}

#[test]
fn what_serves_no_model_is_named_as_what_it_is() {
    for kind in ["triton-metrics", "jupyter", "prometheus"] {
        let server = recorded(kind);
        let facts = probe(ask(&server, &[], None));
        assert_eq!(facts.request.server_kind.known().map(String::as_str), Some(kind), "{:?}", facts.request);
        assert!(facts.request.good.known().is_none());
        assert!(server.received().iter().all(|one| one.method == "GET" || one.target == "/v2/repository/index"));
        assert!(questions(&server) <= 9, "{:?}", server.received());
    }
}

#[test]
fn a_server_that_loads_is_not_ready() {
    let server = recorded("llama-loading");
    let facts = probe(ask(&server, &[], None));
    assert_eq!(facts.request.server_kind.known().map(String::as_str), Some("llama.cpp"));
    let ready = facts.request.readiness.known().unwrap();
    let states = [&ready.live, &ready.ready, &ready.model_loaded, &ready.warmed_up].map(|fact| fact.known().copied());
    assert_eq!(states, [Some(true), Some(false), Some(false), None]);
}

#[test]
fn the_model_of_the_clients_request_is_the_one_that_is_tried() {
    let server = recorded("triton");
    let client = r#"curl URL/v2/models/echo/infer --json '{"inputs":[{"name":"TEXT","shape":[1],"datatype":"BYTES","data":["a"]}]}'"#;
    let facts = probe(ask(&server, &[], Some(client)));
    assert_eq!(facts.request.good.known().map(|good| good.path.as_str()), Some("/v2/models/echo/infer"));
    let unknown = r#"curl URL/v2/models/nope/infer --json '{"inputs":[]}'"#;
    let server = recorded("triton");
    let facts = probe(ask(&server, &[], Some(unknown)));
    assert_eq!(
        facts.request.good.known().map(|good| good.path.as_str()),
        Some("/v2/models/vad/infer"),
        "{:?}",
        facts.request
    );
}

#[test]
fn a_base_url_of_openai_clients_is_understood() {
    let server = recorded("vllm");
    let mut question = ask(&server, &[], None);
    question.server = Some(format!("{}/v1", server.url()).parse().unwrap());
    let facts = probe(question);
    assert_eq!(facts.request.server_kind.known().map(String::as_str), Some("vllm"));
    assert!(facts.request.good.known().is_some(), "{:?}", facts.request);
}

#[test]
fn nothing_that_changes_a_server_is_ever_asked() {
    for (name, fields, ..) in ROWS {
        let server = recorded(name);
        probe(ask(&server, fields, None));
        const CHANGES: &[&str] = &["sleep", "flush", "load", "abort", "update", "delete", "admin", "pull", "create"];
        for one in server.received() {
            let changes = CHANGES.iter().any(|word| one.target.contains(word)) && one.target != "/load";
            assert!(
                !changes && ["GET", "POST", "OPTIONS"].contains(&one.method.as_str()),
                "{name}: {} {}",
                one.method,
                one.target
            );
        }
    }
}
