//! Time stamps as programs write them.

use super::super::evidence::Clock;
use super::number;
use super::rows::text;

/// A time, and what it counts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Milliseconds since the epoch; for a local time as if it were UTC; for others since midnight or the beginning.
    pub ms: f64,
    /// What it counts from.
    pub clock: Clock,
    /// Whether the day could as well be the month: 03/04/2024.
    pub ambiguous: bool,
}

/// Which stands first where the year stands last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DayOrder {
    /// 12/31/2024, unless the first number cannot be a month.
    #[default]
    MonthFirst,
    /// 31/12/2024.
    DayFirst,
}

/// Reads a time stamp. `None` is no time.
pub fn read(cell: &[u8], order: DayOrder) -> Option<Moment> {
    if let Some(number) = number::plain(cell) {
        return counted(number);
    }
    if cell.len() < 10 || !cell.iter().any(|byte| matches!(byte, b'-' | b'/' | b':')) || cell.first() == Some(&b'-') {
        let written = text(cell);
        let digits = written.trim().trim_end_matches(['s', 'S']);
        if let Some(number) = number::value(digits.as_bytes(), false) {
            return counted(number);
        }
    }
    dated(cell, order).or_else(|| of_day(cell))
}

/// A number: since the epoch in the unit that makes it a time of our days, else since the beginning, in seconds.
fn counted(number: f64) -> Option<Moment> {
    let moment = |ms, clock| Some(Moment { ms, clock, ambiguous: false });
    match number {
        n if n < 0.0 => None,
        n if n < 5e8 => moment(n * 1e3, Clock::Relative),
        n if n < 1e11 => moment(n * 1e3, Clock::Utc),
        n if n < 1e14 => moment(n, Clock::Utc),
        n if n < 1e17 => moment(n / 1e3, Clock::Utc),
        n if n < 1e20 => moment(n / 1e6, Clock::Utc),
        _ => None,
    }
}

/// A date with a time: `2024-01-02T03:04:05.678+05:30`, `2024/01/02 03:04:05`, `02.01.2024 03:04`.
fn dated(cell: &[u8], order: DayOrder) -> Option<Moment> {
    let mut rest = cell.trim_ascii();
    let first = integer(&mut rest)?;
    let separator = taken(&mut rest, b"-/.")?;
    let second = integer(&mut rest)?;
    taken(&mut rest, &[separator])?;
    let third = integer(&mut rest)?;
    let mut ambiguous = false;
    let (year, month, day) = if first.1 == 4 {
        (first.0, second.0, third.0)
    } else if third.1 == 4 {
        let day_first = separator == b'.' || first.0 > 12 || (order == DayOrder::DayFirst && second.0 <= 12);
        ambiguous = separator != b'.' && first.0 <= 12 && second.0 <= 12 && first.0 != second.0;
        if day_first { (third.0, second.0, first.0) } else { (third.0, first.0, second.0) }
    } else {
        return None;
    };
    if !(1970..=2200).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let midnight = days_from_civil(year, month, day) as f64 * 86_400_000.0;
    if rest.is_empty() {
        return Some(Moment { ms: midnight, clock: Clock::Local, ambiguous });
    }
    while taken(&mut rest, b"T, ").is_some() {}
    let ms = clock_time(&mut rest)?;
    let (clock, offset_ms) = zone(rest)?;
    Some(Moment { ms: midnight + ms - offset_ms, clock, ambiguous })
}

/// A time of day: `03:04:05.678`.
fn of_day(cell: &[u8]) -> Option<Moment> {
    let mut rest = cell.trim_ascii();
    let ms = clock_time(&mut rest)?;
    rest.is_empty().then_some(Moment { ms, clock: Clock::OfDay, ambiguous: false })
}

/// Hours, minutes, seconds, a fraction and AM or PM, as milliseconds since midnight.
fn clock_time(rest: &mut &[u8]) -> Option<f64> {
    let hours = integer(rest)?.0;
    taken(rest, b":")?;
    let minutes = integer(rest)?.0;
    let (mut seconds, mut fraction) = (0, 0.0);
    if taken(rest, b":").is_some() {
        seconds = integer(rest)?.0;
        if taken(rest, b".,").is_some() {
            let (number, digits) = integer(rest)?;
            fraction = number as f64 / 10f64.powi(digits as i32);
        }
    }
    let mut hours = hours;
    let after = rest.trim_ascii_start();
    for (half, add) in [(b"AM", 0), (b"PM", 12)] {
        if after.len() >= 2 && after[..2].eq_ignore_ascii_case(half) {
            hours = hours % 12 + add;
            *rest = &after[2..];
        }
    }
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    Some(((hours * 60 + minutes) * 60 + seconds) as f64 * 1e3 + fraction * 1e3)
}

/// The zone behind a time and its offset from UTC, milliseconds. A name other than UTC's is none that can be relied on.
fn zone(rest: &[u8]) -> Option<(Clock, f64)> {
    let mut rest = rest.trim_ascii();
    let sign = match rest.first() {
        None => return Some((Clock::Local, 0.0)),
        Some(b'Z' | b'z') if rest.len() == 1 => return Some((Clock::Utc, 0.0)),
        Some(b'+') => 1.0,
        Some(b'-') => -1.0,
        Some(_) if rest.eq_ignore_ascii_case(b"UTC") || rest.eq_ignore_ascii_case(b"GMT") => {
            return Some((Clock::Utc, 0.0));
        }
        Some(byte) if byte.is_ascii_alphabetic() && rest.len() <= 5 => return Some((Clock::Local, 0.0)),
        Some(_) => return None,
    };
    rest = &rest[1..];
    let (number, digits) = integer(&mut rest)?;
    let minutes = match digits {
        4 => number / 100 * 60 + number % 100,
        2 if taken(&mut rest, b":").is_some() => number * 60 + integer(&mut rest)?.0,
        1 | 2 => number * 60,
        _ => return None,
    };
    (rest.is_empty() && minutes <= 14 * 60).then_some((Clock::Utc, sign * minutes as f64 * 60_000.0))
}

/// Digits, at most 9 of which count, as a number and how many there are.
fn integer(rest: &mut &[u8]) -> Option<(u64, usize)> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let counted = digits.min(9);
    let number = rest[..counted].iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    *rest = &rest[digits..];
    (digits > 0).then_some((number, counted))
}

fn taken(rest: &mut &[u8], any: &[u8]) -> Option<u8> {
    let first = *rest.first().filter(|byte| any.contains(byte))?;
    *rest = &rest[1..];
    Some(first)
}

/// Days since 1970-01-01 in the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: u64, month: u64, day: u64) -> i64 {
    let (year, month, day) = (year as i64 - i64::from(month <= 2), month as i64, day as i64);
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
