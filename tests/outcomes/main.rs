//! The users' two days, live: a real server with each outcome, the fake driver that follows what it does, the whole program.
//!
//! What is asserted is what a user reads: which cause comes first, the sentence, the exit code, and that nothing else is blamed.

mod cpu;
mod healthy;
mod rejected;
#[path = "../setup/mod.rs"]
mod setup;
mod several_gpus;
mod staged;
mod stale;
