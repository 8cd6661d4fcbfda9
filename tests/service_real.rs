//! The service probe against real servers. `fixtures/venv.sh` makes what they
//! need; `GPU_DOCTOR_VENV_CPU` and `GPU_DOCTOR_VENV_TRITON` may name it elsewhere.

mod setup;

use gpu_doctor::check::View;
use gpu_doctor::probe::{Ask, Context, service};
use gpu_doctor::snapshot::{Exchange, Fact, Facts, MissingField, SCHEMA, Snapshot, Target, Unknown, Why};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

/// A server that is stopped when this is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Triton's backend processes end only if it may end by itself.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let end = Instant::now() + Duration::from_secs(8);
        while Instant::now() < end {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The environment that the variable names, else `target/venv-NAME`; `None`, with a note, where it was not made.
fn environment(variable: &str, name: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).or_else(|| setup::venv::venv(name))
}

fn start(mut command: Command, ready: &str, port: u16) -> Server {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut server = Server { child, url: format!("http://127.0.0.1:{port}") };
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let status = server.child.try_wait().unwrap();
        assert!(status.is_none(), "the server ended: {status:?}");
        if answers(port, ready) {
            return server;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the server was not ready within a minute");
}

fn answers(port: u16, path: &str) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut head = [0; 12];
    stream.read_exact(&mut head).is_ok() && &head == b"HTTP/1.1 200"
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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
    let mut command = Command::new(venv.join("bin/python"));
    command.args(["-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--log-level", "error", "--app-dir"]);
    command.arg(format!("{FIXTURES}/servers/asr")).arg("--port").arg(port.to_string());
    command.env("PYTHONDONTWRITEBYTECODE", "1");
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
    let port = free_port();
    let mut command = Command::new("sh");
    command.arg(format!("{FIXTURES}/servers/triton/start.sh")).arg(port.to_string()).arg(venv);
    let server = start(command, "/v2/health/ready", port);
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
    assert_eq!(facts.request.server_kind.known().unwrap(), "kserve-v2");
    assert!(facts.request.good.known().unwrap().answer.contains("\"OUT\""));
}

#[test]
fn the_real_triton_lives_without_its_model() {
    let Some(venv) = environment("GPU_DOCTOR_VENV_TRITON", "triton") else { return };
    let port = free_port();
    let mut command = Command::new("sh");
    command.arg(format!("{FIXTURES}/servers/triton/start.sh")).arg(port.to_string()).arg(venv);
    command.arg("--model-control-mode=explicit");
    let server = start(command, "/v2/health/live", port);
    let client = format!(
        r#"curl {}/v2/models/echo/infer --json '{{"inputs":[{{"name":"TEXT","shape":[1],"datatype":"BYTES","data":["hi"]}}]}}'"#,
        server.url
    );
    for client in [Some(client), None] {
        let facts = probe(&server.url, None, client.clone());
        let answers = format!("{:?} {:?}", facts.request.state_answers, facts.request.schema_error);
        let snapshot = Snapshot {
            schema: SCHEMA.into(),
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
