//! Every check has a case in which it holds, one in which it is clear and one in which it is unknown.
//!
//! `fixtures/checks/<id>.yaml` lists the cases. A case starts from a recorded snapshot (`base`) and sets facts by path:
//! a plain value becomes a known fact, `{unknown: {why, detail}}` an unknown one.

use gpu_doctor::check::{Checks, Finding, Verdict, View, judge};
use gpu_doctor::snapshot::Snapshot;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    holds: Case,
    clear: Case,
    unknown: Case,
    /// Further cases by name, each with its verdict: traps, near misses, twins.
    #[serde(default)]
    more: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    base: String,
    #[serde(default)]
    facts: BTreeMap<String, Value>,
    #[serde(default)]
    target: BTreeMap<String, Value>,
    verdict: Option<String>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn snapshot(case: &Case) -> Snapshot {
    let file = fixtures().join("snapshots").join(format!("{}.json", case.base));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut value: Value = serde_json::from_str(&text).unwrap();
    for (path, fact) in &case.facts {
        let (room, name) = path.split_once('.').expect("a path is room.fact");
        let place = value["facts"][room].get_mut(name).unwrap_or_else(|| panic!("no fact is called {path}"));
        let unknown = fact.as_object().is_some_and(|object| object.len() == 1 && object.contains_key("unknown"));
        *place = if unknown { fact.clone() } else { json!({"known": fact}) };
    }
    for (name, setting) in &case.target {
        value["target"][name] = setting.clone();
    }
    serde_json::from_value(value).unwrap_or_else(|error| panic!("case on {}: {error}", case.base))
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Clear => "clear",
        Verdict::Unknown(_) => "unknown",
        Verdict::NotApplicable(_) => "not_applicable",
    }
}

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
        let file = fixtures().join("checks").join(format!("{id}.yaml"));
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|_| panic!("{id} has no cases: write {}", file.display()));
        let cases: Cases = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let three = [("holds", &cases.holds), ("clear", &cases.clear), ("unknown", &cases.unknown)];
        let more = cases.more.iter().map(|(label, case)| {
            let verdict = case.verdict.as_deref().unwrap_or_else(|| panic!("{id}: case \"{label}\" needs a verdict"));
            (verdict, case)
        });
        for (expected, case) in three.into_iter().chain(more) {
            with_finding(&checks, id, case, |finding| {
                if name(&finding.verdict) != expected {
                    faults.push(format!("{id}: expected {expected}, got {:?}", finding.verdict));
                }
                if finding.verdict == Verdict::Holds {
                    told.push_str(&format!(
                        "{id} ({}): {}\n  {}\n",
                        finding.severity.name(),
                        finding.brief,
                        finding.because
                    ));
                    told.push_str(
                        &finding.fix.iter().map(|s| format!("  - {} {}\n", s.say, s.run)).collect::<String>(),
                    );
                    told.push_str(&finding.verify.iter().map(|v| format!("  verify {v}\n")).collect::<String>());
                }
            });
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
    for check in checks.iter().filter(|check| check.spec.stage.is_of_this_machine()) {
        let file = fixtures().join("checks").join(format!("{}.yaml", check.spec.id));
        let mut cases: Cases = serde_yaml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        cases.holds.target.insert("server".into(), json!("http://192.0.2.1:8000/"));
        cases.holds.target.insert("server_is_local".into(), json!(false));
        with_finding(&checks, &check.spec.id, &cases.holds, |finding| {
            assert_eq!(name(&finding.verdict), "not_applicable", "{}", check.spec.id);
        });
    }
}
