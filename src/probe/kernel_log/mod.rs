//! The kernel's log: what the driver reported there.

use super::{Context, Probe, Ran};
use crate::snapshot::{Facts, Stage};
use std::time::Duration;

/// Reads the kernel's log from a file, or from this machine where that is allowed.
pub const PROBE: Probe = Probe {
    id: "kernel_log",
    stage: Stage::Driver,
    rooms: &["kernel_log"],
    needs: &[],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

fn run(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("not read")
}
