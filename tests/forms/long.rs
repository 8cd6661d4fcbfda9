//! A server that says 10 MB in one line: every form but JSON shows its beginning, and says so.

use super::{recorded, report, snapshot, written};
use clap::ValueEnum;
use gpu_doctor::cli::ReportFormat;
use gpu_doctor::report::Report;
use serde_json::Value;

const LINE_BYTES: usize = 10_000_000;

/// Puts the text into the texts of a document that `takes` says yes to by name.
fn replace(value: &mut Value, names: &[&str], text: &str, left: &mut usize) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, names, text, left)),
        Value::Object(members) => {
            for (name, member) in members {
                if *left > 0 && member.is_string() && names.contains(&name.as_str()) {
                    *member = Value::String(text.to_owned());
                    *left -= 1;
                } else {
                    replace(member, names, text, left);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn a_line_of_10_mb_does_not_make_a_report_of_10_mb() {
    let line = "x y|`<".repeat(LINE_BYTES / 6);
    for name in ["snapshots/a1", "cases/stress-refused/snapshot"] {
        let mut document = recorded(name);
        // Answers of the server, and what probes say: both reach the causes.
        replace(&mut document["facts"]["request"], &["answer", "known"], &line, &mut 3);
        replace(&mut document["probes"], &["detail"], &line, &mut 1);
        let snapshot = snapshot(&document);
        let report = report(&snapshot);
        let json = written(&report, &snapshot, ReportFormat::Json);
        assert!(json.len() > LINE_BYTES, "{name}: the line is not in the report, which has {} bytes", json.len());
        for form in ReportFormat::value_variants().iter().filter(|form| **form != ReportFormat::Json) {
            let text = written(&report, &snapshot, *form);
            let most = if *form == ReportFormat::Html { 1_000_000 } else { 200_000 };
            assert!(text.len() < most, "{name}: {form:?} has {} bytes", text.len());
        }
        let ticket = written(&report, &snapshot, ReportFormat::Markdown);
        assert!(ticket.contains("(the beginning of ") && ticket.len() <= 60_000, "{}", ticket.len());
    }
}

/// However much there is to tell, a ticket takes it, and says what it lacks.
#[test]
fn a_ticket_has_60_kb_at_most() {
    let snapshot = snapshot(&recorded("cases/stress-refused/snapshot"));
    let mut report: Report = report(&snapshot);
    let long = "word ".repeat(400);
    let causes = super::report(&super::snapshot(&recorded("snapshots/a1"))).diagnoses;
    report.diagnoses = causes.iter().cycle().take(60).cloned().collect();
    report.diagnoses.iter_mut().for_each(|one| one.because = long.clone());
    report.probes.iter_mut().for_each(|probe| probe.detail = long.clone());
    let ticket = written(&report, &snapshot, ReportFormat::Markdown);
    assert!(ticket.len() <= 60_000 && ticket.len() > 50_000, "{}", ticket.len());
    assert!(
        ticket.starts_with("## ") && ticket.contains("### 1. Cause") && ticket.contains("### 60. Cause"),
        "{ticket}"
    );
    let last = ticket.lines().last().unwrap();
    assert!(last.starts_with("Left out for its length: ") && last.contains("load"), "{last}");
}
