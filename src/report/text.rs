//! The report for people: the sentence, the stages, each cause with proof and fix, what is unknown.

use super::{ProbeLine, Report, activity, connections, files, load, missing, sureness};
use crate::check::{Confidence, Severity};
use crate::diagnosis::{Diagnosis, Link, Standing, Verdict};
use crate::snapshot::Outcome;
use crate::words::{plain, wrap};
use colored::{ColoredString, Colorize};
use std::io::Write;

/// Width of the text, columns.
const WIDTH: usize = 100;

/// Writes the report as text. Colour follows `colored`'s global switch, and nothing depends on it.
pub fn write(report: &Report, verbose: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let headline = match report.verdict {
        Verdict::Healthy => report.headline.green().bold(),
        Verdict::Unhealthy => report.headline.red().bold(),
        Verdict::Undecided => report.headline.yellow().bold(),
    };
    for line in wrap(&plain(&headline.input), WIDTH) {
        let mut styled = headline.clone();
        styled.input = line;
        writeln!(out, "{styled}")?;
    }
    stages(report, out)?;
    contradictions(report, out)?;
    for (number, diagnosis) in report.diagnoses.iter().enumerate() {
        cause(number + 1, diagnosis, report, verbose, out)?;
    }
    let proves = |diagnosis: &Diagnosis| diagnosis.evidence.iter().any(|one| one.path == activity::FACT);
    activity::write(&report.activity, verbose, report.diagnoses.iter().any(proves), out)?;
    if let Some(exchanges) = &report.exchanges {
        let told = report.diagnoses.iter().flat_map(|diagnosis| &diagnosis.fix).map(|step| step.run.as_str());
        exchanges.write(&told.collect::<Vec<_>>(), out)?;
    }
    if let Some(recorded) = &report.recorded {
        files::write(recorded, out)?;
    }
    if let Some(made) = &report.load {
        load::write(made, out)?;
    }
    if let Some(room) = &report.connections {
        connections::write(room, report.connections_judged.as_ref(), verbose, out)?;
    }
    missing::write(&report.unknown, verbose, out)?;
    probes(report, verbose, out)?;
    if verbose {
        findings(report, out)?;
    }
    Ok(())
}

fn stages(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    // Of files it need not be said, stage by stage, that they tell nothing of a machine.
    let told = |link: &&Link| report.recorded.is_none() || link.standing != Standing::NotApplicable;
    if report.stages.iter().any(|link| told(&link)) {
        writeln!(out)?;
    }
    for link in report.stages.iter().filter(told) {
        let (word, style): (&str, fn(&str) -> ColoredString) = match link.standing {
            Standing::Pass => ("pass", |w| w.green()),
            Standing::Warn => ("warn", |w| w.yellow()),
            Standing::Fail => ("FAIL", |w| w.red().bold()),
            Standing::Unknown => ("unknown", |w| w.yellow()),
            Standing::Blocked => ("blocked", |w| w.dimmed()),
            Standing::NotApplicable => ("-", |w| w.dimmed()),
        };
        row(out, link.stage.name(), word, style, &link.seen)?;
    }
    // No stage of its own: it is about the model and about what others do on the GPU.
    match &report.device_budget {
        Some(budget) => row(out, "gpu memory", "", |w| w.normal(), budget),
        None => Ok(()),
    }
}

/// What does not fit together stands before the causes: it says whose word to trust.
fn contradictions(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    if !report.contradictions.is_empty() {
        writeln!(out, "\n{}", "claimed, and measured otherwise".bold())?;
    }
    report.contradictions.iter().try_for_each(|sentence| paragraph(out, "  ", sentence))
}

fn row(
    out: &mut dyn Write,
    name: &str,
    word: &str,
    style: fn(&str) -> ColoredString,
    seen: &str,
) -> std::io::Result<()> {
    let head = format!("  {name:<10} {word:<8}");
    let lines = wrap(&plain(seen), WIDTH - head.len() - 1);
    let shown = format!("  {name:<10} {}", style(&format!("{word:<8}")));
    writeln!(out, "{shown} {}", lines.first().map_or("", String::as_str))?;
    for line in lines.iter().skip(1) {
        writeln!(out, "{:width$} {line}", "", width = head.len())?;
    }
    Ok(())
}

fn cause(
    number: usize,
    diagnosis: &Diagnosis,
    report: &Report,
    verbose: bool,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let kind = match diagnosis.severity {
        _ if diagnosis.symptom => "symptom without a known cause".yellow().bold(),
        Severity::Fail => "cause".red().bold(),
        Severity::Warn => "warning".yellow().bold(),
    };
    let sure = match diagnosis.confidence {
        Confidence::Proven => "proven",
        Confidence::Likely => "likely",
        Confidence::Possible => "possible",
    };
    writeln!(out, "\n{number}. {kind}: {} ({}, {sure})", diagnosis.cause.bold(), diagnosis.stage)?;
    paragraph(out, "   ", &diagnosis.because)?;
    for explained in &diagnosis.explains {
        let why = report.findings.iter().find(|finding| finding.check == *explained).map_or("", |f| f.why.as_str());
        paragraph(out, "   ", &format!("It explains {explained}: {why}"))?;
    }
    sureness::possibilities(diagnosis, out)?;
    sureness::grounds(diagnosis, out)?;
    for evidence in &diagnosis.evidence {
        // What nobody asked for is no proof.
        if evidence.unknown.as_ref().is_some_and(|why| why.starts_with("not asked")) {
            continue;
        }
        let said = match (&evidence.value, &evidence.unknown) {
            (Some(serde_json::Value::Object(exchange)), _) if exchange.contains_key("status") => spoken(exchange),
            (Some(value), _) => listed(value),
            (None, Some(unknown)) => format!("unknown: {unknown}"),
            (None, None) => "unknown".into(),
        };
        let said = match evidence.path == activity::FACT && !report.activity.is_empty() {
            true => "told below, GPU by GPU".to_owned(),
            false => clip(&said, 220),
        };
        writeln!(out, "     {} = {}", evidence.path, plain(&said))?;
    }
    sureness::ruled_out(diagnosis, verbose, out)?;
    writeln!(out, "   {}", if diagnosis.symptom { "to find out why" } else { "fix" }.bold())?;
    for step in &diagnosis.fix {
        if !step.say.is_empty() {
            paragraph(out, "     ", &step.say)?;
        }
        if !step.run.is_empty() {
            writeln!(out, "       {}", plain(&step.run).cyan())?;
        }
    }
    writeln!(out, "   {}", "then verify".bold())?;
    for command in &diagnosis.verify {
        writeln!(out, "       {}", plain(command).cyan())?;
    }
    writeln!(out, "   more: gpu-doctor explain {}", diagnosis.cause)
}

fn probes(report: &Report, verbose: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let told = |probe: &ProbeLine| {
        report.unknown.iter().any(|missing| missing.detail == probe.detail)
            || report.diagnoses.iter().any(|diagnosis| diagnosis.because.contains(&probe.detail))
    };
    let fine = |probe: &ProbeLine| matches!(probe.outcome, Outcome::Ok | Outcome::Skipped);
    let mut lines = report.probes.iter().filter(|probe| verbose || !(fine(probe) || told(probe))).peekable();
    if lines.peek().is_some() {
        writeln!(out, "\n{}", "probes".bold())?;
    }
    for probe in lines {
        let outcome = probe.outcome.words();
        let seconds = probe.duration_ms / 1000.0;
        paragraph(out, "  ", &format!("{:<12} {outcome} after {seconds:.2} s {}", probe.id, probe.detail))?;
    }
    Ok(())
}

fn findings(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "\n{}", "checks".bold())?;
    for finding in &report.findings {
        let verdict = finding.verdict.replace('_', " ");
        paragraph(out, "  ", &format!("{:<38} {verdict:<15} {}", finding.check, finding.why))?;
    }
    Ok(())
}

/// A request and its answer on one line.
fn spoken(exchange: &serde_json::Map<String, serde_json::Value>) -> String {
    let text = |name: &str| exchange.get(name).map(short).unwrap_or_default();
    let field = |field: &serde_json::Value| format!("{}={}", short(&field["name"]), short(&field["value"]));
    let sent = exchange.get("fields").and_then(|fields| fields.as_array()).into_iter().flatten();
    let sent: Vec<String> = sent.map(field).collect();
    format!("{} {} ({}) -> {} {}", text("method"), text("path"), sent.join(", "), text("status"), text("answer"))
}

/// A value of several members, without those that say nothing: `name: lang, place: form`.
fn listed(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(members) if !members.is_empty() => {
            members.iter().filter(|(_, value)| telling(value)).map(member).collect::<Vec<_>>().join(", ")
        }
        serde_json::Value::Array(items) if items.iter().any(serde_json::Value::is_object) => {
            items.iter().map(listed).collect::<Vec<_>>().join("; ")
        }
        other => short(other),
    }
}

fn member((name, value): (&String, &serde_json::Value)) -> String {
    match value {
        serde_json::Value::Object(_) => format!("{name}: ({})", listed(value)),
        serde_json::Value::Array(items) if items.iter().any(serde_json::Value::is_object) => {
            format!("{name}: ({})", listed(value))
        }
        _ => format!("{name}: {}", short(value)),
    }
}

/// Whether a member says anything.
fn telling(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => false,
        serde_json::Value::String(text) => !text.is_empty(),
        serde_json::Value::Array(items) => !items.is_empty(),
        serde_json::Value::Object(members) => !members.is_empty() && !members.contains_key("unknown"),
        _ => true,
    }
}

fn short(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) if items.is_empty() => "none".into(),
        serde_json::Value::Array(items) => items.iter().map(short).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

pub(super) fn paragraph(out: &mut dyn Write, indent: &str, text: &str) -> std::io::Result<()> {
    for line in wrap(&plain(text), WIDTH - indent.len()) {
        writeln!(out, "{indent}{line}")?;
    }
    Ok(())
}

fn clip(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_clipped_at_a_character() {
        assert_eq!(clip("äöü", 2), "äö...");
        assert_eq!(clip("äöü", 3), "äöü");
    }
}
