//! What each file given to `triage` is, what it shows and what it lacks.

use super::text::paragraph;
use crate::snapshot::{RecordedFacts, RecordedFile, RecordedRequests};
use crate::words::{bytes, grouped, plain};
use colored::Colorize;
use std::io::{Result, Write};

/// Writes the files, and what they come to together.
pub fn write(recorded: &RecordedFacts, out: &mut dyn Write) -> Result<()> {
    let files = recorded.files.known().map(Vec::as_slice).unwrap_or_default();
    writeln!(out, "\n{}", "files".bold())?;
    files.iter().try_for_each(|file| one(file, out))?;
    if let Some(requests) = recorded.requests.known() {
        let together = together(requests);
        if !together.is_empty() {
            paragraph(out, "  ", &format!("together: {together}"))?;
        }
    }
    for error in recorded.requests.known().iter().flat_map(|requests| &requests.errors) {
        paragraph(out, "    ", &format!("{} failed: {}", grouped(error.count), error.text))?;
    }
    if let Some(percent) = recorded.sampled_percent.known() {
        paragraph(out, "  ", &format!("GPU samples cover {percent:.0} % of the time in which requests ran"))?;
    }
    for doubt in recorded.doubts.known().map(Vec::as_slice).unwrap_or_default() {
        paragraph(out, "  ", &format!("doubt: {doubt}"))?;
    }
    Ok(())
}

fn one(file: &RecordedFile, out: &mut dyn Write) -> Result<()> {
    let (kind, size) = (file.kind.replace('_', " "), bytes(file.size_bytes as f64));
    let by = match file.kind.as_str() {
        "unrecognized" => format!("{size}: {}", file.recognized_by),
        _ => format!("{size}, {} records; told by {}", grouped(file.records), file.recognized_by),
    };
    paragraph(out, "  ", &format!("{} is {kind} ({by})", plain(&file.name)))?;
    for shown in &file.shows {
        paragraph(out, "    ", shown)?;
    }
    for lacking in &file.lacks {
        paragraph(out, "    ", &format!("missing: {lacking}"))?;
    }
    for fault in &file.faults {
        paragraph(out, "    ", &format!("wrong: {fault}"))?;
    }
    Ok(())
}

fn together(requests: &RecordedRequests) -> String {
    let mut parts = Vec::new();
    if let (Some(first), Some(last)) = (requests.first_at.known(), requests.last_at.known()) {
        parts.push(format!("requests from {first} to {last}"));
    }
    if let Some(median) = requests.median_ms.known() {
        let p99 = requests.p99_ms.known().map_or(String::new(), |p99| format!(", 99 % within {p99:.0} ms"));
        parts.push(format!("a request took {median:.1} ms (median){p99}"));
    }
    if let Some(server) = requests.server_ms.known() {
        parts.push(format!("by the server's own word {server:.1} ms"));
    }
    if let Some(concurrency) = requests.concurrency.known() {
        parts.push(format!("{concurrency:.2} ran at once on average"));
    }
    parts.join("; ")
}
