//! Documents that were cut, edited by hand, written by another version, packed, or are none.

use crate::recorded;
use crate::setup::GPU_DOCTOR;
use crate::setup::doctor::{Said, gpu_doctor};
use crate::snapshot_file;
use gpu_doctor::document::{self, REPORT, SNAPSHOT};
use gpu_doctor::report::{self, Report};
use gpu_doctor::snapshot::{self, Snapshot};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

fn healthy() -> Value {
    serde_json::from_str(&std::fs::read_to_string(snapshot_file("healthy-server")).unwrap()).unwrap()
}

/// What `diagnose` says of this text in a file.
fn diagnosed(text: impl AsRef<[u8]>) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot.json");
    std::fs::write(&file, text).unwrap();
    gpu_doctor(&["diagnose", file.to_str().unwrap()], &[])
}

fn refused(text: impl AsRef<[u8]>, words: &[&str]) {
    let said = diagnosed(text);
    assert_eq!(said.code, 64, "{}{}", said.out, said.err);
    assert!(said.out.is_empty(), "{}", said.out);
    for word in words {
        assert!(said.err.contains(word), "{word}\n{}", said.err);
    }
}

#[test]
fn the_names_of_the_formats_stand_in_one_place() {
    assert_eq!((snapshot::SCHEMA, snapshot::SCHEMA_MINOR), (SNAPSHOT.name, SNAPSHOT.minor));
    assert_eq!(report::SCHEMA, REPORT.name);
}

#[test]
fn a_cut_one_is_told_with_its_end() {
    let text = std::fs::read_to_string(snapshot_file("healthy-server")).unwrap();
    let cut = &text[..text.len() / 2];
    let line = cut.matches('\n').count() + 1;
    refused(cut, &["ends in the middle, at line ", &format!("line {line} column"), &format!("(byte {})", cut.len())]);
    refused("", &["it is empty"]);
    refused("PK\u{3}\u{4}", &["it is not JSON"]);
}

#[test]
fn an_edited_one_is_told_with_the_place() {
    let edited = |from: &str, to: &str| {
        let text = std::fs::read_to_string(snapshot_file("healthy-server")).unwrap();
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    let line = |text: &str, word: &str| text.lines().position(|line| line.contains(word)).unwrap() + 1;
    let text = edited("\"memory_total_bytes\"", "\"memory_total_byte\"");
    let place = line(&text, "memory_total_byte\"");
    refused(
        &text,
        &[".memory_total_byte (line ", &format!("line {place} column"), "did you mean \"memory_total_bytes\"?"],
    );
    let mut wrong = healthy();
    wrong["facts"]["nvml"]["gpus"]["known"][0]["memory_total_bytes"] = json!({"known": "80 GB"});
    let text = format!("{wrong:#}");
    let place = line(&text, "80 GB");
    let path = "facts.nvml.gpus.known[0].memory_total_bytes.known";
    refused(&text, &[&format!("{path} (line {place} column"), "expected a whole number, found a text"]);
    refused(
        edited("\"outcome\": \"ok\"", "\"outcome\": \"okay\""),
        &["probes[0].outcome (line", "did you mean \"ok\"?"],
    );
    refused(edited("\"target\"", "\"targets\""), &["targets (line", "did you mean \"target\"?"]);
}

#[test]
fn a_newer_major_version_is_refused_and_both_are_named() {
    let mut newer = healthy();
    newer["schema"] = json!("gpu-doctor/snapshot/v2");
    newer["tool"] = json!("gpu-doctor 3.1.0");
    refused(
        newer.to_string(),
        &["\"gpu-doctor/snapshot/v2\"", "\"gpu-doctor/snapshot/v1\"", "gpu-doctor 3.1.0 wrote it: upgrade"],
    );
}

#[test]
fn a_newer_minor_version_is_read_and_what_is_new_is_said() {
    let before = gpu_doctor(&["diagnose", &snapshot_file("healthy-server")], &[]);
    let mut newer = healthy();
    newer["schema_minor"] = json!(7);
    newer["tool"] = json!("gpu-doctor 0.9.0");
    newer["facts"]["quantum"] = json!({"entangled": {"known": true}});
    newer["facts"]["host"]["mood"] = json!({"known": "good"});
    newer["probes"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": "quantum", "outcome": "tunnelled", "detail": "", "started_at": "", "duration_ms": 1}));
    let said = diagnosed(newer.to_string());
    assert_eq!((said.code, &said.out), (before.code, &before.out), "{}", said.err);
    for word in [
        "left aside what gpu-doctor 0.9.0 wrote",
        "facts.quantum: there is no member",
        "facts.host.mood",
        "\"tunnelled\"",
    ] {
        assert!(said.err.contains(word), "{word}\n{}", said.err);
    }
    // In a document of this minor version the same is a fault.
    newer.as_object_mut().unwrap().remove("schema_minor");
    refused(newer.to_string(), &["probes[18].outcome (line 1 column", "found \"tunnelled\""]);
}

#[test]
fn every_recorded_snapshot_is_read_alike_as_a_newer_one() {
    for (name, snapshot) in recorded() {
        let mut value = serde_json::to_value(&snapshot).unwrap();
        value["schema_minor"] = json!(SNAPSHOT.minor + 1);
        let read = document::read::<Snapshot>(value.to_string().as_bytes(), &SNAPSHOT, snapshot::json_schema);
        let read = read.unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(read.aside, Vec::<String>::new(), "{name}");
        assert!(read.content == snapshot, "{name}");
    }
}

/// With any one member of any room taken out, as of an older version, nothing is refused and nothing becomes known.
#[test]
fn what_an_older_version_did_not_record_is_unknown() {
    let whole = healthy();
    let rooms = whole["facts"].as_object().unwrap().clone();
    for (room, facts) in &rooms {
        for fact in facts.as_object().unwrap().keys() {
            let mut older = whole.clone();
            older["facts"][room].as_object_mut().unwrap().remove(fact);
            let read: Snapshot =
                document::read(older.to_string().as_bytes(), &SNAPSHOT, snapshot::json_schema).unwrap().content;
            let value = serde_json::to_value(&read).unwrap();
            let filled = &value["facts"][room][fact];
            assert!(
                filled["unknown"]["detail"].as_str().is_some_and(|why| why.contains("version")),
                "{room}.{fact}: {filled}"
            );
        }
    }
}

#[test]
fn a_report_is_read_by_the_same_rule() {
    let folder = tempfile::tempdir().unwrap();
    let said = gpu_doctor(&["diagnose", &snapshot_file("a1"), "--format", "json"], &[]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let read = |value: &Value| document::read::<Report>(value.to_string().as_bytes(), &REPORT, report::strict_schema);
    assert!(read(&report).unwrap().aside.is_empty());
    let mut newer = report.clone();
    newer["schema_minor"] = json!(2);
    newer["weather"] = json!("fine");
    newer["stages"].as_array_mut().unwrap().push(json!({"stage": "orbit", "standing": "pass", "seen": "a satellite"}));
    let kept = read(&newer).unwrap();
    assert_eq!(kept.content.stages.len(), report["stages"].as_array().unwrap().len());
    assert_eq!(kept.aside.len(), 2, "{:?}", kept.aside);
    let mut wrong = report.clone();
    wrong["diagnoses"][0]["severity"] = json!("failed");
    let problem = read(&wrong).unwrap_err().to_string();
    assert!(
        problem.starts_with("diagnoses[0].severity (line 1 column") && problem.contains("did you mean \"fail\"?"),
        "{problem}"
    );
    let mut misspelt = report.clone();
    let verdict = misspelt.as_object_mut().unwrap().remove("verdict").unwrap();
    misspelt["verdikt"] = verdict;
    let problem = read(&misspelt).unwrap_err().to_string();
    assert!(problem.contains("it lacks the member \"verdict\"; is \"verdikt\" meant for it?"), "{problem}");

    // It cannot be judged again, and that is said with what can be.
    let file = folder.path().join("report.json");
    std::fs::write(&file, report.to_string()).unwrap();
    let said = gpu_doctor(&["diagnose", file.to_str().unwrap()], &[]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("this is a report") && said.err.contains("--save FILE"), "{}", said.err);
}

#[test]
fn triage_reads_by_the_same_rule() {
    let folder = tempfile::tempdir().unwrap();
    let mut newer = healthy();
    newer["schema_minor"] = json!(1);
    newer["facts"]["quantum"] = json!({"entangled": {"known": true}});
    let file = folder.path().join("newer.json");
    std::fs::write(&file, format!("{newer:#}")).unwrap();
    let said = gpu_doctor(&["triage", file.to_str().unwrap(), "--format", "json"], &[]);
    let told = &said.report()["recorded"]["files"]["known"][0];
    assert!(told["faults"].as_array().unwrap().is_empty(), "{told}");
    assert!(told["lacks"].to_string().contains("left aside: facts.quantum"), "{told}");
    let text = format!("{newer:#}");
    std::fs::write(&file, &text[..text.len() / 2]).unwrap();
    let said = gpu_doctor(&["triage", file.to_str().unwrap(), "--format", "json"], &[]);
    let told = &said.report()["recorded"]["files"]["known"][0];
    assert!(told["faults"].to_string().contains("it ends in the middle, at line"), "{told}");
}

#[test]
fn one_is_read_packed_and_from_standard_input() {
    let text = std::fs::read(snapshot_file("a1")).unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&text).unwrap();
    let packed = packer.finish().unwrap();
    let whole = gpu_doctor(&["diagnose", &snapshot_file("a1")], &[]);
    assert_eq!(diagnosed(&packed).out, whole.out);
    refused(&packed[..packed.len() / 2], &["packed by gzip, and cannot be unpacked"]);
    let mut child = Command::new(GPU_DOCTOR)
        .args(["diff", "-", &snapshot_file("a1")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&packed).unwrap();
    let said = child.wait_with_output().unwrap();
    let out = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.status.code(), Some(0), "{out}");
    assert!(out.starts_with("the same: ") && out.contains("(snapshot from standard input, taken"), "{out}");
}

#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    let said = gpu_doctor(&["diff", "/dev/zero", &snapshot_file("a1")], &[]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("/dev/zero: this is not a regular file"), "{}", said.err);
    let other = gpu_doctor(
        &["model", &format!("{}/fixtures/models/tiny.onnx", env!("CARGO_MANIFEST_DIR")), "--format", "json"],
        &[],
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.json");
    std::fs::write(&file, if other.out.is_empty() { "{\"schema\": \"gpu-doctor/model/v1\"}" } else { &other.out })
        .unwrap();
    let said = gpu_doctor(&["diff", file.to_str().unwrap(), &snapshot_file("a1")], &[]);
    assert_eq!(said.code, 64);
    assert!(
        said.err.contains("its schema is \"gpu-doctor/model/v1\"; expected \"gpu-doctor/snapshot/v1\" or"),
        "{}",
        said.err
    );
}
