//! Floor 1: probes touch the world and fill the snapshot's rooms. They judge nothing.
//!
//! [`PROBES`] is the one list: the runner and the progress lines read it.

mod ask;
mod environment;
mod free_memory;
mod islands;
pub mod isolation;
mod jobs;
mod json_record;
mod python;
mod runner;
mod tcp_sockets;
mod tree;

pub mod balance;
pub mod container;
pub mod cuda;
pub mod device_nodes;
pub mod docker;
pub mod host;
pub mod kernel_log;
pub mod kubernetes;
pub mod linker;
pub mod load;
pub mod loader;
pub mod metrics;
pub mod model;
pub mod nvml;
pub mod onnxruntime;
pub mod open_files;
pub mod packages;
pub mod prediction;
pub mod process;
mod sequential;
pub mod server_log;
pub mod service;
pub mod smoke;
pub mod source;
pub mod triage;
pub mod watch;

pub use crate::secret::is_in_field as is_secret;
pub use ask::{
    Ask, BalanceAsk, Connection, LoadPlan, LoadProgress, PlacementAsk, StatusFields, StepHeard, StepTold,
    without_credentials,
};
pub use balance::files_for as files_for_connections;
pub use jobs::run_child;
pub use runner::{Observer, Silent, collect};
pub use sequential::{LoadRequest, RequestTold, Sequential, ServerTimeAt};

use crate::snapshot::{Facts, Outcome, Stage, Unknown, Why};
use std::time::{Duration, Instant};

/// One way to find out facts.
pub struct Probe {
    /// Unique id, as it stands in `probes[]` of a report.
    pub id: &'static str,
    /// The stage of a request's life that the probe tells about.
    pub stage: Stage,
    /// Rooms of the snapshot that it fills, all of them and no other.
    pub rooms: &'static [&'static str],
    /// Rooms that it reads, so their probes run too.
    pub needs: &'static [&'static str],
    /// Whether its facts are about this machine, hence of no use for a server on another one.
    pub this_machine: bool,
    /// Longest time it may take.
    pub budget: Duration,
    /// Does the work. What it does not set stays unknown.
    pub run: fn(&Context, &mut Facts) -> Ran,
}

/// What a probe may use.
#[derive(Debug, Clone)]
pub struct Context {
    /// What the user asked about.
    pub ask: Ask,
    /// When the probe must have returned.
    pub deadline: Instant,
}

impl Context {
    /// Time left until the deadline, never negative.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// How a probe went, by its own account.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// The outcome.
    pub outcome: Outcome,
    /// What happened, unless all went well.
    pub detail: String,
}

impl Ran {
    /// It ran to its end.
    pub fn ok() -> Self {
        Self { outcome: Outcome::Ok, detail: String::new() }
    }

    /// There was nothing to do, for the reason given.
    pub fn skipped(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, detail: detail.into() }
    }

    /// It could not do its work, for the reason given.
    pub fn failed(detail: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, detail: detail.into() }
    }
}

impl From<&Unknown> for Ran {
    fn from(unknown: &Unknown) -> Self {
        let outcome = match unknown.why {
            Why::TimedOut => Outcome::TimedOut,
            Why::Crashed => Outcome::Crashed,
            Why::NotAsked => Outcome::Skipped,
            _ => Outcome::Failed,
        };
        Self { outcome, detail: unknown.detail.clone() }
    }
}

/// Every probe, in the order in which they run.
pub const PROBES: &[&Probe] = &[
    &host::PROBE,
    &kernel_log::PROBE,
    &process::PROBE,
    &device_nodes::PROBE,
    &container::PROBE,
    &docker::PROBE,
    &kubernetes::PROBE,
    &packages::PROBE,
    &source::PROBE,
    &packages::IMPORTS,
    &nvml::PROBE,
    &cuda::PROBE,
    &smoke::PROBE,
    &linker::PROBE,
    &model::PROBE,
    &onnxruntime::PROVIDERS,
    &onnxruntime::PLACEMENT,
    &prediction::PROBE,
    &service::PROBE,
    &service::ENGINE,
    &balance::PROBE,
    &server_log::PROBE,
    // Last: it may hold GPU memory while it runs, which none of the measurements above is to see.
    &loader::PROBE,
];
