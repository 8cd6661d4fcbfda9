//! What differs between two runs, for people and as JSON.

use super::Style;
use crate::check::Severity;
use crate::diagnosis::Verdict;
use crate::diagnosis::difference::{Asked, Cause, Change, Difference, Kind, Moved, Side};
use crate::document::DIFF;
use crate::words::{bytes, count, grouped, plain, wrap};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{Result, Write};

/// Changes of one kind that are told without `-v`.
const KIND_MAX: usize = 8;
/// Checks that are named in a line.
const CHECKS_MAX: usize = 5;
/// Longest value that is told without `-v`, characters.
const VALUE_MAX: usize = 120;
/// Columns of the first word of a line.
const LABEL: usize = 11;

/// What `diff` tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DifferenceReport {
    /// Always `gpu-doctor/diff/v1`.
    pub schema: String,
    /// Minor version of the schema, which adds members and values and changes none; 0 if it is left out.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub schema_minor: u32,
    /// Program and version that compared, and judged what was not judged yet.
    pub tool: String,
    /// What differs.
    #[serde(flatten)]
    pub difference: Difference,
}

impl DifferenceReport {
    /// Of this difference.
    pub fn new(difference: Difference) -> Self {
        Self { schema: DIFF.name.into(), schema_minor: DIFF.minor, tool: crate::TOOL.into(), difference }
    }

    /// Writes it as JSON, indented.
    pub fn write_json(&self, out: &mut dyn Write) -> Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        out.write_all(b"\n")
    }

    /// Writes it as text.
    pub fn write_text(&self, style: &Style, out: &mut dyn Write) -> Result<()> {
        let it = &self.difference;
        for line in wrap(&plain(&it.headline), style.width) {
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
        side("before", &it.before, style, out)?;
        side("after", &it.after, style, out)?;
        if it.is_reversed() {
            writeln!(out)?;
            paragraph("The first was taken after the second: were they named in the wrong order?", style, out)?;
        }
        asked(&it.asked, style, out)?;
        if !it.causes.is_empty() {
            writeln!(out)?;
        }
        for cause in &it.causes {
            row(label(cause.moved), &told(cause), style, out)?;
        }
        lost(it, style, out)?;
        changes(&it.changes.changes, style, out)?;
        let further = it.changes.further.len() + it.changes.left_out as usize;
        if style.verbose && !it.changes.further.is_empty() {
            section("Other facts that differ", style, out)?;
            for change in &it.changes.further {
                row("", &changed(change, true), style, out)?;
            }
        }
        let folded = [
            (further > 0 && !style.verbose)
                .then(|| format!("{} that no cause rests on (-v lists them)", count(further, "other fact"))),
            (it.changes.noise > 0).then(|| {
                format!(
                    "{} that differ between any two runs: times, process ids, counters",
                    count(it.changes.noise as usize, "fact")
                )
            }),
        ];
        let folded: Vec<String> = folded.into_iter().flatten().collect();
        if !folded.is_empty() || it.changes.not_compared.is_some() {
            writeln!(out)?;
        }
        if !folded.is_empty() {
            paragraph(&format!("Not told: {}.", folded.join("; ")), style, out)?;
        }
        it.changes.not_compared.iter().try_for_each(|why| paragraph(&format!("{why}."), style, out))
    }
}

fn paragraph(text: &str, style: &Style, out: &mut dyn Write) -> Result<()> {
    wrap(&plain(text), style.width).iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn section(title: &str, style: &Style, out: &mut dyn Write) -> Result<()> {
    writeln!(out)?;
    paragraph(title, style, out)
}

/// A label, and text beside it.
fn row(label: &str, text: &str, style: &Style, out: &mut dyn Write) -> Result<()> {
    let lines = wrap(&plain(text), style.width.saturating_sub(LABEL + 3).max(20));
    for (number, line) in lines.iter().enumerate() {
        writeln!(out, "  {:LABEL$} {line}", if number == 0 { label } else { "" })?;
    }
    Ok(())
}

fn side(label: &str, side: &Side, style: &Style, out: &mut dyn Write) -> Result<()> {
    let verdict = match side.verdict {
        Verdict::Healthy => "healthy",
        Verdict::Unhealthy => "unhealthy",
        Verdict::Undecided => "undecided",
    };
    let headline = side.headline.strip_prefix("Undecided: ").unwrap_or(&side.headline);
    row(label, &format!("{verdict}: {headline}"), style, out)?;
    let from = if side.name == "standard input" { " from" } else { "" };
    row("", &format!("({}{from} {}, taken {} by {})", side.form, side.name, side.taken_at, side.tool), style, out)
}

fn asked(asked: &[Asked], style: &Style, out: &mut dyn Write) -> Result<()> {
    if asked.is_empty() {
        return Ok(());
    }
    section("Asked otherwise, so that a cause may be gone or new for that reason alone", style, out)?;
    for one in asked {
        let side = |text: &str| shortened(text, style.verbose);
        let setting = one.setting.replace('_', " ");
        row("", &format!("{setting}: {} -> {}", side(&one.before), side(&one.after)), style, out)?;
    }
    Ok(())
}

fn label(moved: Moved) -> &'static str {
    match moved {
        Moved::New => "NEW",
        Moved::NowKnown => "now seen",
        Moved::NoLongerKnown => "not known",
        Moved::Gone => "gone",
        Moved::Still => "still",
    }
}

fn told(cause: &Cause) -> String {
    let mut text = format!("{}: {}", cause.cause, cause.brief);
    let severity = |severity| if severity == Severity::Fail { "a failure" } else { "a warning" };
    match (cause.before, cause.after) {
        (Some(before), Some(after)) => {
            if before.severity != after.severity {
                text.push_str(&format!("; it was {} and is {}", severity(before.severity), severity(after.severity)));
            }
            if before.confidence != after.confidence {
                text.push_str(&format!("; it was {} and is {}", before.confidence.name(), after.confidence.name()));
            }
        }
        (Some(only), None) | (None, Some(only)) if only.severity == Severity::Warn => text.push_str(" (a warning)"),
        _ => {}
    }
    match (&cause.waived, cause.became_waived()) {
        (Some(waived), _) => text.push_str(&format!(" ({})", waived.in_words())),
        (None, Some(false)) => text.push_str("; it was waived and is so no longer"),
        _ => {}
    }
    if let Some((before, after)) = &cause.subjects {
        text.push_str(&format!("; before {}, after {}", listed(before), listed(after)));
    }
    match cause.moved {
        _ if cause.why.is_empty() => {}
        Moved::NoLongerKnown => text.push_str(&format!("; whether it is still there is not known: {}", cause.why)),
        Moved::NowKnown => text.push_str(&format!("; whether it was there before is not known: {}", cause.why)),
        _ => text.push_str(&format!("; {}", cause.why)),
    }
    text
}

fn listed(subjects: &[String]) -> String {
    if subjects.is_empty() { "nothing".into() } else { subjects.join(", ") }
}

/// Checks of which something is known in one run only; those of which nothing is known any more with the reason.
fn lost(it: &Difference, style: &Style, out: &mut dyn Write) -> Result<()> {
    if !it.no_longer_known.is_empty() {
        section(&format!("{} no longer known", count(it.no_longer_known.len(), "check")), style, out)?;
        let most = if style.verbose { it.no_longer_known.len() } else { CHECKS_MAX };
        for check in it.no_longer_known.iter().take(most) {
            row("", &format!("{}: {}", check.check, shortened(&check.why, style.verbose)), style, out)?;
        }
        let more = it.no_longer_known.len().saturating_sub(most);
        if more > 0 {
            row("", &format!("and {more} more (-v)"), style, out)?;
        }
    }
    if it.now_known.is_empty() {
        return Ok(());
    }
    section(&format!("{} now known that could not be judged before", count(it.now_known.len(), "check")), style, out)?;
    let most = if style.verbose { it.now_known.len() } else { CHECKS_MAX };
    let ids: Vec<&str> = it.now_known.iter().take(most).map(|check| check.check.as_str()).collect();
    let more = it.now_known.len().saturating_sub(most);
    let more = if more > 0 { format!(" and {more} more (-v)") } else { String::new() };
    row("", &format!("{}{more}", ids.join(", ")), style, out)
}

fn changes(changes: &[Change], style: &Style, out: &mut dyn Write) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    section("What changed", style, out)?;
    let mut rest = changes;
    while let Some(first) = rest.first() {
        let of_kind = rest.partition_point(|change| change.kind <= first.kind);
        let (these, others) = rest.split_at(of_kind.max(1));
        let most = if style.verbose { these.len() } else { KIND_MAX };
        for (number, change) in these.iter().take(most).enumerate() {
            let label = if number == 0 { change.kind.words() } else { "" };
            row(label, &changed(change, style.verbose), style, out)?;
        }
        let more = these.len().saturating_sub(most);
        if more > 0 {
            row("", &format!("and {} of this kind (-v)", count(more, "other")), style, out)?;
        }
        rest = others;
    }
    Ok(())
}

fn changed(change: &Change, verbose: bool) -> String {
    let unknown = match change.unknown.as_str() {
        "" => "not there".to_owned(),
        why if verbose => format!("not known ({why})"),
        _ => "not known".to_owned(),
    };
    let side = |value: &Option<Value>| {
        value.as_ref().map_or_else(|| unknown.clone(), |value| self::value(&change.path, value, verbose))
    };
    let mut text = format!("{}: {} -> {}", change.path, side(&change.before), side(&change.after));
    if !change.because.is_empty() {
        text.push_str(&format!(" ({})", change.because));
    }
    if change.kind == Kind::Evidence && change.of.len() > 1 {
        text.push_str(&format!(" [{}]", change.of.join(", ")));
    }
    text
}

/// A value in words; of a long one its beginning.
fn value(path: &str, value: &Value, verbose: bool) -> String {
    let item = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
    let text = match value {
        Value::Null => "nothing".into(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        Value::String(text) if text.is_empty() => "empty".into(),
        Value::Number(number) => measured(path, number.as_f64().unwrap_or_default()),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => items.iter().map(item).collect::<Vec<_>>().join(", "),
        other => item(other),
    };
    shortened(&text, verbose)
}

/// A number with the unit that its fact's name tells.
fn measured(path: &str, number: f64) -> String {
    let has = |unit: &str| path.split(['.', '[']).any(|name| name.ends_with(unit));
    let rounded = |number: f64| match number.fract() == 0.0 && number >= 100_000.0 {
        true => grouped(number as u64),
        false => format!("{}", (number * 100.0).round() / 100.0),
    };
    match () {
        () if has("bytes") => bytes(number),
        () if has("_milliwatts") => format!("{} W", (number / 1000.0).round()),
        () if has("_percent") => format!("{} %", number.round()),
        () if has("_ms") || has("_ms_median") => format!("{} ms", rounded(number)),
        () => rounded(number),
    }
}

fn shortened(text: &str, verbose: bool) -> String {
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) if !verbose => format!("{}...", &text[..end]),
        _ => text.to_owned(),
    }
}
