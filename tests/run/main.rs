//! `gpu-doctor` as its users run it: against real servers, real onnxruntime wheels and fake drivers.

mod bad_input;
mod clobbered;
mod command_line;
mod config;
mod drivers;
mod hostile;
mod replay;
#[path = "../setup/scripted_server.rs"]
mod scripted_server;
mod servers;
#[path = "../setup/mod.rs"]
mod setup;
mod wheels;
