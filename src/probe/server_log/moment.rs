//! When a line of a log was written, by its own word, and whether that was before the server's process started: many
//! servers append to the log of the run before.

use jiff::civil::DateTime;
use jiff::{Timestamp, ToSpan, tz::Offset};
use regex::{Captures, Regex};
use std::ops::Range;
use std::sync::LazyLock;

/// How much older than the process a line must be to count as one of the run before, seconds. The process's start is known
/// to the second only, and clocks are set.
const SLACK_SECONDS: i64 = 5;
/// How far into a line its time is looked for, bytes.
const REACH: usize = 120;
/// How far ahead of this machine's clock a time without a year may be, hours: another zone, a clock that is set.
const AHEAD_HOURS: i64 = 26;
/// Seconds since 1970 that a number may mean to be taken for a time: the years 2001 to 2100.
const EPOCH_SECONDS: Range<i64> = 1_000_000_000..4_102_444_800;

/// A time as a line tells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    civil: DateTime,
    /// Its zone; unknown where the line names none.
    offset: Option<Offset>,
}

impl Moment {
    /// In RFC 3339; without a zone where the line tells none.
    pub fn text(&self) -> String {
        match self.offset.and_then(|offset| offset.to_timestamp(self.civil).ok()) {
            Some(at) => at.to_string(),
            None => self.civil.to_string(),
        }
    }

    /// Milliseconds since 1970, by its own zone or as if it were in UTC, and whether the line told the zone.
    pub fn unix_ms(&self) -> Option<(f64, bool)> {
        let at = self.offset.unwrap_or(Offset::UTC).to_timestamp(self.civil).ok()?;
        Some((at.as_microsecond() as f64 / 1000.0, self.offset.is_some()))
    }

    /// Whether it is before the process's start. Without a zone it may be in UTC or in this machine's zone: it is before
    /// only if it is in both.
    pub fn is_before(&self, started: Timestamp) -> bool {
        let limit = started.as_second() - SLACK_SECONDS;
        let second = |offset: Offset| offset.to_timestamp(self.civil).ok().map(Timestamp::as_second);
        match self.offset {
            Some(offset) => second(offset).is_some_and(|at| at < limit),
            None => {
                second(Offset::UTC).is_some_and(|utc| utc < limit && utc - i64::from(local_offset_seconds(utc)) < limit)
            }
        }
    }
}

/// A way of writing times: its pattern, and what its groups mean.
struct Form {
    pattern: Regex,
    read: fn(&Captures, Timestamp) -> Option<Moment>,
}

static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let form = |pattern: &str, read| Form { pattern: Regex::new(pattern).expect("a valid pattern"), read };
    const CLOCK: &str = r"(?P<h>\d\d):(?P<min>\d\d):(?P<s>\d\d)(?:[.,](?P<frac>\d{1,9}))?";
    const MONTH: &str = "(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
    const ZONE: &str = r"(?: ?(?P<zone>Z\b|UTC\b|[+-]\d\d:?\d\d))?";
    vec![
        // ISO 8601 and its relatives: Python's logging, containers, Kubernetes, nginx's errors, gunicorn, ollama, gin.
        form(&format!(r"\b(?P<y>\d{{4}})[-/](?P<m>\d\d)[-/](?P<d>\d\d)(?:[T ,]{{1,2}}| - ){CLOCK}{ZONE}"), of_civil),
        // The common log format of web servers, and Werkzeug's.
        form(&format!(r"\b(?P<d>\d\d)/{MONTH}/(?P<y>\d{{4}})[: ]{CLOCK}{ZONE}"), of_civil),
        // klog and glog: Triton, Kubernetes, NCCL's watchdog.
        form(&format!(r"(?:^|[\s\[])[IWEF](?P<m>\d\d)(?P<d>\d\d) {CLOCK}"), of_civil),
        // vLLM and SGLang.
        form(&format!(r"\b(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) (?P<m>\d\d)-(?P<d>\d\d) {CLOCK}"), of_civil),
        // syslog.
        form(&format!(r"^(?:<\d{{1,3}}>)?{MONTH} {{1,2}}(?P<d>\d{{1,2}}) {CLOCK}"), of_civil),
        // transformers: month, day, year. Where the day could be a month, it is not guessed.
        form(&format!(r"\b(?P<m>0\d|1[0-2])/(?P<d>1[3-9]|2\d|3[01])/(?P<y>\d{{4}}) {CLOCK}"), of_civil),
        form(
            r#"(?:^\[?|"(?:ts|time|timestamp)": ?"?)(?P<epoch>\d{10}(?:\.\d{1,9})?|\d{13}|\d{16}|\d{19})(?:[\]\s,:"}]|$)"#,
            of_epoch,
        ),
    ]
});

/// When the line was written, if it tells that near its beginning. Of a time without a year the newest is meant that is
/// not after `now`.
pub fn told(line: &str, now: Timestamp) -> Option<Moment> {
    with_place(line, now).map(|(moment, _)| moment)
}

/// The same, and where in the line it stands, down to the second.
pub fn with_place(line: &str, now: Timestamp) -> Option<(Moment, Range<usize>)> {
    let mut end = line.len().min(REACH);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let head = line.get(..end)?;
    let found = FORMS.iter().filter_map(|form| Some((form, form.pattern.captures(head)?)));
    let (form, captures) = found.min_by_key(|(_, captures)| captures.get(0).map_or(end, |whole| whole.start()))?;
    let whole = captures.get(0)?;
    let place = whole.start()..captures.name("s").map_or(whole.end(), |second| second.end());
    Some(((form.read)(&captures, now)?, place))
}

fn of_civil(found: &Captures, now: Timestamp) -> Option<Moment> {
    let number = |name: &str| found.name(name)?.as_str().parse::<i16>().ok();
    let small = |name: &str| number(name).and_then(|n| i8::try_from(n).ok());
    let month = match found.name("month") {
        Some(name) => 1 + i8::try_from(MONTHS.iter().position(|month| *month == name.as_str())?).ok()?,
        None => small("m")?,
    };
    let (day, hour, minute, second) = (small("d")?, small("h")?, small("min")?, small("s")?);
    let fraction = found.name("frac").map_or("", |digits| digits.as_str());
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    let in_year = |year| DateTime::new(year, month, day, hour, minute, second, nanoseconds).ok();
    let offset = found.name("zone").and_then(|zone| offset(zone.as_str()));
    if let Some(year) = number("y") {
        return Some(Moment { civil: in_year(year)?, offset });
    }
    let limit = Offset::UTC.to_datetime(now.checked_add(AHEAD_HOURS.hours()).ok()?);
    // The 29th of February lies up to eight years back.
    let civil = (0..=8).filter_map(|back| in_year(limit.year() - back)).find(|civil| *civil <= limit)?;
    Some(Moment { civil, offset })
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their length.
fn of_epoch(found: &Captures, _: Timestamp) -> Option<Moment> {
    let text = found.name("epoch")?.as_str();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (seconds, rest) = whole.split_at_checked(10)?;
    let seconds: i64 = seconds.parse().ok()?;
    let nanoseconds: i32 = format!("{:0<9}", format!("{rest}{fraction}")).get(..9)?.parse().ok()?;
    let at = Timestamp::new(seconds, nanoseconds).ok().filter(|_| EPOCH_SECONDS.contains(&seconds))?;
    Some(Moment { civil: Offset::UTC.to_datetime(at), offset: Some(Offset::UTC) })
}

/// `+01:00`, `+0100`, `Z` or `UTC`.
fn offset(text: &str) -> Option<Offset> {
    if text.starts_with(['Z', 'U']) {
        return Some(Offset::UTC);
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = (digits.get(..2)?.parse::<i32>().ok()?, digits.get(2..)?.parse::<i32>().ok()?);
    let seconds = hours * 3600 + minutes * 60;
    Offset::from_seconds(if text.starts_with('-') { -seconds } else { seconds }).ok()
}

/// This machine's offset from UTC at a time, seconds east.
fn local_offset_seconds(second: i64) -> i32 {
    // SAFETY: an all-zero tm is a valid one to be written over.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    let second: libc::time_t = second;
    // SAFETY: both pointers are valid for the call, which keeps neither.
    let done = unsafe { libc::localtime_r(&second, &mut tm) };
    if done.is_null() { 0 } else { i32::try_from(tm.tm_gmtoff).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T13:00:00Z".parse().unwrap()
    }

    fn text(line: &str) -> Option<String> {
        told(line, now()).map(|moment| moment.text())
    }

    #[test]
    fn times_are_held_against_the_start() {
        let started: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let older = |line: &str| told(line, now()).map(|moment| moment.is_before(started));
        for (line, before) in [
            ("2026-11-23T11:59:00Z INFO x", true),
            ("2026-11-23T12:59:00.123+01:00 INFO x", true),
            ("2026-11-23T12:59:00.123+0000 INFO x", false),
            ("[2026-11-23 11:59:58 +0000] [7] [INFO] just before", false),
            ("2026-11-20 09:00:00,123 - app - INFO - no zone, three days ago", true),
            ("2026/11/20 09:00:00 [error] nginx's form", true),
            ("2026-11-23 12:00:30,123 INFO", false),
            ("(EngineCore pid=7) INFO 11-20 12:47:20 [__init__.py:239] x", true),
            ("I1120 12:27:44.850096 18849 server.cc:604] x", true),
            ("Nov 20 06:31:00 vm nvidia-gridd[812]: x", true),
            ("1763600000.5 x", true),
            ("10.0.0.9 - - [20/Nov/2026:06:31:00 +0000] \"GET / HTTP/1.1\" 200 5", true),
        ] {
            assert_eq!(older(line), Some(before), "{line}");
        }
    }

    #[test]
    fn the_forms_of_servers_are_read() {
        for (line, at) in [
            ("2026-11-23T06:31:00.1Z level=INFO", "2026-11-23T06:31:00.1Z"),
            ("2026-11-23T06:31:00.123456789Z stdout F 2020-01-01 00:00:00 x", "2026-11-23T06:31:00.123456789Z"),
            ("time=2026-08-04T20:51:03.466+10:00 level=DEBUG", "2026-08-04T10:51:03.466Z"),
            ("[2026-11-23 06:31:00 +0000] [7] [CRITICAL] WORKER TIMEOUT", "2026-11-23T06:31:00Z"),
            ("[GIN] 2026/04/14 - 07:08:45 | 200 |", "2026-04-14T07:08:45"),
            ("INFO 01-02 03:04:05 [x.py:1] y", "2026-01-02T03:04:05"),
            ("INFO 12-30 03:04:05 x, of last year", "2025-12-30T03:04:05"),
            ("[rank1]:[E1122 12:55:00.100 ProcessGroupNCCL.cpp:616] x", "2026-11-22T12:55:00.1"),
            ("I0229 03:04:05.123456 7 x", "2024-02-29T03:04:05.123456"),
            ("Nov  3 06:31:00 vm asr[1]: x", "2026-11-03T06:31:00"),
            ("11/22/2026 06:31:00 - INFO - x", "2026-11-22T06:31:00"),
            ("[1763879460.25] x", "2025-11-23T06:31:00.25Z"),
            ("{\"ts\":1763879460.25,\"msg\":\"x\"}", "2025-11-23T06:31:00.25Z"),
            ("1763879460250 x", "2025-11-23T06:31:00.25Z"),
            ("127.0.0.1 - - [23/Nov/2026 06:31:00] \"POST /asr HTTP/1.1\" 400 -", "2026-11-23T06:31:00"),
            ("2026-11-23 06:31:00.123456: W tensorflow/x.cc:64] y", "2026-11-23T06:31:00.123456"),
        ] {
            assert_eq!(text(line).as_deref(), Some(at), "{line}");
        }
    }

    #[test]
    fn what_is_no_time_is_not_taken_for_one() {
        for none in [
            "Using device: cpu",
            "2026-13-45 99:00:00 x",
            "12:00:00 x",
            "05/06/2026 06:31:00 - could be either",
            "0.00.001.143 I srv init: minutes since the start",
            "9999999999 x",
            "12345678901 x",
            "é".repeat(50).as_str(),
        ] {
            assert_eq!(text(none), None, "{none}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(line in "(\\PC|[0-9:./T -]){0,150}") {
            if let Some(moment) = told(&line, now()) {
                moment.is_before(now());
                proptest::prop_assert!(moment.text().len() > 10);
            }
        }
    }
}
