//! A kernel of the doctor's own, run on request: the positive control that a device computes at all.

pub(super) mod child;
mod context;
mod kernel;

use super::{Context, Probe, Ran, environment, isolation};
use crate::snapshot::{Fact, Facts, Room, SmokeFacts, SmokeRun, Stage, Unknown, Why};
use serde_json::json;
use std::time::{Duration, Instant};

/// Adds two vectors on every device that CUDA shows the server, and verifies the sum.
pub const PROBE: Probe = Probe {
    id: "smoke",
    stage: Stage::Cuda,
    rooms: &["smoke"],
    needs: &["process", "cuda"],
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
    let mut ran = Ran::ok();
    // A child for each device: one that hangs or crashes does not hide the others.
    let runs = (0..count.min(super::cuda::MOST_DEVICES)).map(|ordinal| {
        let run = on_device(ordinal, context, facts);
        if let Fact::Unknown(unknown) = &run.verified {
            ran = Ran::from(unknown);
        }
        run
    });
    facts.smoke = SmokeFacts { runs: Fact::Known(runs.collect()) };
    ran
}

fn on_device(ordinal: u64, context: &Context, facts: &Facts) -> SmokeRun {
    let deadline = context.deadline.min(Instant::now() + DEVICE_BUDGET);
    let argument = json!({ "ordinal": ordinal });
    let report = isolation::run("smoke", &argument, &environment::of_server(facts), deadline);
    let base = SmokeRun::all_unknown(ordinal, &report.unreported());
    isolation::lay_over(&base, &report.parts).unwrap_or_else(|malformed| SmokeRun::all_unknown(ordinal, &malformed))
}
