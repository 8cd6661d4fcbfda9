//! The JSON that oha writes (`--output-format json`; oha/src/printer.rs, print_json): totals, times in seconds.

use super::evidence::{Detail, Evidence, Requests, answers_in_words, failure_text};
use super::form::{Head, Recognized};
use super::reader::Whole;
use crate::snapshot::RecordedFile;
use crate::words::grouped;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    summary: Summary,
    #[serde(default)]
    latency_percentiles: BTreeMap<String, Option<f64>>,
    status_code_distribution: BTreeMap<String, u64>,
    #[serde(default)]
    error_distribution: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Summary {
    total: Option<f64>,
    average: Option<f64>,
}

/// What oha calls a request that it gave up itself, at the end of the time it was given.
const AT_THE_END: &str = "aborted due to deadline";

/// oha's document.
pub fn recognize(head: &Head) -> Option<Recognized> {
    let begins = head.first() == Some(b'{');
    let has = |name: &str| memchr::memmem::find(head.bytes, name.as_bytes()).is_some();
    if !(begins && has("\"summary\"") && has("\"requestsPerSec\"") && has("\"latencyPercentiles\"")) {
        return None;
    }
    let by = "oha's members summary, latencyPercentiles, statusCodeDistribution".into();
    Some(Recognized { by, certain: true, reader: Box::new(Whole::new(read)) })
}

fn read(bytes: &[u8], file: &mut RecordedFile) -> Vec<Evidence> {
    let document: Document = match serde_json::from_slice(bytes) {
        Ok(document) => document,
        Err(error) => {
            file.faults.push(format!("line {}: the JSON cannot be read: {error}", error.line()));
            return Vec::new();
        }
    };
    let (mut by_status, mut errors) = (BTreeMap::new(), BTreeMap::new());
    let mut ok = 0;
    for (status, count) in document.status_code_distribution {
        match status.parse::<u16>() {
            Ok(code) if (100..600).contains(&code) => {
                ok += if (200..300).contains(&code) { count } else { 0 };
                by_status.insert(status, count);
            }
            _ => file.faults.push(format!(
                "statusCodeDistribution holds \"{}\", which is no status",
                failure_text(status.as_bytes())
            )),
        }
    }
    let mut ended = 0;
    for (text, count) in document.error_distribution {
        if text == AT_THE_END {
            ended = count;
            continue;
        }
        *errors.entry(failure_text(text.as_bytes())).or_insert(0) += count;
        *by_status.entry("none".to_owned()).or_insert(0) += count;
    }
    let count: u64 = by_status.values().sum();
    file.records = 1;
    file.shows.push(format!(
        "{} requests, {} succeeded ({})",
        grouped(count),
        grouped(ok),
        answers_in_words(&by_status)
    ));
    if ended > 0 {
        file.shows.push(format!("{ended} more were given up by oha itself when its time was over; they do not count"));
    }
    file.lacks.push(
        "it has no time stamps, so that GPU samples cannot be held against it; note date +%s.%N before and after"
            .into(),
    );
    if count == 0 {
        return Vec::new();
    }
    let ms = |name: &str| document.latency_percentiles.get(name).copied().flatten().map(|seconds| seconds * 1e3);
    let span_ms = document.summary.total.map(|seconds| seconds * 1e3).filter(|span| *span > 0.0);
    vec![Evidence::Requests(Box::new(Requests {
        ok: Some(ok),
        by_status,
        errors,
        percentiles_ms: ms("p50").map(|median| (median, ms("p99"))),
        busy_ms: document.summary.average.map(|seconds| seconds * 1e3 * count as f64),
        span_ms,
        ..Requests::new(file, "oha", Detail::Summary, count)
    }))]
}
