//! What each file given to `triage` is, what it shows and what it lacks.

use super::page::Page;
use crate::probe::triage::TAKE_SAMPLES;
use crate::probe::watch::UNNAMED;
use crate::snapshot::{RecordedFacts, RecordedFile, RecordedRequests, Why};
use crate::words::{bytes, grouped, plain};
use colored::Colorize;
use std::io::{Result, Write};

/// Writes the files, and what they come to together.
pub fn write(recorded: &RecordedFacts, out: &mut Page) -> Result<()> {
    let files = recorded.files.known().map(Vec::as_slice).unwrap_or_default();
    writeln!(out, "\n{}", "files".bold())?;
    files.iter().try_for_each(|file| one(file, out))?;
    if files.iter().any(|file| file.kind == "unrecognized") {
        out.paragraph("  ", "what can be read: gpu-doctor triage --help")?;
    }
    if let Some(requests) = recorded.requests.known() {
        let together = together(requests);
        if !together.is_empty() {
            out.paragraph("  ", &format!("together: {together}"))?;
        }
    }
    for error in recorded.requests.known().iter().flat_map(|requests| &requests.errors) {
        out.paragraph("    ", &format!("{} failed: {}", grouped(error.count), error.text))?;
    }
    if not_sampled(recorded) {
        out.paragraph("  ", "missing: GPU samples. Take them while the requests run, and give them as well")?;
        out.command("       ", TAKE_SAMPLES)?;
    }
    if let Some(percent) = recorded.sampled_percent.known() {
        out.paragraph("  ", &format!("GPU samples cover {percent:.0} % of the time in which requests ran"))?;
    }
    for doubt in recorded.doubts.known().map(Vec::as_slice).unwrap_or_default() {
        out.paragraph("  ", &format!("doubt: {doubt}"))?;
    }
    Ok(())
}

fn one(file: &RecordedFile, out: &mut Page) -> Result<()> {
    // No file was asked for.
    if file.kind == "watch" && file.name == UNNAMED {
        out.paragraph("  ", "what was watched (--csv FILE keeps it)")?;
        return told(file, out);
    }
    let (kind, size) = (in_words(&file.kind), bytes(file.size_bytes as f64));
    let by = match file.kind.as_str() {
        "unrecognized" => format!("{size}: {}", file.recognized_by),
        "archive" => format!("{size}; told by {}", file.recognized_by),
        _ => format!("{size}, {}; told by {}", counted(file), file.recognized_by),
    };
    out.paragraph("  ", &format!("{} is {kind} ({by})", plain(&file.name)))?;
    told(file, out)
}

/// What it shows and lacks.
fn told(file: &RecordedFile, out: &mut Page) -> Result<()> {
    for shown in &file.shows {
        out.paragraph("    ", shown)?;
    }
    for lacking in &file.lacks {
        out.paragraph("    ", &format!("missing: {lacking}"))?;
    }
    for fault in &file.faults {
        out.paragraph("    ", &format!("wrong: {fault}"))?;
    }
    Ok(())
}

/// Whether requests are told of that succeeded, and no GPU samples.
fn not_sampled(recorded: &RecordedFacts) -> bool {
    let worked = |requests: &RecordedRequests| requests.ok.known() != Some(&0);
    recorded.requests.known().is_some_and(worked)
        && recorded.sampled_percent.reason().is_some_and(|unknown| unknown.why == Why::NotAsked)
}

/// A kind of file for people.
fn in_words(kind: &str) -> String {
    match kind {
        "requests_csv" => "a table of requests".into(),
        "requests_json" => "a table of requests (JSON Lines)".into(),
        "gpu_samples_csv" => "a table of GPU samples".into(),
        "gpu_samples_json" => "a table of GPU samples (JSON Lines)".into(),
        "nvidia_smi_csv" => "a table of GPU samples by nvidia-smi".into(),
        "nvidia_smi_dmon" => "the output of nvidia-smi dmon or pmon".into(),
        "nvidia_smi_table" => "the output of nvidia-smi".into(),
        "nvidia_smi_xml" => "the output of nvidia-smi -q -x".into(),
        "docker_inspect" => "the output of docker inspect".into(),
        "kubernetes" => "the output of kubectl".into(),
        "metrics_page" => "a metrics page".into(),
        "server_log" => "a server's log".into(),
        "locust_stats" => "Locust's table of totals".into(),
        "locust_history" => "Locust's table of totals over time".into(),
        "locust_failures" => "Locust's table of failures".into(),
        "locust_exceptions" => "Locust's table of exceptions".into(),
        "oha_json" => "the JSON of oha".into(),
        "k6_json" => "the JSON of k6".into(),
        "watch" => "a table of gpu-doctor watch".into(),
        "snapshot" => "a snapshot of gpu-doctor".into(),
        "report" => "a report of gpu-doctor".into(),
        "archive" => "an archive".into(),
        "unrecognized" => "unrecognized".into(),
        other => match other.strip_suffix("_summary") {
            Some(tool) => format!("a summary by {tool}"),
            None => other.replace('_', " "),
        },
    }
}

/// What a file holds, counted: `602 records`.
fn counted(file: &RecordedFile) -> String {
    format!("{} record{}", grouped(file.records), if file.records == 1 { "" } else { "s" })
}

/// A time for people: `3.1 ms`, `470 ms`.
fn ms(ms: f64) -> String {
    if ms < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

fn together(requests: &RecordedRequests) -> String {
    let mut parts = Vec::new();
    if let (Some(first), Some(last)) = (requests.first_at.known(), requests.last_at.known()) {
        parts.push(format!("requests from {first} to {last}"));
    }
    if let Some(median) = requests.median_ms.known() {
        let p99 = requests.p99_ms.known().map_or(String::new(), |p99| format!(", 99 % within {}", ms(*p99)));
        parts.push(format!("a request took {} (median){p99}", ms(*median)));
    }
    if let Some(server) = requests.server_ms.known() {
        parts.push(format!("by the server's own word {}", ms(*server)));
    }
    if let Some(concurrency) = requests.concurrency.known() {
        parts.push(format!("{concurrency:.2} ran at once on average"));
    }
    parts.join("; ")
}
