//! NVML and CUDA against the fake driver of fixtures/drivers.

mod broken;
mod jobs;
mod nodes;
mod runs;
mod samples;
#[path = "../setup/mod.rs"]
mod setup;
