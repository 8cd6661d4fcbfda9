//! What k6 prints at the end of a run (k6 0.31 to 1.1), and the JSON of `--summary-export` and of `handleSummary(data)`.
//!
//! Its `http_req_failed` counts failures, so that its "passes" and its tick are the requests that failed
//! (grafana/k6 issue 2386). A status from 200 to 399 is none.

use super::{Head, Recognized, Summary, duration_ms, head_lines, of_summaries, possible, recognized};
use crate::probe::triage::reader::Whole;
use crate::snapshot::RecordedFile;
use serde_json::Value;

/// The text.
pub fn recognize(head: &Head) -> Option<Recognized> {
    let lines = head_lines(head);
    let metric = lines.iter().any(|line| metric(line).is_some_and(|(name, _)| name == "http_req_duration"));
    let banner =
        lines.iter().any(|line| begins(line)) && lines.iter().any(|line| line.trim_start().starts_with("scenarios: ("));
    (metric || banner).then(|| recognized("k6", "the lines of k6 (execution, scenarios, http_req_duration)", read))
}

/// The JSON.
pub fn recognize_json(head: &Head) -> Option<Recognized> {
    let has = |name: &str| memchr::memmem::find(head.bytes, name.as_bytes()).is_some();
    if head.first() != Some(b'{') || !(has("\"metrics\"") && has("\"http_req_duration\"") && has("\"iterations\"")) {
        return None;
    }
    let read = |bytes: &[u8], file: &mut RecordedFile| match serde_json::from_slice(bytes) {
        Ok(document) => of_summaries("k6", vec![of_json(&document)], file),
        Err(error) => {
            file.faults.push(format!("line {}: the JSON cannot be read: {error}", error.line()));
            Vec::new()
        }
    };
    let by = "k6's members metrics, http_req_duration, iterations".into();
    Some(Recognized { by, certain: true, reader: Box::new(Whole::new(read)) })
}

fn begins(line: &str) -> bool {
    line.trim_start().starts_with("execution: ")
}

/// `http_reqs......: 100    27.650421/s`: the name of a metric, and what stands behind the colon.
fn metric(line: &str) -> Option<(&str, &str)> {
    let (name, values) = line.trim_start().split_once(": ")?;
    let bare = name.trim_end_matches('.');
    let is_name = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && bare.len() + 3 <= name.len()).then_some((bare, values.trim()))
}

fn read(text: &str) -> Vec<Summary> {
    // Where only the end was kept, there is no line of the beginning.
    let text = match text.lines().any(begins) {
        true => text.to_owned(),
        false => format!("execution: \n{text}"),
    };
    let mut summaries = super::by_lines(&text, begins, line);
    for summary in &mut summaries {
        if summary.count == 0 {
            summary.faults.push("the metric http_reqs is missing: k6 was ended early, or sent no HTTP requests".into());
        }
        finish(summary);
    }
    summaries
}

/// Under this name the failed ones are kept until the summary is whole.
const FAILED: &str = "failed";

fn line(summary: &mut Summary, line: &str) {
    if let Some(error) = warned(line) {
        return summary.failed(&error.replace("\\\"", "\""), 1);
    }
    let Some((name, values)) = metric(line) else { return };
    let words: Vec<&str> = values.split_whitespace().collect();
    match (name, words.as_slice()) {
        ("http_reqs", [number, rate, ..]) => {
            summary.count = number.parse().unwrap_or(0);
            let rate = rate.strip_suffix("/s").and_then(|rate| rate.parse::<f64>().ok());
            summary.span_ms = rate.and_then(|rate| span_ms(summary.count as f64, rate));
        }
        // `10.00% 10 out of 100`, before version 1 `10.00% ✓ 10 ✗ 90`.
        ("http_req_failed", [_, failed, "out", "of", _] | [_, "✓", failed, "✗", _]) => {
            if let Ok(failed) = failed.parse() {
                summary.by_status.insert(FAILED.into(), failed);
            }
        }
        ("http_req_duration", values) => {
            for (name, ms) in values.iter().filter_map(|value| value.split_once('=')) {
                // Nothing takes no time: it is what k6 writes of requests that were never sent.
                let Some(ms) = duration_ms(ms).filter(|ms| *ms > 0.0) else { continue };
                match name {
                    "avg" => summary.mean_ms = Some(ms),
                    "med" => summary.median_ms = Some(ms),
                    "p(99)" => summary.p99_ms = Some(ms),
                    _ => {}
                }
            }
        }
        ("checks" | "checks_succeeded", [_, passed, "out", "of", all]) => {
            summary.remarks.push(format!("{passed} of {all} checks of the script passed"));
        }
        _ => {}
    }
}

/// The error of a line like `time="..." level=warning msg="Request Failed" error="..."`.
fn warned(line: &str) -> Option<&str> {
    let (before, error) = line.split_once("msg=\"Request Failed\" error=\"")?;
    before.contains("level=").then(|| error.trim_end_matches('"'))
}

fn span_ms(count: f64, rate: f64) -> Option<f64> {
    possible(count / rate * 1e3).filter(|ms| *ms > 0.0)
}

/// k6 tells the status of none. Those of which it wrote an error got no answer.
fn finish(summary: &mut Summary) {
    let failed = summary.by_status.remove(FAILED).map(|failed| failed.min(summary.count));
    summary.ok = failed.map(|failed| summary.count - failed);
    let errors = summary.errors.values().fold(0u64, |sum, count| sum.saturating_add(*count));
    let without = errors.min(failed.unwrap_or(0));
    summary.ended("none", without);
    summary.ended("unknown", summary.count - without);
    if let Some(other @ 1..) = failed.map(|failed| failed - without) {
        summary.remarks.push(format!("{other} of the requests that failed had no status from 200 to 399, or no answer; which, k6 does not tell here"));
    }
}

fn of_json(document: &Value) -> Summary {
    let mut summary = Summary::default();
    // In the data of handleSummary the numbers stand one level below.
    let number = |metric: &str, member: &str| {
        let metric = document.get("metrics")?.get(metric)?;
        metric.get("values").unwrap_or(metric).get(member)?.as_f64()
    };
    let whole = |number: f64| (number.is_finite() && number >= 0.0).then_some(number as u64);
    let Some(count) = number("http_reqs", "count").and_then(whole) else {
        summary.faults.push("the metric http_reqs is missing: the script sent no HTTP requests".into());
        return summary;
    };
    summary.count = count;
    if let Some(failed) = number("http_req_failed", "passes").and_then(whole) {
        summary.by_status.insert(FAILED.into(), failed);
    }
    summary.span_ms = number("http_reqs", "rate").and_then(|rate| span_ms(count as f64, rate));
    let ms = |member: &str| number("http_req_duration", member).and_then(possible).filter(|ms| *ms > 0.0);
    summary.mean_ms = ms("avg");
    summary.median_ms = ms("med");
    summary.p99_ms = ms("p(99)");
    if let (Some(passed), Some(failed)) =
        (number("checks", "passes").and_then(whole), number("checks", "fails").and_then(whole))
    {
        let all = passed.saturating_add(failed);
        summary.remarks.push(format!("{passed} of {all} checks of the script passed"));
    }
    finish(&mut summary);
    summary
}
