//! What is done around a run: the config file and `init`, waivers, waiting, completions and manual pages.

mod command_lines;
mod init;
#[path = "../setup/scripted_server.rs"]
mod scripted_server;
#[path = "../setup/mod.rs"]
mod setup;
mod shells;
mod waiting;
mod waivers;
