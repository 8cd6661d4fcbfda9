//! To be written.

pub mod sampler;

use super::{Context, Probe, Ran};
use crate::snapshot::Facts;
use std::time::Duration;

/// To be written.
pub const PROBE: Probe = Probe {
    id: "nvml",
    stage: "driver",
    rooms: &["nvml"],
    needs: &[],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

fn run(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("not written yet")
}
