//! Throughput and times over the steps, as a picture.

use super::standing;
use crate::report::html::chart::{LEFT, PLOT, Pen, RIGHT, TITLE, round_up};
use crate::report::html::escape::{Text, number};
use crate::report::html::timeline::figure;
use crate::report::{Load, Step};
use crate::words::grouped;
use std::io::{Result, Write};

/// Height of a panel's plot: taller than those of counters, for there are few.
const HEIGHT: f64 = 2.4 * PLOT;
/// Width of a character below a step, at most.
const LETTER: f64 = 7.2;

/// A curve over the steps.
struct Curve<'a> {
    class: &'static str,
    id: &'a str,
    values: Vec<Option<f64>>,
}

/// Draws these steps of a load.
pub fn write(load: &Load, steps: &[Step], out: &mut dyn Write) -> Result<()> {
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
        panel(title, *most, curves, (load, steps), place as f64 * step + TITLE, out)?;
    }
    below(steps, bottom, out)?;
    let unit = if steps.iter().any(|step| step.rate.is_some()) { "rate" } else { "users" };
    writeln!(
        out,
        "<text class=\"scale\" x=\"{}\" y=\"{}\">{unit}</text></svg></div></figure>",
        LEFT - 6.0,
        bottom + 16.0
    )
}

/// The load and the verdict of each step below the curves. Words that have no room would lie on each other: a shape alone
/// then tells the verdict, and the table its word.
fn below(steps: &[Step], bottom: f64, out: &mut dyn Write) -> Result<()> {
    let loads: Vec<String> = steps
        .iter()
        .map(|step| step.rate.map_or_else(|| grouped(step.users), |rate| format!("{} /s", number(rate, 1))))
        .collect();
    let width = width(steps.len());
    let longest = |words: &mut dyn Iterator<Item = usize>| words.max().unwrap_or(0) as f64 * LETTER;
    let every = (longest(&mut loads.iter().map(String::len)) / width).ceil().max(1.0) as usize;
    let worded = longest(&mut steps.iter().map(|step| standing(step).1.len())) + 20.0 < width;
    for (place, (step, load)) in steps.iter().zip(&loads).enumerate() {
        let (class, word) = standing(step);
        let x = x(place, steps.len());
        write!(out, "<g class=\"{class}\">")?;
        if place % every == 0 {
            let y = bottom + 16.0;
            write!(out, "<text class=\"tick\" x=\"{}\" y=\"{y}\">{}</text>", number(x, 1), Text(load))?;
        }
        let left = if worded { x - LETTER / 2.0 * word.len() as f64 - 17.0 } else { x - 6.0 };
        write!(
            out,
            "<use href=\"#shape-{class}\" x=\"{}\" y=\"{}\" width=\"12\" height=\"12\"/>",
            number(left, 1),
            bottom + 24.0
        )?;
        if worded {
            write!(out, "<text class=\"tick word\" x=\"{}\" y=\"{}\">{word}</text>", number(x, 1), bottom + 34.0)?;
        }
        write!(out, "</g>")?;
    }
    Ok(())
}

fn panel(
    title: &str,
    most: Option<f64>,
    curves: &[Curve],
    (load, steps): (&Load, &[Step]),
    top: f64,
    out: &mut dyn Write,
) -> Result<()> {
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
    knee(load, steps, top, bottom, out)?;
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
    // One label a step: those of two curves that nearly meet would lie on each other.
    let values = |place: usize| -> Vec<f64> {
        curves.iter().filter_map(|curve| curve.values.get(place).copied().flatten()).collect()
    };
    let label = |values: &[f64]| -> String {
        let words: Vec<String> =
            values.iter().map(|value| number(*value, if *value < 100.0 { 1 } else { 0 })).collect();
        words.join(" / ")
    };
    let longest = (0..steps.len()).map(|place| label(&values(place)).len()).max().unwrap_or(0);
    let labelled = longest as f64 * LETTER < width(steps.len());
    for (place, step) in steps.iter().enumerate() {
        let values = values(place);
        let x = x(place, steps.len());
        let (class, _) = standing(step);
        for value in &values {
            let (x, y) = (number(x - 6.0, 1), number(y(*value) - 6.0, 1));
            write!(
                out,
                "<g class=\"{class}\"><use href=\"#shape-{class}\" x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\"/></g>"
            )?;
        }
        if !labelled {
            continue;
        }
        let highest = values.iter().copied().fold(0.0, f64::max);
        // Above the point, or below it where there is no room.
        let above = y(highest) - 10.0;
        let at = if above > top + 8.0 { above } else { y(highest) + 19.0 };
        write!(out, "<text class=\"value\" x=\"{}\" y=\"{}\">{}</text>", number(x, 1), number(at, 1), label(&values))?;
    }
    Ok(())
}

/// The load from which on more users only wait, between the steps where it lies.
fn knee(load: &Load, steps: &[Step], top: f64, bottom: f64, out: &mut dyn Write) -> Result<()> {
    let Some(knee) = load.judged.knee_users.filter(|knee| knee.is_finite() && *knee > 0.0) else { return Ok(()) };
    let users: Vec<f64> = steps.iter().map(|step| step.users as f64).collect();
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
    LEFT + (place as f64 + 0.5) * width(steps)
}

/// How wide the place of a step is.
fn width(steps: usize) -> f64 {
    (RIGHT - LEFT) / steps.max(1) as f64
}
