//! What wrk prints (wrk 4.1, src/wrk.c, main), and wrk2, which prints the same with finer percentiles.

use super::{Head, Recognized, Summary, after, by_lines, duration_ms, first_number, head_lines, recognized};

/// `Running 10s test @ URL`, and how many threads and connections.
pub fn recognize(head: &Head) -> Option<Recognized> {
    let lines = head_lines(head);
    let connections = |line: &String| line.contains(" threads and ") && line.ends_with(" connections");
    (lines.iter().any(|line| begins(line)) && lines.iter().any(connections))
        .then(|| recognized("wrk", "its lines \"Running ... test @\" and \"... threads and ... connections\"", read))
}

fn begins(line: &str) -> bool {
    line.starts_with("Running ") && line.contains(" test @ ")
}

fn read(text: &str) -> Vec<Summary> {
    let mut summaries = by_lines(text, begins, line);
    for summary in &mut summaries {
        if summary.span_ms.is_none() {
            summary.faults.push("a summary of wrk is cut short: the line \"... requests in ...\" is missing".into());
        }
        // wrk tells the statuses of none: what it calls an error is any that is neither 2xx nor 3xx.
        let answered = summary.count;
        let failed = summary.by_status.remove("unknown").unwrap_or(0).min(answered);
        summary.ended("unknown", answered);
        summary.ok = Some(answered - failed);
        summary.count = answered.saturating_add(summary.by_status.get("none").copied().unwrap_or(0));
        if failed > 0 {
            summary
                .remarks
                .push(format!("{failed} answers had a status of neither 2xx nor 3xx; which, wrk does not tell"));
        }
        if summary.count == 0 && summary.span_ms.is_some() {
            summary.remarks.push("no request was answered in the time of the test".into());
        }
    }
    summaries
}

fn line(summary: &mut Summary, line: &str) {
    let words: Vec<&str> = line.split_whitespace().take(10).collect();
    match words.as_slice() {
        [number, "requests", "in", time, ..] => {
            if let (Ok(number), Some(ms)) = (number.parse(), duration_ms(time.trim_end_matches(','))) {
                summary.count = number;
                summary.span_ms = Some(ms);
            }
        }
        ["Latency", mean, ..] => {
            if let Some(ms) = duration_ms(mean).filter(|ms| *ms > 0.0) {
                summary.mean_ms.get_or_insert(ms);
            }
        }
        [percent, time] if percent.ends_with('%') => {
            let percent = percent.trim_end_matches('%').parse();
            if let (Ok(percent), Some(ms)) = (percent, duration_ms(time).filter(|ms| *ms > 0.0)) {
                summary.percentile(percent, ms);
            }
        }
        ["Socket", "errors:", rest @ ..] => socket_errors(summary, rest),
        _ => {
            if let Some(failed) = after(line, "Non-2xx or 3xx responses:").and_then(first_number) {
                summary.ended("unknown", failed);
            }
        }
    }
}

/// `connect 0, read 1881, write 0, timeout 0`. What wrk calls a timeout was answered late.
fn socket_errors(summary: &mut Summary, words: &[&str]) {
    for pair in words.chunks_exact(2) {
        let Ok(count) = pair[1].trim_end_matches(',').parse::<u64>() else { continue };
        match pair[0] {
            _ if count == 0 => {}
            "timeout" => summary.remarks.push(format!("{count} answers took longer than wrk's --timeout")),
            what @ ("connect" | "read" | "write") => {
                summary.ended("none", count);
                summary.failed(&format!("socket error: {what}"), count);
            }
            _ => {}
        }
    }
}
