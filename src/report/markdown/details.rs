//! What is folded away: what could not be known, what GPUs did, load, files, every check, every probe, versions.

use super::super::bounded::shortened;
use super::super::page::Page;
use super::super::{Report, Style, activity, connections, files, load};
use super::prose::{behind, code, prose};
use super::ticket::Folded;
use crate::diagnosis::{Missing, in_words};
use crate::snapshot::Outcome;
use crate::words::{count, plain, wrap};
use std::io::Result;

/// Characters that are shown of a line.
const LINE: usize = 400;
/// Columns of a list of names.
const COLUMNS: usize = 100;

/// The parts, what matters most in front: a name, the words to click on, and what is inside.
pub fn of(report: &Report) -> Vec<(&'static str, String, Folded)> {
    let (brief, whole) = (&Style::default(), &Style { verbose: true, ..Style::default() });
    let mut parts = Vec::new();
    if !report.unknown.is_empty() {
        let summary = format!("What could not be known: {}", count(report.unknown.len(), "fact"));
        parts.push(("unknown facts", summary, Folded { lines: unknown(&report.unknown), fenced: false }));
    }
    let mut written = |name, summary: &str, style: &Style, write: &dyn Fn(&mut Page) -> Result<()>| {
        let lines = captured(style, write);
        if !lines.is_empty() {
            parts.push((name, summary.to_owned(), Folded { lines, fenced: true }));
        }
    };
    if let Some(made) = &report.load {
        let summary = format!("Load: {}", count(made.steps.len(), "step"));
        written("load", &summary, brief, &|out| load::write(made, out));
    }
    written("activity", "What each GPU did", whole, &|out| activity::write(&report.activity, true, out));
    if let Some(exchanges) = &report.exchanges {
        written("requests", "Requests and answers", brief, &|out| exchanges.write(&[], out));
    }
    if let Some(recorded) = &report.recorded {
        written("files", "Files", brief, &|out| files::write(recorded, out));
    }
    if let Some(room) = &report.connections {
        let judged = report.connections_judged.as_ref();
        written("connections", "Connections", brief, &|out| connections::write(room, judged, out));
    }
    parts.push(("checks", checks_summary(report), Folded { lines: checks(report), fenced: true }));
    let summary = format!("Probes: {}", report.probes.len());
    parts.push(("probes", summary, Folded { lines: probes(report), fenced: true }));
    parts.push(("versions", "Versions and target".into(), Folded { lines: versions(report), fenced: false }));
    parts
}

/// What a part of the text report says.
fn captured(style: &Style, write: &dyn Fn(&mut Page) -> Result<()>) -> Vec<String> {
    let mut bytes = Vec::new();
    if write(&mut Page::new(style, &mut bytes)).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().skip_while(|line| line.trim().is_empty());
    lines.map(|line| shortened(&plain(line.trim_end()), LINE)).collect()
}

/// What is missing, and the way to it: each obstacle once.
fn unknown(list: &[Missing]) -> Vec<String> {
    let mut ways: Vec<(&str, Vec<&Missing>)> = Vec::new();
    for missing in list {
        match ways.iter_mut().find(|(get, _)| *get == missing.get) {
            Some((_, same)) => same.push(missing),
            None => ways.push((&missing.get, vec![missing])),
        }
    }
    let mut lines = Vec::new();
    for (get, same) in ways {
        for missing in same {
            let why = match missing.why.as_str() {
                "not asked" => String::new(),
                why => format!(" ({})", prose(why, 60)),
            };
            let line = format!("- {}{why}: {}", prose(in_words(&missing.path), 120), prose(&missing.detail, LINE));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        if !get.is_empty() {
            lines.push(format!("\n  To know it, {}\n", way(get)));
        }
    }
    lines
}

/// Words, and commands between backticks.
fn way(get: &str) -> String {
    let mut way = String::new();
    for (number, part) in get.split('`').enumerate() {
        let part = if number % 2 == 0 { behind(part, LINE) } else { code(part, LINE) };
        if !way.is_empty() && !part.is_empty() && !part.starts_with([',', ';', '.', ')']) {
            way.push(' ');
        }
        way += &part;
    }
    way
}

fn checks_summary(report: &Report) -> String {
    let number = |verdict: &str| report.findings.iter().filter(|finding| finding.verdict == verdict).count();
    format!(
        "Checks: {} hold, {} clear, {} unknown, {} not applicable",
        number("holds"),
        number("clear"),
        number("unknown"),
        number("not_applicable")
    )
}

/// Those that hold and those that are undecided with their reason, the others by name.
fn checks(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for (verdict, words) in [("holds", "holds"), ("unknown", "unknown")] {
        for finding in report.findings.iter().filter(|finding| finding.verdict == verdict) {
            let line = format!("{words:<8} {} ({}): {}", finding.check, finding.stage, finding.why);
            lines.push(shortened(&plain(&line), LINE));
        }
    }
    for (verdict, words) in [("clear", "clear"), ("not_applicable", "not applicable")] {
        let same = report.findings.iter().filter(|finding| finding.verdict == verdict);
        let names: Vec<&str> = same.map(|finding| finding.check.as_str()).collect();
        if !names.is_empty() {
            lines.push(format!("{words}:"));
            lines.extend(wrap(&plain(&names.join(", ")), COLUMNS).iter().map(|line| format!("  {line}")));
        }
    }
    lines
}

/// Those that ran, one a line; those that were skipped, by their reason.
fn probes(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let mut skipped: Vec<(&str, Vec<&str>)> = Vec::new();
    for probe in &report.probes {
        if probe.outcome == Outcome::Skipped {
            match skipped.iter_mut().find(|(reason, _)| *reason == probe.detail) {
                Some((_, probes)) => probes.push(&probe.id),
                None => skipped.push((&probe.detail, vec![&probe.id])),
            }
            continue;
        }
        let seconds = probe.duration_ms / 1e3;
        lines.push(format!("{:<16} {:<9} {seconds:>7.2} s  {}", probe.id, probe.outcome.words(), probe.detail));
    }
    lines.extend(skipped.iter().map(|(reason, probes)| format!("skipped: {} ({reason})", probes.join(", "))));
    lines.iter().map(|line| shortened(plain(line).trim_end(), LINE)).collect()
}

fn versions(report: &Report) -> Vec<String> {
    let target = &report.target;
    let mut lines = vec![
        format!("- judged by {}, schema {}", code(&report.tool, 60), code(&report.schema, 60)),
        format!("- facts of {}", code(&report.taken_at, 60)),
    ];
    let named = [
        ("root", Some(&target.root).filter(|root| !root.is_empty())),
        ("server", target.server.as_ref()),
        ("model", target.model.as_ref()),
        ("onnxruntime", target.onnxruntime.as_ref()),
        ("Python", target.python.as_ref()),
    ];
    lines.extend(named.iter().filter_map(|(name, value)| Some(format!("- {name} {}", code(value.as_ref()?, LINE)))));
    if !target.command.is_empty() {
        lines.push(format!("- command {}", code(&format!("gpu-doctor {}", target.command.join(" ")), LINE)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_a_way_stand_in_code() {
        assert_eq!(way("run `sudo x | y`; or give @it"), "run `sudo x | y`; or give `@it`");
    }
}
