//! A kernel of the doctor's own, run on request: the positive control that a device computes at all, and that the GPU's
//! counters tell of it.

pub(super) mod child;
mod context;
mod control;
mod kernel;

use super::isolation::{self, Child, Report};
use super::{Context, Probe, Ran, environment};
use crate::snapshot::{Fact, Facts, Room, SmokeFacts, SmokeRun, Stage, Unknown, Why};
use control::Control;
use serde_json::json;
use std::time::{Duration, Instant};

/// Adds two vectors on every device that CUDA shows the server, verifies the sum, and watches the GPUs' counters while the
/// kernel is repeated.
pub const PROBE: Probe = Probe {
    id: "smoke",
    stage: Stage::Cuda,
    rooms: &["smoke"],
    needs: &["process", "nvml", "cuda"],
    this_machine: true,
    budget: Duration::from_secs(30),
    run,
};

/// Longest time that one device may take: the first context after boot loads the driver's firmware.
const DEVICE_BUDGET: Duration = Duration::from_secs(10);

fn run(context: &Context, facts: &mut Facts) -> Ran {
    if !context.ask.smoke {
        let detail = "the doctor runs a kernel only with --smoke";
        facts.smoke = SmokeFacts::all_unknown(&Unknown::new(Why::NotAsked, detail));
        return Ran::skipped(detail);
    }
    let count = match facts.cuda.device_count.read() {
        Ok(count) => *count,
        Err(unknown) => {
            let detail = format!("no device to run it on: {}", unknown.detail);
            facts.smoke = SmokeFacts::all_unknown(&Unknown::new(unknown.why, &detail));
            return Ran::failed(detail);
        }
    };
    // A child for each device: one that hangs or crashes does not hide the others. Those whose GPUs are watched wait for
    // their turn, so that the sampler knows them.
    let environment = environment::of_server(facts);
    let waiting = (0..count.min(control::MOST_DEVICES))
        .map(|ordinal| isolation::start("smoke", &json!({ "ordinal": ordinal, "waits": true }), &environment));
    let waiting: Vec<Result<Child, Box<Report>>> = waiting.collect();
    let pids = waiting.iter().flatten().map(|child| u64::from(child.pid())).collect();
    let mut control = Control::begin(context, facts, pids);
    let mut runs: Vec<SmokeRun> = Vec::new();
    for (ordinal, child) in (0..).zip(waiting) {
        runs.push(control.watched(ordinal, child, context, facts));
    }
    for ordinal in control::MOST_DEVICES..count.min(super::cuda::MOST_DEVICES) {
        let report = isolation::run("smoke", &json!({ "ordinal": ordinal }), &environment, deadline(context));
        runs.push(read(ordinal, &report));
    }
    control.end(&mut runs);
    let failed = runs.iter().rev().find_map(|run| run.verified.reason().map(Ran::from));
    facts.smoke = SmokeFacts { runs: Fact::Known(runs) };
    failed.unwrap_or_else(Ran::ok)
}

fn deadline(context: &Context) -> Instant {
    context.deadline.min(Instant::now() + DEVICE_BUDGET)
}

/// What a child reported.
fn read(ordinal: u64, report: &Report) -> SmokeRun {
    let base = SmokeRun::all_unknown(ordinal, &report.unreported());
    isolation::lay_over(&base, &report.parts).unwrap_or_else(|malformed| SmokeRun::all_unknown(ordinal, &malformed))
}
