//! What hey prints (hey 0.1.4, requester/print.go), and oha, which took its form over (oha, src/printer.rs,
//! print_summary) with units that change with the times.

use super::{Head, Recognized, Summary, after, by_lines, first_number, head_lines, possible, recognized, unit_ms};

/// hey's text.
pub fn recognize(head: &Head) -> Option<Recognized> {
    let by = "hey's headings Summary, Latency distribution, Status code distribution";
    (is_one(head) && !of_oha(head)).then(|| recognized("hey", by, read))
}

/// oha's text.
pub fn recognize_oha(head: &Head) -> Option<Recognized> {
    let by = "oha's headings Summary, Response time distribution, Status code distribution";
    (is_one(head) && of_oha(head)).then(|| recognized("oha", by, read))
}

fn is_one(head: &Head) -> bool {
    let lines = head_lines(head);
    let has = |wanted: &str| lines.iter().any(|line| line.trim() == wanted);
    let rate = lines.iter().any(|line| after(line, "Requests/sec:").is_some());
    begins_in(&lines) && rate && has("Status code distribution:")
}

fn of_oha(head: &Head) -> bool {
    head_lines(head).iter().any(|line| after(line, "Success rate:").is_some())
}

fn begins_in(lines: &[String]) -> bool {
    lines.iter().any(|line| begins(line))
}

fn begins(line: &str) -> bool {
    line == "Summary:"
}

/// What oha calls a request that it gave up itself, at the end of the time it was given.
const AT_THE_END: &str = "aborted due to deadline";

fn read(text: &str) -> Vec<Summary> {
    let mut summaries = by_lines(text, begins, line);
    for summary in &mut summaries {
        summary.count = summary.by_status.values().fold(0u64, |sum, count| sum.saturating_add(*count));
        let good = |status: &str| status.starts_with('2');
        let ok = summary.by_status.iter().filter(|(status, _)| good(status)).map(|(_, count)| *count);
        summary.ok = Some(ok.fold(0u64, u64::saturating_add));
        if summary.count == 0 && summary.remarks.is_empty() {
            summary.faults.push("a summary holds neither a status nor an error: it is cut short".into());
        }
    }
    summaries
}

fn line(summary: &mut Summary, line: &str) {
    if let Some((count, what)) = bracketed(line) {
        return ended(summary, count, what);
    }
    let time = |rest: &str| {
        let mut words = rest.split_whitespace();
        let (number, unit) = (words.next()?.parse::<f64>().ok()?, words.next()?);
        possible(number * unit_ms(unit)?)
    };
    if let Some(ms) = after(line, "Total:").and_then(time) {
        summary.span_ms = Some(ms).filter(|ms| *ms > 0.0);
    } else if let Some(ms) = after(line, "Average:").and_then(time) {
        summary.mean_ms = Some(ms);
    } else if let Some((percent, rest)) = line.split_once(" in ")
        && let Ok(percent) = percent.trim().trim_end_matches('%').parse()
        && let Some(ms) = time(rest)
    {
        summary.percentile(percent, ms);
    }
}

/// `  [503]\t10 responses`: what stands in the brackets, and what behind them.
fn bracketed(line: &str) -> Option<(u64, &str)> {
    let (number, rest) = line.trim_start().strip_prefix('[')?.split_once(']')?;
    Some((number.parse().ok()?, rest.trim()))
}

/// `[status] count responses`, or `[count] text` of an error.
fn ended(summary: &mut Summary, number: u64, what: &str) {
    let responses = what.strip_suffix("responses").or(what.strip_suffix("response")).and_then(|rest| {
        let count = first_number::<u64>(rest)?;
        (rest.split_whitespace().count() == 1).then_some(count)
    });
    match responses {
        Some(count) if (100..600).contains(&number) => summary.ended(&number.to_string(), count),
        Some(_) => summary.faults.push(format!("[{number}] is no status")),
        None if what == AT_THE_END => summary
            .remarks
            .push(format!("{number} more were given up by oha itself when its time was over; they do not count")),
        None => {
            summary.ended("none", number);
            summary.failed(what, number);
        }
    }
}
