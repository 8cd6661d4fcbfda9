//! gRPC servers that are no Triton, and ports that speak gRPC under another name.

use crate::{ask, known, probe};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::TcpListener;

/// A gRPC server's answer to a call: the message, or a status and its words.
type Answer = Result<&'static [u8], (&'static str, &'static str)>;

/// Starts a server on a thread of its own and gives its port. It lives as long as the test's process.
fn server(answer: fn(&Request<Incoming>) -> Answer) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(move |request| async move { Ok::<_, Infallible>(respond(answer(&request))) });
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    port
}

fn respond(answer: Answer) -> Response<http_body_util::combinators::BoxBody<Bytes, Infallible>> {
    let head = Response::builder().header("content-type", "application/grpc");
    match answer {
        Ok(message) => {
            let body = [&[0, 0, 0, 0, message.len() as u8], message].concat();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let frames = [Ok(Frame::data(Bytes::from(body))), Ok(Frame::trailers(trailers))];
            head.body(StreamBody::new(futures_util::stream::iter(frames)).boxed()).unwrap()
        }
        Err((code, words)) => {
            let head = head.header("grpc-status", code).header("grpc-message", words);
            head.body(Full::new(Bytes::new()).boxed()).unwrap()
        }
    }
}

/// Only the health check is there.
fn healthy(request: &Request<Incoming>) -> Answer {
    match request.uri().path() {
        "/grpc.health.v1.Health/Check" => Ok(b"\x08\x01"),
        _ => Err(("12", "unknown service")),
    }
}

#[test]
fn a_server_that_has_only_its_health_is_told_as_such() {
    let port = server(healthy);
    let facts = probe(ask(&format!("grpc://127.0.0.1:{port}"), None), 20);
    let request = &facts.request;
    assert_eq!(known(&request.reachable), &true);
    assert_eq!(known(&request.server_kind), "grpc");
    let states = known(&request.state_answers);
    let health = states.iter().find(|one| one.path == "/grpc.health.v1.Health/Check").expect("its health was asked");
    assert_eq!((known(&health.status), health.answer.as_str()), (&200, r#"{"status":"SERVING"}"#));
    assert!(request.good.reason().unwrap().detail.contains("no request was sent"));
}

#[test]
fn a_port_that_was_named_http_is_told_to_speak_grpc() {
    let port = server(healthy);
    let facts = probe(ask(&format!("http://127.0.0.1:{port}"), None), 20);
    assert_eq!(known(&facts.request.reachable), &false);
    let error = known(&facts.request.reach_error);
    assert_eq!(error, &format!("127.0.0.1:{port}: this port speaks gRPC: name it grpc://127.0.0.1:{port}"));
    // It is asked what it speaks where the run's own way leads.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    crate::bridge::unix_socket(&path, port);
    let mut question = ask("http://asr.invalid:8001", None);
    question.connection.unix_socket = Some(path);
    let error = probe(question, 20).request.reach_error;
    assert_eq!(known(&error), "asr.invalid:8001: this port speaks gRPC: name it grpc://asr.invalid:8001");
}

#[test]
fn a_port_that_was_named_grpc_and_speaks_http_is_told() {
    let server = crate::scripted_server::ScriptedServer::answering(|_| (200, "text/plain", "hello".into()));
    let facts = probe(ask(&server.url().replace("http://", "grpc://"), None), 20);
    let error = known(&facts.request.reach_error);
    assert!(error.contains("does not answer gRPC") && error.contains("name it http://"), "{error}");
}

/// Every inference needs a token, and the model is loaded.
fn guarded(request: &Request<Incoming>) -> Answer {
    let welcome = request.headers().get("authorization").is_some_and(|token| token == "Bearer sesame-open-up");
    match request.uri().path().rsplit_once('/').map_or("", |(_, call)| call) {
        "ServerMetadata" => Ok(b"\x0a\x06triton\x12\x012"),
        // A model `m` in the state READY.
        "RepositoryIndex" => Ok(b"\x0a\x0a\x0a\x01m\x1a\x05READY"),
        // One input `x`, INT32, of one value.
        "ModelMetadata" => Ok(b"\x0a\x01m\x22\x0d\x0a\x01x\x12\x05INT32\x1a\x01\x01"),
        "ServerLive" | "ServerReady" | "ModelReady" => Ok(b"\x08\x01"),
        "ModelInfer" if welcome => Ok(b"\x0a\x01m"),
        "ModelInfer" => Err(("16", "no token, or not sesame-open-up")),
        _ => Err(("12", "")),
    }
}

#[test]
fn a_token_travels_as_metadata_and_its_lack_is_told_as_401() {
    let port = server(guarded);
    let url = format!("grpc://127.0.0.1:{port}");
    let facts = probe(ask(&url, None), 20);
    let rejected = known(&facts.request.rejected);
    assert_eq!((known(&rejected.status), known(&rejected.grpc_status).as_str()), (&401, "UNAUTHENTICATED"));
    let mut question = ask(&url, None);
    question.headers = vec![("authorization".into(), "Bearer sesame-open-up".into())];
    let facts = probe(question, 20);
    let good = known(&facts.request.good);
    assert_eq!((known(&good.status), known(&good.grpc_status).as_str(), good.accepted), (&200, "OK", true));
    assert_eq!(known(&facts.execution.requests_ok), &2, "the measuring window speaks gRPC too");
    assert!(!serde_json::to_string(&facts).unwrap().contains("sesame"));
}
