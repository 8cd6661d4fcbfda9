//! A benchmark, for people.

use super::bench::{Against, Bench, Measure};
use super::table::failures;
use super::{Load, Step};
use crate::report::page::Page;
use crate::words::{bytes, count, grouped};
use colored::Colorize;
use std::io::{Result, Write};

/// Columns of the table's names, and of the page from which on it has room for two measures side by side.
const NAME: usize = 14;
const SIDE_BY_SIDE: usize = 80;

/// A figure and the range in which it lies.
type Told = (Option<f64>, Option<(f64, f64)>);

/// Writes what was sent, the times, and what they are held against.
pub fn write(load: &Load, bench: &Bench, out: &mut Page) -> Result<()> {
    let Some(step) = load.steps.first() else { return Ok(()) };
    out.paragraph("  ", &sent(load, bench, step))?;
    out.paragraph("  ", &left_out(load))?;
    if step.failed + step.unfinished > 0 {
        out.paragraph("  ", &format!("Not accepted: {}.", failures(step)))?;
    }
    if !load.stopped_because.is_empty() {
        out.paragraph("  ", &format!("It ended before its plan did: {}.", load.stopped_because))?;
    }
    times(bench, out)?;
    out.paragraph("  ", &rates(load, bench, step))?;
    own_time(bench, out)?;
    gpus(bench, step, out)?;
    if let Some(baseline) = &bench.baseline {
        writeln!(out, "\n{}", "against what is usual".bold())?;
        out.paragraph("  ", &baseline.because)?;
    }
    if let Some(against) = &bench.against {
        compared(against, out)?;
    }
    match bench.files.is_empty() {
        true => Ok(()),
        false => {
            writeln!(out, "\n{}", "written".bold())?;
            bench.files.iter().try_for_each(|file| out.paragraph("  ", file))
        }
    }
}

fn sent(load: &Load, bench: &Bench, step: &Step) -> String {
    let request = bench.request.as_deref().unwrap_or("the good request");
    let size = load.body_bytes.filter(|size| *size >= 1.0).map_or(String::new(), |size| {
        let kinds = match load.distinct_payloads {
            Some(1) => ", all alike, so that a cache may have answered".to_owned(),
            Some(kinds) => format!(", of {} kinds that differ", grouped(kinds)),
            None => String::new(),
        };
        format!("; {} each{kinds}", bytes(size))
    });
    let wait = load.think_time_ms.filter(|ms| *ms > 0.0);
    let wait = wait.map_or(String::new(), |ms| format!(", {} s after each answer", ms / 1e3));
    format!(
        "{request} by one user, one request after the other{wait}: {} in {:.1} s, {} accepted{size}.",
        count(usize::try_from(step.requests).unwrap_or(usize::MAX), "request"),
        step.seconds,
        if step.ok == step.requests { "all".to_owned() } else { grouped(step.ok) },
    )
}

fn left_out(load: &Load) -> String {
    let first = load.first_request_ms.map(|ms| format!(", the first of which took {ms:.1} ms")).unwrap_or_default();
    let warm_up = match load.warm_up_requests {
        Some(0) => "no warm-up".to_owned(),
        Some(requests) => format!("{} of warm-up", count(usize::try_from(requests).unwrap_or(usize::MAX), "request")),
        None => "the warm-up".to_owned(),
    };
    format!("Left out: {warm_up}, and before it the requests of the examination{first}.")
}

fn times(bench: &Bench, out: &mut Page) -> Result<()> {
    let Some(whole) = &bench.latency_ms else {
        return out.paragraph("  ", "No request was accepted, so there are no times.");
    };
    let own = bench.server_ms.as_ref();
    let title = match bench.server_time_of.as_deref() {
        Some("request") => "server's own time of the request",
        _ => "server's own time",
    };
    let whole = ("whole request", whole);
    let both: Vec<_> = std::iter::once(whole).chain(own.map(|own| (title, own))).collect();
    // Side by side where there is room, else one below the other.
    let each = if out.width() < SIDE_BY_SIDE { 1 } else { 2 };
    for measures in both.chunks(each) {
        writeln!(out)?;
        table(measures, out)?;
    }
    let whole = whole.1;
    let open: Vec<String> = { whole.percentiles.iter() }
        .filter(|one| one.value.is_none())
        .map(|one| format!("p{} {}", one.percent, grouped((100.0 / (100.0 - one.percent)).round() as u64)))
        .collect();
    writeln!(out)?;
    match open.is_empty() {
        true => Ok(()),
        false => out.paragraph("  ", &format!("Open for want of requests; at least needed: {}.", open.join(", "))),
    }
}

/// Measures side by side.
fn table(measures: &[(&str, &Measure)], out: &mut Page) -> Result<()> {
    let titles: String = measures.iter().map(|(title, _)| format!("{title:>24}{:10}", "")).collect();
    let units: String = measures.iter().map(|_| format!("{:>24}{:10}", "ms   95 % between", "")).collect();
    for head in [titles, units] {
        writeln!(out, "{}", format!("  {:NAME$}{head}", "").trim_end())?;
    }
    let mut line = |name: &str, of: &dyn Fn(&Measure) -> Told| {
        let cell = |(_, measure): &(&str, &Measure)| {
            let (value, between) = of(measure);
            let value = value.map_or("-".to_owned(), ms);
            let between = between.map_or(String::new(), |(low, high)| format!("{} .. {}", ms(low), ms(high)));
            format!("{value:>9}  {between:<19}    ")
        };
        let cells: String = measures.iter().map(cell).collect();
        writeln!(out, "{}", format!("  {name:<NAME$}{cells}").trim_end())
    };
    line("mean", &|one| (Some(one.mean), one.mean_95_percent))?;
    let percents = measures.first().map(|(_, first)| first.percentiles.as_slice()).unwrap_or_default();
    for (place, percent) in percents.iter().map(|one| one.percent).enumerate() {
        let name = if percent == 50.0 { "p50, median".to_owned() } else { format!("p{percent}") };
        let of = |one: &Measure| {
            one.percentiles
                .get(place)
                .map_or((None, None), |one| (one.value, one.between_95_percent.filter(|_| one.value.is_some())))
        };
        line(&name, &of)?;
    }
    line("std dev", &|one| (one.std_dev, None))?;
    line("min", &|one| (Some(one.min), None))?;
    line("max", &|one| (Some(one.max), None))
}

fn ms(value: f64) -> String {
    match value {
        value if value < 0.1 => format!("{value:.3}"),
        value if value < 1e3 => format!("{value:.1}"),
        value => grouped(value.round() as u64),
    }
}

fn rates(load: &Load, bench: &Bench, step: &Step) -> String {
    let waited = load.think_time_ms.is_some_and(|ms| ms > 0.0);
    let alone = bench.rps_without_wait.filter(|_| waited);
    let alone =
        alone.map_or(String::new(), |rps| format!("; without the wait one user would get {} (1000 / mean)", rate(rps)));
    let share = 100.0 * step.ok as f64 / step.requests.max(1) as f64;
    format!("Success {share:.1} %, {} answers a second{alone}.", rate(step.throughput_rps))
}

fn rate(rps: f64) -> String {
    if rps < 10.0 { format!("{rps:.2}") } else { format!("{rps:.1}") }
}

/// How much of the request is the server's own.
fn own_time(bench: &Bench, out: &mut Page) -> Result<()> {
    let (Some(own), Some(whole), Some(place)) = (&bench.server_ms, &bench.latency_ms, &bench.server_time_in) else {
        let why = bench.server_time_lacks.as_deref().unwrap_or("no answer tells it");
        let by_counters = bench.inference_ms.map(|ms| format!("; by its counters the model takes {ms:.1} ms"));
        let told =
            by_counters.unwrap_or_else(|| "; --server-time or --server-time-header names where it stands".into());
        return out.paragraph("  ", &format!("The server's own time is not known: {why}{told}."));
    };
    let rest = whole.mean - own.mean;
    let told = match own.count == whole.count {
        true => String::new(),
        false => format!(", in {} of {} answers", grouped(own.count), grouped(whole.count)),
    };
    let share = 100.0 * (rest / whole.mean).max(0.0);
    out.paragraph(
        "  ",
        &format!(
            "The server's own time is {place}{told}; {} ms of a request ({share:.0} %) pass outside of it.",
            ms(rest.max(0.0))
        ),
    )
}

fn gpus(bench: &Bench, step: &Step, out: &mut Page) -> Result<()> {
    if let Some(why) = &bench.gpus_lack {
        return out.paragraph("  ", &format!("The GPUs were not watched: {why}."));
    }
    let name = match bench.gpus.as_slice() {
        [one] => format!(" ({one})"),
        _ => String::new(),
    };
    for gpu in &step.gpus {
        let mut told = Vec::new();
        told.extend(gpu.utilization_percent.map(|busy| format!("{busy:.0} % busy")));
        told.extend(gpu.memory_used_bytes.map(|used| format!("{} of memory in use", bytes(used))));
        told.extend(gpu.power_watts.map(|watts| format!("{watts:.0} W")));
        told.extend(gpu.temperature_celsius.map(|celsius| format!("{celsius:.0} °C")));
        let told = if told.is_empty() { "it tells nothing of itself".to_owned() } else { told.join(", ") };
        out.paragraph("  ", &format!("GPU {}{name}: {told}.", gpu.index))?;
    }
    Ok(())
}

fn compared(against: &Against, out: &mut Page) -> Result<()> {
    writeln!(out, "\n{}", format!("against {}", against.file).bold())?;
    out.paragraph("  ", &format!("{} (the earlier run: {}).", against.headline, against.taken_at))?;
    if !against.circumstances.is_empty() {
        out.paragraph("  ", &format!("Not the same in both runs: {}.", against.circumstances.join("; ")))?;
    }
    for row in &against.differences {
        let figure = match row.figure.as_str() {
            "mean ms" => "whole request, mean ms",
            "median ms" => "whole request, median ms",
            "p99 ms" => "whole request, p99 ms",
            "server mean ms" => "server's own, mean ms",
            "requests/s" => "answers a second",
            other => other,
        };
        let head = format!("  {figure:<26}{:>8} -> {:<9}{:<10}", ms(row.before), ms(row.after), row.verdict);
        match out.width() < SIDE_BY_SIDE {
            true => {
                writeln!(out, "{}", head.trim_end())?;
                out.paragraph("      ", &row.because)?;
            }
            false => out.hanging(&head, head.len(), &row.because)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::bench::{Baseline, Figure, Percentile};
    use super::super::{StepGpu, Times};
    use super::*;
    use crate::report::Style;

    fn measure(mean: f64) -> Measure {
        let percentile = |percent, value, between_95_percent| Percentile { percent, value, between_95_percent };
        Measure {
            count: 118,
            mean,
            mean_95_percent: Some((mean - 1.0, mean + 1.0)),
            std_dev: Some(5.125),
            min: mean - 6.0,
            max: 1234.5,
            percentiles: vec![
                percentile(50.0, Some(mean), Some((mean - 0.9, mean + 0.9))),
                percentile(99.0, Some(mean + 20.0), None),
                percentile(99.9, None, None),
            ],
        }
    }

    fn bench() -> Bench {
        Bench {
            request: Some("POST /asr".into()),
            latency_ms: Some(measure(46.2)),
            server_ms: Some(Measure { count: 100, ..measure(41.0) }),
            server_time_in: Some("the answer's field inference_time_ms".into()),
            server_time_of: Some("inference".into()),
            server_time_lacks: None,
            inference_ms: Some(41.0),
            rps_without_wait: Some(21.645),
            gpus: vec!["Tesla T4".into()],
            gpus_lack: None,
            baseline: None,
            against: None,
            files: Vec::new(),
        }
    }

    fn written(bench: Bench, change: fn(&mut Load)) -> String {
        let step = Step {
            users: 1,
            rate: None,
            verdict: "healthy".into(),
            because: Vec::new(),
            success_percent: None,
            queue_ms: None,
            batch_size: None,
            inference_ms: None,
            seconds: 120.0,
            requests: 120,
            ok: 118,
            failed: 2,
            dropped: 0,
            unfinished: 0,
            by_status: [("200".to_owned(), 118), ("503".to_owned(), 1)].into(),
            by_error: [("timed_out".to_owned(), 1)].into(),
            throughput_rps: 0.983,
            latency_ms: None::<Times>,
            first_byte_ms: None,
            server_ms: None,
            in_flight_mean: 0.05,
            server_cores: None,
            own_cores: None,
            gpus: vec![StepGpu {
                index: 0,
                utilization_percent: Some(34.2),
                utilization_percent_max: Some(52.0),
                memory_used_bytes: Some(2.1e9),
                power_watts: None,
                temperature_celsius: Some(51.0),
            }],
            models: Vec::new(),
        };
        let mut load = Load {
            command: "bench".into(),
            unmade: None,
            stopped_by: String::new(),
            stopped_because: String::new(),
            distinct_payloads: Some(64),
            body_bytes: Some(128_044.0),
            think_time_ms: Some(1000.0),
            first_request_ms: Some(812.0),
            warm_up_requests: Some(20),
            warm_up_medians_ms: Vec::new(),
            judged: crate::report::load::Judged::default(),
            own_cpu_us_per_request: None,
            steps: vec![step],
            bench: None,
        };
        change(&mut load);
        let at = |width: usize| {
            let (mut out, style) = (Vec::new(), Style { width, ..Style::default() });
            write(&load, &bench, &mut Page::new(&style, &mut out)).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
            text
        };
        for width in [60, 80, 120] {
            at(width);
        }
        at(100)
    }

    /// One line, as it is read aloud.
    fn read(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_was_sent_left_out_and_not_accepted_is_told() {
        let text = read(&written(bench(), |_| {}));
        for told in [
            "POST /asr by one user, one request after the other, 1 s after each answer: 120 requests in 120.0 s, 118 accepted; \
             128.0 kB each, of 64 kinds that differ.",
            "Left out: 20 requests of warm-up, and before it the requests of the examination, the first of which took 812.0 ms.",
            "Not accepted: 1 answered 503, 1 timed out.",
            "p50, median 46.2 45.3 .. 47.1 41.0 40.1 .. 41.9",
            "p99 66.2 61.0",
            "p99.9 - -",
            "Open for want of requests; at least needed: p99.9 1,000.",
            "Success 98.3 %, 0.98 answers a second; without the wait one user would get 21.6 (1000 / mean).",
            "The server's own time is the answer's field inference_time_ms, in 100 of 118 answers; 5.2 ms of a request (11 %) \
             pass outside of it.",
            "GPU 0 (Tesla T4): 34 % busy, 2.1 GB of memory in use, 51 °C.",
        ] {
            assert!(text.contains(&read(told)), "{told}\n{text}");
        }
        assert!(!text.contains("ended before"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_said() {
        let lacking = Bench {
            server_ms: None,
            inference_ms: None,
            server_time_lacks: Some("the server's answers tell no time of its own".into()),
            gpus_lack: Some("NVML is not usable (no library)".into()),
            ..bench()
        };
        let text = read(&written(lacking, |load| {
            load.stopped_because = "it was interrupted".into();
            load.warm_up_requests = Some(0);
            load.distinct_payloads = Some(1);
        }));
        for told in [
            "its own; --server-time or --server-time-header names where it stands.",
            "The GPUs were not watched: NVML is not usable",
            "It ended before its plan did: it was interrupted.",
            "Left out: no warm-up",
            "all alike, so that a cache may have answered",
        ] {
            assert!(text.contains(told), "{told}\n{text}");
        }
    }

    #[test]
    fn what_it_is_held_against_is_told_in_lines_that_fit() {
        let figure = |figure: &str, verdict: &str, because: &str| Figure {
            figure: figure.into(),
            before: 1041.2,
            after: 0.0414,
            ratio: None,
            verdict: verdict.into(),
            because: because.into(),
        };
        let held = Bench {
            baseline: Some(Baseline {
                because: "2.1x slower than a T4 usually is".into(),
                model: None,
                gpu: None,
                usual_ms: None,
                measured_ms: None,
                ratio: None,
                differs: Vec::new(),
            }),
            against: Some(Against {
                file: "before.json".into(),
                taken_at: "2026-01-02T03:04:05Z".into(),
                verdict: "noise".into(),
                headline: "no difference beyond noise".into(),
                circumstances: vec!["driver: 1 before, 2 after".into()],
                differences: vec![
                    figure(
                        "mean ms",
                        "noise",
                        "+1.7 %, within noise: repeats of one load differ by up to 5 % (p 0.0001)",
                    ),
                    figure("p99 ms", "undecided", "too few values were kept to tell"),
                ],
            }),
            files: vec!["t4.csv: 1 row".into()],
            ..bench()
        };
        let text = written(held, |_| {});
        assert!(text.contains("2.1x slower than a T4") && text.contains("Not the same in both runs: driver"), "{text}");
        assert!(text.contains("  whole request, p99 ms        1,041 -> 0.041    undecided too few values"), "{text}");
        assert!(text.contains("t4.csv: 1 row"), "{text}");
    }
}
