//! `gpu-doctor balance` against a server that spreads its connections over four imagined GPUs, which the fake driver
//! follows: what is so when all is well, and what each fault comes to.

mod setup;

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
        let arguments = [&["balance", "--server", &url, "--connections"], options].concat();
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

/// The nine lines of the checklist of a user's four-GPU server.
#[test]
fn a_server_that_spreads_its_connections_as_it_should() {
    let Some(stage) = Stage::start(&[]) else { return };
    let (code, report) = stage.report("16");
    assert_eq!((code, &report["verdict"]), (0, &json!("healthy")), "{}", report["headline"]);
    assert_eq!(causes(&report), Vec::<&str>::new());
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
    has("17 connections at /asr, 16 held at once");
    has("14  GPU 1  GPU 1  GPU 1");
    has("17  refused: closed with 1008 (No GPU available)");
    has("GPU 3  4 connections by its word  15.1 GB of 16.1 GB held by the server");
    has("limit: 4 for each GPU by /gpu-status");
    has("memory: 3.8 GB a connection, so that a card of 16.1 GB safely holds 4");
    has("0 connections counted (before: 0)");
    has("No fault found on this machine and in the connections to");
}

#[test]
fn everything_on_gpu_0() {
    let Some(stage) = Stage::start(&["--one-gpu"]) else { return };
    let (code, report) = stage.report("16");
    assert_eq!(code, 1, "{}", report["headline"]);
    assert_eq!(causes(&report), ["all-workers-on-gpu0"], "{}", report["headline"]);
    let brief = diagnosis(&report, "all-workers-on-gpu0")["brief"].as_str().unwrap();
    assert!(brief.starts_with("3 of 4 GPUs never worked: by NVML all 4 connections came to GPU 0"), "{brief}");
}

#[test]
fn places_that_are_not_given_back() {
    let Some(stage) = Stage::start(&["--leak"]) else { return };
    let (code, report) = stage.report("16");
    assert_eq!((code, causes(&report)), (1, vec!["connection-places-leaked"]), "{}", report["headline"]);
    let leak = diagnosis(&report, "connection-places-leaked");
    assert_eq!(leak["confidence"], "proven");
    let because = leak["because"].as_str().unwrap();
    assert!(because.contains("still counts 16") && because.contains("No GPU available"), "{because}");
}

#[test]
fn memory_that_is_not_given_back() {
    let Some(stage) = Stage::start(&["--keep-memory"]) else { return };
    let (code, report) = stage.report("8");
    assert_eq!((code, causes(&report)), (0, vec!["connection-memory-kept"]), "{}", report["headline"]);
}

#[test]
fn a_limit_that_is_not_kept() {
    let Some(stage) = Stage::start(&["--no-limit"]) else { return };
    let (code, report) = stage.report("16");
    assert_eq!((code, causes(&report)), (1, vec!["connection-limit-not-enforced"]), "{}", report["headline"]);
    let because = diagnosis(&report, "connection-limit-not-enforced")["because"].as_str().unwrap();
    assert!(because.contains("a limit of 4 connections for each GPU, and 5 on GPU 0"), "{because}");
}

#[test]
fn a_limit_below_what_memory_allows() {
    let Some(stage) = Stage::start(&["--limit", "2"]) else { return };
    let (code, report) = stage.report("8");
    assert_eq!((code, causes(&report)), (0, vec!["connection-limit-below-memory"]), "{}", report["headline"]);
    let because = diagnosis(&report, "connection-limit-below-memory")["because"].as_str().unwrap();
    assert!(because.contains("refused with 2 on each GPU") && because.contains("holds 4"), "{because}");
}

#[test]
fn a_refusal_without_a_word() {
    let Some(stage) = Stage::start(&["--refuse-early"]) else { return };
    let (code, report) = stage.report("16");
    assert_eq!((code, causes(&report)), (0, vec!["connection-refused-silently"]), "{}", report["headline"]);
    assert_eq!(attempts(&report)[16]["status"]["known"], 403);
    assert_eq!(report["connections"]["unknown_path_refused_alike"]["known"], true);
}

#[test]
fn a_document_that_lies() {
    let Some(stage) = Stage::start(&["--lie", "--mib", "800"]) else { return };
    let (code, report) = stage.report("16");
    assert_eq!(code, 1, "{}", report["headline"]);
    assert_eq!(causes(&report), ["all-workers-on-gpu0", "connection-claims-contradicted"], "{}", report["headline"]);
    let because = diagnosis(&report, "connection-claims-contradicted")["because"].as_str().unwrap();
    assert!(because.contains("connections on GPU 0, 1, 2 and 3") && because.contains("GPU 0 alone"), "{because}");
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
    let said = gpu_doctor(&["balance", "--server", "ws://192.0.2.1:8000/asr", "--connections", "4"], &[]);
    assert!(said.code == 64 && said.err.contains("--i-own-this-server"), "{}", said.err);
    let said = gpu_doctor(&["balance", "--server", "http://127.0.0.1:1", "--connections", "256"], &[]);
    assert!(said.code == 64 && said.err.contains("256"), "{}", said.err);
    let said = gpu_doctor(&["balance", "--connections", "4"], &[]);
    assert!(said.code == 64 && said.err.contains("--server"), "{}", said.err);
    let port = setup::real_server::free_port();
    let url = format!("ws://127.0.0.1:{port}/asr");
    let said = gpu_doctor(&["balance", "--server", &url, "--connections", "4", "--format", "json"], &[]);
    assert_ne!(said.code, 0);
    let told = said.report()["unknown"].to_string();
    assert!(told.contains("connection refused"), "{told}");
}
