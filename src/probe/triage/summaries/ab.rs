//! What ab, Apache's benchmark, prints (Apache httpd 2.4, support/ab.c, output_results).
//!
//! Its words mislead: an answer of 400 is no "failed request" to it, an answer that is longer than the first one is, and
//! a connection that the server closed without a word is a "complete request".

use super::{Head, Recognized, Summary, after, by_lines, first_number, head_lines, recognized};

/// ab's banner, or its totals where the banner was cut off.
pub fn recognize(head: &Head) -> Option<Recognized> {
    let lines = head_lines(head);
    let has = |begin: &str| lines.iter().any(|line| line.starts_with(begin));
    (has("This is ApacheBench") || (has("Concurrency Level:") && has("Complete requests:")))
        .then(|| recognized("ab", "the words of ab (ApacheBench)", read))
}

fn begins(line: &str) -> bool {
    line.starts_with("This is ApacheBench")
}

fn read(text: &str) -> Vec<Summary> {
    let text = match text.lines().any(begins) {
        true => text.to_owned(),
        false => format!("This is ApacheBench\n{text}"),
    };
    let mut summaries = by_lines(&text, begins, line);
    summaries.iter_mut().for_each(finish);
    summaries
}

/// Names under which numbers are kept until the summary is whole. None is a status.
const COMPLETE: &str = "complete";
const OTHER: &str = "other";
const BYTES: &str = "bytes";

fn line(summary: &mut Summary, line: &str) {
    let mut keep = |name: &str, begin: &str| {
        if let Some(number) = after(line, begin).and_then(first_number::<u64>) {
            summary.by_status.insert(name.to_owned(), number);
        }
    };
    keep(COMPLETE, "Complete requests:");
    keep(OTHER, "Non-2xx responses:");
    keep(BYTES, "Total transferred:");
    if let Some(seconds) = after(line, "Time taken for tests:").and_then(first_number::<f64>) {
        summary.span_ms = super::possible(seconds * 1e3).filter(|ms| *ms > 0.0);
    } else if let Some(rest) = after(line, "Time per request:").filter(|rest| rest.ends_with("[ms] (mean)")) {
        summary.mean_ms = first_number(rest).and_then(super::possible);
    } else if let Some(kinds) = after(line, "(Connect:") {
        failures(summary, &format!("Connect: {}", kinds.trim_end_matches(')')));
    } else if let Some(at) = line.find("apr_").filter(|_| line.contains(": ")) {
        summary.faults.push(format!("ab gave up: {}", super::super::evidence::failure_text(&line.as_bytes()[at..])));
    } else {
        let words: Vec<&str> = line.split_whitespace().take(3).collect();
        if let [percent, ms, ..] = words.as_slice()
            && let Some(Ok(percent)) = percent.strip_suffix('%').map(str::parse)
            && let Some(ms) = ms.parse().ok().and_then(super::possible)
        {
            summary.percentile(percent, ms);
        }
    }
}

/// `Connect: 0, Receive: 0, Length: 10, Exceptions: 0`.
fn failures(summary: &mut Summary, kinds: &str) {
    for (kind, number) in kinds.split(',').filter_map(|pair| pair.split_once(':')) {
        let Ok(number @ 1..) = number.trim().parse::<u64>() else { continue };
        match kind.trim() {
            "Length" => summary.remarks.push(format!(
                "{number} answers were of another length than the first; ab calls them failed, here they are answers"
            )),
            kind => {
                summary.ended("none", number);
                summary.failed(&format!("{} error", kind.to_lowercase().trim_end_matches('s')), number);
            }
        }
    }
}

fn finish(summary: &mut Summary) {
    let mut kept = |name: &str| summary.by_status.remove(name);
    let (complete, other, bytes) = (kept(COMPLETE), kept(OTHER).unwrap_or(0), kept(BYTES));
    let Some(complete) = complete else {
        if summary.faults.is_empty() {
            summary.faults.push("a summary of ab is cut short: the line \"Complete requests:\" is missing".into());
        }
        summary.by_status.clear();
        return;
    };
    let without = summary.by_status.get("none").copied().unwrap_or(0);
    summary.count = complete.saturating_add(without);
    if bytes == Some(0) {
        summary.remarks.push("the server sent not a single byte".into());
        summary.ended("none", complete);
        summary.ok = Some(0);
        return;
    }
    let other = other.min(complete);
    summary.ended("unknown", complete);
    summary.ok = Some(complete - other);
    if other > 0 {
        summary.remarks.push(format!("{other} answers had another status than 2xx; which, ab tells with -v 2"));
    }
}
