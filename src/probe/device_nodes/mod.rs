//! The driver's device nodes, opened in a child.

use super::{Context, Probe, Ran};
use crate::snapshot::{Facts, Stage};
use std::time::Duration;

/// Opens every device node once and reports the errno.
pub const PROBE: Probe = Probe {
    id: "device_nodes",
    stage: Stage::Driver,
    rooms: &["device_nodes"],
    needs: &["host", "process"],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

fn run(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("not opened")
}
