//! What checks came to on their cases.

use crate::check::{Trial, Tried};
use crate::words::{count, plain, wrap};
use colored::Colorize;
use std::io::{Result, Write};

/// Columns of the text.
const WIDTH: usize = 100;

/// Whether nothing is wrong with a check; where `strict`, a missing case is.
pub fn is_passed(trial: &Trial, strict: bool) -> bool {
    let cases = trial.problem.is_empty() && trial.cases.iter().all(|case| case.problem.is_empty());
    cases && (!strict || trial.lacks.is_empty())
}

/// Writes the results for people: a line a check, and what failed below it.
pub fn trials_text(trials: &[Trial], strict: bool, out: &mut dyn Write) -> Result<()> {
    let widest = trials.iter().map(|trial| trial.id.len()).max().unwrap_or_default();
    for trial in trials {
        let number = count(trial.cases.len(), "case");
        let failed: Vec<&Tried> = trial.cases.iter().filter(|case| !case.problem.is_empty()).collect();
        let says = match failed.len() {
            0 => number,
            some => format!("{some} of {number} failed"),
        };
        let lacks = match trial.lacks.as_slice() {
            [] => String::new(),
            lacks => format!(", no case for {}", lacks.join(", ")),
        };
        let word = if is_passed(trial, strict) { "ok  ".green() } else { "FAIL".red().bold() };
        writeln!(out, "{word}  {:<widest$}  {says}{lacks}", trial.id)?;
        if !trial.problem.is_empty() {
            let spot = match (trial.line, trial.column) {
                (Some(line), Some(column)) => format!(":{line}:{column}"),
                _ => String::new(),
            };
            paragraph(out, &format!("{}{spot}: {}", trial.file, trial.problem), "      ")?;
        }
        for case in failed {
            let line = case.line.map_or(String::new(), |line| format!(":{line}"));
            writeln!(out, "      {} ({}{line})", plain(&case.label).bold(), plain(&trial.file))?;
            paragraph(out, &case.problem, "        ")?;
            for fact in &case.facts {
                paragraph(out, &format!("{} = {}", fact.path, fact.says), "          ")?;
            }
        }
    }
    let failed = trials.iter().filter(|trial| !is_passed(trial, strict)).count();
    let (cases, lacking) = (trials.iter().map(|trial| trial.cases.len()).sum(), trials.iter().filter(lacks).count());
    let lacking = match lacking {
        0 => String::new(),
        some => format!("; {} without a case that holds, is clear and is unknown", count(some, "check")),
    };
    writeln!(out, "\n{}, {}: {failed} failed{lacking}", count(trials.len(), "check"), count(cases, "case"))
}

/// Writes the results as a JSON array.
pub fn trials_json(trials: &[Trial], out: &mut dyn Write) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, trials)?;
    out.write_all(b"\n")
}

fn lacks(trial: &&Trial) -> bool {
    !trial.lacks.is_empty()
}

fn paragraph(out: &mut dyn Write, text: &str, margin: &str) -> Result<()> {
    wrap(&plain(text), WIDTH - margin.len()).iter().try_for_each(|line| writeln!(out, "{margin}{line}"))
}
