//! How long the server says that its own work took, read from its accepted answers: a field of their JSON, or a header.
//!
//! Names and units are those in use: TEI's and TGI's headers (`x-inference-time`, milliseconds), W3C Server Timing
//! (`server-timing: infer;dur=3.8`, milliseconds), ollama's `total_duration` (nanoseconds), and what people write in their
//! own servers (`inference_time_ms`, `infer_ms`, `processing_time`). A number that cannot be a part of the request's own
//! time is none: transcripts tell the length of the sound by the same words.

mod field;
mod named;
mod names;
pub mod place;
#[cfg(test)]
mod tests;

pub use named::{named_field, named_header};

use super::round;
use crate::probe::service::transport::Reply;
use crate::snapshot::{Fact, Unknown, Why};
use names::{Meant, Unit, meant};
use serde_json::Value;

/// Answers that are read, at most.
const ANSWERS_MAX: usize = 64;
/// Longest body that is parsed for it, bytes.
const BODY_MAX: usize = 256 << 10;
/// How deep an answer is walked, how many members are looked at and how many of them are kept.
const DEPTH_MAX: usize = 4;
const MEMBERS_MAX: usize = 512;
const KEPT_MAX: usize = 16;
/// A time measured within the server may exceed the one outside by so much: both are rounded.
const SLACK_MS: f64 = 1.0;
/// Below this a number without a unit is not read as milliseconds, nor is anything of a model so short, milliseconds.
const LEAST_MS: f64 = 1.0;
/// Share of the answers that must tell a time which fits.
const MOST_ANSWERS: f64 = 0.8;
/// How many times a request's own time one of the model must be to contradict it, and in how many answers at least.
const OVER: f64 = 1.25;
const OVER_LEAST: usize = 3;
/// Headers of TEI and TGI, in milliseconds. `x-process-time` of FastAPI's manual counts seconds.
const IN_MS: &[&str] = &["x-inference-time", "x-total-time"];

/// One time that an answer tells.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    place: String,
    meant: Meant,
    /// Milliseconds, by each unit that it can be of.
    ms: Vec<f64>,
}

/// The times that answers told so far.
#[derive(Default)]
pub struct Reported {
    answers: Vec<(f64, Vec<Told>)>,
}

/// What the answers come to: the median, milliseconds; the place; whether of the model or of the request.
pub struct Figures {
    pub ms: Fact<f64>,
    pub place: Fact<String>,
    pub of: Fact<String>,
    /// A time of the model that cannot be: the requests took less. The median, milliseconds, and the place.
    pub over_ms: Fact<f64>,
    pub over_place: Fact<String>,
}

impl Reported {
    /// Takes down what an accepted answer that took so long tells.
    pub fn note(&mut self, reply: &Reply, took_ms: f64) {
        if self.answers.len() < ANSWERS_MAX {
            self.answers.push((took_ms, read(reply)));
        }
    }

    /// The time that means most: of the model before that of the request, and the one named first.
    pub fn finish(self) -> Figures {
        let found = self.found();
        let missing = || match self.answers.is_empty() {
            true => Unknown::new(Why::NotAsked, "no request of the window was accepted"),
            false => {
                Unknown::new(Why::NotAsked, "the server's answers tell no time of its own that fits the requests'")
            }
        };
        let over = self.over();
        let none_over = || Unknown::new(Why::NotAsked, "no answer tells a time of the model longer than its request");
        let fact = |found: &Option<(f64, &Told)>| found.map(|(ms, _)| round(ms)).ok_or_else(missing);
        Figures {
            ms: fact(&found).into(),
            place: found.map(|(_, told)| told.place.clone()).ok_or_else(missing).into(),
            of: found.map(|(_, told)| told.meant.word().to_owned()).ok_or_else(missing).into(),
            over_ms: over.map(|(ms, _)| round(ms)).ok_or_else(none_over).into(),
            over_place: over.map(|(_, place)| place.to_owned()).ok_or_else(none_over).into(),
        }
    }

    fn found(&self) -> Option<(f64, &Told)> {
        let (_, first) = self.answers.iter().find(|(_, told)| !told.is_empty())?;
        let mut places: Vec<&Told> = first.iter().collect();
        places.sort_by_key(|told| told.meant);
        places.into_iter().find_map(|told| Some((self.median(&told.place)?, told)))
    }

    /// The first time of the model, with its unit in its name, that nearly every answer tells and that no request took.
    fn over(&self) -> Option<(f64, &str)> {
        let (_, first) = self.answers.iter().find(|(_, told)| !told.is_empty())?;
        first.iter().filter(|told| told.meant == Meant::Inference).find_map(|told| {
            let mut beyond: Vec<f64> = { self.answers.iter() }
                .filter_map(|(took, all)| match all.iter().find(|one| one.place == told.place)?.ms.as_slice() {
                    [ms] if ms.is_finite() && *ms > OVER * took + SLACK_MS => Some(*ms),
                    _ => None,
                })
                .collect();
            beyond.sort_by(f64::total_cmp);
            let most = beyond.len() as f64 >= MOST_ANSWERS * self.answers.len() as f64;
            let middle = beyond.get(beyond.len() / 2).copied()?;
            (most && beyond.len() >= OVER_LEAST).then_some((middle, told.place.as_str()))
        })
    }

    /// The median of what stands at that place, milliseconds, in the only unit in which it fits nearly every answer.
    fn median(&self, place: &str) -> Option<f64> {
        let told: Vec<(f64, &Told)> = { self.answers.iter() }
            .filter_map(|(took, told)| Some((*took, told.iter().find(|one| one.place == place)?)))
            .collect();
        let units = told.first()?.1.ms.len();
        let fitting = |unit: usize| {
            let fits = |(took, one): &(f64, &Told)| {
                one.ms.get(unit).copied().filter(|ms| ms.is_finite() && *ms > 0.0 && *ms <= took + SLACK_MS)
            };
            let mut values: Vec<f64> = told.iter().filter_map(fits).collect();
            values.sort_by(f64::total_cmp);
            let middle = values.get(values.len() / 2).copied()?;
            // A bare number is taken for milliseconds only where a model may be so fast.
            let possible = units == 1 || unit == 0 || middle >= LEAST_MS;
            (possible && values.len() as f64 >= MOST_ANSWERS * self.answers.len() as f64).then_some(middle)
        };
        let mut possible = (0..units).filter_map(fitting);
        // Where seconds and milliseconds both fit, neither is known.
        possible.next().filter(|_| possible.next().is_none())
    }
}

/// All times that an answer tells, headers first.
fn read(reply: &Reply) -> Vec<Told> {
    let mut found = Vec::new();
    for (name, value) in &reply.headers {
        match name.as_str() {
            "server-timing" => server_timing(value, &mut found),
            _ => {
                if let Some((meant, unit)) = name.strip_prefix("x-").and_then(meant) {
                    let ms = number(value, if IN_MS.contains(&name.as_str()) { Unit::Milliseconds } else { unit });
                    found.extend(ms.map(|ms| Told { place: format!("the header {name}"), meant, ms }));
                }
            }
        }
    }
    let is_json = reply.content_type.to_ascii_lowercase().contains("json");
    let body = (is_json && reply.body.len() <= BODY_MAX && !reply.cut).then_some(&reply.body);
    if let Some(body) = body.and_then(|body| serde_json::from_slice::<Value>(body).ok()) {
        walk(&body, String::new(), DEPTH_MAX, &mut MEMBERS_MAX.clone(), &mut found);
    }
    found.truncate(KEPT_MAX);
    found
}

/// `infer;dur=3.8, db;desc="x";dur=1`.
fn server_timing(value: &str, found: &mut Vec<Told>) {
    for (name, ms) in entries(value) {
        if let Some(meant) = names::of_entry(name) {
            found.push(Told { place: format!("the header server-timing ({name})"), meant, ms: vec![ms] });
        }
    }
}

/// Names and durations of the entries that have one, milliseconds.
fn entries(value: &str) -> impl Iterator<Item = (&str, f64)> {
    value.split(',').take(KEPT_MAX).filter_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        Some((name, parts.find_map(|part| part.strip_prefix("dur=")?.trim_matches('"').parse::<f64>().ok())?))
    })
}

fn walk(value: &Value, path: String, depth: usize, left: &mut usize, found: &mut Vec<Told>) {
    let Value::Object(members) = (match value {
        Value::Array(items) => items.first().filter(|_| items.len() == 1).unwrap_or(value),
        value => value,
    }) else {
        return;
    };
    for (name, member) in members {
        if *left == 0 {
            return;
        }
        *left -= 1;
        // A name is the server's, of any length.
        if name.len() > 48 {
            continue;
        }
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let said = match member {
            Value::Number(number) => number.as_f64().map(|number| number.to_string()),
            Value::String(text) if text.len() <= 32 => Some(text.clone()),
            Value::Object(_) | Value::Array(_) if depth > 0 => {
                walk(member, path.clone(), depth - 1, left, found);
                None
            }
            _ => None,
        };
        if let (Some(said), Some((meant, unit))) = (said, meant(name)) {
            let ms = number(&said, unit);
            found.extend(ms.map(|ms| Told { place: format!("the answer's field {path}"), meant, ms }));
        }
    }
}

/// A number with the unit that it brings or else the given one, in milliseconds: seconds first where it is not said.
fn number(said: &str, unit: Unit) -> Option<Vec<f64>> {
    let said = said.trim();
    let digits =
        said.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | 'e' | 'E'))).unwrap_or(said.len());
    let (digits, rest) = said.split_at(digits);
    let number: f64 = digits.parse().ok()?;
    let unit = match rest.trim() {
        "" => unit,
        named => names::unit(&named.to_ascii_lowercase())?,
    };
    Some(match unit.in_ms() {
        Some(factor) => vec![number * factor],
        None => vec![number * 1e3, number],
    })
}
