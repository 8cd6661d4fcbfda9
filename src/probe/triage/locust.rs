//! Locust's CSV files (locust/stats.py, StatsCSV): totals, totals over time, failures, exceptions.
//!
//! Files of one run tell of the same requests; which of them count is sorted out when all are put together.

use super::evidence::{Clock, Detail, Evidence, Requests, Running, failure_text};
use super::faults::Faults;
use super::form::{Head, Recognized};
use super::reader::Reader;
use super::requests::status_in;
use super::table::header::Table;
use super::table::number;
use super::table::rows::{Row, Rows};
use super::table::time::{self, DayOrder};
use super::timeline::Timeline;
use crate::snapshot::RecordedFile;
use crate::words::{count, grouped};
use std::collections::BTreeMap;

/// `*_stats.csv`.
pub fn recognize_stats(head: &Head) -> Option<Recognized> {
    let table = table(head, &["type", "name", "requestcount", "failurecount", "medianresponsetime"])?;
    recognized(&table, What::Stats, "Type, Name, Request Count, Failure Count, Median Response Time")
}

/// `*_stats_history.csv`.
pub fn recognize_history(head: &Head) -> Option<Recognized> {
    let table = table(head, &["timestamp", "usercount", "totalrequestcount", "totalfailurecount"])?;
    recognized(&table, What::History, "Timestamp, User Count, Total Request Count, Total Failure Count")
}

/// `*_failures.csv`.
pub fn recognize_failures(head: &Head) -> Option<Recognized> {
    let table = table(head, &["method", "name", "error", "occurrences"])?;
    recognized(&table, What::Failures, "Method, Name, Error, Occurrences")
}

/// `*_exceptions.csv`: what went wrong in the script itself.
pub fn recognize_exceptions(head: &Head) -> Option<Recognized> {
    let table = table(head, &["count", "message", "traceback", "nodes"])?;
    recognized(&table, What::Exceptions, "Count, Message, Traceback, Nodes")
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Stats,
    History,
    Failures,
    Exceptions,
}

/// What the totals lack.
pub const NO_ANSWERS: &str = "why requests failed does not stand in it; give *_failures.csv of the same run as well";
/// What the totals lack too.
pub const NO_TIMES: &str = "it has no times; give *_stats_history.csv of the same run as well";
/// Rows of one file, most of them.
const ROWS: usize = 10_000;
/// Slots of time in which requests are counted.
const SLOTS: usize = 4096;

fn table(head: &Head, names: &[&str]) -> Option<Table> {
    // A file of failures may hold its header only, which is good news.
    let table = Table::find(head)?;
    let has = |name: &&str| table.columns.iter().any(|column| column.name == **name);
    names.iter().all(has).then_some(table)
}

fn recognized(table: &Table, what: What, columns: &str) -> Option<Recognized> {
    let column = |name: &str| table.columns.iter().position(|column| column.name == name);
    let percentile = |title: &str| table.columns.iter().position(|column| column.title == title);
    let columns_of = ColumnsOf {
        time: column("timestamp"),
        name: column("name").or(column("message"))?,
        kind: column("type").or(column("method")),
        count: column(match what {
            What::Stats => "requestcount",
            What::History => "totalrequestcount",
            What::Failures => "occurrences",
            What::Exceptions => "count",
        })?,
        failed: column("failurecount").or(column("totalfailurecount")),
        median: column("medianresponsetime"),
        p99: percentile("99%"),
        mean: column("averageresponsetime"),
        text: column("error").or(column("message")),
    };
    let rows = Rows::new(table.delimiter, table.columns.len());
    let reader =
        LocustRows { what, rows, header_line: table.header_line, columns: columns_of, tally: Tally::default() };
    Some(Recognized { by: format!("Locust's columns {columns}"), certain: true, reader: Box::new(reader) })
}

struct ColumnsOf {
    time: Option<usize>,
    name: usize,
    kind: Option<usize>,
    count: usize,
    failed: Option<usize>,
    median: Option<usize>,
    p99: Option<usize>,
    mean: Option<usize>,
    text: Option<usize>,
}

struct LocustRows {
    what: What,
    rows: Rows,
    header_line: u64,
    columns: ColumnsOf,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    faults: Faults,
    records: u64,
    /// Name, requests, failures, median, 99th percentile, mean.
    entries: Vec<Entry>,
    total: Option<Entry>,
    errors: Vec<(String, u64)>,
    /// Time, requests and failures so far.
    readings: Vec<(f64, f64, f64)>,
}

#[derive(Clone, Default)]
struct Entry {
    name: String,
    count: u64,
    failed: u64,
    median_ms: Option<f64>,
    p99_ms: Option<f64>,
    mean_ms: Option<f64>,
}

impl Reader for LocustRows {
    fn feed(&mut self, bytes: &[u8]) {
        let Self { what, rows, header_line, columns, tally } = self;
        rows.feed(bytes, &mut |row| tally.row(row, *what, *header_line, columns));
    }

    fn end(self: Box<Self>, file: &mut RecordedFile) -> Vec<Evidence> {
        let Self { what, mut rows, header_line, columns, mut tally } = *self;
        rows.end(&mut |row| tally.row(row, what, header_line, &columns));
        tally.faults.take_of(&rows);
        file.records = tally.records;
        let evidence = match what {
            What::Stats => tally.stats(file),
            What::History => tally.history(file),
            What::Failures => tally.failures(file),
            What::Exceptions => tally.exceptions(file),
        };
        file.faults.extend(tally.faults.told());
        evidence
    }
}

impl Tally {
    fn row(&mut self, row: &Row, what: What, header_line: u64, columns: &ColumnsOf) {
        if row.line <= header_line || row.is_blank() {
            return;
        }
        let number = |column: Option<usize>| column.and_then(|column| number::value(row.cell(column), false));
        let Some(count) = number(Some(columns.count)).filter(|count| *count >= 0.0) else {
            return self.faults.note(row.line, "the count is no number, the row was left out");
        };
        // Files of failures and exceptions have no such column.
        let failed = match columns.failed {
            Some(column) => match number(Some(column)).filter(|failed| *failed >= 0.0) {
                Some(failed) => failed,
                None => {
                    return self.faults.note(row.line, "the count of failures is no number, the row was left out");
                }
            },
            None => 0.0,
        };
        self.records += 1;
        let name = row.text(columns.name);
        match what {
            What::Stats => {
                let entry = Entry {
                    name: crate::words::plain(&name).chars().take(100).collect(),
                    count: count as u64,
                    failed: failed as u64,
                    median_ms: number(columns.median),
                    p99_ms: number(columns.p99),
                    mean_ms: number(columns.mean),
                };
                let untyped = columns.kind.is_none_or(|kind| row.cell(kind).is_empty());
                if name == "Aggregated" && untyped {
                    self.total = Some(entry);
                } else if self.entries.len() < ROWS {
                    self.entries.push(entry);
                }
            }
            What::History => {
                // With --csv-full-history there is a row for each name besides.
                if name != "Aggregated" {
                    return;
                }
                let moment = columns.time.and_then(|column| time::read(row.cell(column), DayOrder::default()));
                match moment.filter(|moment| moment.clock == Clock::Utc) {
                    Some(moment) if self.readings.len() < 1_000_000 => {
                        self.readings.push((moment.ms, count, failed));
                    }
                    Some(_) => self.faults.note(row.line, "it has too many rows, the rest was left out"),
                    None => self.faults.note(row.line, "Timestamp is no time, the row was left out"),
                }
            }
            What::Failures | What::Exceptions => {
                if let Some(column) = columns.text
                    && self.errors.len() < ROWS
                {
                    self.errors.push((failure_text(row.text(column).as_bytes()), count as u64));
                }
            }
        }
    }

    fn stats(&mut self, file: &mut RecordedFile) -> Vec<Evidence> {
        if self.total.is_none() && self.records > 0 {
            self.faults
                .note(self.records + 1, "the row Aggregated is missing: the file is cut, or Locust was ended early");
        }
        let sum = |of: fn(&Entry) -> u64| self.entries.iter().map(of).sum::<u64>();
        let total = self.total.clone().unwrap_or_else(|| Entry {
            count: sum(|entry| entry.count),
            failed: sum(|entry| entry.failed),
            ..Entry::default()
        });
        let ok = total.count.saturating_sub(total.failed);
        file.shows.push(format!("{} requests, {} failed", grouped(total.count), grouped(total.failed)));
        // A script that fires events.request for what self.client counts already.
        let twice = self.entries.iter().enumerate().any(|(place, one)| {
            self.entries[place + 1..].iter().any(|other| other.count == one.count && one.count > 1)
        });
        if twice && self.entries.len() == 2 {
            let names: Vec<&str> = self.entries.iter().map(|entry| entry.name.as_str()).collect();
            file.shows.push(format!(
                "{} stand with as many requests each: a script that fires events.request besides self.client counts every \
                 request twice",
                names.join(" and ")
            ));
        }
        file.lacks.push(NO_ANSWERS.into());
        file.lacks.push(NO_TIMES.into());
        if total.count == 0 {
            return Vec::new();
        }
        let mut by_status = BTreeMap::new();
        by_status.insert("unknown".to_owned(), total.count);
        vec![Evidence::Requests(Box::new(Requests {
            ok: Some(ok),
            percentiles_ms: total.median_ms.map(|median| (median, total.p99_ms)),
            busy_ms: total.mean_ms.map(|mean| mean * total.count as f64),
            by_status,
            ..Requests::new(file, "locust", Detail::Summary, total.count)
        }))]
    }

    fn history(&mut self, file: &mut RecordedFile) -> Vec<Evidence> {
        let mut timeline: Timeline<Running> = Timeline::new(SLOTS);
        let (mut total, mut failed, mut previous) = (0.0, 0.0, None::<(f64, f64, f64)>);
        for (number, reading) in self.readings.iter().enumerate() {
            let (at, count, bad) = *reading;
            if let Some((before, last_count, last_bad)) = previous {
                if at < before {
                    self.faults.note(number as u64 + 2, "the clock goes back");
                } else if count < last_count {
                    self.faults.note(
                        number as u64 + 2,
                        "the total runs backwards: Locust was started anew or its statistics were reset",
                    );
                } else if count > last_count {
                    total += count - last_count;
                    failed += (bad - last_bad).max(0.0);
                    let slot = timeline.at(before);
                    slot.count += (count - last_count) as u64;
                    slot.from_ms = Some(slot.from_ms.map_or(before, |from| from.min(before)));
                    slot.until_ms = slot.until_ms.max(at);
                }
            } else {
                total = count;
                failed = bad;
            }
            previous = Some(*reading);
        }
        file.shows.push(format!("{} requests over time, {} failed", grouped(total as u64), grouped(failed as u64)));
        if total < 1.0 {
            return Vec::new();
        }
        vec![Evidence::Requests(Box::new(Requests {
            ok: Some((total - failed).max(0.0) as u64),
            clock: Clock::Utc,
            timeline: Some(timeline),
            ..Requests::new(file, "locust", Detail::Series, total as u64)
        }))]
    }

    fn failures(&mut self, file: &mut RecordedFile) -> Vec<Evidence> {
        let failed: u64 = self.errors.iter().map(|(_, count)| count).sum();
        file.shows.push(match failed {
            0 => "no request failed".into(),
            total => format!("{} requests failed, in {}", grouped(total), count(self.errors.len(), "way")),
        });
        if failed == 0 {
            return Vec::new();
        }
        let mut by_status: BTreeMap<String, u64> = BTreeMap::new();
        let mut errors: BTreeMap<String, u64> = BTreeMap::new();
        for (text, count) in &self.errors {
            let status = status_in(text).map_or("none".to_owned(), |status| status.to_string());
            *by_status.entry(status).or_default() += count;
            *errors.entry(text.clone()).or_default() += count;
        }
        vec![Evidence::Requests(Box::new(Requests {
            ok: Some(0),
            by_status,
            errors,
            ..Requests::new(file, "locust", Detail::Failures, failed)
        }))]
    }

    fn exceptions(&mut self, file: &mut RecordedFile) -> Vec<Evidence> {
        let mut told =
            self.errors.iter().take(5).map(|(text, count)| format!("the script itself fails {count} times: {text}"));
        match self.errors.is_empty() {
            true => file.shows.push("the script itself raised no exception".into()),
            false => file.shows.extend(told.by_ref()),
        }
        Vec::new()
    }
}
