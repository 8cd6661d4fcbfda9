//! A benchmark, for people.

use super::bench::{Against, Bench, Measure};
use super::table::failures;
use super::{Load, Step};
use crate::report::text::paragraph;
use crate::words::{bytes, count, grouped};
use colored::Colorize;
use std::io::{Result, Write};

/// Width of the first column, and of a value and its range.
const NAME: usize = 14;

/// A figure and the range in which it lies.
type Told = (Option<f64>, Option<(f64, f64)>);

/// Writes what was sent, the times, and what they are held against.
pub fn write(load: &Load, bench: &Bench, out: &mut dyn Write) -> Result<()> {
    let Some(step) = load.steps.first() else { return Ok(()) };
    paragraph(out, "  ", &sent(load, bench, step))?;
    paragraph(out, "  ", &left_out(load))?;
    if step.failed + step.unfinished > 0 {
        paragraph(out, "  ", &format!("not accepted: {}", failures(step)))?;
    }
    if !load.stopped_because.is_empty() {
        paragraph(out, "  ", &format!("it ended before its plan did: {}", load.stopped_because))?;
    }
    times(bench, out)?;
    paragraph(out, "  ", &rates(load, bench, step))?;
    own_time(bench, out)?;
    gpus(bench, step, out)?;
    if let Some(baseline) = &bench.baseline {
        writeln!(out, "\n{}", "against what is usual".bold())?;
        paragraph(out, "  ", &baseline.because)?;
    }
    if let Some(against) = &bench.against {
        compared(against, out)?;
    }
    match bench.files.is_empty() {
        true => Ok(()),
        false => {
            writeln!(out, "\n{}", "written".bold())?;
            bench.files.iter().try_for_each(|file| paragraph(out, "  ", file))
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

fn times(bench: &Bench, out: &mut dyn Write) -> Result<()> {
    let Some(whole) = &bench.latency_ms else {
        return paragraph(out, "  ", "No request was accepted, so there are no times.");
    };
    let own = bench.server_ms.as_ref();
    let title = match bench.server_time_of.as_deref() {
        Some("request") => "server's own time of the request",
        _ => "server's own time",
    };
    let columns = |whole: &str, own: &str| format!("  {:NAME$}{whole:>24}  {own:>32}", "").trim_end().to_owned();
    writeln!(out)?;
    writeln!(out, "{}", columns("whole request", if own.is_some() { title } else { "" }))?;
    writeln!(out, "{}", columns("ms   95 % between", if own.is_some() { "ms   95 % between" } else { "" }))?;
    let line = |name: &str, of: &dyn Fn(&Measure) -> Told| {
        let cell = |measure: &Measure| {
            let (value, between) = of(measure);
            let value = value.map_or("-".to_owned(), ms);
            let between = between.map_or(String::new(), |(low, high)| format!("{} .. {}", ms(low), ms(high)));
            format!("{value:>9}  {between:<19}")
        };
        let own = own.map(cell).unwrap_or_default();
        format!("  {name:<NAME$}{}    {own}", cell(whole)).trim_end().to_owned()
    };
    writeln!(out, "{}", line("mean", &|one| (Some(one.mean), one.mean_95_percent)))?;
    for place in 0..whole.percentiles.len() {
        let percent = whole.percentiles.get(place).map_or(0.0, |one| one.percent);
        let name = if percent == 50.0 { "p50, median".to_owned() } else { format!("p{percent}") };
        let of = |one: &Measure| {
            one.percentiles
                .get(place)
                .map_or((None, None), |one| (one.value, one.between_95_percent.filter(|_| one.value.is_some())))
        };
        writeln!(out, "{}", line(&name, &of))?;
    }
    writeln!(out, "{}", line("std dev", &|one| (one.std_dev, None)))?;
    writeln!(out, "{}", line("min", &|one| (Some(one.min), None)))?;
    writeln!(out, "{}", line("max", &|one| (Some(one.max), None)))?;
    let open: Vec<String> = { whole.percentiles.iter() }
        .filter(|one| one.value.is_none())
        .map(|one| format!("p{} {}", one.percent, grouped((100.0 / (100.0 - one.percent)).round() as u64)))
        .collect();
    writeln!(out)?;
    match open.is_empty() {
        true => Ok(()),
        false => paragraph(out, "  ", &format!("Open for want of requests; at least needed: {}.", open.join(", "))),
    }
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
fn own_time(bench: &Bench, out: &mut dyn Write) -> Result<()> {
    let (Some(own), Some(whole), Some(place)) = (&bench.server_ms, &bench.latency_ms, &bench.server_time_in) else {
        let why = bench.server_time_lacks.as_deref().unwrap_or("no answer tells it");
        let by_counters = bench.inference_ms.map(|ms| format!("; by its counters the model takes {ms:.1} ms"));
        let told =
            by_counters.unwrap_or_else(|| "; --server-time or --server-time-header names where it stands".into());
        return paragraph(out, "  ", &format!("The server's own time is not known: {why}{told}."));
    };
    let rest = whole.mean - own.mean;
    let told = match own.count == whole.count {
        true => String::new(),
        false => format!(", in {} of {} answers", grouped(own.count), grouped(whole.count)),
    };
    let share = 100.0 * (rest / whole.mean).max(0.0);
    paragraph(
        out,
        "  ",
        &format!(
            "The server's own time is {place}{told}; {} ms of a request ({share:.0} %) pass outside of it.",
            ms(rest.max(0.0))
        ),
    )
}

fn gpus(bench: &Bench, step: &Step, out: &mut dyn Write) -> Result<()> {
    if let Some(why) = &bench.gpus_lack {
        return paragraph(out, "  ", &format!("The GPUs were not watched: {why}."));
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
        paragraph(out, "  ", &format!("GPU {}{name}: {told}.", gpu.index))?;
    }
    Ok(())
}

fn compared(against: &Against, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "\n{}", format!("against {}", against.file).bold())?;
    paragraph(out, "  ", &format!("{} ({}).", against.headline, against.taken_at))?;
    if !against.circumstances.is_empty() {
        paragraph(out, "  ", &format!("Not the same in both runs: {}.", against.circumstances.join("; ")))?;
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
        writeln!(out, "  {figure:<26}{:>10.1} -> {:<10.1}{:<11}{}", row.before, row.after, row.verdict, row.because)?;
    }
    Ok(())
}
