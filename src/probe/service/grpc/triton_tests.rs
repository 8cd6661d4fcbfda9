//! The real Triton by its gRPC port, where `fixtures/venv.sh triton` was run or GPU_DOCTOR_VENV_TRITON names its place.

use super::*;
use crate::probe::Ask;
use crate::probe::service::conversation::{Answered, Conversation, by_schema, evidence::Evidence};
use crate::probe::service::message::{Content, Field, Message, Place};
use crate::probe::service::recognize::{self, questions::Questions};
use crate::probe::service::spoken::plain;
use crate::probe::service::synthesis::Synthesis;
use crate::probe::service::transport::{Http, Route};
use crate::snapshot::{Facts, Unknown};
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use url::Url;

struct Triton(Child);

impl Drop for Triton {
    fn drop(&mut self) {
        // SAFETY: a signal to a child that was not waited for. Its backend processes end only if it may end by itself.
        unsafe { libc::kill(self.0.id() as i32, libc::SIGTERM) };
        let end = Instant::now() + Duration::from_secs(8);
        while Instant::now() < end && self.0.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server and the URL of its gRPC port; `None` where it is not installed.
fn triton() -> Option<(Triton, Url)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = std::env::var_os("GPU_DOCTOR_VENV_TRITON").map(PathBuf::from);
    let venv = named.unwrap_or_else(|| root.join("target/venv-triton"));
    if !venv.join("bin").exists() {
        eprintln!("left out: {} was not made", venv.display());
        return None;
    }
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (http, grpc) = (free(), free());
    let child = Command::new("sh")
        .arg(root.join("fixtures/servers/triton/start.sh"))
        .arg(http.to_string())
        .arg(&venv)
        .args(["--allow-grpc=true", "--grpc-address=127.0.0.1", &format!("--grpc-port={grpc}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let triton = Triton(child);
    let end = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", grpc)).is_err() {
        assert!(Instant::now() < end, "Triton did not open its gRPC port");
        std::thread::sleep(Duration::from_millis(100));
    }
    Some((triton, format!("grpc://127.0.0.1:{grpc}").parse().unwrap()))
}

#[test]
fn the_real_triton_answers_and_refuses() {
    let Some((_triton, url)) = triton() else { return };
    let http = Http::new(&url, &Route::default(), Instant::now() + Duration::from_secs(60)).unwrap();
    let server = plain(&url);
    let mut questions = Questions::new(&http, &server, &[]);
    let facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not asked"));
    let found = recognize::discover(&server, &mut questions, &Ask::default(), None, &facts);
    let found = found.map_err(|failure| failure.text).unwrap();
    let operation = found.operation.expect("the model echo");
    let mut talk = Conversation::new(&http, &server, &[], Evidence::of(&Ask::default(), &facts));
    talk.operation = Some(&operation);
    let given = BTreeMap::new();
    let mut synthesis = Synthesis { given: &given, supported: BTreeMap::new(), document: None };
    let good = by_schema(&operation, &synthesis);
    let mut ask = |message: &Message| talk.ask(message).expect("it can be sent");
    let names =
        |answered: &Answered| answered.complaint.missing.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();

    let answered = ask(&good);
    assert!(answered.exchange.accepted, "{:?}", answered.exchange);
    assert_eq!(answered.exchange.grpc_status.known().map(String::as_str), Some("OK"));
    assert!(answered.exchange.answer.contains(r#""data":["hello"]"#), "{}", answered.exchange.answer);
    let curl = &answered.exchange.curl;
    assert!(curl.starts_with("grpcurl -plaintext ") && curl.contains(r#""model_name":"echo""#), "{curl}");
    assert!(curl.ends_with(" inference.GRPCInferenceService/ModelInfer"), "{curl}");
    assert_eq!((answered.exchange.method.as_str(), answered.exchange.path.as_str()), ("GRPC", "/v2/models/echo/infer"));

    let without = ask(&good.without("lang", Place::Tensor));
    assert_eq!((without.status, names(&without)), (Some(400), vec!["lang".to_owned()]));
    assert_eq!(without.exchange.grpc_status.known().map(String::as_str), Some("INVALID_ARGUMENT"));

    let field =
        |name: &str, place, value| Field { name: name.into(), place, content: Content::Json(value), guess: false };
    let dtype = json!({ "name": "lang", "shape": [1], "datatype": "FP32", "data": [0.5] });
    let mistyped = ask(&good.with(field("lang", Place::Tensor, dtype)));
    assert_eq!(mistyped.status, Some(400));
    assert!(mistyped.exchange.answer.contains("data-type is 'FP32'"), "{}", mistyped.exchange.answer);

    let unknown = ask(&Message { path: "/v2/models/nope/infer".into(), ..good.clone() });
    assert_eq!(unknown.status, Some(404), "{}", unknown.exchange.answer);
    assert_eq!(unknown.exchange.grpc_status.known().map(String::as_str), Some("NOT_FOUND"));

    // What the refusal names is added, and the server accepts.
    let completed = talk.complete(&without, &mut synthesis).expect("the missing input is found");
    assert_eq!(completed.added.iter().map(|one| one.field.name.as_str()).collect::<Vec<_>>(), ["lang"]);
}
