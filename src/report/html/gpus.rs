//! What each GPU did, in words and figures, around its picture.

use super::escape::{Clipped, Text, number};
use super::frame::shape;
use crate::report::{Activity, Counter, Report};
use crate::snapshot::{Fact, GpuWindow, Snapshot};
use std::io::{Result, Write};

/// GPUs that are shown unfolded; of more those on which something happened.
const UNFOLDED: usize = 2;

/// Doubts that are told of a GPU, and characters of its name.
const DOUBTS_MAX: usize = 12;
const NAME_MAX: usize = 120;

/// Several GPUs side by side: which of them worked.
pub fn overview(report: &Report, windows: &[GpuWindow], out: &mut dyn Write) -> Result<()> {
    if windows.len() <= UNFOLDED {
        return Ok(());
    }
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"The GPUs side by side\"><table class=\"figures\">\
         <caption>While requests ran: mean (highest reading)</caption>\
         <thead><tr><th scope=\"col\">GPU</th><th scope=\"col\">What it did</th><th scope=\"col\">Utilization</th>\
         <th scope=\"col\">Memory used</th><th scope=\"col\">Power</th></tr></thead><tbody>"
    )?;
    for window in windows {
        let activity = of(report, window);
        let (class, words) = did(activity);
        write!(out, "<tr><th scope=\"row\">GPU {}</th><td>{}{words}</td>", window.index, shape(class))?;
        for name in ["utilization", "memory used", "power"] {
            let counter = activity.and_then(|gpu| gpu.counters.iter().find(|counter| counter.name == name));
            let told = counter.map_or_else(|| "–".to_owned(), |counter| cell(counter.during, counter));
            write!(out, "<td>{}</td>", Text(&told))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}

/// Class of the shape, and words, of what a GPU did.
fn did(activity: Option<&Activity>) -> (&'static str, &'static str) {
    match activity.map_or("unknown", |gpu| gpu.verdict.as_str()) {
        "active" => ("pass", "it worked"),
        "idle" => ("warn", "idle"),
        "loaded_not_computing" => ("fail", "the server is loaded there and computes nothing"),
        "no_work" => ("none", "no work reached it"),
        _ => ("unknown", "whether it worked is not known"),
    }
}

/// Opens a GPU's block: its name, and what it did.
pub fn open(report: &Report, snapshot: &Snapshot, window: &GpuWindow, all: usize, out: &mut dyn Write) -> Result<()> {
    let activity = of(report, window);
    let gpus = snapshot.facts.nvml.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let name = gpus.iter().find(|gpu| window.is_of(gpu)).and_then(|gpu| gpu.name.known());
    let name = name.map_or(String::new(), |name| format!(", {name}"));
    let verdict = activity.map_or("unknown", |gpu| gpu.verdict.as_str());
    let unfolded = all <= UNFOLDED || matches!(verdict, "active" | "loaded_not_computing");
    let (class, words) = did(activity);
    let server = match activity.map(|gpu| gpu.server.as_str()) {
        Some("on_it") => "; the server is on it",
        Some("may_use_it") => "; the server may use it",
        Some("not_on_it") => "; the server is not on it",
        _ => "; whether the server is on it is not known",
    };
    let because = activity.map(|gpu| gpu.server_because.as_str()).filter(|because| !because.is_empty());
    let because = because.map_or(String::new(), |because| format!(" ({because})"));
    writeln!(
        out,
        "<details class=\"gpu\"{}><summary><h3>{}GPU {}{}</h3> <span>{words}{server}{}</span></summary>",
        if unfolded { " open" } else { "" },
        shape(class),
        window.index,
        Clipped(&name, NAME_MAX),
        Text(&because)
    )
}

/// Closes it, with its counters.
pub fn close(report: &Report, window: &GpuWindow, out: &mut dyn Write) -> Result<()> {
    if let Some(activity) = of(report, window) {
        counters(activity, out)?;
    }
    if let Fact::Known(doubts) = &window.doubts {
        for doubt in doubts.iter().take(DOUBTS_MAX) {
            writeln!(out, "<p>Doubt: {}</p>", Text(doubt))?;
        }
        if doubts.len() > DOUBTS_MAX {
            writeln!(out, "<p>Doubt: and {} more.</p>", doubts.len() - DOUBTS_MAX)?;
        }
    }
    writeln!(out, "</details>")
}

fn of<'a>(report: &'a Report, window: &GpuWindow) -> Option<&'a Activity> {
    report.activity.iter().find(|gpu| gpu.index == window.index)
}

fn counters(gpu: &Activity, out: &mut dyn Write) -> Result<()> {
    if !gpu.counters.is_empty() {
        writeln!(
            out,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Counters of GPU {0}\"><table class=\"figures\">\
             <caption>Mean (highest reading)</caption>\
             <thead><tr><th scope=\"col\">Counter</th><th scope=\"col\">before</th><th scope=\"col\">while requests ran</th>\
             <th scope=\"col\">after</th></tr></thead><tbody>",
            gpu.index
        )?;
        for counter in &gpu.counters {
            write!(out, "<tr><th scope=\"row\">{}</th>", Text(&counter.name))?;
            for phase in [counter.before, counter.during, counter.after] {
                write!(out, "<td>{}</td>", Text(&cell(phase, counter)))?;
            }
            writeln!(out, "</tr>")?;
        }
        writeln!(out, "</tbody></table></div>")?;
    }
    // What an old snapshot or a file could not hold is no news of this GPU.
    let news = |counter: &&String| {
        ![" did not know this fact", "no file that was given"].iter().any(|of| counter.contains(of))
    };
    let untold: Vec<&str> = gpu.unsupported.iter().filter(news).map(String::as_str).collect();
    match untold.is_empty() {
        true => Ok(()),
        false => writeln!(out, "<p>Not told: {}</p>", Text(&untold.join("; "))),
    }
}

fn cell(phase: Option<(f64, f64)>, counter: &Counter) -> String {
    let places = if counter.unit == "GB" { 1 } else { 0 };
    let unit = &counter.unit;
    match phase {
        None => "–".into(),
        Some((mean, most)) if (mean - most).abs() < 0.05 => format!("{} {unit}", number(mean, places)),
        Some((mean, most)) => format!("{} {unit} ({} {unit})", number(mean, places), number(most, places)),
    }
}
