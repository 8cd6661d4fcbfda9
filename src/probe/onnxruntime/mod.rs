//! To be written.

use super::{Context, Probe, Ran};
use crate::snapshot::Facts;
use std::time::Duration;

/// Loads the deployment's onnxruntime and asks it to register CUDA.
pub const PROVIDERS: Probe = Probe {
    id: "onnxruntime",
    stage: "runtime",
    rooms: &["ort"],
    needs: &["process", "packages"],
    this_machine: true,
    budget: Duration::from_secs(15),
    run: run_providers,
};

/// Creates a session of the user's model and reads where its nodes and parameters go.
pub const PLACEMENT: Probe = Probe {
    id: "placement",
    stage: "model",
    rooms: &["placement"],
    needs: &["process", "model", "ort"],
    this_machine: true,
    budget: Duration::from_secs(20),
    run: run_placement,
};

fn run_providers(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("not written yet")
}

fn run_placement(_context: &Context, _facts: &mut Facts) -> Ran {
    Ran::skipped("not written yet")
}
