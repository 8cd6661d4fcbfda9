//! Which connection came to which GPU, and the checklist of a server with several.

use super::escape::Text;
use super::frame::{part, shape};
use super::many::left_out;
use crate::check::ChecklistOutcome;
use crate::report::ConnectionsJudged;
use crate::report::connections::refusal;
use crate::snapshot::{Attempt, ConnectionsFacts, Fact};
use crate::words::{bytes, count};
use std::io::{Result, Write};

/// Connections that are listed.
const ATTEMPTS_MAX: usize = 256;

/// Writes them.
pub fn write(room: &ConnectionsFacts, judged: Option<&ConnectionsJudged>, out: &mut dyn Write) -> Result<()> {
    let Some(attempts) = room.attempts.known() else { return Ok(()) };
    part("connections", "Connections", out)?;
    let held = attempts.iter().filter(|attempt| attempt.accepted || attempt.ended_while_held).count();
    let path = room.path.known().map_or(String::new(), |path| format!(" at {path}"));
    writeln!(out, "<p>{}{}: {held} held at once.</p>", count(attempts.len(), "connection"), Text(&path))?;
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Connections\"><table class=\"figures\">\
         <caption>Where each connection came</caption><thead><tr><th scope=\"col\">Connection</th><th scope=\"col\">Outcome</th>\
         <th scope=\"col\">GPU by NVML</th><th scope=\"col\">By the server</th><th scope=\"col\">By its log</th>\
         <th scope=\"col\">Opened in</th><th scope=\"col\">Memory added</th></tr></thead><tbody>"
    )?;
    attempts.iter().take(ATTEMPTS_MAX).try_for_each(|attempt| row(attempt, out))?;
    writeln!(out, "</tbody></table></div>")?;
    left_out(attempts.len(), ATTEMPTS_MAX, "p", out)?;
    let Some(judged) = judged else { return writeln!(out, "</section>") };
    let mut said: Vec<String> = [&judged.processes, &judged.numbers, &judged.cache].into_iter().cloned().collect();
    if let Some(figures) = &judged.memory {
        said.push(format!(
            "Memory: {} a connection, so that a card of {} safely holds {}.",
            bytes(figures.each_bytes as f64),
            bytes(figures.total_bytes as f64),
            figures.safe_per_gpu
        ));
    }
    for words in said.iter().filter(|words| !words.is_empty()) {
        writeln!(out, "<p>{}</p>", Text(&sentence(words)))?;
    }
    if held > 0 {
        checklist(judged, out)?;
    }
    writeln!(out, "</section>")
}

/// Words as a sentence of their own.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

fn row(attempt: &Attempt, out: &mut dyn Write) -> Result<()> {
    let gpu = |fact: &Fact<u64>| fact.known().map_or("–".to_owned(), |gpu| format!("GPU {gpu}"));
    let (class, outcome) = match attempt {
        Attempt { ended_while_held: true, .. } => ("warn", refusal(attempt)),
        Attempt { accepted: true, .. } => ("pass", "held".to_owned()),
        // The connection too many is to be refused: that is no fault by itself.
        _ => ("blocked", refusal(attempt)),
    };
    writeln!(
        out,
        "<tr><th scope=\"row\">{}</th><td>{}{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.0} ms</td><td>{}</td></tr>",
        attempt.number,
        shape(class),
        Text(&outcome),
        gpu(&attempt.measured_gpu),
        gpu(&attempt.claimed_gpu),
        gpu(&attempt.logged_gpu),
        attempt.opening_ms,
        attempt.added_bytes.known().map_or("–".to_owned(), |added| bytes(*added as f64))
    )
}

fn checklist(judged: &ConnectionsJudged, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "<h3>Checklist</h3>\n<ol class=\"chain\">")?;
    for line in &judged.checklist {
        let (class, word) = match line.outcome {
            ChecklistOutcome::Pass => ("pass", "pass"),
            ChecklistOutcome::Fail => ("fail", "fail"),
            ChecklistOutcome::Unknown => ("unknown", "unknown"),
        };
        writeln!(
            out,
            "<li class=\"{class}\">{}<b>{}</b> <span class=\"word\">{word}</span> <span class=\"seen\">{}</span></li>",
            shape(class),
            Text(&line.expects),
            Text(&line.proof)
        )?;
    }
    writeln!(out, "</ol>")
}
