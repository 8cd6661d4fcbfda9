//! Watching another GPU, another machine or another process than the one that does the work.

use super::{SAMPLES, accepted, of_files};
use crate::check::derive::Basis;
use crate::check::derive::activity::idle_utilization_percent;
use crate::snapshot::{Fact, Facts, GpuWindow, ModelCounters, Unknown};

/// Mean utilization that is work which somebody watches for, percent.
const WORK_PERCENT: f64 = 10.0;
/// Accepted requests of which a page must have counted some.
const REQUESTS: u64 = 5;
/// Memory in use on a GPU that is not watched, bytes.
const HELD_BYTES: u64 = 1 << 30;
/// Software whose pages tell late: Ray hands its counters on every 10 s.
const LATE: &[&str] = &["ray_serve"];

/// What is watched, and what works instead; empty if they are the same.
pub fn elsewhere(basis: &Basis) -> Result<String, Unknown> {
    let facts = basis.facts;
    accepted(facts)?;
    if of_files(facts) {
        return Ok(unsampled(facts).unwrap_or_default());
    }
    if !basis.watched.elsewhere.is_empty() {
        return Ok(basis.watched.elsewhere.clone());
    }
    if let Some(words) = another_process(facts) {
        return Ok(words);
    }
    // Without a page nobody else watches.
    let Some(rows) = facts.counters.gpus.known().filter(|rows| !rows.is_empty()) else { return Ok(String::new()) };
    let working: Vec<&GpuWindow> = facts.execution.gpus.read()?.iter().filter(|window| works(window)).collect();
    if !basis.gpu_seen_working || working.is_empty() {
        return Ok(String::new());
    }
    let own: Vec<&String> = facts.nvml.gpus.known().into_iter().flatten().filter_map(|gpu| gpu.uuid.known()).collect();
    let mut pages: Vec<&str> = rows.iter().map(|row| row.page.as_str()).collect();
    pages.dedup();
    for page in pages {
        let named: Vec<&str> = rows.iter().filter(|row| row.page == page).map(|row| row.gpu.as_str()).collect();
        let by_uuid = named.iter().all(|name| name.starts_with("GPU-"));
        if !by_uuid || named.iter().any(|name| working.iter().any(|window| is_named(window, name))) {
            continue;
        }
        let here = named.iter().any(|name| own.iter().any(|uuid| uuid == name));
        let those: Vec<String> = working.iter().map(|window| format!("GPU {}", window.index)).collect();
        let what = if here { "another GPU of this machine" } else { "GPUs of another machine" };
        return Ok(format!(
            "{page} tells of {what} ({}), and the work is done on {}",
            named.join(", "),
            those.join(", ")
        ));
    }
    Ok(String::new())
}

fn works(window: &GpuWindow) -> bool {
    window.utilization_percent.known().is_some_and(|phases| phases.during.mean >= WORK_PERCENT)
}

fn is_named(window: &GpuWindow, name: &str) -> bool {
    // One that does not tell its identifier may be any.
    window.uuid.known().is_none_or(|uuid| uuid == name)
}

/// That the page's counters stood still while requests were answered, in words.
fn another_process(facts: &Facts) -> Option<String> {
    let accepted = *facts.execution.requests_ok.known()?;
    let late = facts.counters.software.known()?.iter().any(|name| LATE.contains(&name.as_str()));
    let doubted = facts.counters.doubts.known().is_some_and(|doubts| !doubts.is_empty());
    let rows = facts.counters.models.known().filter(|rows| !rows.is_empty())?;
    if late || doubted || accepted < REQUESTS || !rows.iter().all(stood_still) {
        return None;
    }
    let page = &rows.first()?.page;
    Some(format!("{page} counted no request while {accepted} were accepted, so that it is the page of another process"))
}

/// Whether a model counted nothing at all, and does count requests.
fn stood_still(row: &ModelCounters) -> bool {
    let counts = [
        &row.requests_ok,
        &row.requests_taken,
        &row.requests_failed,
        &row.inferences,
        &row.executions,
        &row.cache_hits,
    ];
    let nothing = counts.into_iter().filter_map(Fact::known).all(|count| *count == 0.0);
    let counts_requests = row.requests_ok.known().is_some() || row.requests_taken.known().is_some();
    let at_rest = row.running_most.known().is_none_or(|most| *most == 0.0);
    nothing && counts_requests && at_rest
}

/// Of files: GPUs that were not sampled and are in use, while those that were did nothing.
pub fn unsampled(facts: &Facts) -> Option<String> {
    let windows = facts.execution.gpus.known().filter(|windows| !windows.is_empty())?;
    let rests = |window: &GpuWindow| {
        let phases = window.utilization_percent.known();
        phases.is_some_and(|phases| phases.during.samples >= SAMPLES && phases.during.max <= idle_utilization_percent())
    };
    if !windows.iter().all(rests) {
        return None;
    }
    let gpus = facts.nvml.gpus.known()?;
    let others = gpus.iter().filter(|gpu| !windows.iter().any(|window| window.is_of(gpu)));
    let in_use = others.filter(|gpu| {
        gpu.memory_used_bytes.known() >= Some(&HELD_BYTES)
            || gpu.utilization_percent.known().is_some_and(|percent| *percent as f64 >= WORK_PERCENT)
            || gpu.processes.known().is_some_and(|all| !all.is_empty())
    });
    let in_use: Vec<String> = in_use.map(|gpu| format!("GPU {}", gpu.index)).collect();
    let sampled: Vec<String> = windows.iter().map(|window| format!("GPU {}", window.index)).collect();
    let source = facts.nvml.source.known()?;
    (!in_use.is_empty()).then(|| {
        format!("only {} was sampled, and did nothing; by {source} {} is in use", sampled.join(", "), in_use.join(", "))
    })
}
