//! The report for people: the sentence, the stages, each cause with proof and fix, what is unknown.
//!
//! The first screen holds what is needed at once: the sentence, the chain with its first break, and the first fix. What
//! explains and proves further stands behind `-v`.

mod cause;
mod chain;
mod evidence;
mod marks;

use super::page::Page;
use super::{ProbeLine, Report, RunOutcome, Style, activity, connections, files, load, missing, short};
use crate::diagnosis::Verdict;
use crate::snapshot::Outcome;
use colored::Colorize;
use std::collections::BTreeMap;
use std::io::{Result, Write};

/// Writes the report as text. Colours are those of `colored`'s global switch, and nothing depends on them.
pub fn write(report: &Report, style: &Style, out: &mut dyn Write) -> Result<()> {
    if style.quiet {
        return quiet(report, style, &mut Page::new(style, out));
    }
    let mut told = Vec::new();
    body(report, style, &mut Page::new(style, &mut told))?;
    out.write_all(&told)?;
    marks::explained(&String::from_utf8_lossy(&told), &mut Page::new(style, out))
}

fn body(report: &Report, style: &Style, page: &mut Page) -> Result<()> {
    headline(report, style, page)?;
    chain::write(report, page)?;
    for (number, diagnosis) in report.diagnoses.iter().enumerate() {
        cause::write(number + 1, diagnosis, report, page)?;
    }
    waivers(report, page)?;
    contradictions(report, page)?;
    budget(report, page)?;
    let proves =
        |diagnosis: &crate::diagnosis::Diagnosis| diagnosis.evidence.iter().any(|one| one.path == activity::FACT);
    activity::write(&report.activity, report.diagnoses.iter().any(proves), page)?;
    // A symptom is no answer: there what is missing is what is wanted.
    let symptom = report.diagnoses.first().is_some_and(|diagnosis| diagnosis.symptom);
    if let Some(exchanges) = &report.exchanges {
        let told = report.diagnoses.iter().flat_map(|diagnosis| &diagnosis.fix).map(|step| step.run.as_str());
        exchanges.write(&told.collect::<Vec<_>>(), page)?;
    }
    if let Some(recorded) = &report.recorded {
        files::write(recorded, page)?;
    }
    if let Some(made) = &report.load {
        load::write(made, page)?;
    }
    if let Some(room) = &report.connections {
        connections::write(room, report.connections_judged.as_ref(), page)?;
    }
    missing::write(&report.unknown, report.counted() == Verdict::Unhealthy && !symptom, page)?;
    probes(report, page)?;
    if style.verbose {
        findings(report, page)?;
    }
    Ok(())
}

/// The headline and the causes' names; nothing where all is well.
fn quiet(report: &Report, style: &Style, page: &mut Page) -> Result<()> {
    if is_well(report, style) {
        return Ok(());
    }
    headline(report, style, page)?;
    report.diagnoses.iter().try_for_each(|diagnosis| short::name(diagnosis, page).and_then(|()| writeln!(page)))
}

/// Whether there is nothing to tell somebody who wants to hear of faults only.
pub fn is_well(report: &Report, style: &Style) -> bool {
    report.verdict == Verdict::Healthy
        && report.diagnoses.is_empty()
        && report.outcome(style.fail_on) == RunOutcome::Healthy
}

fn headline(report: &Report, style: &Style, page: &mut Page) -> Result<()> {
    let outcome = report.outcome(style.fail_on);
    let by = outcome.by_option().map_or(String::new(), |by| format!("; {by}"));
    for line in page.wrapped(0, &format!("{}{by}", report.headline)) {
        let styled = match outcome {
            RunOutcome::Healthy | RunOutcome::Warns => line.green().bold(),
            RunOutcome::Fails | RunOutcome::FailsBy(_) => line.red().bold(),
            RunOutcome::Undecided => line.yellow().bold(),
        };
        writeln!(page, "{styled}")?;
    }
    Ok(())
}

/// Waivers that hold are told at their causes; here stands what became of the others.
fn waivers(report: &Report, page: &mut Page) -> Result<()> {
    let mut others = report.waivers_aside().peekable();
    if others.peek().is_some() {
        writeln!(page, "\n{}", "waivers".bold())?;
    }
    others.try_for_each(|one| page.paragraph("  ", &one.said))
}

/// What does not fit together: it says whose word to trust.
fn contradictions(report: &Report, page: &mut Page) -> Result<()> {
    if !report.contradictions.is_empty() {
        writeln!(page, "\n{}", "claimed, and measured otherwise".bold())?;
    }
    report.contradictions.iter().try_for_each(|sentence| page.paragraph("  ", sentence))
}

/// No stage of its own: it is about the model and about what others do on the GPU.
fn budget(report: &Report, page: &mut Page) -> Result<()> {
    let Some(budget) = &report.device_budget else { return Ok(()) };
    writeln!(page, "\n{}", "gpu memory".bold())?;
    page.paragraph("  ", budget)
}

fn probes(report: &Report, page: &mut Page) -> Result<()> {
    let verbose = page.verbose();
    let told = |probe: &ProbeLine| {
        report.unknown.iter().any(|missing| missing.detail == probe.detail)
            || report.diagnoses.iter().any(|diagnosis| diagnosis.because.contains(&probe.detail))
    };
    let fine = |probe: &ProbeLine| matches!(probe.outcome, Outcome::Ok | Outcome::Skipped);
    let mut lines = report.probes.iter().filter(|probe| verbose || !(fine(probe) || told(probe))).peekable();
    if lines.peek().is_some() {
        writeln!(page, "\n{}", "probes".bold())?;
    }
    for probe in lines {
        let id = page.safe(&probe.id);
        let head = format!("  {id:<12} {:<9} {:>5.2} s  ", probe.outcome.words(), probe.duration_ms / 1000.0);
        page.hanging(&head, head.chars().count(), &probe.detail)?;
    }
    Ok(())
}

/// Every check: those that say something one by one, the others by what they say together.
fn findings(report: &Report, page: &mut Page) -> Result<()> {
    writeln!(page, "\n{}", "checks".bold())?;
    let mut together: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for finding in &report.findings {
        match finding.verdict.as_str() {
            verdict @ ("clear" | "not_applicable") => {
                together.entry(verdict).or_default().entry(&finding.why).or_default().push(&finding.check);
            }
            verdict => {
                let (check, verdict) = (page.safe(&finding.check), page.safe(verdict));
                writeln!(page, "  {check}: {}", verdict.bold())?;
                page.paragraph("      ", &finding.why)?;
            }
        }
    }
    for (verdict, reasons) in together {
        for (why, checks) in reasons {
            let reason = if why.is_empty() { String::new() } else { format!(" ({why})") };
            page.paragraph("  ", &format!("{}{reason}: {}", verdict.replace('_', " "), checks.join(", ")))?;
        }
    }
    Ok(())
}
