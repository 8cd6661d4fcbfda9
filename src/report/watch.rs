//! The lines of a watch, and what it comes to.

use super::text::paragraph;
use crate::probe::watch::{Figure, GpuSummary, Range, ServerSummary, Summary, Turn};
use crate::snapshot::Why;
use crate::words::{grouped, plain};
use colored::Colorize;
use std::io::{Result, Write};

const MIB: f64 = (1u64 << 20) as f64;
/// The headings stand again after so many lines on a terminal.
const PAGE_LINES: u64 = 40;

/// Writes a watch line by line.
pub struct WatchLines {
    with_server: bool,
    /// How many GPUs the headings are for.
    gpus: Option<usize>,
    lines: u64,
}

impl WatchLines {
    /// `with_server`: its columns are shown.
    pub fn new(with_server: bool) -> Self {
        Self { with_server, gpus: None, lines: 0 }
    }

    /// What is watched, and what is not.
    pub fn begin(&mut self, notes: &[String], out: &mut dyn Write) -> Result<()> {
        notes.iter().try_for_each(|note| writeln!(out, "# {}", plain(note)))
    }

    /// The lines of an interval.
    pub fn turn(&mut self, turn: &Turn, out: &mut dyn Write) -> Result<()> {
        if self.gpus != Some(turn.gpus.len()) || self.lines >= PAGE_LINES {
            (self.gpus, self.lines) = (Some(turn.gpus.len()), 0);
            self.headings(out)?;
        }
        self.lines += turn.gpus.len().max(1) as u64;
        let time = &turn.time;
        for place in 0..turn.gpus.len().max(1) {
            let mut cells = vec![time.clone()];
            if self.several() {
                cells.push(turn.gpus.get(place).map_or(String::new(), |gpu| gpu.index.to_string()));
            }
            match turn.gpus.get(place) {
                Some(gpu) if gpu.lost.is_some() => {
                    cells.push("ERR!".into());
                    cells.extend(vec!["n/a".to_owned(); 4]);
                }
                Some(gpu) => cells.extend([
                    figure(&gpu.utilization_percent, |percent| format!("{percent:.0}%")),
                    figure(&gpu.memory_percent(), |percent| format!("{percent:.0}%")),
                    figure(&gpu.memory_used_bytes, |bytes| format!("{:.0}MB", bytes / MIB)),
                    figure(&gpu.temperature_celsius, |celsius| format!("{celsius:.0}°C")),
                    figure(&gpu.power_milliwatts, |power| format!("{:.1}W", power / 1e3)),
                ]),
                None => cells.extend(vec!["-".to_owned(); 5]),
            }
            match turn.server.as_ref().filter(|_| place == 0) {
                Some(server) => cells.extend([
                    figure(&server.gained, |gained| format!("{gained:+.0}")),
                    figure(&server.queue_ms, |ms| format!("{ms:.2}ms")),
                    figure(&server.infer_ms, |ms| format!("{ms:.2}ms")),
                ]),
                None if self.with_server => cells.extend(vec!["-".to_owned(); 3]),
                None => {}
            }
            self.line(&cells, out)?;
        }
        turn.notes.iter().try_for_each(|note| writeln!(out, "# {time} {}", plain(note)))
    }

    fn several(&self) -> bool {
        self.gpus.is_some_and(|gpus| gpus > 1)
    }

    fn headings(&self, out: &mut dyn Write) -> Result<()> {
        let mut titles = vec!["Time".to_owned()];
        titles.extend(self.several().then(|| "GPU".to_owned()));
        titles.extend(["GPU%", "Mem%", "MemUsed", "Temp", "Power"].map(str::to_owned));
        if self.with_server {
            titles.extend(["Requests", "QueueMs", "InferMs"].map(str::to_owned));
        }
        self.line(&titles, out)
    }

    /// Cells in the columns of the headings.
    fn line(&self, cells: &[String], out: &mut dyn Write) -> Result<()> {
        let widths = [12, 6, 6, 10, 6, 8, 10, 10, 10];
        let widths: Vec<usize> = match self.several() {
            true => widths[..1].iter().chain(&[4]).chain(&widths[1..]).copied().collect(),
            false => widths.to_vec(),
        };
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            text.push_str(&format!("{cell:<width$} "));
        }
        writeln!(out, "{}", text.trim_end())
    }

    /// What it came to. `files` says what was written where.
    pub fn end(&mut self, summary: &Summary, files: &[String], out: &mut dyn Write) -> Result<()> {
        let Some((first, last)) = summary.span_ms else { return Ok(()) };
        let span = (last - first) / 1e3;
        writeln!(out, "\n{} {} intervals, {span:.0} s", "watched".bold(), grouped(summary.turns))?;
        for (index, gpu) in &summary.gpus {
            paragraph(out, "  ", &of_gpu(*index, gpu, summary.turns))?;
        }
        if let Some(server) = &summary.server {
            paragraph(out, "  ", &of_server(server, summary.turns))?;
        }
        for event in &summary.events {
            paragraph(out, "  ", &format!("{} {}", event.time, event.said))?;
        }
        if summary.events_left_out > 0 {
            paragraph(out, "  ", &format!("and {} more such events", grouped(summary.events_left_out)))?;
        }
        files.iter().try_for_each(|file| paragraph(out, "  ", &format!("written to {}", plain(file))))?;
        writeln!(out)
    }
}

/// A figure in a line: a mean of nothing is a dash, what is not told is not available.
fn figure(figure: &Figure, words: impl Fn(f64) -> String) -> String {
    match figure {
        Ok(value) => words(*value),
        Err(unknown) if unknown.why == Why::NotAsked => "-".into(),
        Err(_) => "n/a".into(),
    }
}

fn of_gpu(index: u64, gpu: &GpuSummary, turns: u64) -> String {
    let gib = |bytes: f64| bytes / (1u64 << 30) as f64;
    let mut parts = Vec::new();
    let told = |range: &Range, words: &dyn Fn(&Range) -> String| (!range.is_empty()).then(|| words(range));
    parts.extend(told(&gpu.utilization_percent, &|range| {
        let (mean, p95, max) = (range.mean(), range.quantile(0.95), range.max());
        format!("utilization {mean:.0} % on average, 95 % of the intervals up to {p95:.0} %, {max:.0} % at most")
    }));
    parts.extend(told(&gpu.memory_used_bytes, &|range| {
        let of = gpu.memory_total_bytes.map_or(String::new(), |total| format!(" of {:.1}", gib(total as f64)));
        format!("memory {:.2} to {:.2}{of} GiB", gib(range.min()), gib(range.max()))
    }));
    parts.extend(told(&gpu.power_milliwatts, &|range| {
        format!("power {:.0} W on average, {:.0} W at most", range.mean() / 1e3, range.max() / 1e3)
    }));
    parts.extend(told(&gpu.temperature_celsius, &|range| format!("at most {:.0} °C", range.max())));
    for (reason, count) in &gpu.throttled {
        let intervals = grouped(*count);
        parts.push(format!("clocks held back by {} in {intervals} intervals", reason.replace('_', " ")));
    }
    if !gpu.untold.is_empty() {
        let untold: Vec<&str> = gpu.untold.iter().copied().collect();
        parts.push(format!("n/a: {}", untold.join(", ")));
    }
    if gpu.lost > 0 {
        parts.push(format!("it did not answer in {} of {} intervals", grouped(gpu.lost), grouped(turns)));
    }
    let name = gpu.name.as_ref().map_or(String::new(), |name| format!(" {}", plain(name)));
    let parts = if parts.is_empty() { "nothing was read".to_owned() } else { parts.join("; ") };
    format!("GPU {index}{name}: {parts}")
}

fn of_server(server: &ServerSummary, turns: u64) -> String {
    let mut parts = vec![match server.gained.is_empty() {
        true => "its counters were never read twice".to_owned(),
        false => format!(
            "{} requests by its own count, {:.1} an interval on average, {:.0} at most",
            grouped(server.requests.round() as u64),
            server.gained.mean(),
            server.gained.max()
        ),
    }];
    if server.failed > 0.0 {
        parts.push(format!("{} failed or were refused", grouped(server.failed.round() as u64)));
    }
    for (what, range) in [("queue", &server.queue_ms), ("inference", &server.infer_ms)] {
        if !range.is_empty() {
            parts.push(format!(
                "{what} {:.2} ms on average, {:.2} ms in the worst interval",
                range.mean(),
                range.max()
            ));
        }
    }
    if server.unread > 0 {
        parts.push(format!("not read in {} of {} intervals", grouped(server.unread), grouped(turns)));
    }
    format!("server: {}", parts.join("; "))
}
