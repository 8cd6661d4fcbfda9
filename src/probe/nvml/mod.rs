//! The driver's management library, asked in a child.

pub(super) mod child;
pub mod counter;
mod error;
mod gpm;
mod gpu;
mod health;
mod namespace;
mod pcie;
mod read;
pub mod recording;
mod round;
mod running;
pub mod sampler;
pub(super) mod sampling;
mod shares;
mod smi;
mod throttle;
mod utilization;
mod watched;

pub use throttle::names as throttle_reason_names;

use super::isolation::{self, Report};
use super::{Context, Probe, Ran};
use crate::snapshot::{Fact, Facts, Gpu, NvmlFacts, Room, Stage, Unknown};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Driver version, GPUs and their state before any load.
pub const PROBE: Probe = Probe {
    id: "nvml",
    stage: Stage::Driver,
    rooms: &["nvml"],
    needs: &[],
    this_machine: true,
    // A driver without persistence mode starts every GPU anew, a second or more each.
    budget: Duration::from_secs(10),
    run,
};

/// The library as the driver's package installs it.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// Longest time that one child may take.
const CHILD_BUDGET: Duration = Duration::from_secs(6);
/// A further child is not worth starting with less time than this.
const WORTH_STARTING: Duration = Duration::from_millis(300);
/// Most GPUs that are believed.
const MOST_GPUS: u64 = 256;

/// Whether the text begins with the words of a failure of nvidia-smi.
pub(super) use smi::is_failure as is_failure_of_smi;
/// The room as the output of `nvidia-smi -q -x` tells it; `Err` if it is none.
pub(super) use smi::parse as of_smi_text;

fn run(context: &Context, facts: &mut Facts) -> Ran {
    if let Some(file) = &context.ask.nvidia_smi {
        let (room, ran) = smi::read(file);
        facts.nvml = room;
        return ran;
    }
    let mut parts = Vec::new();
    let mut faults: BTreeMap<u64, Unknown> = BTreeMap::new();
    loop {
        let skip: Vec<u64> = faults.keys().copied().collect();
        // After a first faulty GPU there may be others: no child uses up what the next one needs.
        let budget = if faults.is_empty() { CHILD_BUDGET } else { context.time_left() / 2 };
        let deadline = context.deadline.min(Instant::now() + budget);
        let report = isolation::run("nvml", &json!({ "skip": skip }), &[], deadline);
        parts.extend_from_slice(&report.parts);
        let Err(fault) = report.result() else {
            let ran = faults.first_key_value().map_or_else(Ran::ok, |(_, fault)| Ran::from(fault));
            return settle(facts, &parts, &faults, &report.unreported(), ran);
        };
        // A GPU that hangs or crashes the library must not hide the others: they are asked again without it.
        match gpu_at_work(&report) {
            Some(gpu) if !faults.contains_key(&gpu) && context.time_left() > WORTH_STARTING => {
                faults.insert(gpu, fault);
            }
            _ => {
                let first = faults.values().next().unwrap_or(&fault).clone();
                return settle(facts, &parts, &faults, &fault, Ran::from(&first));
            }
        }
    }
}

/// Puts together what all children reported.
fn settle(facts: &mut Facts, parts: &[Value], faults: &BTreeMap<u64, Unknown>, unreported: &Unknown, ran: Ran) -> Ran {
    let mut base = NvmlFacts::all_unknown(unreported);
    if let Some(count) = last_number(parts, "gpu_count") {
        let gpu = |index| Gpu::all_unknown(index, faults.get(&index).unwrap_or(unreported));
        base.gpus = Fact::Known((0..count.min(MOST_GPUS)).map(gpu).collect());
    }
    match isolation::lay_over(&base, parts) {
        Ok(room) => {
            facts.nvml = room;
            ran
        }
        Err(malformed) => {
            facts.nvml = NvmlFacts::all_unknown(&malformed);
            Ran::from(&malformed)
        }
    }
}

/// The GPU that the child was busy with when it ended.
fn gpu_at_work(report: &Report) -> Option<u64> {
    last_number(&report.parts, "gpu_begins")
}

fn last_number(parts: &[Value], key: &str) -> Option<u64> {
    parts.iter().rev().find_map(|part| part.get(key)?.as_u64())
}
