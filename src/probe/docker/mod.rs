//! Docker's record of the container and its daemon's configuration.

use super::{Context, Probe, Ran};
use crate::snapshot::{Facts, Stage};
use std::time::Duration;

/// Reads the output of `docker inspect` and the configuration files of Docker.
pub const PROBE: Probe = Probe {
    id: "docker",
    stage: Stage::Container,
    rooms: &["docker"],
    needs: &["process", "container"],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

fn run(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("--docker-inspect was not given")
}
