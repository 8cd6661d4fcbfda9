//! How what is waived reads in every form, and what of the user's reasons gets there.

use super::setup::GPU_DOCTOR;
use gpu_doctor::cli::ReportFormat;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const FORMS: [&str; 9] = ["text", "short", "json", "markdown", "junit", "html", "github", "openmetrics", "npd"];

fn base(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/snapshots/{name}.json"))
}

/// Exit code and text of `gpu-doctor diagnose SNAPSHOT`, with these checks waived for this reason.
fn told(snapshot: &Path, waived: &[String], until: &str, reason: &str, form: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("waivers.yaml");
    let each = waived.iter().map(|id| serde_json::json!({"id": id, "reason": reason, "until": until}));
    // JSON is YAML too.
    let text = serde_json::json!({"waivers": each.collect::<Vec<_>>()}).to_string();
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(GPU_DOCTOR);
    command.arg("diagnose").arg(snapshot).args(["--format", form]);
    if !waived.is_empty() {
        command.arg("--waivers").arg(&file);
    }
    let run = command.output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.code().is_some_and(|code| code < 3), "{form}: {said}");
    (run.status.code().unwrap(), String::from_utf8_lossy(&run.stdout).into_owned())
}

fn failing(snapshot: &Path) -> Vec<String> {
    let report: Value = serde_json::from_str(&told(snapshot, &[], "", "", "json").1).unwrap();
    let all = report["diagnoses"].as_array().unwrap().iter().filter(|one| one["severity"] == "fail");
    all.map(|one| one["cause"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_waived_cause_looks_like_no_failure() {
    let snapshot = base("cpu-package");
    let ids = failing(&snapshot);
    assert!(!ids.is_empty());
    let waived = |form: &str| told(&snapshot, &ids, "2999-01-01", "the image is on its way", form).1;
    let plain = |form: &str| told(&snapshot, &[], "", "", form).1;
    for (form, failure, instead) in [
        ("text", "FIRST BREAK", "waived: "),
        ("text", "1. cause: ", "1. waived cause: "),
        ("markdown", "**FAIL** (first)", "| fail, waived |"),
        ("markdown", "### 1. Cause: ", "### 1. Waived cause: "),
        ("html", "The chain breaks first at", "No stage fails but by what is waived."),
        ("html", "class=\"cause fail\"", "class=\"cause warn\""),
        ("html", ">first break</text>", "fail, waived"),
        ("github", "::error ", "::notice "),
        ("npd", "CRITICAL - ", " - "),
    ] {
        let (plain, waived) = (plain(form), waived(form));
        assert!(plain.contains(failure), "{form}: {plain}");
        assert!(!waived.contains(failure) && waived.contains(instead), "{form}, {instead}: {waived}");
    }
}

#[test]
fn one_cause_that_is_waived_leaves_the_break_of_the_others() {
    let snapshot = base("a1");
    let ids = failing(&snapshot);
    assert!(ids.len() > 1, "{ids:?}");
    let (code, text) = told(&snapshot, &ids[..1], "2999-01-01", "x", "markdown");
    assert_eq!((code, text.matches("**FAIL** (first)").count()), (1, 1), "{text}");
    assert!(text.contains("Waived cause: ") && text.contains(". Cause: "), "{text}");
}

#[test]
fn nothing_secret_of_a_reason_is_told() {
    let snapshot = base("cpu-package");
    let ids = failing(&snapshot);
    let token = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz01234567";
    let reason =
        format!("ask https://kim:hunter2secret@ticket.example/9 with {token}, notes in /home/kimberley/why.txt");
    for form in FORMS {
        for until in ["2999-01-01", "2020-01-01"] {
            let text = told(&snapshot, &ids, until, &reason, form).1;
            for secret in [token, "hunter2secret", "kimberley"] {
                assert!(!text.contains(secret), "{form} tells {secret}: {text}");
            }
        }
    }
    let text = told(&snapshot, &ids, "2999-01-01", &reason, "markdown").1;
    assert!(text.contains("Tokens such as "), "{text}");
}

#[test]
fn waivers_that_do_not_hold_say_why() {
    let snapshot = base("cpu-package");
    let ids = failing(&snapshot);
    let (code, line) = told(&snapshot, &ids[..1], "2020-01-01", "x", "npd");
    assert!(code == 1 && line.starts_with(&format!("CRITICAL - waiver expired: {}", ids[0])), "{line}");
    // Facts of no known day.
    let folder = tempfile::tempdir().unwrap();
    let undated = folder.path().join("snapshot.json");
    let mut document: Value = serde_json::from_str(&std::fs::read_to_string(&snapshot).unwrap()).unwrap();
    document["taken_at"] = "some day".into();
    std::fs::write(&undated, document.to_string()).unwrap();
    for form in FORMS {
        let (code, text) = told(&undated, &ids[..1], "2999-01-01", "x", form);
        assert_eq!(code, 1, "{form}");
        assert!(!text.contains("expired"), "{form}: {text}");
    }
    let text = told(&undated, &ids[..1], "2999-01-01", "x", "text").1;
    assert!(text.replace("\n", " ").contains("could not be compared"), "{text}");
}

#[test]
fn one_whose_check_is_undecided_is_not_said_to_be_without_its_cause() {
    let snapshot = base("nvml-hang");
    let report: Value = serde_json::from_str(&told(&snapshot, &[], "", "", "json").1).unwrap();
    let unknown = report["findings"].as_array().unwrap().iter().find(|one| one["verdict"] == "unknown").unwrap();
    let id = unknown["check"].as_str().unwrap().to_owned();
    let report = told(&snapshot, std::slice::from_ref(&id), "2999-01-01", "x", "json").1;
    let report: Value = serde_json::from_str(&report).unwrap();
    let said = report["waivers"][0]["said"].as_str().unwrap();
    assert_eq!(said, format!("the waiver of {id} is not used: whether {id} holds could not be decided"));
}

/// A document may hold any number of probes and names of any length.
#[test]
fn a_page_of_a_vast_snapshot_is_bounded() {
    let mut document = super::recorded("snapshots/active");
    let long = "x".repeat(1_000_000);
    document["tool"] = long.clone().into();
    let probe = document["probes"].as_array().unwrap().iter().find(|one| one["outcome"] != "skipped").unwrap().clone();
    document["probes"] = vec![probe; 3_000].into();
    let gpus = document.pointer_mut("/facts/nvml/gpus/known").and_then(Value::as_array_mut).expect("GPUs are listed");
    let mut gpu = gpus[0].clone();
    gpu["name"] = serde_json::json!({"known": long});
    *gpus = vec![gpu; 50];
    let snapshot = super::snapshot(&document);
    let page = super::written(&super::report(&snapshot), &snapshot, ReportFormat::Html);
    assert!(page.len() < 600_000, "{} bytes", page.len());
    assert!(page.contains("<p>And 2,936 more; the report as JSON has all of them.</p>"));
}
