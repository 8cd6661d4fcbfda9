//! Places of the server's own time that the user names.

use super::IN_MS;
use super::names::{Meant, Unit, meant, of_entry};
use crate::probe::ServerTimeAt;

/// Units as they are written behind a place.
const UNITS: [&str; 4] = ["ns", "us", "ms", "s"];
/// The header of FastAPI's manual, which counts seconds.
const IN_SECONDS: &[&str] = &["x-process-time"];

/// A field of the answer's JSON, `timing.inference_ms` or `timing.inference:s`.
///
/// # Errors
/// What is wrong with it: no name, or no unit.
pub fn named_field(text: &str) -> Result<ServerTimeAt, String> {
    let (path, unit) = taken_apart(text)?;
    let path = path.strip_prefix("$.").unwrap_or(path);
    if path.split('.').any(|name| name.trim().is_empty()) {
        return Err(format!("\"{path}\" has an empty name; write it as timing.inference_ms"));
    }
    let of = path.rsplit('.').next().and_then(meant);
    let unit = unit.or_else(|| of.and_then(|(_, unit)| written(unit))).ok_or_else(|| unsaid(path))?;
    Ok(ServerTimeAt { place: format!("the answer's field {path}"), unit, of: of_what(of.map(|(of, _)| of)) })
}

/// A header of the answer, `x-process-time`, `x-inference:ms`; of Server Timing the entry, `server-timing.infer`.
///
/// # Errors
/// What is wrong with it: no name, no entry, or no unit.
pub fn named_header(text: &str) -> Result<ServerTimeAt, String> {
    let (name, unit) = taken_apart(text)?;
    let lower = name.to_ascii_lowercase();
    if let Some(entry) = lower.strip_prefix("server-timing") {
        // Names of entries are told apart by their case.
        let entry = name.get(name.len() - entry.len()..).and_then(|entry| entry.strip_prefix('.')).unwrap_or_default();
        if entry.is_empty() {
            return Err("Server-Timing has an entry for each part; write which: server-timing.infer".into());
        }
        let of = of_what(of_entry(entry));
        return Ok(ServerTimeAt { place: format!("the header server-timing ({entry})"), unit: "ms", of });
    }
    hyper::header::HeaderName::from_bytes(lower.as_bytes())
        .map_err(|_| format!("\"{name}\" is no name of a header"))?;
    let of = meant(lower.strip_prefix("x-").unwrap_or(&lower));
    let usual = match lower.as_str() {
        name if IN_MS.contains(&name) => Some("ms"),
        name if IN_SECONDS.contains(&name) => Some("s"),
        _ => of.and_then(|(_, unit)| written(unit)),
    };
    let unit = unit.or(usual).ok_or_else(|| unsaid(name))?;
    Ok(ServerTimeAt { place: format!("the header {lower}"), unit, of: of_what(of.map(|(of, _)| of)) })
}

/// The name and the unit behind it, if there is one.
fn taken_apart(text: &str) -> Result<(&str, Option<&'static str>), String> {
    let (name, unit) = match text.trim().rsplit_once(':') {
        Some((name, unit)) => (name, Some(unit)),
        None => (text.trim(), None),
    };
    if name.is_empty() {
        return Err("no name; write it as timing.inference_ms, or timing.inference:s with the unit".into());
    }
    match unit {
        None => Ok((name, None)),
        Some(said) => match UNITS.into_iter().find(|unit| *unit == said) {
            Some(unit) => Ok((name, Some(unit))),
            None => Err(format!("\"{said}\" is no unit of time; write ns, us, ms or s")),
        },
    }
}

fn unsaid(name: &str) -> String {
    format!("neither \"{name}\" nor anything else says in which unit it counts; write {name}:ms or {name}:s")
}

fn written(unit: Unit) -> Option<&'static str> {
    match unit {
        Unit::Nanoseconds => Some("ns"),
        Unit::Microseconds => Some("us"),
        Unit::Milliseconds => Some("ms"),
        Unit::Seconds => Some("s"),
        Unit::Unsaid => None,
    }
}

/// What the user calls the server's own time is the model's, unless its name says that it is the whole request's.
fn of_what(meant: Option<Meant>) -> &'static str {
    meant.unwrap_or(Meant::Inference).word()
}

#[cfg(test)]
mod tests {
    use super::super::place::Place;
    use super::*;
    use hyper::HeaderMap;
    use proptest::prelude::*;

    fn of_body(text: &str, body: &str) -> Option<f64> {
        Place::named(&named_field(text).unwrap()).unwrap().ms(&HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn a_field_is_read_in_its_unit() {
        assert_eq!(of_body("inference_time_ms", r#"{"inference_time_ms": 12.5}"#), Some(12.5));
        assert_eq!(of_body("$.timing.model:s", r#"{"timing": {"model": 0.25}}"#), Some(250.0));
        assert_eq!(of_body("steps.1.us:us", r#"{"steps": [{"us": 1}, {"us": 7000}]}"#), Some(7.0));
        assert_eq!(of_body("took:ms", r#"{"took": "1.5s"}"#), Some(1500.0), "a value's own unit counts");
        assert_eq!(of_body("took:ms", r#"{"took": null}"#), None);
        assert_eq!(named_field("inference_time_ms").unwrap().of, "inference");
        assert_eq!(named_field("total_ms").unwrap().of, "request");
    }

    #[test]
    fn a_header_is_read_in_its_unit() {
        let headers: HeaderMap = [("x-process-time", "0.02"), ("server-timing", "db;dur=1, Whisper;dur=3.8")]
            .map(|(name, value)| (hyper::header::HeaderName::from_static(name), value.parse().unwrap()))
            .into_iter()
            .collect();
        let read = |text: &str| Place::named(&named_header(text).unwrap()).unwrap().ms(&headers, b"");
        assert_eq!(read("X-Process-Time"), Some(20.0));
        assert_eq!(read("x-process-time:ms"), Some(0.02));
        assert_eq!(read("Server-Timing.Whisper"), Some(3.8));
        assert_eq!(read("server-timing.other"), None);
        assert_eq!(named_header("x-process-time").unwrap().of, "request");
    }

    #[test]
    fn what_cannot_be_read_is_refused_before_anything_is_sent() {
        let wrong = |text: &str, says: &str| {
            let said = named_field(text).unwrap_err();
            assert!(said.contains(says), "{text}: {said}");
        };
        wrong("model", "write model:ms or model:s");
        wrong("model:hours", "\"hours\" is no unit");
        wrong("", "no name");
        wrong("a..b_ms", "an empty name");
        assert!(named_header("server-timing").unwrap_err().contains("server-timing.infer"));
        assert!(named_header("two words:s").unwrap_err().contains("no name of a header"));
    }

    proptest! {
        #[test]
        fn no_text_and_no_answer_break_it(text in ".{0,40}", body in ".{0,60}") {
            for named in [named_field(&text), named_header(&text)].into_iter().flatten() {
                if let Some(place) = Place::named(&named) {
                    let _ = place.ms(&HeaderMap::new(), body.as_bytes());
                }
            }
        }
    }
}
