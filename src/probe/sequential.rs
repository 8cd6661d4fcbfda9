//! One user, one request after the other, each of which is told: what `bench` asks of a load besides its plan.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What only `bench` asks for.
#[derive(Debug, Clone)]
pub struct Sequential {
    /// Requests to measure, with which the plan is carried out.
    pub count: Option<u64>,
    /// Requests before them that are left out; as many as it takes where none is named.
    pub warm_up: Option<u64>,
    /// Longest wait for one answer.
    pub answer: Duration,
    /// Where answers tell the server's own time, when the user names the place.
    pub server_time: Option<ServerTimeAt>,
    /// Hears of each measured request when it is over.
    pub told: RequestTold,
}

/// A place in the server's answers that tells a time.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerTimeAt {
    /// In words, as the snapshot has it: `the answer's field inference_time_ms`, `the header x-process-time`.
    pub place: String,
    /// The unit where the value brings none: `ns`, `us`, `ms` or `s`.
    pub unit: &'static str,
    /// What it is the time of: `inference` or `request`.
    pub of: &'static str,
}

/// A request that is over.
#[derive(Debug, Clone)]
pub struct LoadRequest {
    /// When it was sent.
    pub begun: SystemTime,
    /// To the end of its answer, or to its fault.
    pub took: Duration,
    /// Its status; none without an answer.
    pub status: Option<u16>,
    /// Why there was no answer, as the snapshot names it.
    pub error: Option<&'static str>,
    /// Whether the server did what was asked.
    pub accepted: bool,
    /// How long its work took by its own word, milliseconds.
    pub server_ms: Option<f64>,
}

/// What is done with a request that is over.
#[derive(Clone)]
pub struct RequestTold(pub Arc<dyn Fn(&LoadRequest) + Send + Sync>);

impl std::fmt::Debug for RequestTold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestTold")
    }
}
