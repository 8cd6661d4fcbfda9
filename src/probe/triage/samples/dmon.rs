//! `nvidia-smi dmon` and `pmon`: headings and units in lines that begin with `#`, repeated every few rows.

use super::super::evidence::{Counter, Evidence, failure_text};
use super::super::form::{Head, Recognized};
use super::super::reader::Reader;
use super::super::table::number::{self, Cell};
use super::super::table::rows::{Delimiter, Row, Rows, text};
use super::super::table::time::{self, DayOrder, Moment};
use super::super::table::unit::Unit;
use super::Tally;
use crate::snapshot::RecordedFile;

/// Columns of one line, at most.
const COLUMNS: usize = 64;

/// What dmon or pmon writes.
pub fn recognize(head: &Head) -> Option<Recognized> {
    let line = head.lines().find(|line| line.trim_ascii_start().starts_with(b"#"))?;
    let titles = titles(line);
    let has = |name: &str| titles.iter().any(|title| title == name);
    let of_processes = has("pid") && has("command");
    if !(has("gpu") && (has("sm") || has("pwr") || has("fb") || of_processes)) {
        return None;
    }
    let tool = if of_processes { "pmon" } else { "dmon" };
    let by = format!("the headings of nvidia-smi {tool}: {}", titles.join(" "));
    let delimiter = if line.contains(&b',') { Delimiter::Byte(b',') } else { Delimiter::Blank };
    let reader = DmonRows {
        rows: Rows::new(delimiter, COLUMNS),
        titles: Vec::new(),
        units: Vec::new(),
        of_processes,
        tally: Tally::default(),
    };
    Some(Recognized { by, certain: true, reader: Box::new(reader) })
}

struct DmonRows {
    rows: Rows,
    titles: Vec<String>,
    units: Vec<String>,
    of_processes: bool,
    tally: Tally,
}

impl Reader for DmonRows {
    fn feed(&mut self, bytes: &[u8]) {
        let Self { rows, titles, units, of_processes, tally } = self;
        rows.feed(bytes, &mut |row| line(row, titles, units, *of_processes, tally));
    }

    fn end(self: Box<Self>, file: &mut RecordedFile) -> Vec<Evidence> {
        let Self { mut rows, mut titles, mut units, of_processes, mut tally } = *self;
        rows.end(&mut |row| line(row, &mut titles, &mut units, of_processes, &mut tally));
        tally.faults.take_of(&rows);
        let has = |name: &str| titles.iter().any(|title| title == name);
        if !has("sm") {
            file.lacks.push("the utilization is not sampled; add u to nvidia-smi dmon -s pucm".into());
        }
        if !has("time") {
            file.lacks.push("the samples have no time; add -o DT to nvidia-smi dmon".into());
        } else if !has("date") {
            file.lacks.push("the samples have a time of day and no date; add -o DT to nvidia-smi dmon".into());
        }
        tally.end(file)
    }
}

fn titles(line: &[u8]) -> Vec<String> {
    let line = text(line);
    let words = line.trim().trim_start_matches('#').split([',', ' ', '\t', '\r']);
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).take(COLUMNS).collect()
}

fn line(row: &Row, headings: &mut Vec<String>, units: &mut Vec<String>, of_processes: bool, tally: &mut Tally) {
    let bytes = row.line_bytes().trim_ascii();
    if bytes.is_empty() {
        return;
    }
    if bytes.starts_with(b"#") {
        let words = titles(bytes);
        // The units follow the headings.
        match words.iter().any(|word| word == "gpu") {
            true => *headings = words,
            false => *units = words,
        }
        return;
    }
    if row.len() < headings.len().min(3) || headings.is_empty() {
        return match super::is_complaint(bytes) {
            true => tally.lost_row(row.line, failure_text(bytes)),
            false => tally.faults.note(row.line, "it is no row of samples and was left out"),
        };
    }
    let at = |name: &str| headings.iter().position(|title| title == name);
    let cell = |name: &str| at(name).map(|place| row.cell(place));
    let moment = match (cell("date"), cell("time")) {
        (Some(date), Some(time)) => moment(date, time),
        (None, Some(time)) => time::read(time, DayOrder::default()),
        (Some(date), None) => moment(date, b"00:00:00"),
        (None, None) => None,
    };
    if at("time").is_some() && moment.is_none() {
        return tally.faults.note(row.line, "the time cannot be read, the row was left out");
    }
    let Ok(ms) = tally.when(row.line, moment, 1.0) else { return };
    let index = match cell("gpu").map(|cell| number::read(cell, false)) {
        Some(Cell::Number(index, None)) if (0.0..=4096.0).contains(&index) && index.fract() == 0.0 => index as u64,
        _ => return tally.faults.note(row.line, "it names no GPU and was left out"),
    };
    tally.row();
    let Some(gpu) = tally.gpu(Some(index), None, None) else { return };
    let counters: &[(&str, Counter, f64)] = if of_processes {
        &[("sm", Counter::ProcessUtilization, 1.0)]
    } else {
        &[
            ("sm", Counter::Utilization, 1.0),
            ("pwr", Counter::Power, 1e3),
            ("gtemp", Counter::Temperature, 1.0),
            ("temp", Counter::Temperature, 1.0),
            ("mclk", Counter::MemoryClock, 1.0),
            ("pclk", Counter::SmClock, 1.0),
            ("fb", Counter::MemoryUsed, (1u64 << 20) as f64),
        ]
    };
    for (name, counter, factor) in counters {
        let Some(place) = at(name) else { continue };
        // The units of the file itself stand over what is usual.
        let unit = units.get(place).and_then(|unit| Unit::named(unit)).map_or(*factor, Unit::factor);
        match number::read(row.cell(place), false) {
            Cell::Number(number, _) => tally.note(row.line, gpu, *counter, number * unit, ms, name),
            // pmon writes a dash for a process that did nothing, and for a GPU without any.
            Cell::Empty | Cell::NotSupported if of_processes => {}
            Cell::Empty | Cell::NotSupported => tally.unsupported(gpu, Some(*counter), name),
            Cell::Lost => tally.lost(row.line, gpu, ms),
            Cell::Invalid => tally.faults.note(row.line, &format!("{name} is no number")),
        }
    }
}

/// `20241123` or `2024/11/23`, and `09:40:00`.
fn moment(date: &[u8], time: &[u8]) -> Option<Moment> {
    let (date, time) = (text(date), text(time));
    let date = match date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]),
        false => date.into_owned(),
    };
    time::read(format!("{date} {time}").as_bytes(), DayOrder::default())
}
