//! The pod and its node as Kubernetes knows them.

use super::{Context, Probe, Ran};
use crate::snapshot::{Facts, Stage};
use std::time::Duration;

/// Reads outputs of `kubectl get ... -o json`.
pub const PROBE: Probe = Probe {
    id: "kubernetes",
    stage: Stage::Container,
    rooms: &["kubernetes"],
    needs: &[],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

fn run(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("--kubectl was not given")
}
