//! The service probe against real servers. `fixtures/venv.sh` makes what they
//! need; `GPU_DOCTOR_VENV_CPU` and `GPU_DOCTOR_VENV_TRITON` may name it elsewhere.

mod setup;

use gpu_doctor::check::View;
use gpu_doctor::probe::{Ask, Context, service};
use gpu_doctor::snapshot::{Exchange, Fact, Facts, MissingField, SCHEMA, Snapshot, Target, Unknown, Why};
use setup::real_server::{Server, folder, free_port, start, triton, uvicorn};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

/// The environment that the variable names, else `target/venv-NAME`; `None`, with a note, where it was not made.
fn environment(variable: &str, name: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).or_else(|| setup::venv::venv(name))
}

fn probe(url: &str, operation: Option<&str>, client: Option<String>) -> Facts {
    let ask = Ask {
        server: Some(url.parse().unwrap()),
        operation: operation.map(str::to_owned),
        client_request: client.map(|text| ("the test".to_owned(), text)),
        requests: 2,
        ..Ask::default()
    };
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"));
    let context = Context { ask, deadline: Instant::now() + Duration::from_secs(30) };
    (service::PROBE.run)(&context, &mut facts);
    facts
}

/// Statuses of the rejected and the good request, and the missing fields.
fn proof(facts: &Facts) -> (u64, u64, Vec<MissingField>) {
    let status = |exchange: &Fact<Exchange>| *exchange.known().expect("an exchange").status.known().expect("a status");
    let missing = facts.request.missing_fields.known().expect("missing fields").clone();
    (status(&facts.request.rejected), status(&facts.request.good), missing)
}

fn asr(venv: &Path) -> Server {
    let port = free_port();
    let mut command = uvicorn(venv, port);
    command.arg("--app-dir").arg(folder("asr"));
    start(command, "/health", port)
}

#[test]
fn the_fastapi_server_gets_its_lang_in_both_request_forms() {
    let Some(venv) = environment("GPU_DOCTOR_VENV_CPU", "cpu") else { return };
    let server = asr(&venv);
    let client = format!("curl -X POST {}/asr -F audio=@{FIXTURES}/samples/speech.wav", server.url);
    let facts = probe(&server.url, None, Some(client));
    let (rejected, good, missing) = proof(&facts);
    assert_eq!((rejected, good, missing.len()), (400, 200, 1));
    assert_eq!((missing[0].name.as_str(), missing[0].value.as_str()), ("lang", "en"));
    assert_eq!((missing[0].place.as_str(), missing[0].schema_says.as_str()), ("form", "optional"));
    let answer = &facts.request.good.known().unwrap().answer;
    let ratio: f64 = serde_json::from_str::<serde_json::Value>(answer).unwrap()["speech_ratio"].as_f64().unwrap();
    assert!(ratio > 0.5, "the sample must make the model work: {answer}");
    assert_eq!(facts.request.server_kind.known().unwrap(), "fastapi");

    let facts = probe(&server.url, Some("/asr/json"), None);
    let (rejected, good, missing) = proof(&facts);
    assert_eq!((rejected, good, missing.len()), (400, 200, 1));
    assert_eq!((missing[0].name.as_str(), missing[0].place.as_str()), ("lang", "json"));
    assert_eq!(facts.execution.requests_ok.known(), Some(&2));
}

#[test]
fn the_real_triton_names_the_input_that_the_client_lacks() {
    let Some(venv) = environment("GPU_DOCTOR_VENV_TRITON", "triton") else { return };
    let server = triton(&venv, "/v2/health/ready", &[]);
    let client = format!(
        r#"curl {}/v2/models/echo/infer --json '{{"inputs":[{{"name":"TEXT","shape":[1],"datatype":"BYTES","data":["hi"]}}]}}'"#,
        server.url
    );
    let facts = probe(&server.url, None, Some(client));
    let (rejected, good, missing) = proof(&facts);
    assert_eq!((rejected, good, missing.len()), (400, 200, 1));
    assert_eq!((missing[0].name.as_str(), missing[0].place.as_str()), ("lang", "tensor"));
    assert_eq!((missing[0].schema_says.as_str(), missing[0].found_by.as_str()), ("required", "the answer names it"));

    let facts = probe(&server.url, None, None);
    assert_eq!(facts.request.missing_fields.known(), Some(&Vec::new()), "the doctor follows the metadata");
    assert_eq!(facts.request.server_kind.known().unwrap(), "triton");
    assert!(facts.request.good.known().unwrap().answer.contains("\"OUT\""));
}

#[test]
fn the_real_triton_lives_without_its_model() {
    let Some(venv) = environment("GPU_DOCTOR_VENV_TRITON", "triton") else { return };
    let server = triton(&venv, "/v2/health/live", &["--model-control-mode=explicit"]);
    let client = format!(
        r#"curl {}/v2/models/echo/infer --json '{{"inputs":[{{"name":"TEXT","shape":[1],"datatype":"BYTES","data":["hi"]}}]}}'"#,
        server.url
    );
    for client in [Some(client), None] {
        let facts = probe(&server.url, None, client.clone());
        let answers = format!("{:?} {:?}", facts.request.state_answers, facts.request.schema_error);
        let snapshot = Snapshot {
            schema: SCHEMA.into(),
            schema_minor: 0,
            tool: "test".into(),
            taken_at: String::new(),
            target: Target::default(),
            probes: Vec::new(),
            facts,
        };
        let view = View::of(&snapshot);
        let proof = view.value("derived.model_not_loaded").and_then(|proof| proof.as_str()).unwrap_or_default();
        assert!(!proof.is_empty(), "{answers}");
        if client.is_some() {
            assert!(proof.contains("Request for unknown model: 'echo'"), "{proof}");
            assert!(answers.contains("/v2/models/echo/ready"), "{answers}");
        }
    }
}
