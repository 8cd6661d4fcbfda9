//! The report in a few lines, each of which stands for itself: for `grep`, for chats, for a line in a log.
//!
//! ```text
//! UNHEALTHY GPU is idle because ...
//! FAIL packages/ort-cpu-package-only proven: the deployment's onnxruntime 1.23.2 is the CPU-only package
//! WARN request/required-field-missing likely: ...
//! UNKNOWN 5 facts: whether a GPU is too hot, ...
//! ```
//!
//! The first line begins with `HEALTHY`, `UNHEALTHY` or `UNDECIDED`; then comes one line for each cause (`FAIL`,
//! `WARN` or, by the config, `WAIVED`, stage and id, how sure it is), the one to mend first in front; last, where there is any, one line of what could
//! not be known. No line is broken, however long it is. With `-q` the last is left out, and where all is well everything.

use super::page::Page;
use super::{Report, RunOutcome, Style, text};
use crate::check::Severity;
use crate::diagnosis::{Diagnosis, Verdict, in_words};
use colored::Colorize;
use std::io::{Result, Write};

/// Facts of the last line that are named.
const NAMED: usize = 6;

/// Writes the report.
pub fn write(report: &Report, style: &Style, out: &mut dyn Write) -> Result<()> {
    let page = &mut Page::new(style, out);
    if style.quiet && text::is_well(report, style) {
        return Ok(());
    }
    let outcome = report.outcome(style.fail_on);
    let word = match report.counted() {
        Verdict::Healthy => "HEALTHY",
        Verdict::Unhealthy => "UNHEALTHY",
        Verdict::Undecided => "UNDECIDED",
    };
    let verdict = match outcome {
        RunOutcome::Healthy | RunOutcome::Warns => word.green(),
        RunOutcome::Fails | RunOutcome::FailsBy(_) => word.red(),
        RunOutcome::Undecided => word.yellow(),
    };
    let by = outcome.by_option().map_or(String::new(), |by| format!("; {by}"));
    let headline = page.safe(report.headline.strip_prefix("Undecided: ").unwrap_or(&report.headline));
    writeln!(page, "{} {headline}{by}", verdict.bold())?;
    for diagnosis in &report.diagnoses {
        name(diagnosis, page)?;
        let brief = page.safe(&diagnosis.brief);
        writeln!(page, ": {brief}")?;
    }
    if style.quiet { Ok(()) } else { unknown(report, page) }
}

/// What a cause is called, without the end of the line: `FAIL packages/ort-cpu-package-only proven`.
pub fn name(diagnosis: &Diagnosis, page: &mut Page) -> Result<()> {
    let severity = match diagnosis.severity {
        _ if diagnosis.waived.is_some() => "WAIVED".yellow(),
        Severity::Fail => "FAIL".red(),
        Severity::Warn => "WARN".yellow(),
    };
    let cause = page.safe(&diagnosis.cause);
    write!(page, "{} {}/{cause} {}", severity.bold(), diagnosis.stage, diagnosis.confidence.name())
}

/// What could not be known; not what nobody asked about.
fn unknown(report: &Report, page: &mut Page) -> Result<()> {
    let mut facts: Vec<&str> = Vec::new();
    for missing in report.unknown.iter().filter(|missing| missing.why != "not asked") {
        let fact = in_words(&missing.path);
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    if facts.is_empty() {
        return Ok(());
    }
    let more = match facts.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let named: Vec<&str> = facts.iter().take(NAMED).copied().collect();
    let named = page.safe(&named.join(", "));
    let count = crate::words::count(facts.len(), "fact");
    writeln!(page, "{} {count}: {named}{more}", "UNKNOWN".yellow().bold())
}
