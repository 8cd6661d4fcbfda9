//! `gpu-doctor balance` against a server that spreads its connections over four imagined GPUs, which the fake driver
//! follows: what is so when all is well, and what each fault comes to.

#[path = "balance/faults.rs"]
mod faults;
mod setup;
#[path = "balance/ways.rs"]
mod ways;

use serde_json::{Value, json};
use setup::doctor::{Said, causes, diagnosis, gpu_doctor, verdict};
use setup::driver_variables;
use setup::real_server::{Server, program, program_with_log};

/// The server and the GPUs that it fills.
struct Stage {
    server: Server,
    gpus: tempfile::TempDir,
}

impl Stage {
    /// Starts the server with these switches; `None` where its environment was not made.
    fn start(switches: &[&str]) -> Option<Self> {
        let gpus = tempfile::tempdir().unwrap();
        let all = [&["--fake-gpus", gpus.path().to_str().unwrap()], switches].concat();
        Some(Self { server: program_with_log("websocket", "balance", &all, "/health")?, gpus })
    }

    fn doctor(&self, options: &[&str]) -> Said {
        let url = format!("ws://127.0.0.1:{}/asr", self.server.port);
        self.doctor_at(&url, &[&["--connections"], options].concat())
    }

    fn doctor_at(&self, url: &str, options: &[&str]) -> Said {
        let arguments = [&["balance", "--server", url], options].concat();
        gpu_doctor(&arguments, &driver_variables(&self.gpus.path().join("scenario.yaml")))
    }

    /// Asks for so many connections, and one more.
    fn report(&self, connections: &str) -> (i32, Value) {
        let said = self.doctor(&[connections, "--format", "json"]);
        (said.code, said.report())
    }
}

/// The attempts of a report.
fn attempts(report: &Value) -> &Vec<Value> {
    report["connections"]["attempts"]["known"].as_array().unwrap_or_else(|| panic!("{report:#}"))
}

/// A known fact of each attempt; null where it is unknown.
fn each(report: &Value, fact: &str) -> Vec<Value> {
    attempts(report).iter().map(|attempt| attempt[fact]["known"].clone()).collect()
}

/// How the lines of the checklist came out.
fn outcomes(report: &Value) -> Vec<&str> {
    let lines = report["connections_judged"]["checklist"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect()
}

/// The nine lines of the checklist of a user's four-GPU server.
#[test]
fn a_server_that_spreads_its_connections_as_it_should() {
    let Some(stage) = Stage::start(&[]) else { return };
    let (code, report) = stage.report("16");
    assert_eq!((code, &report["verdict"]), (0, &json!("healthy")), "{}", report["headline"]);
    assert_eq!(causes(&report), Vec::<&str>::new());
    assert_eq!(outcomes(&report), vec!["pass"; 9], "{:#}", report["connections_judged"]["checklist"]);
    let room = &report["connections"];
    let readings = room["readings"]["known"].as_array().unwrap();
    // 1. It detects four GPUs, and so does NVML.
    for side in ["told", "measured"] {
        assert_eq!(readings[0][side]["known"].as_array().unwrap().len(), 4, "{}", readings[0]);
    }
    // 2. and 3. The first connection comes to GPU 0, the others in turn; 8. the log tells the same.
    let in_turn: Vec<Value> = (0..17).map(|number| if number < 16 { json!(number % 4) } else { Value::Null }).collect();
    for teller in ["measured_gpu", "claimed_gpu", "logged_gpu"] {
        assert_eq!(each(&report, teller), in_turn, "{teller}");
    }
    // 4. The document tells what NVML shows.
    let fullest = &readings[16];
    for (told, measured) in
        fullest["told"]["known"].as_array().unwrap().iter().zip(fullest["measured"]["known"].as_array().unwrap())
    {
        assert_eq!(told["connections"]["known"], 4);
        let (told, measured) = (&told["used_bytes"]["known"], &measured["used_bytes"]["known"]);
        assert!((told.as_f64().unwrap() - measured.as_f64().unwrap()).abs() < 1e8, "{told} {measured}");
    }
    // 5. Memory grows with each connection.
    assert!(each(&report, "added_bytes")[..16].iter().all(|added| *added == json!(3600u64 << 20)));
    // 6. It is free again afterwards, and so are the places.
    let (first, last) = (&readings[0], readings.last().unwrap());
    assert_eq!((&last["told"], &last["open_connections"]), (&first["told"], &json!(0)));
    assert_eq!(last["measured"]["known"][3]["used_bytes"], first["measured"]["known"][3]["used_bytes"]);
    assert_eq!(room["after_release"]["known"]["accepted"], true);
    // 7. The seventeenth is refused with a word.
    let refused = &attempts(&report)[16];
    assert_eq!((&refused["close_code"]["known"], &refused["reason"]), (&json!(1008), &json!("No GPU available")));
    // 9. Sixteen were open at once, and none of them was lost.
    assert_eq!(fullest["open_connections"], 16);
    assert!(attempts(&report)[..16].iter().all(|attempt| attempt["accepted"] == true));
}

#[test]
fn the_table_tells_connection_by_connection() {
    let Some(stage) = Stage::start(&[]) else { return };
    let said = stage.doctor(&["16"]);
    assert_eq!(said.code, 0, "{}", said.out);
    let has = |line: &str| {
        let line: Vec<&str> = line.split_whitespace().collect();
        let found =
            said.out.lines().any(|own| own.split_whitespace().collect::<Vec<_>>().join(" ").contains(&line.join(" ")));
        assert!(found, "{line:?} is not in\n{}", said.out);
    };
    has("17 connections at /asr by WebSocket: 16 held at once");
    has("7  pass  the connection too many is refused, with a reason");
    has("with 16 open, connection 17 was refused with close code 1008: \"No GPU available\"");
    has("GPU 0 1 2 3 0 1 2 3 0 1 2 3 ...: none ever had two more than another");
    has("14  GPU 1  GPU 1  GPU 1");
    has("17  refused: closed with 1008 (No GPU available)");
    has("GPU 3  4 connections by its word  15.1 GB of 16.1 GB held by the server");
    has("limit: 4 for each GPU by /gpu-status");
    has("memory: 3.8 GB a connection, so that a card of 16.1 GB safely holds 4");
    has("0 connections counted (before: 0)");
    has("No fault found on this machine and in the connections to");
}

#[test]
fn a_document_with_names_of_its_own_is_read_by_the_config() {
    let Some(stage) = Stage::start(&["--other-names"]) else { return };
    let config = stage.gpus.path().join("config.yaml");
    let fields = "{gpus: pool.cards, connections: load.now, used: vram_gb, limit: pool.per_card}";
    std::fs::write(&config, format!("balance:\n  status: /pool\n  fields: {fields}\n")).unwrap();
    let saved = stage.gpus.path().join("snapshot.json");
    let (config, saved) = (config.to_str().unwrap(), saved.to_str().unwrap());
    let said = stage.doctor(&["16", "--format", "json", "--config", config, "--save", saved]);
    let report = said.report();
    assert_eq!(said.code, 0, "{}", report["headline"]);
    assert_eq!(report["connections"]["told_limit_per_gpu"]["known"], 4);
    assert_eq!(each(&report, "claimed_gpu"), each(&report, "measured_gpu"));
    // What was recorded is judged alike.
    let again = gpu_doctor(&["diagnose", saved, "--format", "json"], &[]).report();
    assert_eq!((&again["headline"], &again["connections"]), (&report["headline"], &report["connections"]));
}

#[test]
fn without_a_driver_the_servers_word_is_told_as_such() {
    let Some(server) = program("websocket", "balance", &[], "/health") else { return };
    let url = format!("ws://127.0.0.1:{}/asr", server.port);
    let said = gpu_doctor(&["balance", "--server", &url, "--connections", "4", "--format", "json"], &[]);
    let report = said.report();
    assert_eq!(each(&report, "claimed_gpu")[..4], [0, 1, 2, 3].map(|gpu| json!(gpu)));
    assert!(each(&report, "measured_gpu").iter().all(Value::is_null));
    assert_eq!(verdict(&report, "connection-claims-contradicted"), "not_applicable");
}

#[test]
fn what_cannot_be_visited_is_said() {
    let said = gpu_doctor(&["balance", "--server", "ws://192.0.2.1:8000/asr", "--connections", "100"], &[]);
    assert!(said.code == 64 && said.err.contains("--i-own-this-server"), "{}", said.err);
    let said = gpu_doctor(&["balance", "--server", "http://127.0.0.1:1", "--connections", "10001"], &[]);
    assert!(said.code == 64 && said.err.contains("10001"), "{}", said.err);
    let said = gpu_doctor(&["balance", "--connections", "4"], &[]);
    assert!(said.code == 64 && said.err.contains("--server"), "{}", said.err);
    let said = gpu_doctor(&["balance", "--server", "http://127.0.0.1:1"], &[]);
    assert!(said.code == 64 && said.err.contains("--connections N"), "{}", said.err);
    // More connections than files, before the start.
    let limited =
        format!("ulimit -n 256; exec {} balance --server ws://127.0.0.1:1/asr --connections 10000", setup::GPU_DOCTOR);
    let output = std::process::Command::new("sh").args(["-c", &limited]).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{err}");
    assert!(err.contains("10001 connections need 10065 open files, and this shell allows 256"), "{err}");
    let port = setup::real_server::free_port();
    let url = format!("ws://127.0.0.1:{port}/asr");
    let said = gpu_doctor(&["balance", "--server", &url, "--connections", "4", "--format", "json"], &[]);
    let report = said.report();
    assert_eq!(said.code, 1, "{}", report["headline"]);
    let because = diagnosis(&report, "connection-none-accepted")["because"].as_str().unwrap();
    assert!(because.contains("connection refused: nothing listens there"), "{because}");
    let verify = diagnosis(&report, "connection-none-accepted")["verify"][0].as_str().unwrap();
    assert_eq!(verify, format!("gpu-doctor balance --server {url} --connections 4"));
}
