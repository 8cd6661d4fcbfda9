//! Where the server's own time stands in its answers, once the window has found it: one number is read of each, in the
//! unit in which it fitted the requests.

use super::names::{Unit, meant, unit};
use super::{IN_MS, entries, field, number};
use crate::probe::ServerTimeAt;
use crate::snapshot::ExecutionFacts;
use hyper::HeaderMap;
use serde_json::Value;
use std::cell::Cell;

/// A place in an answer.
#[derive(Debug)]
pub struct Place {
    at: At,
    unit: Unit,
    /// What the window found there, milliseconds.
    expected_ms: f64,
    /// Which of several possible units it is; known from the first answer on.
    reading: Cell<Option<usize>>,
}

#[derive(Debug, PartialEq)]
enum At {
    Header(String),
    /// An entry of Server-Timing.
    Entry(String),
    /// Names of nested members.
    Field(Vec<String>),
}

impl Place {
    /// The place that the window tells; nothing where it found none.
    pub fn of(execution: &ExecutionFacts) -> Option<Self> {
        let told = execution.server_reported_in.known()?;
        let expected_ms = *execution.server_reported_ms.known()?;
        let (at, name) = at(told)?;
        let unit = match &at {
            At::Header(header) if IN_MS.contains(&header.as_str()) => Unit::Milliseconds,
            At::Entry(_) => Unit::Milliseconds,
            _ => meant(&name)?.1,
        };
        Some(Self { at, unit, expected_ms, reading: Cell::new(None) })
    }

    /// The place that the user names.
    pub fn named(named: &ServerTimeAt) -> Option<Self> {
        let (at, _) = at(&named.place)?;
        // The unit is known, so nothing is to be expected of the value.
        Some(Self { at, unit: unit(named.unit)?, expected_ms: 1.0, reading: Cell::new(None) })
    }

    /// The time that this answer tells, milliseconds. Of its body nothing is kept but the one number.
    pub fn ms(&self, headers: &HeaderMap, body: &[u8]) -> Option<f64> {
        self.read(headers, |path| field::find(body, path))
    }

    /// The same of an answer that was parsed.
    pub fn ms_of(&self, headers: &HeaderMap, answer: &Value) -> Option<f64> {
        self.read(headers, |path| match member(answer, path)? {
            Value::Number(number) => Some(number.to_string()),
            Value::String(text) => Some(text.clone()),
            _ => None,
        })
    }

    fn read(&self, headers: &HeaderMap, field: impl FnOnce(&[String]) -> Option<String>) -> Option<f64> {
        let said = match &self.at {
            At::Header(name) => headers.get(name)?.to_str().ok()?.to_owned(),
            At::Entry(name) => {
                let values = headers.get_all("server-timing").iter().filter_map(|value| value.to_str().ok());
                return values.flat_map(entries).find(|(entry, _)| entry == name).map(|(_, ms)| ms);
            }
            At::Field(path) => field(path)?,
        };
        let possible = number(&said, self.unit)?;
        let turn = self.reading.get().or_else(|| {
            let nearest = nearest(&possible, self.expected_ms);
            self.reading.set(nearest);
            nearest
        })?;
        possible.get(turn).or(possible.first()).copied()
    }
}

/// The place that is told in words, and the name whose unit counts.
fn at(told: &str) -> Option<(At, String)> {
    Some(match (told.strip_prefix("the header "), told.strip_prefix("the answer's field ")) {
        (Some(header), _) => match header.strip_prefix("server-timing (").and_then(|rest| rest.strip_suffix(')')) {
            Some(entry) => (At::Entry(entry.to_owned()), entry.to_owned()),
            None => (At::Header(header.to_owned()), header.strip_prefix("x-").unwrap_or(header).to_owned()),
        },
        (None, Some(path)) => {
            let names: Vec<String> = path.split('.').map(str::to_owned).collect();
            let last = names.last().cloned().unwrap_or_default();
            (At::Field(names), last)
        }
        (None, None) => return None,
    })
}

/// Which of the values is nearest to what is expected: units differ by a factor of a thousand.
fn nearest(possible: &[f64], expected_ms: f64) -> Option<usize> {
    let distance = |ms: f64| (ms.max(1e-9) / expected_ms.max(1e-9)).ln().abs();
    let all = possible.iter().enumerate().filter(|(_, ms)| ms.is_finite());
    all.min_by(|(_, a), (_, b)| distance(**a).total_cmp(&distance(**b))).map(|(turn, _)| turn)
}

/// The member at the end of a path; a number is a place in a list, and a list of one stands for what is in it.
fn member<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    match (value, path.split_first()) {
        (value, None) => Some(value),
        (Value::Array(items), Some((name, rest))) => match name.parse::<usize>() {
            Ok(place) => member(items.get(place)?, rest),
            Err(_) if items.len() == 1 => member(items.first()?, path),
            Err(_) => None,
        },
        (value, Some((name, rest))) => member(value.get(name)?, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Fact, Room, Unknown, Why};
    use proptest::prelude::*;

    fn place(told: &str, ms: f64) -> Option<Place> {
        let mut execution = ExecutionFacts::all_unknown(&Unknown::new(Why::Absent, "not measured"));
        execution.server_reported_in = Fact::Known(told.into());
        execution.server_reported_ms = Fact::Known(ms);
        Place::of(&execution)
    }

    fn of_body(place: &Place, body: &str) -> Option<f64> {
        place.ms(&HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn a_field_is_read_wherever_it_stands() {
        let place = place("the answer's field timing.inference_time_ms", 3.0).unwrap();
        assert_eq!(of_body(&place, r#"{"timing": {"inference_time_ms": 4.5}}"#), Some(4.5));
        assert_eq!(of_body(&place, r#"[{"timing": {"inference_time_ms": "5"}}]"#), Some(5.0));
        assert_eq!(of_body(&place, r#"{"timing": {}}"#), None);
        assert_eq!(of_body(&place, "no JSON"), None);
    }

    /// A time that grows under load keeps the unit that it had.
    #[test]
    fn the_unit_is_that_of_the_window() {
        let place = place("the answer's field processing_time", 50.0).unwrap();
        assert_eq!(of_body(&place, r#"{"processing_time": 0.05}"#), Some(50.0));
        assert_eq!(of_body(&place, r#"{"processing_time": 5}"#), Some(5000.0));
    }

    #[test]
    fn headers_are_read_too() {
        let headers: HeaderMap = [("x-inference-time", "12"), ("server-timing", "db;dur=1, infer;dur=3.8")]
            .map(|(name, value)| (hyper::header::HeaderName::from_static(name), value.parse().unwrap()))
            .into_iter()
            .collect();
        let read = |told: &str| place(told, 4.0).and_then(|place| place.ms(&headers, b""));
        assert_eq!(read("the header x-inference-time"), Some(12.0));
        assert_eq!(read("the header server-timing (infer)"), Some(3.8));
        assert_eq!(read("the header x-total-time"), None);
        assert!(place("elsewhere", 4.0).is_none());
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_reading(told in "the (header|answer's field) [a-z._() -]{0,20}", body in ".{0,60}") {
            if let Some(place) = place(&told, 1.0) {
                let _ = of_body(&place, &body);
            }
        }
    }
}
