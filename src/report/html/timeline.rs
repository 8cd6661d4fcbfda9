//! What the GPUs and the server's CPU did, against the requests.

use super::chart::{AXIS, LEFT, PLOT, Panel, RIGHT, TITLE, Time, WIDTH};
use super::escape::{Text, number};
use super::frame::part;
use super::gpus;
use crate::report::Report;
use crate::snapshot::{ExecutionFacts, Fact, GpuTimeline, RequestTime, Snapshot, Why};
use crate::words::count;
use std::io::{Result, Write};

/// Height of a lane of requests, and of a request in it.
const LANE: f64 = 20.0;
const BAR: f64 = 12.0;
/// Most readings of a counter that are drawn; the probes keep at most 256.
const POINTS_MAX: usize = 512;

/// Most requests and GPUs that are drawn. The probes keep fewer requests; a document from elsewhere may hold any number.
const REQUESTS_MAX: usize = 1024;
const GPUS_MAX: usize = 16;

/// Whether anything ran that could be drawn.
pub fn has(snapshot: &Snapshot) -> bool {
    let execution = &snapshot.facts.execution;
    let asked = |why: Option<Why>| why.is_some_and(|why| why != Why::NotAsked);
    execution.gpus.known().is_some_and(|gpus| !gpus.is_empty())
        || requests(execution).is_some()
        || asked(execution.gpus.reason().map(|unknown| unknown.why))
}

/// Writes the pictures, or why there are none.
pub fn write(report: &Report, snapshot: &Snapshot, out: &mut dyn Write) -> Result<()> {
    if !has(snapshot) {
        return Ok(());
    }
    let execution = &snapshot.facts.execution;
    part("timeline", "GPUs against requests", out)?;
    let windows = execution.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let lines: Vec<Option<Line>> = windows.iter().map(|window| window.timeline.known().map(Line::of)).collect();
    let cpu: Vec<(f64, Option<f64>)> = cpu(execution);
    let moments = lines.iter().flatten().flat_map(|line| line.at_ms.iter().copied());
    let moments = moments.chain(cpu.iter().map(|(at, _)| *at));
    let ends = requests(execution).into_iter().flatten().map(|one| one.begun_ms + one.duration_ms);
    let time = Time::over(moments.chain(ends), execution.window_ms.known().copied());
    let drawn = requests(execution).is_some() || !cpu.is_empty() || lines.iter().any(Option::is_some);
    let cut = cpu.len() >= POINTS_MAX || lines.iter().flatten().any(|line| line.at_ms.len() >= POINTS_MAX);
    summary(execution, drawn, cut, out)?;
    if let Some(time) = &time {
        above(execution, &cpu, time, out)?;
    }
    if let Some(unknown) = execution.gpus.reason() {
        writeln!(out, "<p class=\"nothing-drawn\">No GPU was watched: {}.</p>", Text(&unknown.detail))?;
    }
    gpus::overview(report, windows.get(..GPUS_MAX).unwrap_or(windows), out)?;
    for (window, line) in windows.iter().zip(&lines).take(GPUS_MAX) {
        gpus::open(report, snapshot, window, windows.len(), out)?;
        match (line, &time) {
            (Some(line), Some(time)) => line.draw(window, snapshot, time, out)?,
            _ => {
                let why = window.timeline.reason().map(|unknown| match unknown.detail.as_str() {
                    "" => unknown.to_string(),
                    detail => detail.to_owned(),
                });
                let why = why.unwrap_or_else(|| "its readings are no span of time".into());
                writeln!(out, "<p class=\"nothing-drawn\">Not drawn: {}.</p>", Text(&why))?;
            }
        }
        gpus::close(report, window, out)?;
    }
    if windows.len() > GPUS_MAX {
        let more = count(windows.len() - GPUS_MAX, "more GPU");
        writeln!(
            out,
            "<p class=\"nothing-drawn\">{more} were watched and are not drawn; the report as JSON tells what they did.</p>"
        )?;
    }
    writeln!(out, "</section>")
}

fn requests(execution: &ExecutionFacts) -> Option<&[RequestTime]> {
    let times = execution.request_times.known().map(Vec::as_slice).filter(|times| !times.is_empty())?;
    times.get(..times.len().min(REQUESTS_MAX))
}

fn cpu(execution: &ExecutionFacts) -> Vec<(f64, Option<f64>)> {
    let readings = execution.server_cpu_trace.known().map(Vec::as_slice).unwrap_or_default();
    readings.iter().take(POINTS_MAX).map(|one| (one.at_ms, Some(one.cores).filter(|cores| cores.is_finite()))).collect()
}

/// What ran, in a sentence, and what the picture does not say by itself.
fn summary(execution: &ExecutionFacts, drawn: bool, cut: bool, out: &mut dyn Write) -> Result<()> {
    let mut said = String::new();
    if let (Some(sent), Some(ok)) = (execution.requests_sent.known(), execution.requests_ok.known()) {
        said += &format!("{ok} of {} accepted", count(*sent as usize, "request"));
        if let Some(window) = execution.window_ms.known() {
            said += &format!(" in {} s", number(window / 1e3, 2));
        }
        if let Some(median) = execution.request_ms_median.known() {
            said += &format!(", {} ms each (median)", number(*median, 1));
        }
        said.push_str(". ");
    }
    let begun = requests(execution).map_or(0, <[RequestTime]>::len);
    if execution.requests_sent.known().is_some_and(|sent| *sent > begun as u64) && begun > 0 {
        said += &format!("The first {begun} of them are drawn. ");
    }
    if drawn {
        said.push_str("The time in which requests ran is shaded; a line is broken where a counter was not read.");
    }
    if cut {
        said += &format!(" Of each counter the first {POINTS_MAX} readings are drawn; the snapshot has all of them.");
    }
    if said.is_empty() { Ok(()) } else { writeln!(out, "<p>{}</p>", Text(said.trim_end())) }
}

/// Requests and the server's CPU, over all GPUs.
fn above(execution: &ExecutionFacts, cpu: &[(f64, Option<f64>)], time: &Time, out: &mut dyn Write) -> Result<()> {
    let times = requests(execution);
    if times.is_none() && cpu.is_empty() {
        return Ok(());
    }
    let lanes = 2.0 * LANE;
    let top = TITLE + if times.is_some() { lanes + TITLE } else { 0.0 };
    let bottom = if cpu.is_empty() { TITLE + lanes } else { top + PLOT };
    let words = match times {
        Some(times) => {
            let accepted = times.iter().filter(|one| one.accepted).count();
            format!("{accepted} accepted requests and {} that were not, over time", times.len() - accepted)
        }
        None => "The server's CPU over time".to_owned(),
    };
    figure("The requests and the server's CPU", &words, bottom + AXIS, out)?;
    if let Some(times) = times {
        time.phases(TITLE, TITLE + lanes, true, out)?;
        lane("accepted", true, times, time, TITLE, out)?;
        lane("rejected", false, times, time, TITLE + LANE, out)?;
    }
    if !cpu.is_empty() {
        let panel = Panel { name: "Server's CPU", unit: "cores", id: "server-cpu", points: cpu, most: None };
        panel.draw(time, top, out)?;
    }
    time.axis(bottom, out)?;
    writeln!(out, "</svg></div></figure>")
}

/// Opens a picture that scrolls in itself where the page is narrow.
pub fn figure(title: &str, words: &str, height: f64, out: &mut dyn Write) -> Result<()> {
    writeln!(
        out,
        "<figure><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"{0}: {1}\">",
        Text(title),
        Text(words)
    )
}

/// Requests with one outcome: filled bars where they were accepted, crossed hollow ones where not.
fn lane(word: &str, accepted: bool, times: &[RequestTime], time: &Time, top: f64, out: &mut dyn Write) -> Result<()> {
    let of_lane = || times.iter().filter(|one| one.accepted == accepted);
    let y = top + (LANE - BAR) / 2.0;
    let bottom = y + BAR;
    write!(
        out,
        "<text class=\"scale\" x=\"{}\" y=\"{}\">{word}</text><path class=\"{word}\" data-series=\"{word}\" data-points=\"{}\" d=\"",
        LEFT - 6.0,
        y + BAR - 2.0,
        of_lane().count()
    )?;
    for one in of_lane() {
        // Half a unit of white between one request and the next; none so short that it could not be seen.
        let from = time.x(one.begun_ms);
        let to = (time.x(one.begun_ms + one.duration_ms) - 0.5).max(from + 0.7).min(RIGHT + 0.7);
        let (from, to) = (number(from, 1), number(to, 1));
        match accepted {
            true => write!(out, "M{from} {y}H{to}V{bottom}H{from}z")?,
            false => {
                write!(out, "M{from} {y}H{to}V{bottom}H{from}zM{from} {y}L{to} {bottom}M{from} {bottom}L{to} {y}")?
            }
        }
    }
    write!(out, "\"/>")
}

/// A GPU's readings, as numbers.
struct Line {
    at_ms: Vec<f64>,
    utilization_percent: Vec<Option<f64>>,
    memory_gb: Vec<Option<f64>>,
    power_watts: Vec<Option<f64>>,
    sm_clock_mhz: Vec<Option<f64>>,
}

impl Line {
    fn of(line: &GpuTimeline) -> Self {
        let read = |text: &str, factor: f64| -> Vec<Option<f64>> {
            let numbers = text.split_ascii_whitespace().take(POINTS_MAX);
            numbers
                .map(|one| one.parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| value * factor))
                .collect()
        };
        Self {
            // A moment that is no number has no place on the scale, and what was read then none either.
            at_ms: read(&line.at_ms, 1.0).into_iter().map(|at| at.unwrap_or(f64::NAN)).collect(),
            utilization_percent: read(&line.utilization_percent, 1.0),
            memory_gb: read(&line.memory_used_mib, (1u64 << 20) as f64 / 1e9),
            power_watts: read(&line.power_milliwatts, 1e-3),
            sm_clock_mhz: read(&line.sm_clock_mhz, 1.0),
        }
    }

    fn draw(
        &self,
        window: &crate::snapshot::GpuWindow,
        snapshot: &Snapshot,
        time: &Time,
        out: &mut dyn Write,
    ) -> Result<()> {
        let gpus = snapshot.facts.nvml.gpus.known().map(Vec::as_slice).unwrap_or_default();
        let gpu = gpus.iter().find(|gpu| window.is_of(gpu));
        let most = |of: Option<&Fact<u64>>, factor: f64| of.and_then(Fact::known).map(|value| *value as f64 * factor);
        let panels = [
            ("Utilization", "%", "utilization", &self.utilization_percent, Some(100.0)),
            ("Memory used", "GB", "memory", &self.memory_gb, most(gpu.map(|gpu| &gpu.memory_total_bytes), 1e-9)),
            ("Power", "W", "power", &self.power_watts, most(gpu.map(|gpu| &gpu.power_limit_milliwatts), 1e-3)),
            ("SM clock", "MHz", "clock", &self.sm_clock_mhz, most(gpu.map(|gpu| &gpu.sm_clock_max_mhz), 1.0)),
        ];
        let step = PLOT + TITLE;
        let bottom = 4.0 * step;
        let title = format!("GPU {}", window.index);
        figure(&title, "utilization, memory used, power and SM clock over time", bottom + AXIS, out)?;
        for (place, (name, unit, of, values, most)) in panels.into_iter().enumerate() {
            let points: Vec<(f64, Option<f64>)> = self.at_ms.iter().copied().zip(values.iter().copied()).collect();
            let points: Vec<_> = points.into_iter().filter(|(at, _)| at.is_finite()).collect();
            let id = format!("gpu-{}-{of}", window.index);
            let panel = Panel { name, unit, id: &id, points: &points, most };
            panel.draw(time, place as f64 * step + TITLE, out)?;
        }
        time.axis(bottom, out)?;
        writeln!(out, "</svg></div></figure>")
    }
}
