//! Hostile texts in every text of snapshots and of reports: each form stays what it is.

use super::hostile::planted;
use super::{put, read, recorded, report, snapshot, written};
use clap::ValueEnum;
use gpu_doctor::cli::ReportFormat;
use gpu_doctor::report::Report;
use gpu_doctor::snapshot::Snapshot;
use serde_json::Value;
use std::path::Path;

const RECORDED: [&str; 8] = [
    "snapshots/a1",
    "snapshots/healthy-server",
    "snapshots/files-a1",
    "snapshots/nvml-crash",
    "cases/stress-refused/snapshot",
    "cases/balance-limit-not-enforced/snapshot",
    "cases/pair-workers-rejected/snapshot",
    "cases/ort-model-split/snapshot",
];

fn all_forms(folder: &Path, name: &str, report: &Report, snapshot: &Snapshot) {
    for form in ReportFormat::value_variants() {
        put(folder, name, *form, &written(report, snapshot, *form));
    }
}

/// What is ours: the reports of recordings as they are.
fn plain(folder: &Path) {
    for name in RECORDED {
        let snapshot = snapshot(&recorded(name));
        all_forms(folder, &name.replace('/', "-"), &report(&snapshot), &snapshot);
    }
}

#[test]
fn what_recordings_say_is_read_by_the_parsers_of_others() {
    let folder = tempfile::tempdir().unwrap();
    plain(folder.path());
    read(folder.path(), folder.path());
}

#[test]
fn hostile_facts_are_harmless_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, hostile) = (folder.path().join("plain"), folder.path().join("hostile"));
    plain(&ours);
    for (offset, name) in RECORDED.iter().enumerate() {
        for instead in [false, true] {
            let (document, changed) = planted::<Snapshot>(&recorded(name), instead, offset);
            assert!(changed > 300, "{name}: only {changed} texts could be changed");
            let snapshot = snapshot(&document);
            let name = format!("{}-{}", name.replace('/', "-"), if instead { "instead" } else { "behind" });
            all_forms(&hostile, &name, &report(&snapshot), &snapshot);
        }
    }
    read(&ours, &hostile);
}

/// Also what no fact of these recordings could bring there.
#[test]
fn hostile_reports_are_harmless_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, hostile) = (folder.path().join("plain"), folder.path().join("hostile"));
    plain(&ours);
    for (offset, name) in RECORDED.iter().enumerate() {
        let snapshot = snapshot(&recorded(name));
        let document = serde_json::to_value(report(&snapshot)).unwrap();
        let (document, changed) = planted::<Report>(&without_verdicts(document), true, offset);
        assert!(changed > 60, "{name}: only {changed} texts could be changed");
        let report: Report = serde_json::from_value(document).unwrap();
        all_forms(&hostile, &name.replace('/', "-"), &report, &snapshot);
    }
    read(&ours, &hostile);
}

/// A check's id stands once in a report, also where it is hostile.
fn without_verdicts(mut document: Value) -> Value {
    if let Some(findings) = document.get_mut("findings").and_then(Value::as_array_mut) {
        findings.truncate(12);
    }
    document
}
