//! Which column of a table of requests holds what.

use super::super::table::header::Table;
use super::super::table::unit::Unit;
use crate::snapshot::RecordedFile;

/// Columns by what they hold; durations with the factor that makes milliseconds of them.
#[derive(Debug)]
pub struct Columns {
    /// When a request began, or the only time that is told of it.
    pub begin: Option<usize>,
    /// When it ended.
    pub end: Option<usize>,
    /// Its status.
    pub status: Option<usize>,
    /// Whether it succeeded.
    pub success: Option<usize>,
    /// Whether it failed.
    pub failed: Option<usize>,
    /// Why it failed.
    pub error: Option<usize>,
    /// How long it took.
    pub latency: Option<(usize, f64)>,
    /// How long the server says that it computed.
    pub server_time: Option<(usize, f64)>,
    /// What a row is about, where only some are requests: k6 writes a row for each of its metrics.
    pub metric: Option<usize>,
    /// What makes milliseconds of times that count from the beginning, which are read as seconds.
    pub relative_factor: f64,
    /// The first column that was recognized, by which a header in the middle is told.
    pub first: usize,
    /// The last column that every row must have; texts of errors may be left out at the end.
    pub last_needed: usize,
    /// What was assumed of the units.
    assumed: Vec<String>,
}

const BEGIN: &[&str] = &[
    "timestamp",
    "starttime",
    "start",
    "startedat",
    "sentat",
    "requesttime",
    "begin",
    "begintime",
    "begunat",
    "tstart",
    "startts",
    "time",
    "datetime",
    "date",
    "ts",
    "unixtime",
    "epoch",
    "at",
    "t",
    "elapsedsincestart",
    "offset",
    "zeitstempel",
    "zeit",
];
const END: &[&str] = &["endtime", "end", "endedat", "finishedat", "tend", "endts", "completedat", "receivedat"];
const STATUS: &[&str] = &[
    "status",
    "statuscode",
    "httpstatus",
    "httpstatuscode",
    "httpcode",
    "responsecode",
    "responsestatus",
    "code",
    "rc",
    "resultcode",
];
const SUCCESS: &[&str] = &["success", "successful", "ok", "succeeded", "issuccess", "passed"];
const FAILED: &[&str] = &["failed", "iserror", "haserror"];
const ERROR: &[&str] = &[
    "error",
    "errormessage",
    "errortext",
    "errormsg",
    "err",
    "exception",
    "failure",
    "failuremessage",
    "failurereason",
    "responsemessage",
    "detail",
    "reason",
    "fehler",
];
/// What the server answered, of which the failures' is a reason.
const ANSWER: &[&str] = &["response", "responsetext", "responsebody", "answer", "body"];
const LATENCY: &[&str] = &[
    "latency",
    "responsetime",
    "duration",
    "elapsed",
    "elapsedtime",
    "totaltime",
    "requestduration",
    "roundtrip",
    "rtt",
    "e2e",
    "e2elatency",
    "endtoend",
    "requestlatency",
    "timetaken",
    "took",
    "latenz",
    "dauer",
    "antwortzeit",
    "requesttime",
    "total",
    "time",
];
const SERVER: &[&str] = &[
    "inferencetime",
    "servertime",
    "modeltime",
    "inference",
    "infer",
    "infertime",
    "computetime",
    "processingtime",
    "inferencelatency",
    "gputime",
    "xprocesstime",
    "serverlatency",
];

impl Columns {
    /// Whether one of them says how a request ended.
    pub fn tell_success(&self) -> bool {
        self.status.or(self.success).or(self.failed).or(self.error).is_some()
    }

    /// The columns of a table; none if it is no table of requests.
    pub fn of(table: &Table) -> Option<Self> {
        let is_gpu = table.columns.iter().any(|column| {
            column.name.starts_with("utilization") || column.name.contains("gpuutil") || column.name == "memoryused"
        });
        if is_gpu {
            return None;
        }
        if table.header_line == 0 {
            return Self::of_vegeta(table);
        }
        let mut assumed = Vec::new();
        let begin = table.column(BEGIN).filter(|column| is_time(table, *column));
        let end = table.column(END).filter(|column| is_time(table, *column));
        let mut duration = |names: &[&str]| {
            let free = |name: &&&str| {
                let column = table.columns.iter().position(|column| column.name == **name);
                column.is_some() && column != begin && column != end
            };
            let column = table.column(&[names.iter().find(free)?])?;
            let (factor, said) = factor(table, column);
            assumed.extend(said);
            Some((column, factor))
        };
        let (latency, server_time) = (duration(LATENCY), duration(SERVER));
        let (status, success, error) = (table.column(STATUS), table.column(SUCCESS), table.column(ERROR));
        let failed = table.column(FAILED);
        // Whether a request failed an answer does not tell: successful ones have one too.
        let error = error.or_else(|| {
            table
                .column(ANSWER)
                .filter(|column| is_prose(table, *column))
                .filter(|_| status.or(success).or(failed).is_some())
        });
        // A status alone may be anything's.
        let tells = |column: Option<usize>| usize::from(column.is_some());
        let kinds =
            tells(status) + tells(success.or(failed)) + tells(latency.map(|(column, _)| column)) + tells(begin.or(end));
        if kinds < 2 {
            return None;
        }
        let metric = table.column(&["metricname"]);
        // k6 writes the value of each metric in one column; what JMeter calls latency is the time to the first byte. Both
        // write milliseconds.
        let of_jmeter = table.column(&["threadname"]).and_then(|_| table.column(&["elapsed"]));
        let whole = metric.and_then(|_| table.column(&["metricvalue"])).or(of_jmeter);
        let latency = match whole {
            Some(column) => Some((column, 1.0)),
            None => latency.filter(|_| metric.is_none()),
        };
        let relative_factor = match begin.or(end).and_then(|column| table.columns.get(column)?.unit) {
            Some(Unit::Time(factor)) => factor / 1e3,
            _ => 1.0,
        };
        if metric.is_some() || of_jmeter.is_some() {
            assumed.clear();
        }
        let (first, last_needed) = (0, 0);
        let mut columns = Self {
            begin,
            end,
            status,
            success,
            failed,
            error,
            latency,
            server_time,
            metric,
            relative_factor,
            first,
            last_needed,
            assumed,
        };
        let recognized = columns.recognized();
        columns.first = recognized.first().copied().unwrap_or(0);
        columns.last_needed = recognized.into_iter().rfind(|column| Some(*column) != error).unwrap_or(0);
        Some(columns)
    }

    /// Without a header: what `vegeta encode --to csv` writes (time and duration in nanoseconds, status, bytes out and in,
    /// error, body, name, number, ...).
    fn of_vegeta(table: &Table) -> Option<Self> {
        let nanoseconds = |cell: &String| cell.len() == 19 && cell.bytes().all(|byte| byte.is_ascii_digit());
        let whole = |cell: &String| !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
        let fits = |row: &Vec<String>| match row.as_slice() {
            [at, code, took, sent, got, _, _, _, number, ..] => {
                nanoseconds(at) && [code, took, sent, got, number].into_iter().all(whole) && code.len() <= 3
            }
            _ => false,
        };
        let rows = table.sample.iter().filter(|row| fits(row)).count();
        (rows > 0 && 10 * rows >= 9 * table.sample.len()).then(|| Self {
            begin: Some(0),
            end: None,
            status: Some(1),
            success: None,
            failed: None,
            error: Some(5),
            latency: Some((2, 1e-6)),
            server_time: None,
            metric: None,
            relative_factor: 1.0,
            first: 0,
            last_needed: 2,
            assumed: vec!["it has no header; by its values it is what vegeta encode --to csv writes".into()],
        })
    }

    /// The columns that were recognized, in the table's order.
    pub fn recognized(&self) -> Vec<usize> {
        let durations = [self.latency, self.server_time].map(|column| column.map(|(column, _)| column));
        let others = [self.begin, self.end, self.status, self.success, self.failed, self.error, self.metric];
        let mut all: Vec<usize> = durations.into_iter().chain(others).flatten().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// How many cells of a row are wanted.
    pub fn wanted(&self) -> usize {
        self.recognized().last().map_or(0, |last| last + 1)
    }

    /// Says what is lacking and what was assumed.
    pub fn told(&self, file: &mut RecordedFile) {
        file.shows.extend(self.assumed.iter().cloned());
        if self.status.is_none() && self.success.or(self.failed).is_none() {
            file.lacks.push("there is no column for the status; write response.status_code for each request".into());
        }
        if self.begin.is_none() && self.end.is_none() {
            let lacks = "there is no column for the time, so that GPU samples cannot be held against the requests; \
                write time.time() before each request";
            file.lacks.push(lacks.into());
        }
        if self.latency.is_none() {
            file.lacks.push("there is no column for the time that a request took".into());
        }
        if self.error.is_none() {
            let lacks = "the server's answer to failed requests is not kept; write response.text[:300] for those";
            file.lacks.push(lacks.into());
        }
    }
}

/// Whether the first cells of a column are times.
fn is_time(table: &Table, column: usize) -> bool {
    let mut cells = table.sample.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty()).peekable();
    let is_duration = || {
        // `time` with small numbers that go up and down is a duration.
        let numbers: Vec<f64> = table.numbers(column).collect();
        let small = numbers.iter().all(|number| *number < 5e8);
        small && numbers.windows(2).any(|pair| pair[1] < pair[0])
    };
    cells.peek().is_none()
        || cells.any(|cell| super::super::table::time::read(cell.as_bytes(), table.day_order).is_some())
            && !is_duration()
}

/// Whether a column holds words, and not sizes.
fn is_prose(table: &Table, column: usize) -> bool {
    let unit = table.columns.get(column).and_then(|column| column.unit);
    unit.is_none()
        && table.sample.iter().filter_map(|row| row.get(column)).any(|cell| cell.contains(char::is_alphabetic))
}

/// What makes milliseconds of a column of durations, and what was assumed.
fn factor(table: &Table, column: usize) -> (f64, Option<String>) {
    let Some(heading) = table.columns.get(column) else { return (1.0, None) };
    if let Some(Unit::Time(factor)) = heading.unit {
        return (factor, None);
    }
    let mut numbers: Vec<f64> = table.numbers(column).collect();
    numbers.sort_by(f64::total_cmp);
    let whole = numbers.iter().all(|number| number.fract() == 0.0);
    let Some(median) = numbers.get(numbers.len() / 2) else { return (1.0, None) };
    let (factor, unit) = if !whole && *median < 20.0 { (1e3, "seconds") } else { (1.0, "milliseconds") };
    (factor, Some(format!("{} names no unit; by its values it was read as {unit}", heading.title)))
}
