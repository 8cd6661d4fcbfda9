//! gpu-doctor: says in seconds why the GPU behind an inference server stays idle, with proof and fix.
//!
//! Probes collect facts into a snapshot; checks judge the snapshot; the diagnosis names the cause; reports tell it.
//! ARCHITECTURE.md describes the rooms and floors.

#![warn(missing_docs)]

pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod demo;
pub mod diagnosis;
pub mod document;
pub mod exit;
pub mod probe;
pub mod redact;
pub mod regular_file;
pub mod report;
pub mod secret;
pub mod snapshot;
pub mod words;

/// Name and version of this program, as recorded in snapshots and reports.
pub const TOOL: &str = concat!("gpu-doctor ", env!("CARGO_PKG_VERSION"));
