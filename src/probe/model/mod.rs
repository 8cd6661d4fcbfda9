//! To be written.

use super::{Context, Probe, Ran};
use crate::snapshot::Facts;
use std::time::Duration;

/// To be written.
pub const PROBE: Probe = Probe {
    id: "model",
    stage: "model",
    rooms: &["model"],
    needs: &[],
    this_machine: false,
    budget: Duration::from_secs(10),
    run,
};

fn run(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("not written yet")
}
