//! Two hundred secrets are planted where probes read, the real commands are run, and none of them comes out: in no form, no
//! file, no snapshot, and not on standard error. Nor do names and addresses, unless they are asked for.

mod files;
mod places;
mod planted;
#[path = "../setup/mod.rs"]
mod setup;

use clap::ValueEnum;
use gpu_doctor::check::Checks;
use gpu_doctor::cli::ReportFormat;
use gpu_doctor::diagnosis::diagnose;
use gpu_doctor::redact::{Identifiers, Own, Redaction, Salt};
use gpu_doctor::report::{Report, Style};
use gpu_doctor::snapshot::Snapshot;
use places::Stage;
use planted::{Planted, planted};
use setup::doctor::{Said, gpu_doctor};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const COUNT: usize = 200;

fn seen<'a>(planted: &'a [Planted], text: &str) -> Vec<&'a str> {
    planted.iter().filter(|one| text.contains(&one.secret)).map(|one| one.sentence.as_str()).collect()
}

/// A recorded snapshot with all of them in what is quoted of logs, answers and errors.
fn with_all(planted: &[Planted]) -> Snapshot {
    let text = std::fs::read_to_string(setup::cases::fixtures().join("snapshots/a1.json")).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sentences = |from: usize, step: usize| -> Vec<&str> {
        planted.iter().skip(from).step_by(step).map(|one| one.sentence.as_str()).collect()
    };
    value["facts"]["kernel_log"]["lines"] = serde_json::json!({ "known": sentences(0, 4) });
    value["facts"]["request"]["reach_error"] = serde_json::json!({ "known": sentences(1, 4).join("\n") });
    value["target"]["command"] = serde_json::json!(sentences(2, 4));
    let details = sentences(3, 4).join(" | ");
    value["facts"]["host"]["os_name"] = serde_json::json!({ "unknown": { "why": "denied", "detail": details } });
    serde_json::from_value(value).unwrap()
}

#[test]
fn no_form_of_a_report_tells_one_of_two_hundred_secrets() {
    let planted = planted(COUNT);
    let snapshot = with_all(&planted);
    // The control: the stage has something to do.
    assert_eq!(seen(&planted, &serde_json::to_string(&snapshot).unwrap()).len(), COUNT);
    let checks = Checks::load(None).unwrap();
    for identifiers in [Identifiers::Kept, Identifiers::Masked] {
        let redaction = Redaction::with(&snapshot, identifiers, &Own::default(), Salt::of(b"test"));
        let text = serde_json::to_string(&redaction.snapshot).unwrap();
        assert_eq!(seen(&planted, &text), Vec::<&str>::new());
        let report = Report::new(&redaction.snapshot, diagnose(&checks, &redaction.snapshot).unwrap());
        for form in ReportFormat::value_variants() {
            let mut out = Vec::new();
            let style = Style { verbose: true, ..Style::default() };
            report.write(&redaction.snapshot, *form, &style, &mut out).unwrap();
            assert_eq!(seen(&planted, &String::from_utf8_lossy(&out)), Vec::<&str>::new(), "{form:?}");
        }
    }
}

/// What a command wrote, all of it.
fn written(said: &Said, folder: &Path) -> String {
    let mut all = format!("{}\n{}", said.out, said.err);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Metrics hold names of checks and numbers, and are collected by another user.
        let others = if path.ends_with("openmetrics") { 0o044 } else { 0 };
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, others, "{}", path.display());
        all += &std::fs::read_to_string(&path).unwrap();
    }
    all
}

#[test]
fn no_command_tells_one_of_two_hundred_secrets_nor_who_it_is_about() {
    let planted = planted(COUNT);
    let Some(stage) = Stage::set_up(&planted) else { return };
    let mut markers = String::new();
    for include in [false, true] {
        for (name, arguments) in stage.commands() {
            let out = tempfile::tempdir().unwrap();
            let mut arguments = arguments;
            if include && name != "request" {
                arguments.push("--include-identifiers".into());
            }
            if !matches!(name, "collect" | "request") {
                for form in ReportFormat::value_variants() {
                    let form = form.to_possible_value().unwrap();
                    let file = out.path().join(form.get_name());
                    arguments.extend(["--output".into(), format!("{}={}", form.get_name(), file.display())]);
                }
                arguments.extend(["--save".into(), out.path().join("saved").display().to_string()]);
            }
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let said = gpu_doctor(&words, &stage.variables());
            assert!(said.code < 3, "{name}: {} {}", said.code, said.err);
            let all = written(&said, out.path());
            assert!(all.len() > 100, "{name}: {all}");
            assert_eq!(seen(&planted, &all), Vec::<&str>::new(), "{name}");
            if name != "request" {
                let told = stage.identifiers().into_iter().find(|one| !include && all.contains(one));
                if let Some(identifier) = told {
                    let at = all.find(identifier).unwrap_or_default();
                    let around: String = all.chars().skip(at.saturating_sub(120)).take(300).collect();
                    panic!("{name} tells {identifier}: {around}");
                }
            }
            if include {
                markers += &all;
            }
        }
    }
    // The control: the places were read, and what they hold comes out when it is asked for.
    let read: Vec<&str> = stage.markers().into_iter().filter(|marker| markers.contains(marker)).collect();
    assert_eq!(read, stage.markers());
    let hidden: Vec<&str> = stage.identifiers().into_iter().filter(|one| !markers.contains(one)).collect();
    assert_eq!(hidden, Vec::<&str>::new(), "they are nowhere, so that nothing shows that they are masked");
}
