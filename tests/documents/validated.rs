//! What the doctor prints fits the schemas that it prints, by a validator of others; and what does not is refused by it.

use crate::setup::doctor::gpu_doctor;
use crate::setup::venv::venv;
use crate::{judged, recorded, snapshot_file};
use gpu_doctor::check::Checks;
use gpu_doctor::diagnosis::{Diagnosed, diagnose};
use gpu_doctor::report::Report;
use gpu_doctor::snapshot::Snapshot;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Documents for the validator, in a folder of their own.
struct Batch {
    folder: tempfile::TempDir,
    cases: Vec<Value>,
}

impl Batch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for of in ["report", "snapshot", "diff", "config"] {
            let said = gpu_doctor(&["schema", of], &[]);
            assert_eq!(said.code, 0, "{}", said.err);
            std::fs::write(folder.path().join(format!("{of}.schema.json")), said.out).unwrap();
        }
        Self { folder, cases: Vec::new() }
    }

    fn put(&mut self, schema: &str, name: &str, document: &Value, valid: bool) {
        let file = self.folder.path().join(format!("{}-{schema}-{name}.json", self.cases.len()));
        std::fs::write(&file, document.to_string()).unwrap();
        let schema = self.folder.path().join(format!("{schema}.schema.json"));
        self.cases.push(json!({"schema": schema, "document": file, "valid": valid}));
    }

    /// What the validator objects to; `None` without it.
    fn problems(&self) -> Option<String> {
        let python = venv("forms")?.join("bin/python");
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/documents/validate.py");
        let mut child =
            Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().unwrap().write_all(Value::from(self.cases.clone()).to_string().as_bytes()).unwrap();
        let said = child.wait_with_output().unwrap();
        assert!(said.status.success(), "the validator failed");
        Some(String::from_utf8(said.stdout).unwrap())
    }
}

fn reports() -> Vec<(String, Value)> {
    let checks = Checks::load(None).unwrap();
    let report =
        |snapshot: &Snapshot, diagnosed: Diagnosed| serde_json::to_value(Report::new(snapshot, diagnosed)).unwrap();
    let of_recorded = recorded().into_iter().map(|(name, snapshot)| {
        let diagnosed = diagnose(&checks, &snapshot).unwrap();
        (name, report(&snapshot, diagnosed))
    });
    let cases = judged().iter().step_by(5);
    let of_cases = cases.map(|(case, diagnosed)| (case.name.clone(), report(&case.snapshot, diagnosed.clone())));
    of_recorded.chain(of_cases).collect()
}

/// A document with one member set, or taken out.
fn with(document: &Value, pointer: &str, value: Option<Value>) -> Value {
    let mut document = document.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let members = document.pointer_mut(parent).and_then(Value::as_object_mut).unwrap_or_else(|| panic!("no {parent}"));
    match value {
        Some(value) => drop(members.insert(name.into(), value)),
        None => assert!(members.remove(name).is_some(), "no {pointer}"),
    }
    document
}

#[test]
fn reports_fit_their_schema_and_broken_ones_do_not() {
    let mut batch = Batch::new();
    let reports = reports();
    assert!(reports.len() >= 60, "{}", reports.len());
    for (name, report) in &reports {
        batch.put("report", name, report, true);
    }
    let (_, report) = reports.iter().find(|(name, _)| name == "a1").unwrap();
    for (pointer, value) in [
        ("/verdict", None),
        ("/verdict", Some(json!("fine"))),
        ("/schema", None),
        ("/schema_minor", Some(json!(-1))),
        ("/headline", Some(json!(5))),
        ("/diagnoses", Some(json!({}))),
        ("/diagnoses/0/cause", None),
        ("/diagnoses/0/severity", Some(json!("failed"))),
        ("/diagnoses/0/confidence", Some(json!(0.9))),
        ("/diagnoses/0/fix", Some(json!("mend it"))),
        ("/findings/0/verdict", Some(json!("maybe"))),
        ("/stages/0/standing", Some(json!("good"))),
        ("/target/root", None),
        ("/unknown", None),
    ] {
        batch.put("report", "broken", &with(report, pointer, value), false);
    }
    // A later minor version adds members.
    batch.put("report", "later", &with(report, "/weather", Some(json!("fine"))), true);
    batch.put("report", "later", &with(report, "/diagnoses/0/mood", Some(json!({}))), true);
    if let Some(problems) = batch.problems() {
        assert_eq!(problems, "");
    }
}

#[test]
fn snapshots_fit_their_schema_and_broken_ones_do_not() {
    let mut batch = Batch::new();
    for (name, snapshot) in recorded() {
        batch.put("snapshot", &name, &serde_json::to_value(snapshot).unwrap(), true);
    }
    for (case, _) in judged().iter().step_by(40) {
        batch.put("snapshot", &case.name, &serde_json::to_value(&case.snapshot).unwrap(), true);
    }
    // As they were written by older versions, too.
    for name in ["a1", "stale", "healthy-server"] {
        let text = std::fs::read_to_string(snapshot_file(name)).unwrap();
        batch.put("snapshot", name, &serde_json::from_str(&text).unwrap(), true);
    }
    let (_, snapshot) = recorded().into_iter().find(|(name, _)| name == "healthy-server").unwrap();
    let snapshot = serde_json::to_value(snapshot).unwrap();
    for (pointer, value) in [
        ("/facts", None),
        ("/tool", None),
        ("/probes/0/outcome", Some(json!("okay"))),
        ("/facts/host/os_nam", Some(json!({"known": "Debian"}))),
        ("/facts/host/os_name", Some(json!("Debian"))),
        ("/facts/host/cpu_count", Some(json!({"known": "8"}))),
        ("/facts/nvml/driver_version", Some(json!({"unknown": {"why": "lazy", "detail": ""}}))),
        ("/facts/weather", Some(json!({}))),
    ] {
        batch.put("snapshot", "broken", &with(&snapshot, pointer, value), false);
    }
    if let Some(problems) = batch.problems() {
        assert_eq!(problems, "");
    }
}

#[test]
fn differences_and_configs_fit_theirs() {
    let mut batch = Batch::new();
    let names = ["a1", "cpu-package", "healthy-machine", "healthy-server", "stale", "nvml-hang", "demo"];
    for (number, name) in names.iter().enumerate() {
        let other = names[(number + 3) % names.len()];
        let said = gpu_doctor(&["diff", &snapshot_file(name), &snapshot_file(other), "--format", "json"], &[]);
        let difference: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.err));
        batch.put("diff", name, &difference, true);
        for (pointer, value) in [
            ("/outcome", Some(json!("fine"))),
            ("/causes", None),
            ("/before/verdict", None),
            ("/noise", Some(json!(-1))),
        ] {
            batch.put("diff", "broken", &with(&difference, pointer, value), false);
        }
    }
    let config = json!({
        "server": "http://127.0.0.1:8000",
        "logs": ["server.log"],
        "request": {"path": "/asr", "fields": {"lang": "hi", "count": 3, "more": [1, {"a": null}]}},
        "expect": {"gpus": 2, "driver": ">=550"},
        "auth": {"bearer_env": "TOKEN"},
        "headers": {"X-Key": {"env": "KEY"}},
        "load": {"users": [1, 10], "rate": 2.5},
        "only": ["request"],
        "fail_on": "warn",
    });
    batch.put("config", "whole", &config, true);
    batch.put("config", "empty", &json!({}), true);
    for (pointer, value) in [
        ("/servers", Some(json!("http://127.0.0.1:8000"))),
        ("/logs", Some(json!("server.log"))),
        ("/fail_on", Some(json!("never"))),
        ("/load/users", Some(json!(["many"]))),
        ("/request/paths", Some(json!("/asr"))),
    ] {
        batch.put("config", "broken", &with(&config, pointer, value), false);
    }
    if let Some(problems) = batch.problems() {
        assert_eq!(problems, "");
    }
}
