//! To be written.

use super::{Context, Probe, Ran};
use crate::snapshot::Facts;
use std::time::Duration;

/// To be written.
pub const PROBE: Probe = Probe {
    id: "process",
    stage: "process",
    rooms: &["process"],
    needs: &[],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

fn run(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("not written yet")
}
