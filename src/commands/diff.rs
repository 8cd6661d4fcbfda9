//! `diff`: two snapshots or reports compared.

use super::document::{self, Document, shown};
use super::{Failure, output, terminal};
use crate::check::{Checks, Severity};
use crate::cli::{Diff, Format};
use crate::diagnosis::diagnose;
use crate::diagnosis::difference::{Outcome, Run, compare};
use crate::exit;
use crate::redact::{Identifiers, Own, Salt, readable, redacted_together};
use crate::report::{DifferenceReport, Report, Style};
use crate::snapshot::Snapshot;
use anyhow::anyhow;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// A document with what it comes to.
struct Judged {
    name: String,
    tool: String,
    report: Report,
    snapshot: Option<Box<Snapshot>>,
}

/// Compares the two and prints what differs.
pub fn run(options: Diff) -> Result<u8, Failure> {
    if options.before == Path::new("-") && options.after == Path::new("-") {
        return Err(Failure::Usage(anyhow!("only one of the two can be standard input")));
    }
    let checks = output::checks(&options.selection)?;
    let identifiers = if options.include_identifiers { Identifiers::Kept } else { Identifiers::Masked };
    let (before, after) = (document::read(&options.before)?, document::read(&options.after)?);
    let [before_told, after_told] = told(before, after, identifiers)?;
    let before = judged(&options.before, before_told, &checks)?;
    let after = judged(&options.after, after_told, &checks)?;
    let warning = checks.iter().filter(|check| check.spec.severity == Severity::Warn);
    let only_warn = warning.map(|check| check.spec.id.clone()).collect();
    let difference = compare(&before.run(&only_warn), &after.run(&only_warn));
    let code = match difference.outcome {
        Outcome::Better | Outcome::Same | Outcome::Changed => exit::HEALTHY,
        Outcome::Worse => exit::UNHEALTHY,
        Outcome::Undecided => exit::UNDECIDED,
    };
    let told = DifferenceReport::new(difference);
    let style = Style { verbose: options.verbose, ..terminal::style() };
    output::to_stdout(|out| match options.format {
        Format::Text => told.write_text(&style, out),
        Format::Json => told.write_json(out),
    })?;
    Ok(code)
}

/// Both documents as they may be told. They are told together, so that a name which one of them gives away by its place is
/// known in the other's text.
fn told(before: Document, after: Document, identifiers: Identifiers) -> Result<[Document; 2], Failure> {
    let is_report = [&before, &after].map(|document| matches!(document, Document::Report(_)));
    let value = |document: Document| match document {
        Document::Report(report) => serde_json::to_value(report),
        Document::Snapshot(snapshot) => serde_json::to_value(snapshot),
    };
    let bug = |error: serde_json::Error| Failure::Bug(anyhow!(error));
    let mut values = [value(before).map_err(bug)?, value(after).map_err(bug)?];
    redacted_together(&mut values, identifiers, &Own::of_this_machine(), Salt::of_this_machine());
    let [before, after] = values;
    let document = |value: Value, is_report: bool| match is_report {
        true => serde_json::from_value(value).map(|report| Document::Report(Box::new(report))).map_err(bug),
        false => Ok(Document::Snapshot(Box::new(readable(value)))),
    };
    Ok([document(before, is_report[0])?, document(after, is_report[1])?])
}

/// What a document comes to. A snapshot is judged by this version's checks.
fn judged(path: &Path, document: Document, checks: &Checks) -> Result<Judged, Failure> {
    let name = shown(path);
    match document {
        Document::Report(report) => Ok(Judged { name, tool: report.tool.clone(), report: *report, snapshot: None }),
        Document::Snapshot(snapshot) => {
            let diagnosed = diagnose(checks, &snapshot).map_err(|error| Failure::Bug(anyhow!(error)))?;
            let report = Report::new(&snapshot, diagnosed);
            Ok(Judged { name, tool: snapshot.tool.clone(), report, snapshot: Some(snapshot) })
        }
    }
}

impl Judged {
    fn run<'a>(&'a self, only_warn: &'a BTreeSet<String>) -> Run<'a> {
        Run {
            name: &self.name,
            tool: &self.tool,
            taken_at: &self.report.taken_at,
            target: &self.report.target,
            verdict: self.report.counted(),
            headline: &self.report.headline,
            waivers: &self.report.waivers,
            diagnoses: &self.report.diagnoses,
            findings: &self.report.findings,
            only_warn,
            snapshot: self.snapshot.as_deref(),
        }
    }
}
