//! The ways in: streams of HTTP, TLS, credentials, speech first; names and logs by the config; and the way out.

use super::setup::certificates::Certificates;
use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Connections by the server's own count.
fn counted(port: u16) -> u64 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET /gpu-status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    serde_json::from_str::<Value>(body).unwrap()["total_connections"].as_u64().unwrap()
}

fn in_turn(number: u64) -> Vec<Value> {
    (0..=number).map(|one| if one < number { json!(one % 4) } else { Value::Null }).collect()
}

#[test]
fn a_get_that_is_answered_with_events_is_held() {
    let Some(stage) = Stage::start(&["--streams"]) else { return };
    let url = format!("http://127.0.0.1:{}", stage.server.port);
    // Recognized by itself, and by word.
    for more in [&[][..], &["--over-http"]] {
        let arguments = [&["--operation", "/events", "--connections", "16", "--format", "json"], more].concat();
        let said = stage.doctor_at(&url, &arguments);
        let report = said.report();
        assert_eq!((said.code, &report["verdict"]), (0, &json!("healthy")), "{}", report["headline"]);
        assert_eq!(report["connections"]["kind"]["known"], "GET");
        assert_eq!(each(&report, "measured_gpu"), in_turn(16));
        let refused = &attempts(&report)[16];
        assert_eq!(
            (&refused["status"]["known"], refused["reason"].as_str().unwrap().contains("No GPU")),
            (&json!(503), true)
        );
        assert_eq!(outcomes(&report), vec!["pass"; 9], "{:#}", report["connections_judged"]["checklist"]);
        assert_eq!(counted(stage.server.port), 0);
    }
}

/// The request is made by the server's schema, as `run` makes it.
#[test]
fn a_good_request_whose_answer_goes_on_is_held() {
    let Some(stage) = Stage::start(&["--streams"]) else { return };
    let url = format!("http://127.0.0.1:{}", stage.server.port);
    let said = stage.doctor_at(&url, &["--over-http", "--connections", "4", "--format", "json"]);
    let report = said.report();
    assert_eq!(said.code, 0, "{}", report["headline"]);
    let room = &report["connections"];
    assert_eq!((&room["kind"]["known"], &room["path"]["known"]), (&json!("POST"), &json!("/v1/transcribe")));
    assert_eq!(each(&report, "measured_gpu")[..4], [0, 1, 2, 3].map(|gpu| json!(gpu)));
    // An answer that ends is no stream.
    let said =
        stage.doctor_at(&url, &["--operation", "/health", "--over-http", "--connections", "4", "--format", "json"]);
    let report = said.report();
    assert_eq!(causes(&report), ["connection-none-accepted"], "{}", report["headline"]);
    let because = diagnosis(&report, "connection-none-accepted")["because"].as_str().unwrap();
    assert!(because.contains("no stream that can be held"), "{because}");
}

#[test]
fn a_gpu_that_is_taken_with_the_first_words_is_spoken_to() {
    let Some(stage) = Stage::start(&["--lazy"]) else { return };
    let (code, report) = stage.report("16");
    assert_eq!((code, &report["verdict"]), (0, &json!("healthy")), "{}", report["headline"]);
    assert_eq!(report["connections"]["said"]["known"], "the first half second of speech");
    assert_eq!(each(&report, "measured_gpu"), in_turn(16));
    assert_eq!(outcomes(&report), vec!["pass"; 9], "{:#}", report["connections_judged"]["checklist"]);
}

#[test]
fn tls_and_credentials_are_those_of_run() {
    let Some(certificates) = Certificates::new() else { return };
    certificates.signed("voice", "IP:127.0.0.1", (2020, 2040));
    let (cert, key) = (certificates.file("voice.pem"), certificates.file("voice-key.pem"));
    let tls = ["--tls", cert.to_str().unwrap(), key.to_str().unwrap(), "--token", "S3CRET-77"];
    let gpus = tempfile::tempdir().unwrap();
    let switches = [&["--fake-gpus", gpus.path().to_str().unwrap()], &tls[..]].concat();
    let Some(server) = setup::real_server::unready("websocket", "balance", &switches) else { return };
    let stage = Stage { server, gpus };
    let url = format!("wss://127.0.0.1:{}/asr", stage.server.port);
    let token = stage.gpus.path().join("token");
    std::fs::write(&token, "S3CRET-77\n").unwrap();
    let authority = certificates.file("ca.pem");
    let trusted = ["--connections", "4", "--format", "json", "--cacert", authority.to_str().unwrap()];
    let said = stage.doctor_at(&url, &[&trusted[..], &["--bearer-file", token.to_str().unwrap()]].concat());
    let report = said.report();
    assert_eq!(said.code, 0, "{}", report["headline"]);
    assert_eq!(each(&report, "claimed_gpu")[..4], [0, 1, 2, 3].map(|gpu| json!(gpu)));
    assert!(!said.out.contains("S3CRET"), "{}", said.out);
    let said = stage.doctor_at(&url, &trusted);
    let report = said.report();
    assert_eq!((said.code, causes(&report)), (1, vec!["connection-none-accepted"]), "{}", report["headline"]);
    let fix = diagnosis(&report, "connection-none-accepted")["fix"][0]["say"].as_str().unwrap();
    assert!(fix.contains("--bearer-env"), "{fix}");
    // Without the authority it is the certificate that is told.
    let said = stage.doctor_at(&url, &trusted[..4]);
    assert_ne!(said.code, 0);
    assert!(said.out.contains("certificate"), "{}", said.out);
}

#[test]
fn numbers_of_the_environment_and_processes_are_told() {
    let Some(stage) = Stage::start(&["--visible", "3,2,1,0"]) else { return };
    let (code, report) = stage.report("16");
    assert_eq!((code, &report["verdict"]), (0, &json!("healthy")), "{}", report["headline"]);
    assert_eq!(each(&report, "measured_gpu")[..4], [3, 2, 1, 0].map(|gpu| json!(gpu)));
    let judged = &report["connections_judged"];
    let numbers = judged["numbers"].as_str().unwrap();
    assert_eq!(numbers, "the server's GPU 0, 1, 2, 3 is NVML's GPU 3, 2, 1, 0, as CUDA_VISIBLE_DEVICES=3,2,1,0 has it");
    let one = judged["processes"].as_str().unwrap();
    assert_eq!(one, format!("one process, {}, has GPU 0, 1, 2 and 3", stage.server.pid()));
    let Some(stage) = Stage::start(&["--workers"]) else { return };
    let (code, report) = stage.report("16");
    assert_eq!((code, &report["verdict"]), (0, &json!("healthy")), "{}", report["headline"]);
    let each = report["connections_judged"]["processes"].as_str().unwrap();
    assert!(each.starts_with("4 processes, each with one GPU: ") && each.contains(" on GPU 3"), "{each}");
}

/// Without a document the log tells; in words that are no one's the config file says which.
#[test]
fn a_log_in_words_of_its_own_is_read_by_the_config() {
    let Some(stage) = Stage::start(&["--no-status", "--terse-log"]) else { return };
    let config = stage.gpus.path().join("config.yaml");
    std::fs::write(&config, "balance:\n  connections: 16\n  log: 'card=(?P<gpu>\\d+)'\n").unwrap();
    let url = format!("ws://127.0.0.1:{}/asr", stage.server.port);
    let said = stage.doctor_at(&url, &["--config", config.to_str().unwrap(), "--format", "json"]);
    let report = said.report();
    assert_eq!(said.code, 0, "{}", report["headline"]);
    assert_eq!(each(&report, "logged_gpu"), in_turn(16));
    assert_eq!(outcomes(&report)[7], "pass");
    assert_eq!(outcomes(&report)[0], "unknown", "nothing tells how many it detects");
    for (text, words) in [
        ("balance: {limits: 4}", "unknown key `limits` in `balance`"),
        ("balance: {fields: {gpu: x}}", "unknown key `gpu`"),
        ("balance: {log: 'card (\\d+)'}", "balance.log: it must hold a group (?P<gpu>"),
        ("balance: {log: 'card ('}", "balance.log: it is no pattern"),
        ("balance: {connections: 0}", "balance.connections: it must be between 1 and 10000"),
        ("balance: {status: pool}", "balance.status: it must begin with a slash"),
    ] {
        std::fs::write(&config, text).unwrap();
        let said = stage.doctor_at(&url, &["--config", config.to_str().unwrap(), "--connections", "4"]);
        assert!(said.code == 64 && said.err.contains(words), "{text}: {}", said.err);
    }
}

#[test]
fn an_interruption_closes_all_and_tells_what_was_seen() {
    let Some(stage) = Stage::start(&[]) else { return };
    let url = format!("ws://127.0.0.1:{}/asr", stage.server.port);
    let program = Command::new(setup::GPU_DOCTOR)
        .args(["balance", "--server", &url, "--connections", "16", "--format", "json"])
        .envs(driver_variables(&stage.gpus.path().join("scenario.yaml")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while counted(stage.server.port) < 3 {
        assert!(Instant::now() < end, "no connection came");
        std::thread::sleep(Duration::from_millis(20));
    }
    // SAFETY: a signal to a child that was not waited for yet.
    unsafe { libc::kill(i32::try_from(program.id()).unwrap(), libc::SIGINT) };
    let interrupted = Instant::now();
    let output = program.wait_with_output().unwrap();
    assert!(interrupted.elapsed() < Duration::from_secs(8), "{:?}", interrupted.elapsed());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let held = attempts(&report).len();
    assert!((2..16).contains(&held), "{held}");
    let stopped = report["connections"]["stopped_by"]["known"].as_str().unwrap();
    assert!(stopped.contains("interrupted"), "{stopped}");
    assert_eq!(counted(stage.server.port), 0, "nothing is left open");
    assert_eq!(causes(&report), Vec::<&str>::new(), "{}", report["headline"]);
}
