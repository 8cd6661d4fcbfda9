//! The table of a monitor that prints a GPU and a server's counters once a second: Time, GPU%, Mem%, MemUsed, Temp, Power,
//! Requests, QueueMs, InferMs; as CSV, or as it stands on the screen. Also the CSV that `gpu-doctor watch` writes, which
//! tells besides what became of the requests.

use super::super::evidence::{Clock, Detail, Evidence, Requests, Running};
use super::super::form::{Head, Recognized};
use super::super::reader::Reader;
use super::super::table::header::{Column, Table};
use super::super::table::number::{self, Cell};
use super::super::table::rows::{Delimiter, Row, Rows, text};
use super::super::table::time::{self, DayOrder};
use super::super::timeline::Timeline;
use super::columns::Columns;
use super::{Tally, sample};
use crate::snapshot::RecordedFile;
use crate::words::grouped;
use hdrhistogram::Histogram;

/// Slots of time in which requests are counted.
const SLOTS: usize = 4096;

/// Requests that are counted so soon after the first row were under way before, milliseconds; so late, too, does the
/// driver's utilization still tell of them.
const UNDER_WAY_MS: f64 = 1000.0;

/// Such a table: its headings stand in one line.
pub fn recognize(head: &Head) -> Option<Recognized> {
    for (number, line) in head.lines().enumerate().take(200) {
        let line = text(line);
        let separator = [b'\t', b','].into_iter().find(|byte| line.contains(char::from(*byte)));
        let delimiter = separator.map_or(Delimiter::Blank, Delimiter::Byte);
        let titles: Vec<&str> = match delimiter {
            Delimiter::Blank => line.split_whitespace().collect(),
            Delimiter::Byte(byte) => line.split(char::from(byte)).map(str::trim).collect(),
        };
        let columns: Vec<Column> = titles.iter().map(|title| Column::new(title)).collect();
        let at = |name: &str| columns.iter().position(|column| column.name == name);
        let of_user = at("time").zip(at("requests")).filter(|_| at("gpu").is_some());
        let own = at("timestamp").zip(at("requestsgained"));
        let Some((when, requests)) = of_user.or(own) else { continue };
        let (queue, infer, ok, request) = (at("queue"), at("infer"), at("requestsokgained"), at("request"));
        if queue.or(infer).is_none() {
            continue;
        }
        let table = Table {
            delimiter,
            header_line: number as u64 + 1,
            columns,
            sample: Vec::new(),
            decimal_comma: false,
            day_order: DayOrder::default(),
        };
        let gpus = Columns::of(&table)?;
        let mut watch = Watch {
            when,
            requests,
            only_gains: of_user.is_none(),
            infer,
            ok,
            request,
            succeeded: Some(0),
            busy_ms: Some(0.0),
            previous: None,
            previous_ms: None,
            rows_ms: [None; 2],
            first_ms: None,
            lost: None,
            count: 0,
            server_us: super::super::requests::times(),
            timeline: Timeline::new(SLOTS),
            clock: None,
        };
        let lost =
            table.columns.iter().position(|column| column.name == "gpulost").map(|lost| (lost, gpus.index, gpus.uuid));
        watch.lost = lost;
        let rows = Rows::new(delimiter, table.columns.len());
        let reader = WatchRows { rows, table, gpus, samples: Tally::default(), watch };
        let by = match of_user {
            Some(_) => format!("its headings {}", titles.join(", ")),
            None => "the headings that gpu-doctor watch writes".into(),
        };
        return Some(Recognized { by, certain: true, reader: Box::new(reader) });
    }
    None
}

struct WatchRows {
    rows: Rows,
    table: Table,
    gpus: Columns,
    samples: Tally,
    watch: Watch,
}

/// The server's counters.
struct Watch {
    when: usize,
    requests: usize,
    /// The column of requests holds what was added, with or without a sign.
    only_gains: bool,
    infer: Option<usize>,
    /// What succeeded of those that were added, and their mean time.
    ok: Option<usize>,
    request: Option<usize>,
    /// Sums of these two; unknown as soon as one is missing beside requests that were added.
    succeeded: Option<u64>,
    busy_ms: Option<f64>,
    /// The counter's last reading, where it is one that only grows.
    previous: Option<f64>,
    previous_ms: Option<f64>,
    /// Times of the newest rows, whether or not they count requests, without repetition: the last one but one, the last.
    rows_ms: [Option<f64>; 2],
    /// Time of the first row.
    first_ms: Option<f64>,
    /// The column that says that a GPU is lost, those of its index and identifier.
    lost: Option<(usize, Option<usize>, Option<usize>)>,
    count: u64,
    server_us: Option<Histogram<u64>>,
    timeline: Timeline<Running>,
    clock: Option<Clock>,
}

impl Reader for WatchRows {
    fn feed(&mut self, bytes: &[u8]) {
        let Self { rows, table, gpus, samples, watch } = self;
        rows.feed(bytes, &mut |row| line(row, table, gpus, samples, watch));
    }

    fn end(self: Box<Self>, file: &mut RecordedFile) -> Vec<Evidence> {
        let Self { mut rows, table, gpus, mut samples, mut watch } = *self;
        rows.end(&mut |row| line(row, &table, &gpus, &mut samples, &mut watch));
        samples.faults.take_of(&rows);
        let mut evidence = samples.end(file);
        if watch.count > 0 {
            file.shows.push(format!("{} requests by the server's own counter", grouped(watch.count)));
            let server_us = watch.server_us.take().filter(|times| !times.is_empty());
            evidence.push(Evidence::Requests(Box::new(Requests {
                server_us,
                ok: watch.succeeded,
                busy_ms: watch.busy_ms,
                clock: watch.clock.unwrap_or(Clock::None),
                timeline: watch.clock.map(|_| watch.timeline),
                ..Requests::new(file, "watch", Detail::Series, watch.count)
            })));
            if watch.succeeded.is_none() {
                file.lacks.push(
                    "whether the requests succeeded does not stand in it; give the client's own results as well".into(),
                );
            }
        }
        evidence
    }
}

fn line(row: &Row, table: &Table, gpus: &Columns, samples: &mut Tally, watch: &mut Watch) {
    // Lines that are drawn, and the headings again.
    let drawn = row.line_bytes().trim_ascii().first().is_none_or(|byte| matches!(byte, b'-' | b'=' | b'#'));
    if row.line <= table.header_line || drawn || row.cell(watch.when).starts_with(b"Time") {
        return;
    }
    sample(row, table, gpus, samples);
    let Some(moment) = time::read(row.cell(watch.when), table.day_order) else { return };
    watch.row_at(moment.ms);
    let says_lost = |(lost, ..): &(usize, Option<usize>, Option<usize>)| !row.cell(*lost).is_empty();
    // Where a counter's cell says so as well, that was taken already.
    let by_counter = || gpus.counters.iter().any(|one| number::read(row.cell(one.column), false) == Cell::Lost);
    if let Some((_, index, uuid)) = watch.lost.filter(says_lost).filter(|_| !by_counter()) {
        let index = index.and_then(|column| row.text(column).parse().ok());
        let uuid = uuid.map(|column| row.text(column)).filter(|uuid| !uuid.is_empty());
        if let Some(at) = samples.gpu(index, uuid.as_deref(), None) {
            samples.lost(row.line, at, Some(moment.ms));
        }
    }
    let cell = row.cell(watch.requests);
    let Cell::Number(number, None) = number::read(cell, false) else { return };
    let added = watch.only_gains || cell.starts_with(b"+");
    let told = |column: Option<usize>| match number::read(row.cell(column?), false) {
        Cell::Number(number, _) if number >= 0.0 => Some(number),
        _ => None,
    };
    watch.begun_before(number, told(watch.request));
    let gained = watch.note(row.line, number, added, moment.ms, samples);
    if gained > 0 {
        watch.succeeded = watch.succeeded.zip(told(watch.ok)).map(|(sum, ok)| sum + (ok as u64).min(gained));
        watch.busy_ms = watch.busy_ms.zip(told(watch.request)).map(|(sum, ms)| sum + ms * gained as f64);
    }
    watch.clock.get_or_insert(moment.clock);
    if let Some(infer) = watch.infer
        && let Cell::Number(ms, _) = number::read(row.cell(infer), false)
        && let Some(times) = &mut watch.server_us
        && ms >= 0.0
    {
        times.saturating_record((ms * 1e3) as u64);
    }
}

impl Watch {
    /// A row of that time.
    fn row_at(&mut self, ms: f64) {
        self.first_ms.get_or_insert(ms);
        if self.rows_ms[1] != Some(ms) {
            self.rows_ms = [self.rows_ms[1], Some(ms)];
        }
    }

    /// A counter counts requests at their end: where the first ones end soon after the watch began, they were under way then,
    /// and no row is from before them.
    fn begun_before(&mut self, gained: f64, request_ms: Option<f64>) {
        let first = self.count == 0 && self.only_gains && gained > 0.0;
        let from = self.previous_ms.or(self.rows_ms[0]);
        if let (true, Some(from), Some(began)) = (first, from, self.first_ms)
            && from - began < request_ms.unwrap_or(0.0).max(UNDER_WAY_MS)
        {
            self.previous_ms = Some(began);
        }
    }

    /// A reading: what was added since the one before (`+5`), or a counter that only grows. Tells what was added.
    fn note(&mut self, line: u64, number: f64, added: bool, ms: f64, samples: &mut Tally) -> u64 {
        let gained = match (added, self.previous) {
            (true, _) => number,
            (false, None) => 0.0,
            (false, Some(previous)) if number < previous => {
                samples.faults.note(line, "the counter of requests runs backwards: the server was started anew");
                0.0
            }
            (false, Some(previous)) => number - previous,
        };
        if !added {
            self.previous = Some(number);
        }
        let counted = if gained > 0.0 && gained < 1e12 { gained as u64 } else { 0 };
        if counted > 0 {
            self.count += counted;
            let from = self.previous_ms.or(self.rows_ms[0]).filter(|previous| *previous <= ms).unwrap_or(ms);
            let slot = self.timeline.at(from);
            slot.count += counted;
            slot.from_ms = Some(slot.from_ms.map_or(from, |first| first.min(from)));
            slot.until_ms = slot.until_ms.max(ms);
        }
        self.previous_ms = Some(ms);
        counted
    }
}
