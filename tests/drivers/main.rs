//! NVML and CUDA against the fake driver of fixtures/drivers.

mod broken;
mod health;
mod jobs;
mod older;
mod recording;
mod nodes;
mod runs;
mod samples;
#[path = "../setup/mod.rs"]
mod setup;
