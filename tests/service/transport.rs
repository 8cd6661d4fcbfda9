//! What lies between: connections, redirects, pages that are no answers, secrets, texts that deceive.

use crate::scripted_server::ScriptedServer;
use crate::{ask, known, probe, status};
use gpu_doctor::snapshot::Why;
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
fn secrets_are_sent_but_never_recorded() {
    let server = ScriptedServer::answering(|request| match request.head.contains("Bearer sesame-open-up") {
        // The answer echoes the secrets, as pydantic's `input` does.
        true if request.body.contains("lang=") => (200, "application/json", r#"{"got": "sesame-open-up"}"#.into()),
        true => (400, "application/json", r#"{"detail": "lang is required", "cookie": "crumbly-cookie"}"#.into()),
        false => (401, "application/json", "{}".into()),
    });
    let client = format!(
        "curl {}/asr?api_key=key-in-query -b 'sid=crumbly-cookie' -d 'text=hi&password=hunter2-hunter2'",
        server.url()
    );
    let mut question = ask(&server.url(), Some(&client));
    question.headers = vec![("Authorization".into(), "Bearer sesame-open-up".into())];
    let facts = probe(question, 20);
    assert_eq!((status(&facts.request.rejected), status(&facts.request.good)), (400, 200));
    let recorded = serde_json::to_string(&facts).unwrap();
    for secret in ["sesame", "crumbly", "hunter2", "key-in-query"] {
        assert!(!recorded.contains(secret), "{secret} in {recorded}");
    }
    let posted = server.received().into_iter().find(|request| request.method == "POST").unwrap();
    assert!(posted.head.contains("sid=crumbly-cookie") && posted.body.contains("hunter2"), "{posted:?}");
    assert!(known(&facts.request.client).curl.contains("cookie: ***"), "{recorded}");
}

#[test]
fn html_instead_of_a_schema_is_said_and_the_client_alone_suffices() {
    let server = ScriptedServer::answering(|request| match request.method.as_str() {
        "POST" if request.body.contains("lang") => (200, "application/json", r#"{"text": "hi"}"#.into()),
        "POST" => (400, "text/html", "<h1>Bad Request</h1> Missing required parameter: lang".into()),
        _ => (200, "text/html", "<!doctype html><title>app</title>".into()),
    });
    let client = format!("curl {}/asr -F audio=@builtin:speech.wav", server.url());
    let facts = probe(ask(&server.url(), Some(&client)), 20);
    let error = known(&facts.request.schema_error);
    assert!(
        error.contains("/openapi.json") && error.contains("expected an OpenAPI document") && error.contains("HTML"),
        "{error}"
    );
    assert_eq!((status(&facts.request.rejected), status(&facts.request.good)), (400, 200));
    let missing = &known(&facts.request.missing_fields)[0];
    assert_eq!((missing.name.as_str(), missing.schema_says.as_str()), ("lang", "unnamed"));
    assert_eq!(known(&facts.request.server_kind), "unrecognized");
    assert_eq!(known(&facts.request.operation).path, "/asr");
}

#[test]
fn without_schema_and_client_nothing_is_sent() {
    let server = ScriptedServer::answering(|_| (404, "application/json", "{}".into()));
    let facts = probe(ask(&server.url(), None), 20);
    assert!(known(&facts.request.schema_error).contains("HTTP 404"));
    assert_eq!(known(&facts.request.reachable), &true);
    assert!(facts.request.missing_fields.reason().is_some() && facts.request.good.reason().is_some());
    assert!(server.received().iter().all(|request| request.method == "GET"), "{:?}", server.received());
}

#[test]
fn a_closed_port_is_refused() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let facts = probe(ask(&format!("http://127.0.0.1:{port}"), None), 5);
    assert_eq!(known(&facts.request.reachable), &false);
    let error = known(&facts.request.reach_error);
    assert!(error.contains("refused") && error.contains(&port.to_string()), "{error}");
    assert_eq!(facts.request.good.reason().unwrap().why, Why::Absent);
}

#[test]
fn tls_to_a_plain_port_and_a_server_that_is_not_http_are_told_apart() {
    let demo = gpu_doctor::demo::start().unwrap();
    let facts = probe(ask(&demo.url().replace("http", "https"), None), 5);
    assert_eq!(known(&facts.request.reachable), &false);
    assert!(known(&facts.request.reach_error).contains("TLS"), "{}", known(&facts.request.reach_error));

    let smtp = ScriptedServer::start(|_, stream| drop(stream.write_all(b"220 mail ready\r\n")));
    let facts = probe(ask(&smtp.url(), None), 5);
    assert!(known(&facts.request.reach_error).contains("not HTTP"), "{}", known(&facts.request.reach_error));

    let silent = ScriptedServer::start(|_, _| {});
    let facts = probe(ask(&silent.url(), None), 5);
    let error = known(&facts.request.reach_error);
    assert!(error.contains("closed before an answer") || error.contains("reset"), "{error}");
}

#[test]
fn slow_drips_and_endless_bodies_end_in_time() {
    let dripping = ScriptedServer::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let client = format!("curl {}/asr -d text=hi", dripping.url());
    let started = Instant::now();
    let facts = probe(ask(&dripping.url(), Some(&client)), 3);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(known(&facts.request.reachable), &true);
    assert_eq!(status(&facts.request.client), 200);
    assert!(!known(&facts.request.client).accepted, "the answer never ended");
    assert!(facts.request.missing_fields.reason().is_some());

    let endless = ScriptedServer::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    });
    let client = format!("curl {}/asr -d text=hi", endless.url());
    let started = Instant::now();
    let facts = probe(ask(&endless.url(), Some(&client)), 20);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(known(&facts.request.schema_error).contains("more than"), "{}", known(&facts.request.schema_error));
    assert_eq!(known(&facts.request.client).answer.len(), 600);
}

#[test]
fn redirects_in_a_circle_or_to_another_host_are_not_followed() {
    let other = ScriptedServer::answering(|_| (200, "application/json", "{}".into()));
    let elsewhere = other.url();
    let server = ScriptedServer::start(move |request, stream| {
        let to = if request.target == "/openapi.json" { "/openapi.json".to_owned() } else { format!("{elsewhere}/x") };
        let head = format!("HTTP/1.1 307 Moved\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
    });
    let client = format!("curl -L {}/asr -d text=hi", server.url());
    let mut question = ask(&server.url(), Some(&client));
    question.headers = vec![("authorization".into(), "Bearer sesame-open-up".into())];
    let facts = probe(question, 10);
    assert!(known(&facts.request.schema_error).contains("redirected more than 5 times"));
    assert_eq!(status(&facts.request.client), 307);
    assert!(other.received().is_empty(), "{:?}", other.received());
}

#[test]
fn a_client_request_that_cannot_be_read_is_an_error_that_names_the_option() {
    let demo = gpu_doctor::demo::start().unwrap();
    let facts = probe(ask(&demo.url(), Some("curl --config c.txt http://127.0.0.1/asr")), 20);
    let reason = facts.request.client.reason().unwrap();
    assert!(reason.why == Why::Malformed && reason.detail.contains("--config"), "{reason}");
    assert!(facts.request.missing_fields.reason().is_some(), "nothing is known of the client's fields");
    assert_eq!(status(&facts.request.good), 200);
}

#[test]
fn a_self_signed_certificate_is_said_and_curls_k_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let mut command = std::process::Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(folder.path());
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command
    };
    let made =
        openssl("req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 1 -subj /CN=localhost").status();
    if !made.is_ok_and(|status| status.success()) {
        return eprintln!("left out: openssl cannot make a certificate here");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server =
        openssl(&format!("s_server -accept 127.0.0.1:{port} -key k.pem -cert c.pem -www -quiet")).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let url = format!("https://127.0.0.1:{port}");
    let strict = probe(ask(&url, None), 5);
    let lenient = probe(ask(&url, Some(&format!("curl -k {url}/asr"))), 5);
    server.kill().unwrap();
    server.wait().unwrap();
    let error = known(&strict.request.reach_error);
    assert!(error.contains("TLS") && error.contains("self-signed"), "{error}");
    assert_eq!(known(&lenient.request.reachable), &true);
    assert_eq!(status(&lenient.request.client), 200);
}

#[test]
fn a_request_that_cannot_be_formed_says_nothing_of_the_server() {
    let mut ask = ask("http://127.0.0.1:1", None);
    ask.headers = vec![("x-token".into(), "two\nlines".into())];
    let facts = probe(ask, 10);
    let reason = facts.request.reachable.reason().expect("the server was not asked");
    assert!(reason.detail.contains("no request could be formed"), "{reason}");
}

#[test]
fn a_name_that_does_not_resolve_is_said_plainly() {
    let facts = probe(ask("http://does-not-exist.invalid:8000", None), 20);
    let error = known(&facts.request.reach_error);
    assert!(error.starts_with("the name does-not-exist.invalid does not resolve"), "{error}");
}

#[test]
fn text_that_turns_direction_is_kept_out_of_answers_and_long_names_are_cut() {
    let server = ScriptedServer::answering(|_| (400, "text/plain", "\u{202e}\u{1b}[31mno".into()));
    let client = format!("curl {}/p -d {}=1", server.url(), "n".repeat(5000));
    let facts = probe(ask(&server.url(), Some(&client)), 20);
    let client = known(&facts.request.client);
    assert_eq!(client.answer, "  [31mno");
    assert_eq!(client.fields[0].name.len(), 120);
}
