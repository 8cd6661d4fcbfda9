//! What a server did under load: throughput and times by step, as a picture and a table.

use super::chart::{LEFT, PLOT, Pen, RIGHT, TITLE, round_up};
use super::escape::{Text, number};
use super::frame::{part, shape};
use super::timeline::figure;
use crate::report::{Load, Step};
use crate::words::grouped;
use std::io::{Result, Write};

/// Height of a panel's plot: taller than those of counters, for there are few.
const HEIGHT: f64 = 2.4 * PLOT;

/// Writes it.
pub fn write(load: &Load, out: &mut dyn Write) -> Result<()> {
    part("load", if load.command == "bench" { "The benchmark" } else { "Under load" }, out)?;
    if let Some(unmade) = &load.unmade {
        return writeln!(out, "<p>No load was made: {}.</p></section>", Text(unmade));
    }
    sentences(load, out)?;
    if !load.steps.is_empty() {
        if load.steps.len() > 1 {
            picture(load, out)?;
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
        let parts = split
            .parts
            .iter()
            .map(|part| format!("{} {:.1} ms ({:.0} %)", part.part.replace('_', " "), part.ms, part.percent));
        let parts = parts.collect::<Vec<_>>().join(", ");
        said.push(format!("Where {:.1} ms go with {}: {parts}.", split.request_ms, split.load));
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
    writeln!(out, "<ul>")?;
    said.iter().try_for_each(|one| writeln!(out, "<li>{}</li>", Text(one)))?;
    writeln!(out, "</ul>")
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

/// A curve over the steps.
struct Curve<'a> {
    class: &'static str,
    id: &'a str,
    values: Vec<Option<f64>>,
}

fn picture(load: &Load, out: &mut dyn Write) -> Result<()> {
    let steps = &load.steps;
    let throughput = steps.iter().map(|step| Some(step.throughput_rps).filter(|rps| rps.is_finite())).collect();
    let median = steps.iter().map(|step| step.latency_ms.as_ref().map(|times| times.median)).collect();
    let p99 = steps.iter().map(|step| step.latency_ms.as_ref().map(|times| times.p99)).collect();
    let gpu: Vec<Option<f64>> =
        steps.iter().map(|step| step.busiest_gpu().and_then(|gpu| gpu.utilization_percent)).collect();
    let mut panels = vec![
        ("Accepted answers a second", None, vec![Curve { class: "curve", id: "load-throughput", values: throughput }]),
        (
            "Time of a request, ms: median (solid line) / 99th percentile (dashed)",
            None,
            vec![
                Curve { class: "curve", id: "load-median", values: median },
                Curve { class: "curve dashed", id: "load-p99", values: p99 },
            ],
        ),
    ];
    if gpu.iter().any(Option::is_some) {
        let curves = vec![Curve { class: "curve", id: "load-gpu", values: gpu }];
        panels.push(("Busiest GPU, mean utilization, %", Some(100.0), curves));
    }
    let step = HEIGHT + TITLE + 8.0;
    let bottom = panels.len() as f64 * step;
    figure(
        "The load, step by step",
        "accepted answers a second, time of a request and GPU utilization by users",
        bottom + 50.0,
        out,
    )?;
    for (place, (title, most, curves)) in panels.iter().enumerate() {
        panel(title, *most, curves, load, place as f64 * step + TITLE, out)?;
    }
    for (place, step) in steps.iter().enumerate() {
        let (class, word) = standing(step);
        let x = x(place, steps.len());
        let load = step.rate.map_or_else(|| grouped(step.users), |rate| format!("{} /s", number(rate, 1)));
        write!(
            out,
            "<g class=\"{class}\"><text class=\"tick\" x=\"{0}\" y=\"{1}\">{2}</text>\
             <use href=\"#shape-{class}\" x=\"{3}\" y=\"{4}\" width=\"12\" height=\"12\"/><text class=\"tick word\" x=\"{0}\" y=\"{5}\">{word}</text></g>",
            number(x, 1),
            bottom + 16.0,
            Text(&load),
            number(x - 3.6 * word.len() as f64 - 17.0, 1),
            bottom + 24.0,
            bottom + 34.0
        )?;
    }
    let unit = if steps.iter().any(|step| step.rate.is_some()) { "rate" } else { "users" };
    writeln!(
        out,
        "<text class=\"scale\" x=\"{}\" y=\"{}\">{unit}</text></svg></div></figure>",
        LEFT - 6.0,
        bottom + 16.0
    )
}

fn panel(title: &str, most: Option<f64>, curves: &[Curve], load: &Load, top: f64, out: &mut dyn Write) -> Result<()> {
    let bottom = top + HEIGHT;
    let values = curves.iter().flat_map(|curve| curve.values.iter().flatten());
    let high = values.filter(|value| value.is_finite()).fold(0.0, |high: f64, value| high.max(*value));
    let most = most.unwrap_or_else(|| round_up(high));
    write!(
        out,
        "<path class=\"axis\" d=\"M{LEFT} {top}V{bottom}H{RIGHT}\"/><text class=\"name\" x=\"{LEFT}\" y=\"{}\">{title}</text>\
         <text class=\"scale\" x=\"{2}\" y=\"{3}\">{1}</text><text class=\"scale\" x=\"{2}\" y=\"{bottom}\">0</text>",
        top - 7.0,
        number(most, 1),
        LEFT - 6.0,
        top + 9.0
    )?;
    let y = |value: f64| bottom - (value / most).clamp(0.0, 1.0) * HEIGHT;
    knee(load, top, bottom, out)?;
    for curve in curves {
        let count = curve.values.iter().flatten().count();
        write!(out, "<path class=\"{}\" data-series=\"{}\" data-points=\"{count}\" d=\"", curve.class, curve.id)?;
        let mut pen = Pen::default();
        for (place, value) in curve.values.iter().enumerate() {
            pen.point(x(place, curve.values.len()), value.map(y), out)?;
        }
        pen.end(out)?;
        write!(out, "\"/>")?;
    }
    for (place, step) in load.steps.iter().enumerate() {
        // One label a step: those of two curves that nearly meet would lie on each other.
        let values: Vec<f64> = curves.iter().filter_map(|curve| curve.values.get(place).copied().flatten()).collect();
        let x = x(place, load.steps.len());
        let (class, _) = standing(step);
        for value in &values {
            let (x, y) = (number(x - 6.0, 1), number(y(*value) - 6.0, 1));
            write!(
                out,
                "<g class=\"{class}\"><use href=\"#shape-{class}\" x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\"/></g>"
            )?;
        }
        let highest = values.iter().copied().fold(0.0, f64::max);
        let label: Vec<String> =
            values.iter().map(|value| number(*value, if *value < 100.0 { 1 } else { 0 })).collect();
        // Above the point, or below it where there is no room.
        let above = y(highest) - 10.0;
        let at = if above > top + 8.0 { above } else { y(highest) + 19.0 };
        write!(
            out,
            "<text class=\"value\" x=\"{}\" y=\"{}\">{}</text>",
            number(x, 1),
            number(at, 1),
            label.join(" / ")
        )?;
    }
    Ok(())
}

/// The load from which on more users only wait, between the steps where it lies.
fn knee(load: &Load, top: f64, bottom: f64, out: &mut dyn Write) -> Result<()> {
    let Some(knee) = load.judged.knee_users.filter(|knee| knee.is_finite() && *knee > 0.0) else { return Ok(()) };
    let users: Vec<f64> = load.steps.iter().map(|step| step.users as f64).collect();
    let between = users
        .windows(2)
        .position(|pair| matches!(pair, [low, high] if *low > 0.0 && *low <= knee && knee <= *high && low < high));
    let Some(at) = between else { return Ok(()) };
    let (Some(low), Some(high)) = (users.get(at), users.get(at + 1)) else { return Ok(()) };
    let share = (knee / low).ln() / (high / low).ln();
    let place = x(at, users.len()) + share * (x(at + 1, users.len()) - x(at, users.len()));
    write!(out, "<path class=\"edge\" d=\"M{} {top}V{bottom}\"/>", number(place, 1))?;
    if top > TITLE {
        return Ok(());
    }
    let (x, y) = (number(place + 4.0, 1), number(bottom - 6.0, 1));
    write!(out, "<text class=\"knee\" x=\"{x}\" y=\"{y}\">knee: {} users</text>", number(knee, 1))
}

/// Where a step is drawn: the steps stand side by side, each in the middle of its place.
fn x(place: usize, steps: usize) -> f64 {
    let width = (RIGHT - LEFT) / steps.max(1) as f64;
    LEFT + (place as f64 + 0.5) * width
}

fn table(steps: &[Step], out: &mut dyn Write) -> Result<()> {
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Steps of the load\"><table class=\"figures\">\
         <caption>The steps; times in milliseconds, memory in GiB</caption><thead><tr>"
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
    for step in steps {
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
            told(gpu.and_then(|gpu| gpu.memory_used_bytes).map(|bytes| bytes / (1u64 << 30) as f64), 1),
            told(gpu.and_then(|gpu| gpu.temperature_celsius), 0),
            told(gpu.and_then(|gpu| gpu.power_watts), 0),
            told(step.server_cores, 1),
        ];
        cells.iter().try_for_each(|cell| write!(out, "<td>{cell}</td>"))?;
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")?;
    if steps.iter().all(|step| step.because.is_empty()) {
        return Ok(());
    }
    writeln!(out, "<ul>")?;
    for step in steps.iter().filter(|step| !step.because.is_empty()) {
        let (_, word) = standing(step);
        writeln!(out, "<li>{}, {word}: {}.</li>", Text(&step.load()), Text(&step.because.join("; ")))?;
    }
    writeln!(out, "</ul>")
}
