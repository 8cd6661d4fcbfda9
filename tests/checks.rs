//! Every check has a case in which it holds, one in which it is clear and one in which it is unknown.
//!
//! `fixtures/checks/<id>.yaml` lists the cases. A case starts from a recorded snapshot (`base`) and sets facts by path:
//! a plain value becomes a known fact, `{unknown: {why, detail}}` an unknown one.

mod setup;

use gpu_doctor::check::{Checks, Finding, Told, View, judge, trial};
use gpu_doctor::diagnosis::{self, diagnose};
use gpu_doctor::snapshot::Snapshot;
use serde_json::{Value, json};
use setup::cases::{Case, bases, cases, fixtures, snapshot};

fn with_finding<T>(checks: &Checks, id: &str, case: &Case, f: impl FnOnce(&Finding) -> T) -> T {
    let snapshot = snapshot(case);
    let view = View::of(&snapshot);
    let findings = judge(checks, &snapshot, &view).unwrap();
    f(findings.iter().find(|finding| finding.check.spec.id == id).unwrap())
}

#[test]
fn every_check_holds_is_clear_and_is_unknown() {
    let checks = Checks::load(None).unwrap();
    let mut faults = Vec::new();
    let mut told = String::new();
    for check in checks.iter() {
        let id = &check.spec.id;
        let trial = trial(check, &fixtures().join("checks").join(format!("{id}.yaml")), &bases());
        if !trial.problem.is_empty() || !trial.lacks.is_empty() {
            faults.push(format!("{id}: {} lacks {}", trial.problem, trial.lacks.join(", ")));
        }
        for case in &trial.cases {
            let label = &case.label;
            if !case.problem.is_empty() {
                faults.push(format!("{id}, {label}: {}", case.problem));
            }
            let Some(Told { severity, brief, because, fix, verify }) = &case.told else { continue };
            told.push_str(&format!("{id}, {label} ({severity}): {brief}\n  {because}\n"));
            told.push_str(&fix.iter().map(|s| format!("  - {} {}\n", s.say, s.run)).collect::<String>());
            told.push_str(&verify.iter().map(|v| format!("  verify {v}\n")).collect::<String>());
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    insta::assert_snapshot!("what_checks_say", told);
}

#[test]
fn no_case_file_is_without_its_check() {
    let checks = Checks::load(None).unwrap();
    for entry in std::fs::read_dir(fixtures().join("checks")).unwrap() {
        let path = entry.unwrap().path();
        let id = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(checks.get(&id).is_some(), "{} belongs to no check", path.display());
    }
}

#[test]
fn a_server_on_another_machine_never_blames_this_one() {
    let checks = Checks::load(None).unwrap();
    for check in checks.iter().filter(|check| check.spec.stage.is_of_this_machine() && !check.spec.anywhere) {
        let file = fixtures().join("checks").join(format!("{}.yaml", check.spec.id));
        let mut cases = cases(&file);
        cases.holds.target.insert("server".into(), json!("http://192.0.2.1:8000/"));
        cases.holds.target.insert("server_is_local".into(), json!(false));
        with_finding(&checks, &check.spec.id, &cases.holds, |finding| {
            assert_eq!(finding.verdict.name(), "not_applicable", "{}", check.spec.id);
        });
    }
}

#[test]
fn what_a_file_tells_is_so_for_a_server_on_another_machine_too() {
    let checks = Checks::load(None).unwrap();
    let anywhere: Vec<_> = checks.iter().filter(|check| check.spec.anywhere).collect();
    assert!(!anywhere.is_empty());
    for check in anywhere {
        let mut cases = cases(&fixtures().join("checks").join(format!("{}.yaml", check.spec.id)));
        cases.holds.target.insert("server_is_local".into(), json!(false));
        with_finding(&checks, &check.spec.id, &cases.holds, |finding| {
            assert_eq!(finding.verdict.name(), "holds", "{}", check.spec.id);
        });
    }
}

#[test]
fn a_warning_is_no_reason_that_no_request_was_sent() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/snapshots/cpu-package.json"));
    let mut snapshot: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let facts = &mut snapshot["facts"];
    // A server that has not loaded the onnxruntime beside it, and of which neither schema nor a request is known.
    facts["process"]["gpu_libraries"] = json!({"known": {}});
    let unsent = json!({"unknown": {"why": "not_asked", "detail": "no request was sent"}});
    for name in ["client", "rejected", "good", "missing_fields"] {
        facts["request"][name] = unsent.clone();
    }
    facts["request"]["client_given"] = json!({"known": false});
    for (_, fact) in facts["execution"].as_object_mut().unwrap() {
        *fact = unsent.clone();
    }
    let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
    let diagnosed = diagnose(&Checks::load(None).unwrap(), &snapshot).unwrap();
    assert_eq!(diagnosed.verdict, diagnosis::Verdict::Undecided, "{}", diagnosed.headline);
    assert!(diagnosed.headline.contains("no request was sent"), "{}", diagnosed.headline);
}
