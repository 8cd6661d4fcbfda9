//! Which lines of a log are older than the server's process: many servers append to the log of the run before.

use jiff::civil::DateTime;
use jiff::{Timestamp, tz::Offset};
use regex::Regex;
use std::sync::LazyLock;

/// How much older than the process a line must be to count as one of the run before, seconds. The process's start is known
/// to the second only, and clocks are set.
const SLACK_SECONDS: i64 = 5;
/// How far into a line its time is looked for, bytes.
const REACH: usize = 80;

/// Whether a line tells a time, and whether that is before the process's start; none if it tells none.
///
/// A time without a zone may be in UTC or in this machine's zone: it is older only if it is in both.
pub fn is_older(line: &str, started: Timestamp) -> Option<bool> {
    static TIME: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\b(\d{4})[-/](\d\d)[-/](\d\d)[T ,]{1,2}(\d\d):(\d\d):(\d\d)(?:[.,]\d{1,9})?(?: ?(Z\b|UTC\b|[+-]\d\d:?\d\d))?")
            .expect("a valid pattern")
    });
    let mut end = line.len().min(REACH);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let found = TIME.captures(&line[..end])?;
    let number = |group| found.get(group).and_then(|text| text.as_str().parse::<i16>().ok());
    let small = |group| number(group).and_then(|n| i8::try_from(n).ok());
    let civil = DateTime::new(number(1)?, small(2)?, small(3)?, small(4)?, small(5)?, small(6)?, 0).ok()?;
    let limit = started.as_second() - SLACK_SECONDS;
    let second = |offset: Offset| offset.to_timestamp(civil).ok().map(Timestamp::as_second);
    match found.get(7) {
        Some(zone) => Some(second(offset(zone.as_str())?)? < limit),
        None => {
            let utc = second(Offset::UTC)?;
            Some(utc < limit && utc - i64::from(local_offset_seconds(utc)) < limit)
        }
    }
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

    #[test]
    fn times_are_held_against_the_start() {
        let started: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let older = |line: &str| is_older(line, started);
        assert_eq!(older("2026-11-23T11:59:00Z INFO x"), Some(true));
        assert_eq!(older("2026-11-23T12:59:00.123+01:00 INFO x"), Some(true));
        assert_eq!(older("2026-11-23T12:59:00.123+0000 INFO x"), Some(false));
        assert_eq!(older("[2026-11-23 11:59:58 +0000] [7] [INFO] just before"), Some(false));
        assert_eq!(older("2026-11-20 09:00:00,123 - app - INFO - no zone, three days ago"), Some(true));
        assert_eq!(older("2026/11/20 09:00:00 [error] nginx's form"), Some(true));
        assert_eq!(older("2026-11-23 12:00:30,123 INFO"), Some(false));
        for none in ["Using device: cpu", "2026-13-45 99:00:00 x", "12:00:00 x", "é".repeat(50).as_str()] {
            assert_eq!(older(none), None, "{none}");
        }
    }
}
