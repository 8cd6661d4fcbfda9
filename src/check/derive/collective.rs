//! GPUs that wait for each other without end: every one is "busy", none draws power, and no request is answered.

use super::Basis;
use super::activity::LEAST_SAMPLES;
use super::sharing::{counted_alike, server_pids};
use super::trouble::listed;
use crate::snapshot::{Exchange, Facts, Gpu, GpuWindow, ModelCounters, Unknown, Why, room};

room! {
    /// A collective operation that hangs.
    pub struct Collective {
        /// The figures that show it; empty if it is not so.
        pub collective_hang: String,
    }
}

/// Utilization that a kernel which never ends shows, percent.
const FULL_PERCENT: f64 = 98.0;
/// Power up to which such a GPU only spins, as a share of its limit. Uncalibrated: from reports of such hangs.
const SPINNING_SHARE: f64 = 0.35;

impl Collective {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        Self { collective_hang: hang(basis.facts).into() }
    }
}

fn hang(facts: &Facts) -> Result<String, Unknown> {
    let clear = Ok(String::new());
    let gpus = listed(facts)?;
    if !unanswered(facts)? {
        return clear;
    }
    let pids = server_pids(facts).filter(|_| counted_alike(facts));
    let mut spinning = Vec::new();
    for gpu in gpus {
        // Another server's GPU is none of this one's.
        let of_others =
            |pids: &Vec<u64>| gpu.processes.known().is_some_and(|all| !all.iter().any(|one| pids.contains(&one.pid)));
        if !pids.as_ref().is_some_and(of_others) {
            spinning.extend(spins(facts, gpu)?);
        }
    }
    // A kernel on a single GPU may merely be slow, unless it ran before there was any request.
    if spinning.len() < 2 && !(gpus.len() == 1 && spun_before(facts)) {
        return clear;
    }
    Ok(spinning.join(", "))
}

/// Whether requests were sent and none came back.
fn unanswered(facts: &Facts) -> Result<bool, Unknown> {
    let execution = &facts.execution;
    if let (Some(sent), Some(ok)) = (execution.requests_sent.known(), execution.requests_ok.known()) {
        let silent = execution.answers_by_status.known().is_some_and(|all| all.keys().all(|key| key == "none"));
        return Ok(*sent > 0 && *ok == 0 && (silent || stuck_inside(facts)));
    }
    let request = &facts.request;
    if request.good.known().is_some() || request.reachable.known() == Some(&false) {
        return Ok(false);
    }
    if let Some(kind) = request.rejection_kind.known() {
        return Ok(kind == "no_answer");
    }
    let silent = |one: &Exchange| one.status.reason().is_some_and(|unknown| unknown.why == Why::TimedOut);
    let attempts = request.attempts.read()?;
    Ok(!attempts.is_empty() && attempts.iter().all(silent))
}

/// Whether the server's own counters show requests that it works on and none that it ended.
fn stuck_inside(facts: &Facts) -> bool {
    let stuck = |model: &ModelCounters| {
        model.running_most.known().is_some_and(|running| *running > 0.0) && model.requests_ok.known() == Some(&0.0)
    };
    facts.counters.models.known().is_some_and(|models| models.iter().any(stuck))
}

/// Whether the GPU was as busy before the first request of the window.
fn spun_before(facts: &Facts) -> bool {
    let windows = facts.execution.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let phases = windows.first().and_then(|window| window.utilization_percent.known());
    phases.is_some_and(|phases| phases.before.samples >= LEAST_SAMPLES && phases.before.min >= FULL_PERCENT)
}

/// `GPU 0 at 100 % and 71 W of 300 W`, if that is so.
fn spins(facts: &Facts, gpu: &Gpu) -> Result<Option<String>, Unknown> {
    let windows = facts.execution.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let window = windows.iter().find(|window| window.index == gpu.index);
    let (percent, milliwatts) = match window.and_then(under_load) {
        Some(both) => both,
        None => match (gpu.utilization_percent.known(), gpu.power_milliwatts.known()) {
            (Some(percent), Some(milliwatts)) => (*percent as f64, *milliwatts as f64),
            // A card that tells neither (MIG, vGPU) is no proof of anything.
            _ => return Ok(None),
        },
    };
    let limit = gpu.power_limit_default_milliwatts.known().or(gpu.power_limit_milliwatts.known());
    let Some(limit) = limit.filter(|limit| **limit > 0) else { return Ok(None) };
    let spins = percent >= FULL_PERCENT && milliwatts <= SPINNING_SHARE * *limit as f64;
    let words = || format!("GPU {} at {percent:.0} % and {:.0} W of {} W", gpu.index, milliwatts / 1e3, limit / 1000);
    Ok(spins.then(words))
}

/// Lowest utilization and mean power of the window.
fn under_load(window: &GpuWindow) -> Option<(f64, f64)> {
    let (utilization, power) = (window.utilization_percent.known()?, window.power_milliwatts.known()?);
    let enough = utilization.during.samples >= LEAST_SAMPLES && power.during.samples >= LEAST_SAMPLES;
    enough.then_some((utilization.during.min, power.during.mean))
}
