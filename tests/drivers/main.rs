//! NVML and CUDA against the fake driver of fixtures/drivers.

mod broken;
mod health;
mod jobs;
mod nodes;
mod older;
mod recording;
mod runs;
mod samples;
#[path = "../setup/mod.rs"]
mod setup;
mod unkillable;
