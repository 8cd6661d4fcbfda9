//! A watch for people: a line an interval and GPU, or a full screen; and what it came to.

mod spark;
mod summary;
#[cfg(test)]
mod tests;
mod view;

pub use view::WatchView;

use super::Style;
use super::page::Page;
use crate::probe::watch::{Figure, Summary, Turn};
use crate::snapshot::Why;
use crate::words::plain;
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
    /// Lines that tell nothing are written again and again.
    verbose: bool,
    /// The last interval told nothing.
    blank: bool,
}

impl WatchLines {
    /// `with_server`: its columns are shown. `verbose`: intervals that tell nothing are shown each, not only the first.
    pub fn new(with_server: bool, verbose: bool) -> Self {
        Self { with_server, gpus: None, lines: 0, verbose, blank: false }
    }

    /// What is watched, and what is not.
    pub fn begin(&mut self, notes: &[String], out: &mut dyn Write) -> Result<()> {
        notes.iter().try_for_each(|note| writeln!(out, "# {}", plain(note)))
    }

    /// The lines of an interval.
    pub fn turn(&mut self, turn: &Turn, out: &mut dyn Write) -> Result<()> {
        let blank = turn.is_blank();
        let first = !std::mem::replace(&mut self.blank, blank);
        if blank && !first && !self.verbose {
            return Self::notes(turn, out);
        }
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
        Self::notes(turn, out)?;
        match blank && first && !self.verbose {
            true => {
                writeln!(out, "# {time} nothing is read; the next line comes when something is (-v: one each time)")
            }
            false => Ok(()),
        }
    }

    fn notes(turn: &Turn, out: &mut dyn Write) -> Result<()> {
        turn.notes.iter().try_for_each(|note| writeln!(out, "# {} {}", turn.time, plain(note)))
    }

    /// What it came to. `files` says what was written where.
    pub fn end(&self, summary: &Summary, files: &[String], style: &Style, out: &mut dyn Write) -> Result<()> {
        summary::write(summary, files, &mut Page::new(style, out))
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
}

/// A figure in a line: a mean of nothing is a dash, what is not told is not available.
fn figure(figure: &Figure, words: impl Fn(f64) -> String) -> String {
    match figure {
        Ok(value) => words(*value),
        Err(unknown) if unknown.why == Why::NotAsked => "-".into(),
        Err(_) => "n/a".into(),
    }
}
