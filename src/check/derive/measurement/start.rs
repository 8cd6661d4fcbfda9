//! Work before or with the first requests that does not come back: a load, a warm-up, or another program.

use super::{SAMPLES, accepted, of_files, of_server};
use crate::check::derive::Basis;
use crate::check::derive::activity::alignment::{self, Alignment};
use crate::check::derive::activity::idle_utilization_percent;
use crate::check::derive::activity::signals;
use crate::snapshot::{Facts, GpuWindow, Unknown};

/// Utilization before the first request that is work, percent, and readings of it that are told of.
const WORK_PERCENT: f64 = 20.0;
const SAMPLES_BEFORE: u64 = 3;
/// Part of the requests' time that a file's samples must cover, percent.
const COVERED_PERCENT: f64 = 80.0;

/// The figures; empty if work went on with the requests, or if there was none at all.
pub fn only(basis: &Basis) -> Result<String, Unknown> {
    let facts = basis.facts;
    accepted(facts)?;
    // Answers from a cache need no GPU.
    let rows = facts.counters.models.known().into_iter().flatten();
    if rows.into_iter().any(|row| row.cache_hits.known() > Some(&0.0)) {
        return Ok(String::new());
    }
    let windows = of_server(basis)?;
    if of_files(facts) {
        // One GPU that works with the requests is enough.
        let found = windows.iter().filter(|_| !basis.gpu_seen_working).find_map(|window| in_file(facts, window));
        return Ok(found.unwrap_or_default());
    }
    let worked: Vec<&&GpuWindow> = windows.iter().filter(|window| worked(window)).collect();
    let all: Option<Vec<String>> = worked.into_iter().map(|window| in_window(facts, window)).collect();
    Ok(all.unwrap_or_default().join("; "))
}

/// Whether utilization was seen in the window at all.
fn worked(window: &GpuWindow) -> bool {
    window.utilization_percent.known().is_some_and(|phases| phases.during.max > idle_utilization_percent())
}

fn in_window(facts: &Facts, window: &GpuWindow) -> Option<String> {
    let rest = signals::usable(&window.utilization_percent)?.before.max;
    let judged = alignment::judge(window.utilization_trace.known()?, facts.execution.request_times.known()?, rest);
    match judged {
        Alignment::StartOnly(words) => Some(format!("GPU {}: {words}", window.index)),
        _ => None,
    }
}

fn in_file(facts: &Facts, window: &GpuWindow) -> Option<String> {
    let phases = window.utilization_percent.known()?;
    let worked = phases.before.samples >= SAMPLES_BEFORE && phases.before.max >= WORK_PERCENT;
    let rested = phases.during.samples >= SAMPLES && phases.during.max <= idle_utilization_percent();
    let covered = facts.recorded.sampled_percent.known().is_some_and(|percent| *percent >= COVERED_PERCENT);
    (worked && rested && covered).then(|| {
        format!(
            "GPU {} was at up to {:.0} % before the first request and at most {:.0} % in all of {} samples while requests ran",
            window.index, phases.before.max, phases.during.max, phases.during.samples
        )
    })
}
