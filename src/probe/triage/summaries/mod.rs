//! What load generators print at the end of a run: wrk, ab, hey, oha and k6. Totals only, in text that was meant for people.
//!
//! A file may hold several of them, one after the other, with anything in between. Each tool has a file of its own here,
//! which knows by what lines a summary begins and what stands in it.

mod ab;
mod hey;
mod k6;
#[cfg(test)]
mod tests;
mod wrk;

use super::evidence::{Detail, Evidence, Requests, answers_in_words};
use super::form::{Head, Recognized};
use super::reader::Whole;
use crate::snapshot::RecordedFile;
use crate::words::{count, grouped};
use std::collections::BTreeMap;

pub use ab::recognize as recognize_ab;
pub use hey::{recognize as recognize_hey, recognize_oha};
pub use k6::{recognize as recognize_k6, recognize_json as recognize_k6_json};
pub use wrk::recognize as recognize_wrk;

/// Summaries of one file that count.
const SUMMARIES: usize = 1000;
/// Summaries of one file that are told one by one.
const TOLD: usize = 5;
/// Texts of failures that are told apart.
const ERRORS: usize = 1000;
/// What no summary tells, and what does.
const NO_TIMES: &str = "when each request ran, so that GPU samples cannot be held against it: k6 run --out csv=requests.csv \
    and Locust's --csv write it";
/// What no summary tells of failed requests.
const NO_ANSWERS: &str = "what the server answered to the requests that failed: send one of them with curl -i";

/// One summary.
#[derive(Debug, Default)]
struct Summary {
    /// Requests that were sent and ended, with an answer or without.
    count: u64,
    /// Those that succeeded, if the tool tells.
    ok: Option<u64>,
    by_status: BTreeMap<String, u64>,
    errors: BTreeMap<String, u64>,
    median_ms: Option<f64>,
    p99_ms: Option<f64>,
    mean_ms: Option<f64>,
    span_ms: Option<f64>,
    /// What it says besides, one sentence each.
    remarks: Vec<String>,
    /// What is wrong in it.
    faults: Vec<String>,
}

impl Summary {
    /// Notes requests that ended like this: a status, `none` or `unknown`.
    fn ended(&mut self, status: &str, count: u64) {
        if count > 0 {
            let known = self.by_status.entry(status.to_owned()).or_default();
            *known = known.saturating_add(count);
        }
    }

    /// Notes a failure that the tool tells by its text.
    fn failed(&mut self, text: &str, count: u64) {
        let text = super::evidence::failure_text(text.as_bytes());
        if self.errors.len() < ERRORS || self.errors.contains_key(&text) {
            let known = self.errors.entry(text).or_default();
            *known = known.saturating_add(count);
        }
    }

    /// A percentile by its number in percent.
    fn percentile(&mut self, percent: f64, ms: f64) {
        if percent == 50.0 {
            self.median_ms.get_or_insert(ms);
        } else if percent == 99.0 {
            self.p99_ms.get_or_insert(ms);
        }
    }

    fn told(&self) -> String {
        let Some(ok) = self.ok else {
            return format!("{}; it is not told whether they succeeded", counted(self.count));
        };
        match self.by_status.keys().any(|status| status != "unknown") {
            true => {
                format!("{}, {} succeeded ({})", counted(self.count), grouped(ok), answers_in_words(&self.by_status))
            }
            false => format!("{}, {} succeeded", counted(self.count), grouped(ok)),
        }
    }
}

fn counted(number: u64) -> String {
    let requests = if number == 1 { "request" } else { "requests" };
    format!("{} {requests}", grouped(number))
}

/// A form whose reader makes summaries of the whole text.
fn recognized(tool: &'static str, by: &str, read: fn(&str) -> Vec<Summary>) -> Recognized {
    let read = move |bytes: &[u8], file: &mut RecordedFile| of_summaries(tool, read(&text(bytes)), file);
    Recognized { by: by.into(), certain: true, reader: Box::new(Whole::new(read)) }
}

/// Tells what the summaries say. Those of one file are runs one after the other, so that their times add up.
fn of_summaries(tool: &'static str, mut summaries: Vec<Summary>, file: &mut RecordedFile) -> Vec<Evidence> {
    file.records = summaries.len() as u64;
    for summary in summaries.iter_mut() {
        file.faults.append(&mut summary.faults);
    }
    for summary in summaries.iter().take(TOLD) {
        if summary.count > 0 {
            file.shows.push(summary.told());
        }
        file.shows.extend(summary.remarks.iter().cloned());
    }
    if let more @ 1.. = summaries.len().saturating_sub(TOLD) {
        file.shows.push(format!("and {} more", count(more, "run")));
    }
    summaries.retain(|summary| summary.count > 0);
    if summaries.is_empty() {
        if file.shows.is_empty() {
            file.shows.push("no request was answered".into());
        }
        return Vec::new();
    }
    let total = summaries.iter().fold(0u64, |sum, one| sum.saturating_add(one.count));
    let ok = summaries.iter().try_fold(0u64, |sum, one| Some(sum.saturating_add(one.ok?)));
    file.lacks.push(NO_TIMES.into());
    if ok.is_some_and(|ok| ok < total) {
        file.lacks.push(NO_ANSWERS.into());
    }
    let mut requests = Requests::new(file, tool, Detail::Summary, total);
    requests.ok = ok;
    let busy = |one: &Summary| Some(one.mean_ms? * one.count as f64);
    requests.busy_ms = summaries.iter().map(busy).sum();
    requests.span_ms = summaries.iter().map(|one| one.span_ms).sum();
    if let [one] = summaries.as_slice() {
        requests.percentiles_ms = one.median_ms.map(|median| (median, one.p99_ms));
    }
    for summary in summaries {
        for (status, count) in summary.by_status {
            let known = requests.by_status.entry(status).or_default();
            *known = known.saturating_add(count);
        }
        for (text, count) in summary.errors {
            if requests.errors.len() < ERRORS || requests.errors.contains_key(&text) {
                let known = requests.errors.entry(text).or_default();
                *known = known.saturating_add(count);
            }
        }
    }
    vec![Evidence::Requests(Box::new(requests))]
}

/// The text without what colours a terminal.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains('\u{1b}') {
        return text.into_owned();
    }
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split("\u{1b}[");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(0, |end| end + 1);
        plain.push_str(&part[end..]);
    }
    plain
}

/// The summaries of a text: a new one begins where `begins` says so, and every line is handed to `read`.
fn by_lines(text: &str, begins: fn(&str) -> bool, read: fn(&mut Summary, &str)) -> Vec<Summary> {
    let mut summaries: Vec<Summary> = Vec::new();
    for line in text.lines().map(str::trim_end) {
        if begins(line) {
            if summaries.len() == SUMMARIES {
                break;
            }
            summaries.push(Summary::default());
        }
        if let Some(summary) = summaries.last_mut() {
            read(summary, line);
        }
    }
    summaries
}

/// The lines of a beginning, without colours.
fn head_lines(head: &Head) -> Vec<String> {
    text(head.bytes).lines().map(|line| line.trim_end().to_owned()).collect()
}

/// What follows a name and a colon.
fn after<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    Some(line.trim_start().strip_prefix(name)?.trim_start())
}

/// The number at the beginning of a text.
fn first_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.split_whitespace().next()?.parse().ok()
}

/// A number that can be a time.
fn possible(ms: f64) -> Option<f64> {
    (ms.is_finite() && ms >= 0.0).then_some(ms)
}

/// A length of time with its unit, milliseconds: `71.64ms`, `257.4µs`, `1.2s`, `1m2.5s`, `0us`.
fn duration_ms(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut sum = None;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        sum = Some(sum.unwrap_or(0.0) + number * unit_ms(&rest[..unit_end])?);
        rest = &rest[unit_end..];
    }
    possible(sum?)
}

/// A unit of time, milliseconds.
fn unit_ms(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-6,
        "us" | "µs" | "μs" => 1e-3,
        "ms" => 1.0,
        "s" | "sec" | "secs" => 1e3,
        "m" | "min" => 60e3,
        "h" => 3_600e3,
        _ => return None,
    })
}
