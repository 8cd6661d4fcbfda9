//! Servers of many kinds are told apart by what they answer, with few questions, and each gets a request that it accepts.

#[path = "setup/recorded_server.rs"]
mod recorded_server;
#[path = "setup/scripted_server.rs"]
mod scripted_server;

use gpu_doctor::probe::{Ask, Context, service};
use gpu_doctor::snapshot::{Fact, Facts, Unknown, Why};
use recorded_server::recorded;
use scripted_server::ScriptedServer;
use std::io::Write;
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
        // A page of metrics is read around the window too.
        let question = |one: &&String| one.starts_with("GET ") && !one.ends_with("/metrics");
        let mut once = received.iter().filter(question).collect::<Vec<_>>();
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
fn a_route_that_may_do_harm_is_not_tried_though_the_server_lists_it() {
    const LISTS: &[(&str, &str, &str)] = &[
        ("/-/routes", r#"{"/admin":"control","/asr":"asr"}"#, "/asr"),
        ("/-/routes", r#"{"/admin":"control","/v1/reload":"other"}"#, ""),
        (
            "/info",
            r#"{"server":{"devices":["cpu"],"workers_per_device":1,"stream":{"/shutdown":false,"/hear":false}}}"#,
            "/hear",
        ),
        ("/info", r#"{"server":{"devices":["cpu"],"workers_per_device":1,"stream":{"/delete_all":false}}}"#, ""),
    ];
    for (place, list, expected) in LISTS {
        let server = ScriptedServer::start(move |request, stream| {
            let (status, body) = match request.target.as_str() {
                target if target == *place => (200, *list),
                _ if request.method == "POST" => (200, r#"{"n":1}"#),
                _ => (404, "Path '/openapi.json' not found. Please ping http://h/-/routes for available routes."),
            };
            let head = format!("HTTP/1.1 {status} X\r\nserver: uvicorn\r\ncontent-type: application/json\r\n");
            let _ = write!(stream, "{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        });
        let facts = probe(ask(&server, &[], None));
        let received = server.received();
        let posted: Vec<&str> =
            { received.iter() }.filter(|one| one.method == "POST").map(|one| one.target.as_str()).collect();
        assert!(posted.iter().all(|path| path == expected), "{list}: {posted:?}");
        assert_eq!(posted.is_empty(), expected.is_empty(), "{list}: {posted:?} {:?}", facts.request);
        assert!(received.iter().any(|one| one.target == *place), "{list}: it was recognized by its list");
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

#[test]
fn what_no_schema_tells_the_user_may() {
    let server = ScriptedServer::answering(|request| match (request.method.as_str(), request.target.as_str()) {
        ("PUT", "/hear") if request.body.contains("RIFF") && request.body.contains("name=\"beam\"") => {
            (200, "application/json", r#"{"text":"hi"}"#.into())
        }
        ("POST", "/raw") if request.body == "plain words" => (200, "application/json", r#"{"n":2}"#.into()),
        ("POST", "/json") if request.body.contains(r#""top_k":3"#) => (200, "application/json", r#"{"n":3}"#.into()),
        _ => (404, "text/html", "<h1>no</h1>".into()),
    });
    let told = |path: &str, method: Option<&str>, media: Option<&str>, fields: &[(&str, &str)]| {
        let mut question = ask(&server, fields, None);
        question.operation = Some(path.into());
        (question.method, question.content_type) = (method.map(str::to_owned), media.map(str::to_owned));
        let facts = probe(question);
        facts.request.good.known().map(|good| (good.method.clone(), good.fields.iter().any(|field| field.guess)))
    };
    let speech = concat!("@", env!("CARGO_MANIFEST_DIR"), "/fixtures/samples/speech.wav");
    let accepted = |method: &str| Some((method.to_owned(), false));
    assert_eq!(told("/hear", Some("PUT"), None, &[("sound", speech), ("beam", "2")]), accepted("PUT"));
    assert_eq!(told("/raw", None, Some("text/plain"), &[("body", "plain words")]), accepted("POST"));
    assert_eq!(told("/json", None, None, &[("top_k", "3")]), accepted("POST"));
    assert_eq!(told("/nowhere", None, None, &[("top_k", "3")]), None);
}

#[test]
fn senseless_answers_are_taken_as_such() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let wide = format!(r#"{{"data":[{}]}}"#, vec![r#"{"id":"m","owned_by":7}"#; 20000].join(","));
    let bodies = [
        "null",
        "[]",
        "{}",
        "7",
        "\"x\"",
        "",
        "\u{0}\u{1}",
        "{\"name\":5,\"version\":[]}",
        &deep,
        &wide,
        r#"{"name":"triton","version":"2","extensions":7,"models":[{"name":"../../x"},{"name":null},7],"inputs":[{"name":"x","datatype":"FP32","shape":[9223372036854775807,-9]}]}"#,
        r#"{"name":"triton","version":"2","extensions":[],"inputs":[{"name":"x","datatype":"FP32","shape":[1e3]}]}"#,
        r#"{"openapi":"3.1.0","paths":{"/v1/models":{"get":7},"/v1/chat/completions":{"post":[]},"/info":{},"/health":{},"/config":{},"/queue/join":{}}}"#,
        r#"{"data":[{"id":"","owned_by":"vllm"},{"id":"a b","owned_by":null}],"version":{"x":1},"server":{"devices":[],"workers_per_device":"x","stream":{"no slash":1}}}"#,
        r#"{"model_id":"m","model_type":[],"version":7,"max_total_tokens":"x"}"#,
        r#"{"status":"alive","models":["a/b","../c"]}"#,
        r#"{"version":"5","dependencies":[],"api_prefix":"no slash","named_endpoints":{"/delete_all":{"parameters":[]},"/p":{"parameters":[7]}}}"#,
        r#"{"/":"app","/x":"y"}"#,
        "Ollama is running",
    ];
    for body in bodies {
        let (text, played) = (body.to_owned(), body.to_owned());
        let server = ScriptedServer::answering(move |_| (200, "application/json", played.clone()));
        let started = Instant::now();
        let facts = probe(ask(&server, &[], None));
        let shown: String = text.chars().take(60).collect();
        assert!(started.elapsed() < Duration::from_secs(10), "{shown}: {:?}", started.elapsed());
        assert_eq!(facts.request.reachable.known(), Some(&true), "{shown}");
        let asked = questions(&server);
        assert!(asked <= 12, "{shown}: {asked} questions");
        for one in server.received() {
            assert!(!one.target.contains("..") && !one.target.contains("delete"), "{shown}: {}", one.target);
        }
    }
}
