//! To be written.

use super::{Context, Probe, Ran};
use crate::snapshot::Facts;
use std::time::Duration;

/// To be written.
pub const PROBE: Probe = Probe {
    id: "service",
    stage: "request",
    rooms: &["request", "execution"],
    needs: &["process", "nvml"],
    this_machine: false,
    budget: Duration::from_secs(30),
    run,
};

fn run(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("not written yet")
}
