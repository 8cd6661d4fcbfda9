//! The dynamic linker's view of the deployment's runtimes.

use super::{Context, Probe, Ran};
use crate::snapshot::{Facts, Stage};
use std::time::Duration;

/// Walks what the runtimes need, without loading anything.
pub const PROBE: Probe = Probe {
    id: "linker",
    stage: Stage::Cuda,
    rooms: &["linker"],
    needs: &["process", "packages"],
    this_machine: true,
    budget: Duration::from_secs(10),
    run,
};

fn run(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("not walked")
}
