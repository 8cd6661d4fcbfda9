//! The files that were given: what each is, what it shows and what it lacks.

use super::escape::{Text, number};
use super::frame::part;
use super::many;
use crate::snapshot::{RecordedFacts, RecordedFile, RecordedRequests};
use crate::words::{bytes, grouped};
use std::io::{Result, Write};

/// Files that are told one by one, and sentences of a kind about each.
const FILES_MAX: usize = 48;
const SENTENCES_MAX: usize = 12;

/// Writes them.
pub fn write(recorded: &RecordedFacts, out: &mut dyn Write) -> Result<()> {
    let files = recorded.files.known().map(Vec::as_slice).unwrap_or_default();
    part("files", "The files", out)?;
    many::first(files, FILES_MAX, "p", out, one)?;
    if let Some(requests) = recorded.requests.known() {
        together(requests, out)?;
    }
    if let Some(percent) = recorded.sampled_percent.known() {
        writeln!(out, "<p>GPU samples cover {} % of the time in which requests ran.</p>", number(*percent, 0))?;
    }
    let doubts = recorded.doubts.known().map(Vec::as_slice).unwrap_or_default();
    many::first(doubts, SENTENCES_MAX, "p", out, |doubt, out| writeln!(out, "<p>Doubt: {}</p>", Text(doubt)))?;
    writeln!(out, "</section>")
}

fn one(file: &RecordedFile, out: &mut dyn Write) -> Result<()> {
    writeln!(
        out,
        "<h3>{}</h3>\n<p>{} ({}, {} records; told by {})</p>\n<ul>",
        Text(&file.name),
        Text(&file.kind.replace('_', " ")),
        bytes(file.size_bytes as f64),
        grouped(file.records),
        Text(&file.recognized_by)
    )?;
    let said = [("", &file.shows), ("Missing: ", &file.lacks), ("Wrong: ", &file.faults)];
    for (head, sentences) in said {
        many::first(sentences, SENTENCES_MAX, "li", out, |one, out| writeln!(out, "<li>{head}{}</li>", Text(one)))?;
    }
    writeln!(out, "</ul>")
}

fn together(requests: &RecordedRequests, out: &mut dyn Write) -> Result<()> {
    let mut rows = vec![("Requests", grouped(requests.count))];
    rows.extend(requests.ok.known().map(|ok| ("Succeeded", grouped(*ok))));
    rows.extend(requests.first_at.known().map(|at| ("First", at.clone())));
    rows.extend(requests.last_at.known().map(|at| ("Last", at.clone())));
    rows.extend(requests.median_ms.known().map(|ms| ("Median time", format!("{} ms", number(*ms, 1)))));
    rows.extend(requests.p99_ms.known().map(|ms| ("99 % within", format!("{} ms", number(*ms, 1)))));
    rows.extend(requests.server_ms.known().map(|ms| ("By the server's word", format!("{} ms", number(*ms, 1)))));
    rows.extend(requests.concurrency.known().map(|at_once| ("At once on average", number(*at_once, 2))));
    let statuses = requests.by_status.iter().map(|(status, number)| format!("{status}: {}", grouped(*number)));
    rows.push(("By status", statuses.collect::<Vec<_>>().join(", ")));
    writeln!(
        out,
        "<h3>Together</h3>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Requests of the files\"><table class=\"values\"><tbody>"
    )?;
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", Text(value))?;
    }
    for error in requests.errors.iter().take(SENTENCES_MAX) {
        writeln!(out, "<tr><th scope=\"row\">{} failed</th><td>{}</td></tr>", grouped(error.count), Text(&error.text))?;
    }
    writeln!(out, "</tbody></table></div>")?;
    many::left_out(requests.errors.len(), SENTENCES_MAX, "p", out)
}
