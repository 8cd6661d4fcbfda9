//! Requests as load scripts write them: one row each, columns recognized by their names.

mod columns;
mod status;

pub use status::status_in;

use super::evidence::{Clock, Detail, Evidence, Requests, Running, answers_in_words};
use super::faults::Faults;
use super::form::{Head, Recognized};
use super::reader::Reader;
use super::table::header::Table;
use super::table::number::{self, Cell};
use super::table::rows::{Row, Rows};
use super::table::time;
use super::timeline::Timeline;
use crate::snapshot::RecordedFile;
use crate::words::grouped;
use columns::Columns;
use hdrhistogram::Histogram;
use status::{Outcome, Statuses};
use std::collections::{BTreeMap, HashMap};

/// Slots of time in which requests are counted.
const SLOTS: usize = 8192;
/// Texts of failures that are told apart.
const ERRORS: usize = 1000;
/// k6's metric of which there is one row a request.
const METRIC: &[u8] = b"http_req_duration";
/// Longest time of one request that is believed, milliseconds: a week.
const LONGEST_MS: f64 = 7.0 * 86_400_000.0;

/// A table with a status, a success or a latency for each request.
pub fn recognize(head: &Head) -> Option<Recognized> {
    let table = Table::find(head)?;
    let columns = Columns::of(&table)?;
    let by = format!("its columns {}", table.titles(&columns.recognized()));
    Some(Recognized { by, certain: false, reader: Box::new(RequestRows::new(table, columns)) })
}

/// A histogram of times, in microseconds, exact to three digits.
pub fn times() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, (LONGEST_MS * 1e3) as u64, 3).ok()
}

struct RequestRows {
    rows: Rows,
    tally: Tally,
}

/// What the rows add up to.
struct Tally {
    table: Table,
    columns: Columns,
    faults: Faults,
    statuses: Statuses,
    errors: HashMap<Vec<u8>, u64>,
    other_errors: u64,
    times_us: Option<Histogram<u64>>,
    server_us: Option<Histogram<u64>>,
    timeline: Timeline<Running>,
    clock: Option<Clock>,
    busy_ms: f64,
    latest_ms: f64,
    longest_ms: f64,
    count: u64,
    ok: u64,
}

impl RequestRows {
    fn new(table: Table, columns: Columns) -> Self {
        let rows = Rows::new(table.delimiter, columns.wanted());
        let tally = Tally {
            table,
            columns,
            faults: Faults::default(),
            statuses: Statuses::default(),
            errors: HashMap::new(),
            other_errors: 0,
            times_us: times(),
            server_us: times(),
            timeline: Timeline::new(SLOTS),
            clock: None,
            busy_ms: 0.0,
            latest_ms: f64::MIN,
            longest_ms: 0.0,
            count: 0,
            ok: 0,
        };
        Self { rows, tally }
    }
}

impl Reader for RequestRows {
    fn feed(&mut self, bytes: &[u8]) {
        let tally = &mut self.tally;
        self.rows.feed(bytes, &mut |row| tally.row(row));
    }

    fn end(mut self: Box<Self>, file: &mut RecordedFile) -> Vec<Evidence> {
        let mut tally = self.tally;
        let before = tally.count;
        let mut last_line = 0;
        let cut = self.rows.end(&mut |row| {
            last_line = row.line;
            tally.row(row);
        });
        if cut && tally.count == before && last_line > tally.table.header_line {
            tally.faults.note(last_line, "the last line is cut short");
        }
        tally.faults.take_of(&self.rows);
        tally.end(file)
    }
}

impl Tally {
    fn row(&mut self, row: &Row) {
        if row.line <= self.table.header_line || row.is_blank() {
            return;
        }
        if row.len() <= self.columns.last_needed {
            return self.faults.note(row.line, "it has fewer cells than the header and was left out");
        }
        if self.is_header_again(row) {
            return self.faults.note(row.line, "the header stands here again");
        }
        if self.columns.metric.is_some_and(|column| row.cell(column) != METRIC) {
            return;
        }
        let outcome = self.outcome(row);
        if outcome.ok.is_none() && self.columns.tell_success() {
            return self.faults.note(row.line, "whether the request succeeded cannot be read, the row was left out");
        }
        self.count += 1;
        self.ok += u64::from(outcome.ok == Some(true));
        self.statuses.note(outcome.status);
        if outcome.ok != Some(true)
            && let Some(column) = self.columns.error
        {
            self.failure(row.cell(column));
        }
        let ms = self.time(row, self.columns.latency);
        if let (Some(ms), Some(times)) = (ms, &mut self.times_us) {
            times.saturating_record((ms * 1e3) as u64);
            self.busy_ms += ms;
            self.longest_ms = self.longest_ms.max(ms);
        }
        if let (Some(ms), Some(times)) = (self.time(row, self.columns.server_time), &mut self.server_us) {
            times.saturating_record((ms * 1e3) as u64);
        }
        self.when(row, ms);
    }

    /// Whether the request succeeded, and its status.
    fn outcome(&mut self, row: &Row) -> Outcome {
        let mut outcome = match self.columns.status {
            Some(column) => Outcome::of_status(row.cell(column)),
            None => Outcome::default(),
        };
        let said = |column: Option<usize>, good: bool| column.map(|column| (column, good));
        if let Some((column, good)) = said(self.columns.success, true).or(said(self.columns.failed, false)) {
            match status::truth(row.cell(column)) {
                Some(said) => outcome.ok = Some(said == good),
                None if outcome.ok.is_none() => {}
                None => self.faults.note(row.line, "whether the request succeeded is neither true nor false"),
            }
        }
        // A word on success that cannot be read is none: an empty error beside it does not make it one.
        if let Some(column) = self.columns.error
            && outcome.ok.is_none()
            && self.columns.success.or(self.columns.failed).is_none()
        {
            outcome.ok = Some(status::is_nothing(row.cell(column)));
        }
        outcome
    }

    fn failure(&mut self, text: &[u8]) {
        if status::is_nothing(text) {
            return;
        }
        let text = &text[..text.len().min(1000)];
        if let Some(count) = self.errors.get_mut(text) {
            *count += 1;
        } else if self.errors.len() < ERRORS {
            self.errors.insert(text.to_vec(), 1);
        } else {
            self.other_errors += 1;
        }
    }

    /// A duration, milliseconds.
    fn time(&mut self, row: &Row, column: Option<(usize, f64)>) -> Option<f64> {
        let (column, factor) = column?;
        let ms = match number::read(row.cell(column), self.table.decimal_comma) {
            Cell::Number(number, None) => number * factor,
            Cell::Number(number, Some(unit)) => number * unit.factor(),
            Cell::Empty | Cell::NotSupported => return None,
            Cell::Lost | Cell::Invalid => {
                self.faults.note(row.line, &format!("{} is no number", self.title(column)));
                return None;
            }
        };
        match ms {
            ms if ms < 0.0 => self.faults.note(row.line, &format!("{} is negative", self.title(column))),
            ms if ms > LONGEST_MS => {
                self.faults.note(row.line, &format!("{} is longer than a week", self.title(column)))
            }
            ms => return Some(ms),
        }
        None
    }

    /// When it ran.
    fn when(&mut self, row: &Row, ms: Option<f64>) {
        let (column, is_end) = match (self.columns.begin, self.columns.end) {
            (Some(begin), _) => (begin, false),
            (None, Some(end)) => (end, true),
            (None, None) => return,
        };
        let Some(moment) = time::read(row.cell(column), self.table.day_order) else {
            return self.faults.note(row.line, &format!("{} is no time", self.title(column)));
        };
        if *self.clock.get_or_insert(moment.clock) != moment.clock {
            return self
                .faults
                .note(row.line, &format!("{} is written in another way than before", self.title(column)));
        }
        if moment.ambiguous {
            self.faults
                .note(row.line, "day and month of the date could be the other way round; the month was read first");
        }
        let scale = if moment.clock == Clock::Relative { self.columns.relative_factor } else { 1.0 };
        let at = moment.ms * scale;
        let (from, until) = if is_end { (at - ms.unwrap_or(0.0), at) } else { (at, at + ms.unwrap_or(0.0)) };
        // Rows are written as requests end, so that their beginnings go back by as much as a request takes.
        if from < self.latest_ms - self.longest_ms - 5000.0 {
            self.faults.note(row.line, "the clock goes back");
        }
        self.latest_ms = self.latest_ms.max(from);
        let slot = self.timeline.at(from);
        slot.count += 1;
        slot.from_ms = Some(slot.from_ms.map_or(from, |first| first.min(from)));
        slot.until_ms = slot.until_ms.max(until).max(from);
    }

    fn is_header_again(&self, row: &Row) -> bool {
        let column = self.columns.first;
        self.table.header_line > 0
            && self.table.columns.get(column).is_some_and(|title| {
                row.cell(column).first().is_some_and(u8::is_ascii_alphabetic) && row.text(column) == title.title
            })
    }

    fn title(&self, column: usize) -> String {
        self.table.columns.get(column).map_or(String::new(), |column| column.title.clone())
    }

    fn end(self, file: &mut RecordedFile) -> Vec<Evidence> {
        file.records = self.count;
        let columns = &self.columns;
        let knows = columns.tell_success();
        let by_status = self.statuses.told();
        self.columns.told(file);
        file.faults.extend(self.faults.told());
        if self.count == 0 {
            file.faults.push("there is a header and no request below it that can be read".into());
            return Vec::new();
        }
        match knows {
            true => file.shows.insert(
                0,
                format!(
                    "{} requests, {} succeeded ({})",
                    grouped(self.count),
                    grouped(self.ok),
                    answers_in_words(&by_status)
                ),
            ),
            false => {
                file.shows.insert(0, format!("{} requests; whether they succeeded is not told", grouped(self.count)))
            }
        }
        let mut errors: BTreeMap<String, u64> = BTreeMap::new();
        for (text, count) in self.errors {
            *errors.entry(super::evidence::failure_text(&text)).or_default() += count;
        }
        if self.other_errors > 0 {
            errors.insert("(other texts)".into(), self.other_errors);
        }
        let recorded = |times: Option<Histogram<u64>>| times.filter(|times| !times.is_empty());
        let times_us = recorded(self.times_us);
        vec![Evidence::Requests(Box::new(Requests {
            ok: knows.then_some(self.ok),
            by_status,
            errors,
            busy_ms: times_us.as_ref().map(|_| self.busy_ms),
            times_us,
            server_us: recorded(self.server_us),
            clock: self.clock.unwrap_or(Clock::None),
            timeline: self.clock.map(|_| self.timeline),
            ..Requests::new(file, "csv", Detail::Each, self.count)
        }))]
    }
}
