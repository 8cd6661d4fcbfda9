//! What a watch comes to, in words.

use crate::probe::watch::{GpuSummary, Range, ServerSummary, Summary};
use crate::report::page::Page;
use crate::words::{grouped, plain};
use colored::Colorize;
use std::io::{Result, Write};

/// Writes it; nothing where no interval was full. `files` says what was written where.
pub fn write(summary: &Summary, files: &[String], out: &mut Page) -> Result<()> {
    let Some((first, last)) = summary.span_ms else { return Ok(()) };
    let seconds = (last - first) / 1e3;
    let intervals = crate::words::count(summary.turns as usize, "interval");
    writeln!(out, "\n{} {intervals}, {}", "watched".bold(), duration(seconds))?;
    // An interval's own length: a turn that was late made one longer.
    let each_s = seconds / summary.turns.max(1) as f64;
    for (index, gpu) in &summary.gpus {
        out.paragraph("  ", &of_gpu(*index, gpu, summary.turns, each_s))?;
    }
    if let Some(server) = &summary.server {
        out.paragraph("  ", &of_server(server, summary.turns))?;
    }
    for event in &summary.events {
        out.paragraph("  ", &format!("{} {}", event.time, event.said))?;
    }
    if summary.events_left_out > 0 {
        out.paragraph("  ", &format!("and {} more such events", grouped(summary.events_left_out)))?;
    }
    files.iter().try_for_each(|file| out.paragraph("  ", &format!("written to {}", plain(file))))?;
    writeln!(out)
}

/// A time for people: `0.6 s`, `12 s`, `5 min 3 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..=119 => format!("{whole} s"),
        120..=7199 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

fn of_gpu(index: u64, gpu: &GpuSummary, turns: u64, each_s: f64) -> String {
    let gib = |bytes: f64| bytes / (1u64 << 30) as f64;
    let mut parts = Vec::new();
    let told = |range: &Range, words: &dyn Fn(&Range) -> String| (!range.is_empty()).then(|| words(range));
    parts.extend(told(&gpu.utilization_percent, &|range| {
        let (mean, p95, max) = (range.mean(), range.quantile(0.95), range.max());
        format!("utilization {mean:.0} % on average, 95 % of the intervals up to {p95:.0} %, {max:.0} % at most")
    }));
    if gpu.idle > 0 {
        let idle_for = duration(gpu.idle as f64 * each_s);
        parts.push(match gpu.idle == turns {
            true => format!("idle all the time ({idle_for}): no sample shows a kernel"),
            false => format!("idle in {} of {} intervals ({idle_for})", grouped(gpu.idle), grouped(turns)),
        });
    }
    parts.extend(told(&gpu.memory_used_bytes, &|range| {
        let of = gpu.memory_total_bytes.map_or(String::new(), |total| format!(" of {:.1}", gib(total as f64)));
        format!("memory {:.2} GiB on average, {:.2}{of} at most", gib(range.mean()), gib(range.max()))
    }));
    parts.extend(told(&gpu.power_milliwatts, &|range| {
        format!("power {:.0} W on average, {:.0} W at most", range.mean() / 1e3, range.max() / 1e3)
    }));
    parts.extend(told(&gpu.temperature_celsius, &|range| {
        format!("{:.0} °C on average, {:.0} °C at most", range.mean(), range.max())
    }));
    parts.extend(told(&gpu.sm_clock_mhz, &|range| {
        format!("clock {:.0} MHz on average, {:.0} at most", range.mean(), range.max())
    }));
    parts.extend(told(&gpu.sm_activity_percent, &|range| {
        format!("multiprocessors in use {:.0} % on average, {:.0} % at most", range.mean(), range.max())
    }));
    for (reason, count) in &gpu.throttled {
        let intervals = crate::words::count(*count as usize, "interval");
        parts.push(format!("clocks held back by {} in {intervals}", reason.replace('_', " ")));
    }
    if !gpu.untold.is_empty() {
        let untold: Vec<&str> = gpu.untold.iter().copied().collect();
        parts.push(format!("n/a: {}", untold.join(", ")));
    }
    if gpu.lost > 0 {
        parts.push(format!("it did not answer in {} of {} intervals", grouped(gpu.lost), grouped(turns)));
    }
    let name = gpu.name.as_ref().map_or(String::new(), |name| format!(" {}", plain(name)));
    let parts = if parts.is_empty() { "nothing was read".to_owned() } else { parts.join("; ") };
    format!("GPU {index}{name}: {parts}")
}

fn of_server(server: &ServerSummary, turns: u64) -> String {
    let mut parts = vec![match server.gained.is_empty() {
        true => "its counters were never read twice".to_owned(),
        false if server.requests == 0.0 => "no request was counted".to_owned(),
        false => format!(
            "{} requests by its own count, {:.1} an interval on average, {:.0} at most",
            grouped(server.requests.round() as u64),
            server.gained.mean(),
            server.gained.max()
        ),
    }];
    if server.failed > 0.0 {
        parts.push(format!("{} failed or were refused", grouped(server.failed.round() as u64)));
    }
    for (what, range) in [("queue", &server.queue_ms), ("inference", &server.infer_ms)] {
        if !range.is_empty() {
            parts.push(format!(
                "{what} {:.2} ms on average, {:.2} ms in the worst interval",
                range.mean(),
                range.max()
            ));
        }
    }
    if server.unread > 0 {
        parts.push(format!("not read in {} of {} intervals", grouped(server.unread), grouped(turns)));
    }
    format!("server: {}", parts.join("; "))
}
