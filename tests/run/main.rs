//! `gpu-doctor` as its users run it: against real servers, real onnxruntime wheels and fake drivers.

mod audits;
mod bad_input;
mod clients;
mod clobbered;
mod command_line;
mod config;
mod container;
mod containers;
mod credentials;
mod drivers;
mod health;
mod host_trees;
mod hostile;
mod hostile_root;
mod linker;
mod loader;
mod logs;
mod models;
#[path = "../setup/plain_server.rs"]
mod plain_server;
mod prediction;
mod replay;
mod rig;
#[path = "../setup/scripted_server.rs"]
mod scripted_server;
mod servers;
#[path = "../setup/mod.rs"]
mod setup;
mod smoke;
mod sources;
mod unprivileged;
mod wheels;
