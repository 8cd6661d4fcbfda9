//! What each GPU did before, while and after requests ran.

use super::page::Page;
use crate::snapshot::{Fact, GpuTimeline, GpuWindow, NvmlFacts, Phases, Series, Snapshot};
use colored::Colorize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{Result, Write};

/// The fact that this tells.
pub const FACT: &str = "execution.gpus";
/// Columns of a drawing.
const COLUMNS: usize = 60;
/// A step's utilization by eighths.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII_BARS: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];
/// GPUs that are told without `-v`.
const GPUS_MAX: usize = 8;

/// One GPU's activity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Activity {
    /// Index in NVML's order.
    pub index: u64,
    /// `GPU-...` identifier, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Its name, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it did while requests ran: `active`, `idle`, `loaded_not_computing`, `no_work` or `unknown`.
    pub verdict: String,
    /// Whether the server is on it: `on_it`, `may_use_it`, `not_on_it` or `unknown`.
    pub server: String,
    /// By what that is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server_because: String,
    /// Counters that are not told, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<String>,
    /// Its counters; those that were not read are left out.
    pub counters: Vec<Counter>,
    /// Its utilization from the idle baseline to the cool-down, percent, in equal steps of time; empty where it was not
    /// read. The highest reading of a step counts, and a step without any repeats the one before.
    pub drawn: Vec<u64>,
    /// Where in `drawn` requests ran: the first step, and the one behind the last.
    pub requests: (usize, usize),
}

/// A counter's mean and highest reading by phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Counter {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// In the idle baseline: mean and most; nothing where there was no reading.
    pub before: Option<(f64, f64)>,
    /// While requests ran.
    pub during: Option<(f64, f64)>,
    /// After the last answer.
    pub after: Option<(f64, f64)>,
}

/// The GPUs that were watched; `judged` is what was made of each.
pub fn of(snapshot: &Snapshot, judged: &[Value]) -> Vec<Activity> {
    let windows = snapshot.facts.execution.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let window_ms = snapshot.facts.execution.window_ms.known().copied();
    windows.iter().map(|window| one(window, window_ms, &snapshot.facts.nvml, judged)).collect()
}

fn one(window: &GpuWindow, window_ms: Option<f64>, nvml: &NvmlFacts, judged: &[Value]) -> Activity {
    let verdict = judged.iter().find(|one| one.get("index").and_then(Value::as_u64) == Some(window.index));
    let member = |name: &str| verdict.and_then(|one| one.get(name));
    let text = |name: &str| member(name).and_then(Value::as_str).unwrap_or("unknown");
    let untold = member("unsupported").and_then(Value::as_array).into_iter().flatten();
    let gpus = nvml.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let counters = [
        counter("utilization", "%", &window.utilization_percent, 1.0),
        counter("by the server", "%", &window.process_utilization_percent, 1.0),
        counter("SM activity", "%", &window.sm_activity_percent, 1.0),
        counter("power", "W", &window.power_milliwatts, 1e-3),
        counter("SM clock", "MHz", &window.sm_clock_mhz, 1.0),
        counter("memory used", "GB", &window.memory_used_bytes, 1e-9),
        counter("temperature", "°C", &window.temperature_celsius, 1.0),
    ];
    let (drawn, requests) = window.timeline.known().and_then(|line| drawing(line, window_ms?)).unwrap_or_default();
    Activity {
        index: window.index,
        uuid: window.uuid.known().cloned(),
        name: gpus.iter().find(|gpu| window.is_of(gpu)).and_then(|gpu| gpu.name.known().cloned()),
        verdict: text("verdict").to_owned(),
        server: text("server").to_owned(),
        server_because: member("server_because").and_then(Value::as_str).unwrap_or_default().to_owned(),
        unsupported: untold.filter_map(|counter| counter.as_str().map(str::to_owned)).collect(),
        counters: counters.into_iter().flatten().collect(),
        drawn,
        requests,
    }
}

fn counter(name: &str, unit: &str, phases: &Fact<Phases>, factor: f64) -> Option<Counter> {
    let phases = phases.known()?;
    let told = |series: &Series| (series.samples > 0).then_some((series.mean * factor, series.max * factor));
    Some(Counter {
        name: name.into(),
        unit: unit.into(),
        before: told(&phases.before),
        during: told(&phases.during),
        after: told(&phases.after),
    })
}

/// The utilization in equal steps, and in which of them requests ran.
fn drawing(line: &GpuTimeline, window_ms: f64) -> Option<(Vec<u64>, (usize, usize))> {
    let at: Vec<f64> = line.at_ms.split(' ').filter_map(|number| number.parse().ok()).collect();
    let values = line.utilization_percent.split(' ').map(|number| number.parse::<u64>().ok());
    let (first, last) = (*at.first()?, *at.last()?);
    let span = last - first;
    if !(span > 0.0 && span.is_finite() && window_ms.is_finite()) {
        return None;
    }
    // As a share of the whole, which a cast keeps within the columns.
    let column = |at_ms: f64| (((at_ms - first) / span * COLUMNS as f64) as usize).min(COLUMNS - 1);
    let mut drawn: Vec<Option<u64>> = vec![None; COLUMNS];
    for (at_ms, value) in at.iter().zip(values) {
        let Some(place) = drawn.get_mut(column(*at_ms)) else { continue };
        *place = (*place).max(value.map(|percent| percent.min(100)));
    }
    let mut before = drawn.iter().flatten().next().copied()?;
    let filled = drawn.into_iter().map(|value| {
        before = value.unwrap_or(before);
        before
    });
    Some((filled.collect(), (column(0.0), column(window_ms) + 1)))
}

/// Writes them, unless they are no proof of anything and there is nothing to tell that the line of the stage has not told.
pub fn write(gpus: &[Activity], proof: bool, out: &mut Page) -> Result<()> {
    let verbose = out.verbose();
    let plain_case = gpus.len() <= 1 && gpus.iter().all(|gpu| gpu.verdict == "active");
    if gpus.is_empty() || plain_case && !verbose && !proof {
        return Ok(());
    }
    writeln!(out, "\n{} (mean, and the most in brackets)", "GPUs while requests ran".bold())?;
    let shown = if verbose { gpus.len() } else { GPUS_MAX };
    gpus.iter().take(shown).try_for_each(|gpu| block(gpu, out))?;
    match gpus.len().saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more (-v shows all)"),
    }
}

fn block(gpu: &Activity, out: &mut Page) -> Result<()> {
    let name = gpu.name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
    let verdict = match gpu.verdict.as_str() {
        "active" => "it worked",
        "idle" => "idle",
        "loaded_not_computing" => "the server is loaded there and computes nothing",
        "no_work" => "no work reached it",
        _ => "whether it worked is not known",
    };
    let server = match gpu.server.as_str() {
        "on_it" => "the server is on it",
        "may_use_it" => "the server may use it",
        "not_on_it" => "the server is not on it",
        _ => "whether the server is on it is not known",
    };
    let because = match gpu.server_because.as_str() {
        "" => String::new(),
        because => format!(" ({because})"),
    };
    out.paragraph("  ", &format!("GPU {}{name}: {verdict}; {server}{because}", gpu.index))?;
    if !gpu.counters.is_empty() {
        let head = ["", "before", "requests", "after"].map(str::to_owned);
        let row = |counter: &Counter| {
            let [before, during, after] =
                [counter.before, counter.during, counter.after].map(|one| cell(one, &counter.unit));
            [counter.name.clone(), before, during, after]
        };
        let rows: Vec<_> = std::iter::once(head).chain(gpu.counters.iter().map(row)).collect();
        out.table(4, &rows)?;
    }
    // What an old snapshot or a file could not hold is no news of this GPU.
    let news = |counter: &&String| {
        ![" did not know this fact", "no file that was given"].iter().any(|of| counter.contains(of))
    };
    let untold: Vec<String> =
        gpu.unsupported.iter().filter(news).map(|counter| counter.replacen(" is not known", "", 1)).collect();
    if out.verbose() && !untold.is_empty() {
        out.paragraph("    ", &format!("not told: {}", untold.join("; ")))?;
    }
    // The table says of a line without any rise as much.
    if gpu.drawn.is_empty() || !out.verbose() && gpu.drawn.iter().all(|percent| *percent == 0) {
        return Ok(());
    }
    let name = format!("    {:<15}", "utilization");
    let (drawn, (from, to)) = narrowed(&gpu.drawn, gpu.requests, out.width().saturating_sub(name.len() + 2));
    let bars = if out.ascii() { ASCII_BARS } else { BARS };
    let mut line = String::new();
    for (place, percent) in drawn.iter().enumerate() {
        if place == from || place == to {
            line.push('|');
        }
        line.push(bars[(percent * 8 / 101).min(7) as usize]);
    }
    writeln!(out, "{name}{line}")
}

/// The drawing in at most so many columns: of those that become one the highest counts.
fn narrowed(drawn: &[u64], (from, to): (usize, usize), width: usize) -> (Vec<u64>, (usize, usize)) {
    if drawn.len() <= width || width == 0 {
        return (drawn.to_vec(), (from, to));
    }
    let place = |column: usize| column * width / drawn.len();
    let mut narrow = vec![0; width];
    for (column, percent) in drawn.iter().enumerate() {
        if let Some(highest) = narrow.get_mut(place(column)) {
            *highest = (*percent).max(*highest);
        }
    }
    (narrow, (place(from), place(to)))
}

fn cell(value: Option<(f64, f64)>, unit: &str) -> String {
    let places = if unit == "GB" { 1 } else { 0 };
    match value {
        None => "-".into(),
        Some((mean, most)) if (mean - most).abs() < 0.05 => format!("{mean:.places$} {unit}"),
        Some((mean, most)) => format!("{mean:.places$} {unit} ({most:.places$} {unit})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(at_ms: &str, utilization: &str) -> GpuTimeline {
        let none = String::new();
        GpuTimeline {
            at_ms: at_ms.into(),
            utilization_percent: utilization.into(),
            power_milliwatts: none.clone(),
            sm_clock_mhz: none.clone(),
            memory_used_mib: none,
        }
    }

    #[test]
    fn the_drawing_shows_when_requests_ran() {
        let (drawn, (from, to)) = drawing(&line("-1000 0 1000 2000", "0 - 97 3"), 1000.0).unwrap();
        assert_eq!(drawn.len(), COLUMNS);
        assert_eq!((drawn[0], drawn[from], drawn[to - 1], drawn[COLUMNS - 1]), (0, 0, 97, 3));
        assert_eq!((from, to), (20, 41));
        assert_eq!(drawing(&line("5", "5"), 1.0), None, "one moment is no line");
    }

    #[test]
    fn a_drawing_is_narrowed_without_losing_its_peaks() {
        let mut drawn = vec![0; 60];
        drawn[37] = 97;
        let (narrow, (from, to)) = narrowed(&drawn, (20, 40), 39);
        assert_eq!((narrow.len(), narrow.iter().max(), from, to), (39, Some(&97), 13, 26));
        assert!(narrow[from..to].contains(&97));
        assert_eq!(narrowed(&drawn, (20, 40), 60).0, drawn);
    }

    #[test]
    fn a_column_fits_the_widest_reading() {
        assert_eq!(cell(Some((1902.1, 1980.0)), "MHz"), "1902 MHz (1980 MHz)");
        assert_eq!(cell(Some((0.0, 0.0)), "%"), "0 %");
        assert_eq!(cell(None, "%"), "-");
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_drawing(at in "[-0-9. eNaif]{0,60}", values in "[-0-9 ]{0,60}", window in any::<f64>()) {
            if let Some((drawn, (from, to))) = drawing(&line(&at, &values), window) {
                prop_assert!(drawn.len() == COLUMNS && from < COLUMNS && to <= COLUMNS);
                prop_assert!(drawn.iter().all(|percent| *percent <= 100));
            }
        }
    }
}
