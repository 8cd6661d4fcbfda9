//! `diff`: two snapshots or reports compared.

use super::document::{self, Document, shown};
use super::{Failure, output, terminal};
use crate::check::{Checks, Severity};
use crate::cli::{Diff, Format};
use crate::diagnosis::diagnose;
use crate::diagnosis::difference::{Outcome, Run, compare};
use crate::exit;
use crate::redact::{Identifiers, redacted};
use crate::report::{DifferenceReport, Report, Style};
use crate::snapshot::Snapshot;
use anyhow::anyhow;
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
    let before = judged(&options.before, &checks, identifiers)?;
    let after = judged(&options.after, &checks, identifiers)?;
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

/// Reads a document. A snapshot is judged by this version's checks.
fn judged(path: &Path, checks: &Checks, identifiers: Identifiers) -> Result<Judged, Failure> {
    let name = shown(path);
    match document::read(path)? {
        Document::Report(report) => Ok(Judged { name, tool: report.tool.clone(), report: *report, snapshot: None }),
        Document::Snapshot(snapshot) => {
            let snapshot = redacted(&snapshot, identifiers);
            let diagnosed = diagnose(checks, &snapshot).map_err(|error| Failure::Bug(anyhow!(error)))?;
            let report = Report::new(&snapshot, diagnosed);
            Ok(Judged { name, tool: snapshot.tool.clone(), report, snapshot: Some(Box::new(snapshot)) })
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
