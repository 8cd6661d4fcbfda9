//! A server's own timer that stops when kernels were launched, not when they were done.

use super::{accepted, of_files, of_server, span_ms};
use crate::check::derive::Basis;
use crate::check::derive::activity::idle_utilization_percent;
use crate::snapshot::{Facts, GpuWindow, Unknown};

/// How many times longer the GPU must work for a request than its timer says, and how much longer, milliseconds.
const TIMES: f64 = 3.0;
const LONGER_MS: f64 = 5.0;
/// Mean utilization from which on its share is a measure of time, percent. Below, what else runs counts too much.
const BUSY_PERCENT: f64 = 20.0;
/// How much more than its whole time a request may seem to compute, for times are rounded and cut.
const WHOLE: f64 = 1.2;

/// The figures; empty if the times agree.
pub fn early(basis: &Basis) -> Result<String, Unknown> {
    let facts = basis.facts;
    let count = accepted(facts)?;
    let (told_ms, place) = told(facts)?;
    match &basis.activity {
        Ok(("active", _)) if !work_of_others(facts, count) => {}
        Ok(_) => return Ok(String::new()),
        Err(unknown) => return Err(unknown.clone()),
    }
    let windows = of_server(basis)?;
    let Some(span_ms) = span_ms(facts) else { return Ok(String::new()) };
    let busiest = windows.iter().filter_map(|window| Some((window.index, alone(window)?)));
    let Some((index, percent)) = busiest.reduce(|a, b| if b.1 > a.1 { b } else { a }) else {
        return Ok(String::new());
    };
    let gpu_ms = span_ms * percent / 100.0 / count as f64;
    let whole_ms = whole_ms(facts).unwrap_or(f64::INFINITY);
    let late = gpu_ms >= TIMES * told_ms && gpu_ms - told_ms >= LONGER_MS && gpu_ms <= WHOLE * whole_ms;
    Ok(match late && percent >= BUSY_PERCENT {
        true => format!(
            "by {place} the model took {told_ms:.1} ms a request, but GPU {index} was {percent:.0} % busy, which is {gpu_ms:.1} ms \
             for each of {count} requests"
        ),
        false => String::new(),
    })
}

/// The time that the server tells of the model alone, and where it tells it.
fn told(facts: &Facts) -> Result<(f64, String), Unknown> {
    if of_files(facts) {
        let requests = facts.recorded.requests.read()?;
        let told_ms = requests.server_ms.read().map_err(|unknown| super::not_asked(&unknown.detail))?;
        return Ok((*told_ms, "the server's own time in the files".into()));
    }
    let execution = &facts.execution;
    let told_ms = execution.server_reported_ms.read().map_err(|unknown| super::not_asked(&unknown.detail))?;
    match execution.server_reported_of.known().map(String::as_str) {
        Some("inference") => Ok((*told_ms, execution.server_reported_in.known().cloned().unwrap_or_default())),
        _ => Err(super::not_asked("the server does not tell the time of its model alone")),
    }
}

/// Whether others asked the server meanwhile, so that not all work is these requests'.
fn work_of_others(facts: &Facts, count: u64) -> bool {
    let rows = facts.counters.models.known().into_iter().flatten();
    let served: f64 = rows.filter_map(|row| row.requests_ok.known()).sum();
    served > count as f64 * 1.2 + 2.0
}

/// The mean utilization, if nobody else used the GPU before.
fn alone(window: &GpuWindow) -> Option<f64> {
    let phases = window.utilization_percent.known()?;
    let rested = phases.before.samples >= 3 && phases.before.max <= idle_utilization_percent();
    let seen = phases.during.samples >= 5;
    let others = window.processes.known().into_iter().flatten();
    let shared = others.into_iter().any(|one| !one.of_server && one.utilization_percent.known() > Some(&0));
    (rested && seen && !shared).then_some(phases.during.mean)
}

/// The whole time of a request, milliseconds.
fn whole_ms(facts: &Facts) -> Option<f64> {
    match facts.recorded.requests.known() {
        Some(requests) => requests.median_ms.known().copied(),
        None => facts.execution.request_ms_median.known().copied(),
    }
}
