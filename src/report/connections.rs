//! Which connection came to which GPU, at how many the server stopped, and what it gave back.

use super::page::Page;
use crate::check::{
    ChecklistLine, ChecklistOutcome, ConnectionFigures, connection_cache, connection_checklist, connection_figures,
    connection_numbers, connection_processes,
};
use crate::snapshot::{Attempt, ConnectionsFacts, Fact, Snapshot, SpreadReading};
use crate::words::{bytes, columns, count, plain};
use colored::Colorize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::{Result, Write};

/// Connections that are told without `-v`: the first ones and the last ones.
const FIRST: usize = 20;
const LAST: usize = 4;

/// What connections come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionsJudged {
    /// The nine lines by which a server with several GPUs is checked off, each with its proof.
    pub checklist: Vec<ChecklistLine>,
    /// Memory of a connection, and how many a card safely holds; nothing if no memory was seen to grow.
    pub memory: Option<ConnectionFigures>,
    /// Memory that stays in use and is no leak, in words; empty if none does.
    pub cache: String,
    /// How the server's numbers of the GPUs differ from NVML's; empty if they do not.
    pub numbers: String,
    /// Which processes of the server are on which GPU; empty if NVML was not asked.
    pub processes: String,
}

impl ConnectionsJudged {
    /// Of connections that were tried.
    pub fn of(snapshot: &Snapshot) -> Option<Self> {
        let room = &snapshot.facts.connections;
        room.attempts.known()?;
        Some(Self {
            checklist: connection_checklist(&snapshot.facts),
            memory: connection_figures(room).ok(),
            cache: connection_cache(room).unwrap_or_default(),
            numbers: connection_numbers(&snapshot.facts),
            processes: connection_processes(room),
        })
    }
}

/// Writes the table, if connections were tried.
pub fn write(room: &ConnectionsFacts, judged: Option<&ConnectionsJudged>, out: &mut Page) -> Result<()> {
    let Some(attempts) = room.attempts.known() else { return Ok(()) };
    let lost = attempts.iter().filter(|attempt| attempt.ended_while_held).count();
    let held = attempts.iter().filter(|attempt| attempt.accepted).count() + lost;
    let kind = match room.kind.known().map(String::as_str) {
        None => String::new(),
        Some("WebSocket") => " by WebSocket".into(),
        Some(method) => format!(" by {method}, the answers held"),
    };
    let path = room.path.known().map_or(String::new(), |path| format!(" at {}", plain(path)));
    writeln!(out, "\n{}", "connections".bold())?;
    out.paragraph(
        "  ",
        &format!(
            "{}{path}{kind}: {held} held at once{}",
            count(attempts.len(), "connection"),
            match lost {
                0 => String::new(),
                lost => format!(", {lost} of them lost meanwhile"),
            }
        ),
    )?;
    if let Some(said) = room.said.known().filter(|said| !said.is_empty()) {
        out.paragraph("  ", &format!("on each {said} was said: without it no GPU took memory"))?;
    }
    if let Some(stopped) = room.stopped_by.known().filter(|stopped| !stopped.is_empty()) {
        out.paragraph("  ", &format!("no further ones: {stopped}"))?;
    }
    if held > 0 {
        writeln!(out, "  {:>4}  {:<8} {:<8} {:<8} {:>10} {:>10}", "", "by NVML", "told", "log", "opened in", "memory")?;
    }
    let left_out = if out.verbose() { 0 } else { attempts.len().saturating_sub(FIRST + LAST) };
    for (position, attempt) in attempts.iter().enumerate() {
        if left_out > 0 && position == FIRST {
            writeln!(out, "        ... {left_out} more (-v)")?;
        }
        if left_out == 0 || position < FIRST || position >= FIRST + left_out {
            row(attempt, out)?;
        }
    }
    if attempts.iter().all(|attempt| !attempt.accepted && !attempt.ended_while_held) {
        return Ok(());
    }
    gpus(room, out)?;
    for words in judged.into_iter().flat_map(|judged| [&judged.processes, &judged.numbers]) {
        if !words.is_empty() {
            out.paragraph("  ", words)?;
        }
    }
    limits(room, out)?;
    release(room, out)?;
    if let Some(judged) = judged {
        if !judged.cache.is_empty() {
            out.paragraph("  ", &judged.cache)?;
        }
        checklist(&judged.checklist, out)?;
    }
    Ok(())
}

/// The lines that a user checks off.
fn checklist(lines: &[ChecklistLine], out: &mut Page) -> Result<()> {
    writeln!(out, "\n{}", "checklist".bold())?;
    for line in lines {
        let outcome = match line.outcome {
            ChecklistOutcome::Pass => "pass".green(),
            ChecklistOutcome::Fail => "FAIL".red(),
            ChecklistOutcome::Unknown => "?".yellow(),
        };
        out.hanging(&format!("  {}  {:<4}  ", line.number, outcome), 11, &line.expects)?;
        out.paragraph("           ", &plain(&line.proof))?;
    }
    Ok(())
}

fn row(attempt: &Attempt, out: &mut Page) -> Result<()> {
    if !attempt.accepted && !attempt.ended_while_held {
        return out.hanging(&format!("  {:>4}  ", attempt.number), 8, &refusal(attempt));
    }
    let gpu = |fact: &Fact<u64>| fact.known().map_or("-".to_owned(), |gpu| format!("GPU {gpu}"));
    let memory = attempt.added_bytes.known().map_or("-".to_owned(), |added| bytes(*added as f64));
    let line = format!(
        "  {:>4}  {:<8} {:<8} {:<8} {:>7.0} ms {memory:>10}",
        attempt.number,
        gpu(&attempt.measured_gpu),
        gpu(&attempt.claimed_gpu),
        gpu(&attempt.logged_gpu),
        attempt.opening_ms
    );
    let end = if attempt.ended_while_held { refusal(attempt) } else { String::new() };
    match line.len() + 2 + columns(&end) <= out.width() {
        true => out.hanging(&format!("{line}  "), line.len() + 2, &end),
        false => {
            writeln!(out, "{line}")?;
            out.paragraph("        ", &end)
        }
    }
}

/// How a connection was refused, in words.
pub(super) fn refusal(attempt: &Attempt) -> String {
    let reason = match attempt.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({})", plain(reason)),
    };
    match (attempt.close_code.known(), attempt.status.known()) {
        (Some(1006), _) if attempt.ended_while_held => format!("lost without a goodbye{reason}"),
        (Some(code), _) if attempt.ended_while_held => format!("ended by the server with {code}{reason}"),
        (None, _) if attempt.ended_while_held => format!("ended by the server{reason}"),
        (Some(1006), _) => format!("accepted, and cut at once{reason}"),
        (None, Some(status)) if *status < 300 => format!("answered {status}, and not held{reason}"),
        (Some(code), _) => format!("refused: closed with {code}{reason}"),
        (None, Some(status)) => format!("refused before it was accepted: HTTP {status}{reason}"),
        (None, None) => format!("no answer{reason}"),
    }
}

/// What is on each GPU with the most connections open.
fn gpus(room: &ConnectionsFacts, out: &mut Page) -> Result<()> {
    let readings = room.readings.known().map(Vec::as_slice).unwrap_or_default();
    let Some(fullest) = readings.iter().rev().max_by_key(|reading| reading.open_connections) else { return Ok(()) };
    let told = |index: u64| told(fullest, index);
    match (&fullest.measured, &fullest.told) {
        (Fact::Known(measured), _) => {
            for gpu in measured {
                let memory = match (gpu.server_bytes.known(), gpu.used_bytes.known(), gpu.total_bytes.known()) {
                    (Some(own), _, Some(total)) => {
                        format!("{} of {} held by the server", bytes(*own as f64), bytes(*total as f64))
                    }
                    (None, Some(used), Some(total)) => {
                        format!("{} of {} in use", bytes(*used as f64), bytes(*total as f64))
                    }
                    _ => "memory unknown".into(),
                };
                let head = format!("  GPU {}  {:<28} ", gpu.index, told(gpu.index));
                out.hanging(&head, head.len(), &memory)?;
            }
            Ok(())
        }
        (_, Fact::Known(list)) => {
            list.iter().try_for_each(|gpu| writeln!(out, "  GPU {}  {}", gpu.index, told(gpu.index)))
        }
        _ => Ok(()),
    }
}

fn told(reading: &SpreadReading, index: u64) -> String {
    let list = reading.told.known().map(Vec::as_slice).unwrap_or_default();
    let counted = list.iter().find(|gpu| gpu.index == index).and_then(|gpu| gpu.connections.known());
    counted.map_or_else(String::new, |told| format!("{} by its word", count(*told as usize, "connection")))
}

fn limits(room: &ConnectionsFacts, out: &mut Page) -> Result<()> {
    let place = room.status_url.known().map_or("the server", String::as_str);
    let limit = room.told_limit_per_gpu.known().map(|limit| format!("{limit} for each GPU by {place}"));
    let limit = limit.unwrap_or_else(|| "the server tells none".into());
    out.paragraph("  ", &format!("limit: {limit}"))?;
    if let Ok(figures) = connection_figures(room) {
        let first = match figures.first_bytes == figures.each_bytes {
            true => String::new(),
            false => format!(" (the first on a GPU {})", bytes(figures.first_bytes as f64)),
        };
        let range = match figures.each_lowest_bytes == figures.each_highest_bytes {
            true => String::new(),
            false => format!(
                ", between {} and {} in {}",
                bytes(figures.each_lowest_bytes as f64),
                bytes(figures.each_highest_bytes as f64),
                figures.counted
            ),
        };
        let words = format!(
            "memory: {} a connection{range}{first}, so that a card of {} safely holds {}",
            bytes(figures.each_bytes as f64),
            bytes(figures.total_bytes as f64),
            figures.safe_per_gpu
        );
        out.paragraph("  ", &words)?;
    }
    Ok(())
}

fn release(room: &ConnectionsFacts, out: &mut Page) -> Result<()> {
    let (Some(after_ms), Some(readings)) = (room.released_after_ms.known(), room.readings.known()) else {
        return Ok(());
    };
    let (Some(first), Some(last)) = (readings.first(), readings.last()) else { return Ok(()) };
    let total = |reading: &SpreadReading| {
        let list = reading.told.known()?;
        list.iter().map(|gpu| gpu.connections.known().copied()).try_fold(0u64, |sum, one| sum.checked_add(one?))
    };
    let memory = |reading: &SpreadReading| {
        let list = reading.measured.known()?;
        list.iter().map(|gpu| gpu.used_bytes.known().copied()).try_fold(0u64, |sum, one| sum.checked_add(one?))
    };
    let mut parts = Vec::new();
    if let (Some(before), Some(now)) = (total(first), total(last)) {
        parts.push(format!("{now} connections counted (before: {before})"));
    }
    if let (Some(before), Some(now)) = (memory(first), memory(last)) {
        parts.push(format!("{} of memory in use (before: {})", bytes(now as f64), bytes(before as f64)));
    }
    if let Some(again) = room.after_release.known() {
        parts.push(if again.accepted {
            "one more was accepted".into()
        } else {
            format!("one more {}", refusal(again))
        });
    }
    match parts.is_empty() {
        true => Ok(()),
        false => out.paragraph("  ", &format!("{:.1} s after the close: {}", after_ms / 1e3, parts.join(", "))),
    }
}
