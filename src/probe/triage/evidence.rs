//! What files prove, before it is put together.

use super::timeline::{Merge, Timeline};
use crate::probe::metrics::Page;
use crate::snapshot::{Facts, RecordedFile, Target};
use crate::words::grouped;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// A file and what it proves.
pub struct Found {
    /// What is told of it.
    pub file: RecordedFile,
    /// What it proves.
    pub evidence: Vec<Evidence>,
}

/// Something that a file proves.
pub enum Evidence {
    /// Requests, by a client or a load generator.
    Requests(Box<Requests>),
    /// Samples of one GPU.
    Gpu(Box<GpuSamples>),
    /// A metrics page.
    Metrics {
        /// The file.
        file: String,
        /// What stands on it.
        page: Box<Page>,
    },
    /// What a snapshot was taken of.
    Target {
        /// The file.
        file: String,
        /// What was asked about.
        target: Box<Target>,
    },
    /// Whole rooms of a snapshot, as the file itself fills them: `nvidia-smi -q -x`, a log, a metrics page, a snapshot. Of a
    /// room that several files fill, lists that can be appended are, otherwise the first file's stays.
    Rooms {
        /// Which rooms.
        rooms: Vec<&'static str>,
        /// They are taken from here.
        facts: Box<Facts>,
    },
}

/// What a file's clock counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clock {
    /// The Unix epoch, or a time stamp with its zone.
    Utc,
    /// A date and time without a zone.
    Local,
    /// A time of day without a date.
    OfDay,
    /// The beginning of the recording.
    Relative,
    /// There are no time stamps.
    None,
}

/// How much of a run a file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// One row a request.
    Each,
    /// Numbers over the whole run.
    Summary,
    /// Numbers over time.
    Series,
    /// Failures only.
    Failures,
}

/// Requests by one file's word.
pub struct Requests {
    /// The file.
    pub file: String,
    /// Who wrote it: `csv`, `locust`, `oha`, `wrk`, `ab`, `hey`, `k6`. Several files of one writer may tell of the same run.
    pub writer: &'static str,
    /// How much of the run it tells.
    pub detail: Detail,
    /// Requests.
    pub count: u64,
    /// Those that succeeded; unknown where the file tells neither status nor success.
    pub ok: Option<u64>,
    /// Answers by status, see `RecordedRequests.by_status`.
    pub by_status: BTreeMap<String, u64>,
    /// Failures by their text, without secrets.
    pub errors: BTreeMap<String, u64>,
    /// Times of requests, microseconds.
    pub times_us: Option<Histogram<u64>>,
    /// Median and 99th percentile where only these are told, milliseconds.
    pub percentiles_ms: Option<(f64, Option<f64>)>,
    /// Sum of the times of requests, milliseconds.
    pub busy_ms: Option<f64>,
    /// Times that the server reported, microseconds.
    pub server_us: Option<Histogram<u64>>,
    /// What the time stamps count from.
    pub clock: Clock,
    /// When requests ran.
    pub timeline: Option<Timeline<Running>>,
    /// From the first to the last where no time stamps tell, milliseconds.
    pub span_ms: Option<f64>,
}

impl Requests {
    /// So many requests of which nothing else is told.
    pub fn new(file: &RecordedFile, writer: &'static str, detail: Detail, count: u64) -> Self {
        Self {
            file: short_name(&file.name),
            writer,
            detail,
            count,
            ok: None,
            by_status: BTreeMap::new(),
            errors: BTreeMap::new(),
            times_us: None,
            percentiles_ms: None,
            busy_ms: None,
            server_us: None,
            clock: Clock::None,
            timeline: None,
            span_ms: None,
        }
    }
}

/// Answers by status, in words: `599 answered 400, 3 without an answer`.
pub fn answers_in_words(by_status: &BTreeMap<String, u64>) -> String {
    let told = |(status, count): (&String, &u64)| match status.as_str() {
        "none" => format!("{} without an answer", grouped(*count)),
        "unknown" => format!("{} of unknown status", grouped(*count)),
        status => format!("{} answered {status}", grouped(*count)),
    };
    by_status.iter().map(told).collect::<Vec<_>>().join(", ")
}

/// A file's name without its folders.
pub fn short_name(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

/// Requests that began in a slot.
#[derive(Debug, Default)]
pub struct Running {
    /// How many.
    pub count: u64,
    /// When the first of them began, milliseconds.
    pub from_ms: Option<f64>,
    /// When the last of them ended, milliseconds.
    pub until_ms: f64,
}

impl Merge for Running {
    fn merge(&mut self, later: Self) {
        self.count += later.count;
        self.from_ms = match (self.from_ms, later.from_ms) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.until_ms = self.until_ms.max(later.until_ms);
    }
}

/// Samples of one GPU by one file's word.
pub struct GpuSamples {
    /// The file.
    pub file: String,
    /// Index in the driver's order; unknown where the file names none.
    pub index: Option<u64>,
    /// `GPU-...` identifier.
    pub uuid: Option<String>,
    /// Product name.
    pub name: Option<String>,
    /// Memory of the card, bytes.
    pub memory_total_bytes: Option<u64>,
    /// What the time stamps count from.
    pub clock: Clock,
    /// Samples by time; empty without time stamps.
    pub timeline: Timeline<Sampled>,
    /// All samples together.
    pub all: Sampled,
    /// Readings of the utilization that no card can show.
    pub impossible: u64,
    /// When the file says that the GPU was lost, milliseconds.
    pub lost_at_ms: Option<f64>,
}

/// Counters that samples have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// Percent.
    Utilization,
    /// Bytes.
    MemoryUsed,
    /// Milliwatts.
    Power,
    /// Degrees Celsius.
    Temperature,
    /// Megahertz.
    SmClock,
    /// Megahertz.
    MemoryClock,
    /// 0 is the highest, 15 the lowest.
    PState,
    /// Percent, by one process or all listed ones together.
    ProcessUtilization,
}

/// How many counters there are.
pub const COUNTERS: usize = 8;

/// Readings of a slot.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    /// By counter.
    pub readings: [Readings; COUNTERS],
}

impl Sampled {
    /// Takes a reading.
    pub fn note(&mut self, counter: Counter, value: f64) {
        self.readings[counter as usize].note(value);
    }

    /// The readings of a counter.
    pub fn of(&self, counter: Counter) -> &Readings {
        &self.readings[counter as usize]
    }
}

impl Merge for Sampled {
    fn merge(&mut self, later: Self) {
        for (own, other) in self.readings.iter_mut().zip(later.readings) {
            own.merge(&other);
        }
    }
}

/// Summary of readings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Readings {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Readings {
    /// Takes a reading.
    pub fn note(&mut self, value: f64) {
        self.merge(&Readings { count: 1, sum: value, min: value, max: value });
    }

    /// Takes other readings.
    pub fn merge(&mut self, other: &Readings) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// The text of a failure as it may be told: without secrets and what steers a terminal, at most 300 characters.
pub fn failure_text(bytes: &[u8]) -> String {
    // Within a quoted cell a quote is written twice (RFC 4180).
    let text = super::table::rows::text(bytes).replace("\"\"", "\"");
    let masked = super::super::server_log::masked(&crate::words::plain(&text));
    masked.trim().chars().take(300).collect()
}
