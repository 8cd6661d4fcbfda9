//! The deployment's own onnxruntime: what it is, whether CUDA works in it, and where it puts the user's model.

mod attribution;
pub mod child;
mod device_block;
mod error_text;
mod execution;
mod failure;
mod find;
mod graph;
mod maps;
mod placement;
mod placement_log;
mod profile;
mod profile_file;
mod providers;
mod python;
pub mod session;

use super::Probe;
use crate::snapshot::Stage;
use std::time::Duration;

/// Loads the deployment's onnxruntime and asks it to register CUDA.
pub const PROVIDERS: Probe = Probe {
    id: "onnxruntime",
    stage: Stage::Runtime,
    rooms: &["ort"],
    needs: &["process", "packages", "linker"],
    this_machine: true,
    budget: Duration::from_secs(15),
    run: providers::run,
};

/// Creates a session of the user's model and reads where its nodes and parameters go.
pub const PLACEMENT: Probe = Probe {
    id: "placement",
    stage: Stage::Model,
    rooms: &["placement"],
    needs: &["process", "model", "ort"],
    this_machine: true,
    budget: Duration::from_secs(20),
    run: placement::run,
};
