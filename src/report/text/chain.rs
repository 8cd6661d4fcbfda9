//! The stages of a request's life, one line each, with the first break marked.

use crate::diagnosis::{Link, Standing};
use crate::report::Report;
use crate::report::page::Page;
use crate::words::clip;
use colored::{ColoredString, Colorize};
use std::io::{Result, Write};

/// Columns of the standing and of the stage's name.
const STANDING: usize = 8;
const NAME: usize = 11;
/// What is said of a probe that was left out.
const NOT_NEEDED: &str = "no selected check needs it";
/// Letters of a reason that say enough by themselves.
const SHORTEST: usize = 20;

/// Writes them. Without `-v` each stage is one line, stages in a row that pass are one where something else does not, and
/// those that nobody asked about are one at the end.
pub fn write(report: &Report, page: &mut Page) -> Result<()> {
    let asked: Vec<&Link> =
        report.stages.iter().filter(|link| page.verbose() || link.standing != Standing::NotApplicable).collect();
    // Of files it need not be said, stage by stage, that they tell nothing of a machine.
    let skipped = match page.verbose() || report.recorded.is_some() {
        true => Vec::new(),
        false => skipped(report),
    };
    let told = |link: &&&Link| report.recorded.is_none() || link.standing != Standing::NotApplicable;
    let asked: Vec<&Link> = asked.iter().filter(told).copied().collect();
    if !asked.is_empty() || !skipped.is_empty() {
        writeln!(page)?;
    }
    let first_break = report.first_break().map(|link| link.stage);
    let folds = !page.verbose() && asked.iter().any(|link| link.standing != Standing::Pass);
    let mut rest = asked.as_slice();
    while let Some((link, further)) = rest.split_first() {
        let alike = rest.iter().take_while(|other| other.standing == Standing::Pass).count();
        if folds && alike > 1 {
            let (together, after) = rest.split_at(alike);
            let names: Vec<&str> = together.iter().map(|link| link.stage.name()).collect();
            row(page, false, Standing::Pass, &names.join(", "), "")?;
            rest = after;
            continue;
        }
        one(link, first_break == Some(link.stage), report, page)?;
        rest = further;
    }
    match skipped.is_empty() {
        true => Ok(()),
        false => row(page, false, Standing::NotApplicable, "", &skipped.join("; ")),
    }
}

fn one(link: &Link, first_break: bool, report: &Report, page: &mut Page) -> Result<()> {
    let mut seen = match (link.blocked_by, link.seen.as_str()) {
        (Some(stage), "") => format!("by {stage}"),
        (Some(stage), seen) => format!("by {stage}: {seen}"),
        (None, seen) => seen.to_owned(),
    };
    let cause = told_at(link, report).map(|(number, own)| match own {
        Some(id) => format!("{id} (see {number})"),
        None => format!("see {number}"),
    });
    let waived = report.is_waived(link);
    let said = match (first_break, cause) {
        (_, Some(cause)) if waived => format!("waived: {cause}"),
        (_, None) if waived => "waived".to_owned(),
        (true, Some(cause)) => format!("FIRST BREAK: {cause}"),
        (true, None) => "FIRST BREAK".to_owned(),
        (false, cause) => cause.unwrap_or_default(),
    };
    // The stage was judged by other facts than those of its own probe.
    if seen == NOT_NEEDED {
        seen.clear();
    }
    seen = match (said.as_str(), seen.as_str()) {
        ("", _) => seen,
        (_, "") => said,
        _ => format!("{said}; {seen}"),
    };
    let room = page.width().saturating_sub(STANDING + NAME + 4);
    let seen = if page.verbose() { seen } else { clip(&page.safe(&seen), room) };
    match waived {
        true => named_row(page, false, "fail", |w| w.yellow(), link.stage.name(), &seen),
        false => row(page, first_break, link.standing, link.stage.name(), &seen),
    }
}

/// The number of the cause that tells what is wrong at a stage, and its id where it is of this stage; else it explains what
/// holds there.
fn told_at<'a>(link: &Link, report: &'a Report) -> Option<(usize, Option<&'a str>)> {
    if !matches!(link.standing, Standing::Fail | Standing::Warn) {
        return None;
    }
    let mut causes = report.diagnoses.iter().enumerate();
    if let Some((place, cause)) = causes.find(|(_, cause)| cause.stage == link.stage) {
        return Some((place + 1, Some(&cause.cause)));
    }
    let holds_here = |id: &String| report.findings.iter().any(|one| one.check == *id && one.stage == link.stage);
    let place = report.diagnoses.iter().position(|cause| cause.explains.iter().any(holds_here))?;
    Some((place + 1, None))
}

fn row(page: &mut Page, first_break: bool, standing: Standing, name: &str, seen: &str) -> Result<()> {
    let (word, style): (&str, fn(&str) -> ColoredString) = match standing {
        Standing::Pass => ("pass", |w| w.green()),
        Standing::Warn => ("warn", |w| w.yellow()),
        Standing::Fail => ("FAIL", |w| w.red().bold()),
        Standing::Unknown => ("unknown", |w| w.yellow()),
        Standing::Blocked => ("blocked", |w| w.dimmed()),
        Standing::NotApplicable => ("skipped", |w| w.dimmed()),
    };
    named_row(page, first_break, word, style, name, seen)
}

fn named_row(
    page: &mut Page,
    first_break: bool,
    word: &str,
    style: fn(&str) -> ColoredString,
    name: &str,
    seen: &str,
) -> Result<()> {
    let mark = if first_break { ">" } else { " " };
    let word = style(&format!("{word:<STANDING$}"));
    match (name, seen) {
        ("", _) => page.hanging(&format!("{mark} {word} "), STANDING + 3, seen),
        (_, "") => page.hanging(&format!("{mark} {word} "), STANDING + 3, name),
        _ => page.hanging(&format!("{mark} {word} {name:<NAME$} "), STANDING + NAME + 4, seen),
    }
}

/// The stages that were not judged, by the reason: `process, request: no server was named`.
fn skipped(report: &Report) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for link in report.stages.iter().filter(|link| link.standing == Standing::NotApplicable) {
        let judged = report.findings.iter().any(|finding| finding.stage == link.stage);
        let reason = if judged { reason(&link.seen, report) } else { "no selected check is about it".to_owned() };
        match reasons.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, stages)) => stages.push(link.stage.name()),
            None => reasons.push((reason, vec![link.stage.name()])),
        }
    }
    reasons.into_iter().map(|(reason, stages)| format!("{}: {reason}", stages.join(", "))).collect()
}

/// Why nothing was asked. What another stage's reason says already, and what follows from it, is left to that.
fn reason(seen: &str, report: &Report) -> String {
    let all =
        report.stages.iter().filter(|link| link.standing == Standing::NotApplicable).map(|link| link.seen.as_str());
    let shortest = all.filter(|other| !other.is_empty() && seen.contains(other)).min_by_key(|other| other.len());
    let reason = shortest.unwrap_or(seen);
    // The first clause names it; what a very short one means stands behind it.
    let ends = ["; ", ", and ", ": "].iter().filter_map(|end| reason.find(end)).filter(|end| *end >= SHORTEST);
    reason.get(..ends.min().unwrap_or(reason.len())).unwrap_or(reason).to_owned()
}
