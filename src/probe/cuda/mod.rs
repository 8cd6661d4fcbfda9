//! The CUDA driver library, asked in a child with the server's environment. No context is made, so no GPU memory used.

pub(super) mod child;
mod devices;
pub(super) mod driver;

use super::isolation;
use super::{Context, Probe, Ran, environment};
use crate::snapshot::{CudaDevice, CudaFacts, Fact, Facts, Room, Stage, Why};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Whether CUDA starts, and which devices it enumerates for the server.
pub const PROBE: Probe = Probe {
    id: "cuda",
    stage: Stage::Cuda,
    rooms: &["cuda"],
    needs: &["process"],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

/// The library as the driver's package installs it, and as runtimes load it.
pub(super) const LIBRARY: &str = "libcuda.so.1";
/// Longest time that the child may take.
const CHILD_BUDGET: Duration = Duration::from_secs(3);
/// Most devices that are believed.
pub(super) const MOST_DEVICES: u64 = 256;

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let visible_devices = match environment::value(facts, "CUDA_VISIBLE_DEVICES") {
        Some(value) => Fact::Known(value),
        None => Fact::unknown(Why::Absent, "CUDA_VISIBLE_DEVICES is not set"),
    };
    let deadline = context.deadline.min(Instant::now() + CHILD_BUDGET);
    let report = isolation::run("cuda", &Value::Null, &environment::of_server(facts), deadline);
    let unreported = report.unreported();
    let mut base = CudaFacts::all_unknown(&unreported);
    if let Some(count) = report.parts.iter().find_map(|part| part.get("device_count")?.as_u64()) {
        let device = |ordinal| CudaDevice::all_unknown(ordinal, &unreported);
        base.devices = Fact::Known((0..count.min(MOST_DEVICES)).map(device).collect());
    }
    base.visible_devices = visible_devices;
    match isolation::lay_over(&base, &report.parts) {
        Ok(room) => facts.cuda = room,
        Err(malformed) => {
            facts.cuda = CudaFacts { visible_devices: base.visible_devices, ..CudaFacts::all_unknown(&malformed) };
            return Ran::from(&malformed);
        }
    }
    report.result().map_or_else(|fault| Ran::from(&fault), |_| Ran::ok())
}
