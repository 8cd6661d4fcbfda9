//! The table of a load, for people.

use super::columns::{lines, verdict};
use super::{Load, Memory, Step, bench_text};
use crate::report::page::Page;
use crate::words::{bytes, grouped};
use colored::Colorize;
use std::io::{Result, Write};

/// Writes a line for each step, what they come to, what failed, and why the load ended.
pub fn write(load: &Load, out: &mut Page) -> Result<()> {
    writeln!(out, "\n{}", if load.command == "bench" { "benchmark" } else { "load" }.bold())?;
    if let Some(unmade) = &load.unmade {
        return out.paragraph("  ", &format!("No load was made: {unmade}."));
    }
    if let Some(bench) = &load.bench {
        return bench_text::write(load, bench, out);
    }
    out.paragraph("  ", &sent(load))?;
    if let Some(requests) = load.warm_up_requests {
        out.paragraph("  ", &warm_up(requests, &load.warm_up_medians_ms))?;
    }
    for line in lines(&load.steps, out.width()).iter().filter(|_| !load.steps.is_empty()) {
        writeln!(out, "{}", line)?;
    }
    for step in load.steps.iter().filter(|step| !step.because.is_empty()) {
        out.paragraph("  ", &format!("{}, {}: {}.", step.load(), verdict(step), step.because.join("; ")))?;
    }
    for step in load.steps.iter().filter(|step| step.failed + step.dropped + step.unfinished > 0) {
        out.paragraph("  ", &format!("{}, what failed: {}.", step.load(), failures(step)))?;
    }
    judged(load, out)?;
    match load.stopped_because.as_str() {
        "" => Ok(()),
        because => out.paragraph("  ", &format!("The load ended before its plan did: {because}.")),
    }
}

/// Knee, breaking point, capacity and memory.
fn judged(load: &Load, out: &mut Page) -> Result<()> {
    let judged = &load.judged;
    if !load.steps.is_empty() {
        let known = if judged.knee_users.is_some() { "Knee" } else { "No knee was seen" };
        out.paragraph("  ", &format!("{known}: {}.", judged.knee_because))?;
        let breaking = match judged.breaking_point.as_str() {
            "" if load.steps.iter().all(|step| verdict(step) == "unknown") => "not known, for no step could be judged",
            "" => "none of these steps was overloaded",
            words => words,
        };
        out.paragraph("  ", &format!("Breaking point: {breaking}."))?;
        out.paragraph("  ", &capacity(load))?;
    }
    for holds in &judged.holds {
        let answer = match holds.verdict.as_str() {
            "yes" => "yes",
            "degraded" => "yes, but degraded",
            "no" => "no",
            _ => "not measured",
        };
        let (users, interval) = (grouped(holds.users), holds.interval_s);
        let asked = format!("Does it hold {users} users at one request per {interval} s? {answer}");
        out.paragraph("  ", &format!("{asked}: {}.", holds.because))?;
    }
    time(load, out)?;
    for memory in judged.memory.iter().filter(|one| is_told(one)) {
        let verdict = match memory.verdict.as_str() {
            "leak" => "grows with every request",
            "plateau" => "came to rest",
            _ => "cannot be judged yet",
        };
        out.paragraph("  ", &format!("Memory of {} {verdict}: {}.", memory.whose(), memory.because))?;
    }
    Ok(())
}

/// Where the time of a request goes, what dominates, and what a change would pay.
fn time(load: &Load, out: &mut Page) -> Result<()> {
    let judged = &load.judged;
    if !judged.time_unknown.is_empty() && !load.steps.is_empty() {
        return out.paragraph("  ", &format!("Where the time goes is not known: {}.", judged.time_unknown));
    }
    for split in &judged.time {
        out.paragraph("  ", &split.sentence())?;
        for pays in &split.pays {
            out.paragraph("    ", &format!("What would pay: {pays}."))?;
        }
    }
    for change in &judged.config_changes {
        out.paragraph("  ", &format!("In {}, {}:", change.file, change.pays))?;
        for line in &change.lines {
            out.command("    ", line)?;
        }
    }
    Ok(())
}

/// Of what was read too seldom to be judged nothing is said.
fn is_told(memory: &Memory) -> bool {
    memory.verdict != "undecided" || memory.bytes_per_request.is_some()
}

fn capacity(load: &Load) -> String {
    let judged = &load.judged;
    let Some(rps) = judged.capacity_rps else {
        return "Capacity: no step was healthy, so that no load can be promised.".into();
    };
    let users = judged.capacity.iter().map(|one| {
        let users = if one.users == 1 { "1 user".into() } else { format!("{} users", grouped(one.users)) };
        format!("{users} at one request per {} s", one.interval_s)
    });
    let users = users.collect::<Vec<_>>().join(", ");
    let from = format!("Capacity: {rps:.1} requests a second, which were served well with {}", judged.capacity_from);
    if users.is_empty() { format!("{from}.") } else { format!("{from}. This holds {users}.") }
}

fn warm_up(requests: u64, medians_ms: &[f64]) -> String {
    let medians: Vec<String> = medians_ms.iter().map(|ms| format!("{ms:.1}")).collect();
    let end = match medians.split_last() {
        None => return format!("{} to warm up came before, and are not counted.", grouped(requests)),
        Some((only, [])) => format!("median {only} ms"),
        Some((last, [.., before])) => format!("their medians ended with {before} and {last} ms"),
    };
    format!("{} requests to warm up came before and are not counted: {end}.", grouped(requests))
}

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
    format!("{} requests{size}{cpu}.", grouped(requests))
}

/// What failed in a step, by kind; empty where nothing did.
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
pub(super) mod tests {
    use super::*;
    use crate::check::{ConfigChange, TimePart, TimeSplit};
    use crate::report::Style;
    use crate::report::load::{Judged, StepGpu, Times};

    pub fn step() -> Step {
        let counts = |all: &[(&str, u64)]| all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Step {
            users: 50,
            rate: None,
            verdict: "overloaded".into(),
            because: vec!["a request takes 1,200 ms".into()],
            seconds: 10.0,
            requests: 1200,
            ok: 1190,
            failed: 10,
            dropped: 0,
            unfinished: 2,
            by_status: counts(&[("200", 1193), ("503", 5)]),
            by_error: counts(&[("reset", 2)]),
            success_percent: Some(99.167),
            throughput_rps: 119.0,
            latency_ms: None,
            first_byte_ms: None,
            server_ms: None,
            queue_ms: None,
            batch_size: None,
            inference_ms: None,
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
            warm_up_requests: Some(30),
            warm_up_medians_ms: vec![12.0, 8.04, 8.0],
            own_cpu_us_per_request: Some(54.2),
            steps,
            judged: Judged { knee_because: "3 steps are needed".into(), ..Judged::default() },
            bench: None,
        }
    }

    fn written(load: &Load) -> String {
        let mut out = Vec::new();
        write(load, &mut Page::new(&Style::default(), &mut out)).unwrap();
        // Lines that belong together as one.
        String::from_utf8(out).unwrap().replace("\n  ", " ")
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_failures_are_told_by_kind() {
        let text = written(&load(vec![step()], None));
        let row = lines(&[step()], 100).pop().unwrap();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells, ["50", "overloaded", "1,200", "12", "119.0", "-", "-", "-", "-", "1.0"]);
        assert!(!text.contains("mem") && !text.contains("queue"), "what nothing tells has no column: {text}");
        assert!(text.contains("5 answered 503, 2 reset, 3 answered 2xx with an error inside, 2 not answered in time"));
        assert!(text.contains("The load ended before its plan did: it was interrupted."), "{text}");
        assert!(text.contains(
            "30 requests to warm up came before and are not counted: their medians ended with 8.0 and 8.0 ms."
        ));
    }

    #[test]
    fn where_the_time_goes_stands_below_with_the_lines_that_would_pay() {
        let mut load = load(vec![step()], None);
        load.judged.time_unknown = "the server does not tell its model's time".into();
        assert!(
            written(&load).contains("Where the time goes is not known: the server does not tell its model's time.")
        );
        let part =
            |part: &str, ms: f64| TimePart { part: part.into(), ms, percent: 10.0 * ms, told_by: "counters".into() };
        load.judged.time_unknown = String::new();
        load.judged.time = vec![TimeSplit {
            load: "50 users".into(),
            request_ms: 10.0,
            parts: vec![part("queue", 8.0), part("network_and_framework", 2.0)],
            dominates: "queue".into(),
            pays: vec!["with twice the instances about 6.0 ms".into()],
        }];
        load.judged.config_changes = vec![ConfigChange {
            model: "card".into(),
            file: "/models/card/config.pbtxt".into(),
            lines: vec!["dynamic_batching { }".into()],
            pays: "batches hold 1.0 of 16".into(),
        }];
        let text = written(&load);
        assert!(
            text.contains(
                "Where 10.0 ms go with 50 users: queue 8.0 ms (80 %), network and framework 2.0 ms (20 %). \
             \x20 What would pay: with twice the instances about 6.0 ms."
            ),
            "{text}"
        );
        assert!(
            text.contains("In /models/card/config.pbtxt, batches hold 1.0 of 16:   dynamic_batching { }"),
            "{text}"
        );
    }

    #[test]
    fn no_line_is_too_long_however_much_is_known() {
        let ms = |median: f64| Times {
            min: 1.0,
            mean: median,
            median,
            std_dev: None,
            p90: 1e5,
            p95: 1e5,
            p99: 1e5,
            p999: 1e5,
            max: 1e6,
            mean_95_percent: None,
            p99_95_percent: None,
        };
        let gpu = StepGpu {
            index: 0,
            utilization_percent: Some(97.0),
            utilization_percent_max: Some(100.0),
            memory_used_bytes: Some(75e9),
            power_watts: Some(500.0),
            temperature_celsius: Some(71.0),
        };
        let full = Step {
            users: 100_000,
            rate: Some(10_000.0),
            latency_ms: Some(ms(123_456.0)),
            server_ms: Some(ms(123_456.0)),
            queue_ms: Some(12_345.6),
            batch_size: Some(15.5),
            inference_ms: Some(1234.0),
            gpus: vec![gpu],
            ..step()
        };
        let steps = [step(), full];
        for width in [60, 80, 100, 120] {
            let lines = lines(&steps, width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
            let all = lines.join(" ");
            for name in ["verdict", "p99", "queue", "batch", "mem"] {
                assert!(all.contains(name), "{width}: {name}: {lines:#?}");
            }
        }
        let lines = lines(&steps, 100);
        for name in ["verdict", "p99", "queue", "batch", "mem"] {
            assert!(lines[0].contains(name), "{name}: {lines:#?}");
        }
        assert!(!lines[0].contains("p90"), "{lines:#?}");
    }

    #[test]
    fn a_load_that_was_not_made_is_said() {
        let text = written(&load(Vec::new(), Some("this server speaks gRPC")));
        assert!(text.ends_with("No load was made: this server speaks gRPC.\n"), "{text}");
    }
}
