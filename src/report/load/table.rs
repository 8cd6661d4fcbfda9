//! The table of a load, for people.

use super::{Load, Step, bench_text};
use crate::report::text::paragraph;
use crate::words::{bytes, grouped};
use colored::Colorize;
use std::io::{Result, Write};

/// Writes a line for each step, what failed in it, and why the load ended.
pub fn write(load: &Load, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "\n{}", if load.command == "bench" { "benchmark" } else { "load" }.bold())?;
    if let Some(unmade) = &load.unmade {
        return paragraph(out, "  ", &format!("no load was made: {unmade}"));
    }
    if let Some(bench) = &load.bench {
        return bench_text::write(load, bench, out);
    }
    paragraph(out, "  ", &sent(load))?;
    if !load.steps.is_empty() {
        writeln!(out, "{}", HEAD)?;
        writeln!(out, "{}", UNITS)?;
    }
    for step in &load.steps {
        writeln!(out, "{}", row(step))?;
    }
    for step in load.steps.iter().filter(|step| step.failed + step.dropped + step.unfinished > 0) {
        paragraph(out, "  ", &format!("{} users: {}", step.users, failures(step)))?;
    }
    match load.stopped_because.as_str() {
        "" => Ok(()),
        because => paragraph(out, "  ", &format!("the load ended before its plan did: {because}")),
    }
}

const HEAD: &str =
    "   users  requests   failed  answers/s    median       p90       p99       max    server    GPU  CPU";
const UNITS: &str =
    "                                              ms        ms        ms        ms        ms      %  cores";

fn sent(load: &Load) -> String {
    let size = load.body_bytes.filter(|size| *size >= 1.0).map_or(String::new(), |size| {
        let size = bytes(size);
        match load.distinct_payloads {
            Some(1) => format!(", {size} each and all alike, so that a cache may have answered"),
            Some(count) => format!(", {size} each, of {} kinds that differ", grouped(count)),
            None => format!(", {size} each"),
        }
    });
    let cpu = load
        .own_cpu_us_per_request
        .map_or(String::new(), |us| format!("; each cost the doctor {us:.0} us of CPU time"));
    let requests: u64 = load.steps.iter().map(|step| step.requests).sum();
    format!("{} requests{size}{cpu}", grouped(requests))
}

fn row(step: &Step) -> String {
    let ms = |value: Option<f64>| match value {
        None => "-".to_owned(),
        Some(ms) if ms < 100.0 => format!("{ms:.1}"),
        Some(ms) => grouped(ms.round() as u64),
    };
    let latency = step.latency_ms.as_ref();
    let [median, p90, p99, max] =
        [latency.map(|l| l.median), latency.map(|l| l.p90), latency.map(|l| l.p99), latency.map(|l| l.max)].map(ms);
    let server = ms(step.server_ms.as_ref().map(|times| times.median));
    let busiest = step.gpus.iter().filter_map(|gpu| gpu.utilization_percent).max_by(f64::total_cmp);
    let gpu = busiest.map_or("-".into(), |percent| format!("{percent:.0}"));
    let cores = step.server_cores.map_or("-".into(), |cores| format!("{cores:.1}"));
    format!(
        "{:>8}{:>10}{:>9}{:>11.1}{median:>10}{p90:>10}{p99:>10}{max:>10}{server:>10}{gpu:>7}{cores:>5}",
        grouped(step.users),
        grouped(step.requests),
        grouped(step.failed),
        step.throughput_rps,
    )
}

/// What went wrong in a step, by kind.
pub fn failures(step: &Step) -> String {
    let mut told: Vec<String> = Vec::new();
    // A good status among them is an error inside the answer's body.
    let bad: u64 = step.by_status.iter().filter(|(status, _)| !status.starts_with('2')).map(|(_, count)| *count).sum();
    let unanswered: u64 = step.by_error.values().sum();
    let others = step.by_status.iter().filter(|(status, _)| !status.starts_with('2'));
    told.extend(others.map(|(status, count)| format!("{} answered {status}", grouped(*count))));
    told.extend(step.by_error.iter().map(|(error, count)| format!("{} {}", grouped(*count), error.replace('_', " "))));
    let inside = step.failed.saturating_sub(bad + unanswered);
    told.extend((inside > 0).then(|| format!("{} answered 2xx with an error inside", grouped(inside))));
    let left = (step.unfinished > 0).then(|| format!("{} not answered in time", grouped(step.unfinished)));
    let dropped =
        (step.dropped > 0).then(|| format!("{} not sent, since no connection was free", grouped(step.dropped)));
    told.extend(left.into_iter().chain(dropped));
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        let counts = |all: &[(&str, u64)]| all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Step {
            users: 50,
            rate: None,
            seconds: 10.0,
            requests: 1200,
            ok: 1190,
            failed: 10,
            dropped: 0,
            unfinished: 2,
            by_status: counts(&[("200", 1193), ("503", 5)]),
            by_error: counts(&[("reset", 2)]),
            throughput_rps: 119.0,
            latency_ms: None,
            first_byte_ms: None,
            server_ms: None,
            in_flight_mean: 50.0,
            server_cores: Some(0.96),
            own_cores: None,
            gpus: Vec::new(),
            models: Vec::new(),
        }
    }

    fn load(steps: Vec<Step>, unmade: Option<&str>) -> Load {
        Load {
            command: "stress".into(),
            unmade: unmade.map(str::to_owned),
            stopped_by: "interrupted".into(),
            stopped_because: "it was interrupted".into(),
            distinct_payloads: Some(64),
            body_bytes: Some(128_044.0),
            think_time_ms: Some(0.0),
            first_request_ms: None,
            warm_up_requests: None,
            own_cpu_us_per_request: Some(54.2),
            steps,
            bench: None,
        }
    }

    fn written(load: &Load) -> String {
        let mut out = Vec::new();
        write(load, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_failures_are_told_by_kind() {
        let text = written(&load(vec![step()], None));
        let row = text.lines().find(|line| line.trim_start().starts_with("50 ")).unwrap();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells, ["50", "1,200", "10", "119.0", "-", "-", "-", "-", "-", "-", "1.0"]);
        assert!(text.contains(
            "50 users: 5 answered 503, 2 reset, 3 answered 2xx with an error inside, 2 not answered in time"
        ));
        assert!(text.contains("the load ended before its plan did: it was interrupted"), "{text}");
        assert!(HEAD.len() <= 100 && row.len() <= 100);
    }

    #[test]
    fn a_load_that_was_not_made_is_said() {
        let text = written(&load(Vec::new(), Some("this server speaks gRPC")));
        assert!(text.ends_with("no load was made: this server speaks gRPC\n"), "{text}");
    }
}
