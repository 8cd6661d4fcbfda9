//! `--wait`: servers that become ready, that never do, and that no waiting mends.

use crate::scripted_server::ScriptedServer;
use crate::setup::GPU_DOCTOR;
use crate::setup::doctor::{Said, causes, gpu_doctor};
use crate::setup::real_server::free_port;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn run(url: &str, wait: &str) -> Said {
    gpu_doctor(&["run", "--only", "request", "--requests", "2", "--server", url, wait, "--format", "json"], &[])
}

const SCHEMA: &str = r#"{"openapi":"3.1.0","paths":{"/asr":{"post":{"requestBody":{"content":{"application/json":{"schema":
    {"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}}}}}}}"#;

/// A server whose health is as told, and that serves where it is good.
fn serving(health: impl Fn() -> (u16, &'static str) + Send + Sync + 'static) -> ScriptedServer {
    ScriptedServer::answering(move |request| {
        let (status, body) = health();
        match request.target.as_str() {
            "/health" => (status, "application/json", body.into()),
            "/openapi.json" if status == 200 => (200, "application/json", SCHEMA.into()),
            "/asr" if status == 200 => (200, "application/json", r#"{"text":"ok"}"#.into()),
            _ => (404, "application/json", "{}".into()),
        }
    })
}

#[test]
fn a_server_that_starts_after_two_seconds() {
    let port = free_port();
    let server = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let end = Instant::now() + Duration::from_secs(6);
        listener.set_nonblocking(true).unwrap();
        while Instant::now() < end {
            let Ok((mut stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            let _ = stream.set_nonblocking(false);
            let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let said = run(&format!("http://127.0.0.1:{port}"), "--wait=30s");
    assert!(
        said.err.contains("waiting for http://127.0.0.1") && said.err.contains("connection refused"),
        "{}",
        said.err
    );
    assert!(said.err.contains("ready after 2.") || said.err.contains("ready after 3."), "{}", said.err);
    let report = said.report();
    assert!(!causes(&report).contains(&"backend-down-or-wrong-port"), "{}", report["headline"]);
    assert_eq!(report["target"]["waited"]["ready"], true);
    server.join().unwrap();
}

#[test]
fn a_server_that_says_503_for_two_seconds_and_one_that_says_in_words_that_it_loads() {
    for (status, body) in [(503, "{}"), (200, r#"{"status": "loading"}"#), (200, r#"{"model_loaded": false}"#)] {
        let begun = Instant::now();
        let server = serving(move || match begun.elapsed() < Duration::from_secs(2) {
            true => (status, body),
            false => (200, r#"{"status": "ok", "model_loaded": true}"#),
        });
        let said = run(&server.url(), "--wait");
        assert!(said.err.contains(&format!("60 s at most: GET /health answers {status}")), "{}", said.err);
        assert!(said.err.contains("ready after"), "{}", said.err);
        let report = said.report();
        assert!(report["target"]["waited"]["waited_ms"].as_u64().unwrap() >= 1500, "{}", report["target"]);
        assert_eq!(causes(&report), Vec::<&str>::new(), "{}", report["headline"]);
        let asked = server.received().iter().filter(|request| request.target == "/health").count();
        assert!((3..=12).contains(&asked), "{asked} questions in 2 s");
    }
}

#[test]
fn a_server_of_kserve_says_by_400_that_it_is_not_ready() {
    let begun = Instant::now();
    let server = ScriptedServer::answering(move |request| match request.target.as_str() {
        "/v2/health/ready" if begun.elapsed() < Duration::from_secs(1) => (400, "text/plain", String::new()),
        "/v2/health/ready" => (200, "text/plain", String::new()),
        _ => (404, "text/plain", String::new()),
    });
    let said = run(&server.url(), "--wait=20s");
    assert!(said.err.contains("/v2/health/ready answers 400") && said.err.contains("ready after"), "{}", said.err);
}

/// The paths are guesses: an app's own route may fail at one of them.
#[test]
fn an_error_at_one_place_is_not_the_servers_word_where_another_says_ready() {
    for (first, code) in [("/health/ready", 500), ("/readyz", 502)] {
        let server = ScriptedServer::answering(move |request| match request.target.as_str() {
            path if path == first => (code, "text/plain", "Internal Server Error".into()),
            "/health" => (200, "application/json", r#"{"status": "ok"}"#.into()),
            "/openapi.json" => (200, "application/json", SCHEMA.into()),
            "/asr" => (200, "application/json", r#"{"text":"ok"}"#.into()),
            _ => (404, "application/json", "{}".into()),
        });
        let said = run(&server.url(), "--wait=20s");
        assert!(
            said.took < Duration::from_secs(15) && !said.err.contains("waiting for"),
            "{:?} {}",
            said.took,
            said.err
        );
        assert_eq!(said.report()["target"]["waited"]["last"], "GET /health answers 200");
    }
    // None says that it is ready; a 503 is no accident, even where another place is well.
    for (status, well) in [(500, "/nowhere"), (503, "/ping")] {
        let server = ScriptedServer::answering(move |request| match request.target.as_str() {
            "/readyz" => (status, "text/plain", String::new()),
            path if path == well => (200, "text/plain", "pong".into()),
            _ => (404, "application/json", "{}".into()),
        });
        let said = run(&server.url(), "--wait=1s");
        let waited = &said.report()["target"]["waited"];
        assert_eq!(
            (&waited["ready"], &waited["last"]),
            (&false.into(), &format!("GET /readyz answers {status}").into())
        );
    }
}

#[test]
fn without_a_server_there_is_nothing_to_wait_for() {
    for arguments in [&["run", "--wait"][..], &["run", "--wait", "5s"], &["collect", "--wait=5s"]] {
        let said = gpu_doctor(&[arguments, &["--only", "hardware"]].concat(), &[]);
        assert_eq!((said.code, said.out.as_str()), (64, ""), "{arguments:?} {}", said.err);
        assert!(said.err.contains("--wait needs a server to wait for: name it by --server URL"), "{}", said.err);
    }
}

#[test]
fn a_server_that_never_comes_is_diagnosed_as_it_is() {
    let said = run(&format!("http://127.0.0.1:{}", free_port()), "--wait=2s");
    assert!(said.took >= Duration::from_secs(2) && said.took < Duration::from_secs(20), "{:?}", said.took);
    let report = said.report();
    assert_eq!((causes(&report), said.code), (vec!["backend-down-or-wrong-port"], 1));
    let because = report["diagnoses"][0]["because"].as_str().unwrap();
    assert!(because.contains("waited 2 s for it to become ready; last: ") && because.contains("refused"), "{because}");
}

#[test]
fn what_no_waiting_mends_is_not_waited_for() {
    let server = ScriptedServer::answering(|_| (401, "application/json", r#"{"detail":"no token"}"#.into()));
    let said = run(&server.url(), "--wait=30s");
    assert!(said.took < Duration::from_secs(15), "{:?}", said.took);
    assert!(said.err.contains("not waited for") && said.err.contains("answers 401"), "{}", said.err);
    // A port that speaks something else.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(40).flatten() {
            let mut stream = stream;
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    let said = run(&format!("http://127.0.0.1:{port}"), "--wait=30s");
    assert!(said.took < Duration::from_secs(20) && said.err.contains("not waited for"), "{:?} {}", said.took, said.err);
}

#[test]
fn ctrl_c_ends_the_wait() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let mut command = Command::new(GPU_DOCTOR);
    command.args(["run", "--server", &url, "--wait=60s"]).stdout(Stdio::null()).stderr(Stdio::piped());
    // SAFETY: `signal` may be called between fork and exec. A shell that starts the tests in the background lets them, and
    // what they start, ignore Ctrl-C.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
    let mut doctor = command.spawn().unwrap();
    let mut told = BufReader::new(doctor.stderr.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    assert!(line.contains("waiting for http://127.0.0.1"), "{line}");
    // SAFETY: a signal to a child that was not waited for yet.
    unsafe { libc::kill(doctor.id() as i32, libc::SIGINT) };
    let begun = Instant::now();
    let status = doctor.wait().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // A shell tells it as 130.
    assert!(status.signal() == Some(libc::SIGINT) || status.code() == Some(130), "{status:?}");
}

/// Before the load begins there is nothing to end in order: what is known by then is told at once.
#[test]
fn ctrl_c_ends_the_examination_before_a_load() {
    let server = ScriptedServer::start(|_, _| std::thread::sleep(Duration::from_secs(20)));
    let doctor = Command::new(GPU_DOCTOR)
        .args(["stress", "--server", &server.url(), "--users", "2", "--duration", "30s", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while server.received().is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    // SAFETY: a signal to a child that was not waited for yet.
    unsafe { libc::kill(doctor.id() as i32, libc::SIGINT) };
    let begun = Instant::now();
    let output = doctor.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["unknown"].to_string().contains("the run was interrupted before this was known"), "{report}");
    assert_ne!(report["verdict"], "healthy", "{}", report["headline"]);
}
