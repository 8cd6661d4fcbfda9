//! What a server did under load: throughput and times by step, as a picture and a table.

mod picture;

use super::escape::{Text, number};
use super::frame::{part, shape};
use super::many;
use crate::report::{Load, Step};
use crate::words::grouped;
use std::io::{Result, Write};

/// Steps that are told, and sentences.
const STEPS_MAX: usize = 64;
const SENTENCES_MAX: usize = 40;

/// Writes it.
pub fn write(load: &Load, out: &mut dyn Write) -> Result<()> {
    part("load", if load.command == "bench" { "The benchmark" } else { "Under load" }, out)?;
    if let Some(unmade) = &load.unmade {
        return writeln!(out, "<p>No load was made: {}.</p></section>", Text(unmade));
    }
    sentences(load, out)?;
    if !load.steps.is_empty() {
        if load.steps.len() > 1 {
            picture::write(load, load.steps.get(..STEPS_MAX).unwrap_or(&load.steps), out)?;
        }
        table(&load.steps, out)?;
    }
    writeln!(out, "</section>")
}

fn sentences(load: &Load, out: &mut dyn Write) -> Result<()> {
    let judged = &load.judged;
    let mut said: Vec<String> = Vec::new();
    if load.steps.len() > 1 {
        let known = if judged.knee_users.is_some() { "Knee" } else { "No knee was seen" };
        said.push(format!("{known}: {}.", judged.knee_because));
        if !judged.breaking_point.is_empty() {
            said.push(format!("Breaking point: {}.", judged.breaking_point));
        }
    }
    if let Some(rps) = judged.capacity_rps {
        said.push(format!(
            "Capacity: {} requests a second, which were served well with {}.",
            number(rps, 1),
            judged.capacity_from
        ));
    }
    said.extend(judged.holds.iter().map(|holds| {
        format!(
            "{} users at one request per {} s: {}; {}.",
            grouped(holds.users),
            holds.interval_s,
            holds.verdict,
            holds.because
        )
    }));
    for split in &judged.time {
        said.push(split.sentence());
    }
    said.extend(judged.memory.iter().filter(|one| one.verdict != "undecided").map(|memory| {
        let verdict = if memory.verdict == "leak" { "grows with every request" } else { "came to rest" };
        format!("Memory of {} {verdict}: {}.", memory.whose(), memory.because)
    }));
    if !load.stopped_because.is_empty() {
        said.push(format!("The load ended before its plan did: {}.", load.stopped_because));
    }
    if said.is_empty() {
        return Ok(());
    }
    many::sentences(&said, SENTENCES_MAX, out)
}

/// Class of the shape, and the word, of a step's verdict.
fn standing(step: &Step) -> (&'static str, &str) {
    match step.verdict.as_str() {
        "healthy" => ("pass", "healthy"),
        "degraded" => ("warn", "degraded"),
        "overloaded" => ("fail", "overloaded"),
        "refused" => ("unknown", "figures contradict"),
        "client_limited" => ("unknown", "doctor at its limit"),
        _ => ("unknown", "undecided"),
    }
}

fn table(steps: &[Step], out: &mut dyn Write) -> Result<()> {
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Steps of the load\"><table class=\"figures\">\
         <caption>The steps; times in milliseconds, memory in GB</caption><thead><tr>"
    )?;
    for head in [
        "Load",
        "Verdict",
        "Requests",
        "Failed",
        "Answers/s",
        "Median",
        "p99",
        "By the server",
        "Queue",
        "GPU %",
        "GPU memory",
        "GPU °C",
        "Power W",
        "CPU cores",
    ] {
        write!(out, "<th scope=\"col\">{head}</th>")?;
    }
    writeln!(out, "</tr></thead><tbody>")?;
    let told = |value: Option<f64>, decimals| value.map_or("–".to_owned(), |value| number(value, decimals));
    for step in steps.iter().take(STEPS_MAX) {
        let (class, word) = standing(step);
        let gpu = step.busiest_gpu();
        write!(out, "<tr><th scope=\"row\">{}</th><td>{}{word}</td>", Text(&step.load()), shape(class))?;
        let cells = [
            grouped(step.requests),
            grouped(step.failed + step.dropped + step.unfinished),
            number(step.throughput_rps, 1),
            told(step.latency_ms.as_ref().map(|times| times.median), 1),
            told(step.latency_ms.as_ref().map(|times| times.p99), 1),
            told(step.server_ms.as_ref().map(|times| times.median), 1),
            told(step.queue_ms, 1),
            told(gpu.and_then(|gpu| gpu.utilization_percent), 0),
            told(gpu.and_then(|gpu| gpu.memory_used_bytes).map(|bytes| bytes / 1e9), 1),
            told(gpu.and_then(|gpu| gpu.temperature_celsius), 0),
            told(gpu.and_then(|gpu| gpu.power_watts), 0),
            told(step.server_cores, 1),
        ];
        cells.iter().try_for_each(|cell| write!(out, "<td>{cell}</td>"))?;
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")?;
    many::left_out(steps.len(), STEPS_MAX, "p", out)?;
    if steps.iter().all(|step| step.because.is_empty()) {
        return Ok(());
    }
    writeln!(out, "<ul>")?;
    let told = steps.iter().filter(|step| !step.because.is_empty());
    many::first(told, STEPS_MAX, "li", out, |step, out| {
        let (_, word) = standing(step);
        writeln!(out, "<li>{}, {word}: {}.</li>", Text(&step.load()), Text(&step.because.join("; ")))
    })?;
    writeln!(out, "</ul>")
}
