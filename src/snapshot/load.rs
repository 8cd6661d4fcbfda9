//! What a server did under load that the doctor made: `stress` and `bench`.

use super::counters::ModelCounters;
use super::execution::GpuWindow;
use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// Load that the doctor made, step by step.
    pub struct LoadFacts {
        /// `stress` or `bench`.
        pub command: String,
        /// The steps, in the order in which they ran; the last one may have been cut short.
        pub steps: Vec<LoadStep>,
        /// Why it ended before its plan did: `errors`, `time`, `requests`, `temperature`, `interrupted`, `server_gone` or
        /// `memory`; empty where the plan was carried out.
        pub stopped_by: String,
        /// The same in words.
        pub stopped_because: String,
        /// Bodies that differ, of those that were sent in turn; 1 says that a cache could answer.
        pub distinct_payloads: u64,
        /// Mean size of a request's body, bytes.
        pub body_bytes: f64,
        /// Wait of each user between an answer and the next request, milliseconds.
        pub think_time_ms: f64,
        /// The first request of all, which loads what is lazy, milliseconds.
        pub first_request_ms: f64,
        /// Requests that were sent before the steps, until their medians agreed.
        pub warm_up_requests: u64,
        /// Medians of the warm-up's batches, milliseconds, the last two of which agree if it came to rest.
        pub warm_up_medians_ms: Vec<f64>,
        /// Loads of which was asked whether the server holds them.
        pub wanted: Vec<WantedUsers>,
        /// Where the server's own time stood in its answers: `the answer's field inference_time_ms`.
        pub server_time_in: String,
        /// What that is the time of: `inference` or `request`.
        pub server_time_of: String,
        /// Tells requests apart: the beginning of the SHA-256 of method, path and body of the good one, whatever its
        /// boundary; hexadecimal.
        pub request_digest: String,
        /// Processor time of the doctor itself for a request, microseconds.
        pub own_cpu_us_per_request: f64,
        /// Memory of the server's processes on the GPUs and beside them over the whole run.
        pub memory: Vec<MemorySeries>,
    }
}

/// Users that are to be held, each with a request every so often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedUsers {
    /// Users.
    pub users: u64,
    /// Time from one request of a user to its next, seconds.
    pub interval_s: f64,
}

/// One step: so many users, or such a rate, for a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadStep {
    /// Connections that send at once, each its next request when the last is answered; with a rate, at most so many at once.
    pub users: u64,
    /// Requests a second that were to start, whether answers came or not; not asked for where users wait for answers.
    pub rate_rps: Fact<f64>,
    /// How long requests were started, milliseconds.
    pub window_ms: f64,
    /// Requests that were started in it.
    pub requests: u64,
    /// Those that were accepted.
    pub ok: u64,
    /// Those that were answered otherwise, or not at all.
    pub failed: u64,
    /// Requests of the rate that no free connection could start in time.
    pub dropped: u64,
    /// Requests that were still open when the patience after the step's end was over.
    pub unfinished: u64,
    /// Answers by HTTP status.
    pub by_status: BTreeMap<String, u64>,
    /// Requests without an answer, by what happened: `connect_refused`, `connect_timed_out`, `reset`, `closed_early`,
    /// `timed_out`, `not_http`, `no_descriptors`, `other`.
    pub by_error: BTreeMap<String, u64>,
    /// Answers accepted a second, of those that came inside the window.
    pub throughput_rps: f64,
    /// Accepted requests from their intended start to the end of their answer.
    pub latency_ms: Fact<Spread>,
    /// The same to the first byte of the answer.
    pub first_byte_ms: Fact<Spread>,
    /// Time by the server's own word in its answers.
    pub server_ms: Fact<Spread>,
    /// Requests under way on average, by their times; by Little's law throughput x latency, if nothing was lost.
    pub in_flight_mean: f64,
    /// The GPUs' counters, `before` being the idle time in front of the first step.
    pub gpus: Fact<Vec<GpuWindow>>,
    /// What the server's own counters gained, model by model.
    pub models: Fact<Vec<ModelCounters>>,
    /// Processor time of the server's processes, milliseconds.
    pub server_cpu_ms: Fact<f64>,
    /// Processor time of the doctor itself, milliseconds.
    pub own_cpu_ms: Fact<f64>,
}

/// A distribution of times, milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Values.
    pub count: u64,
    /// The smallest.
    pub min: f64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, of the sample; unknown for a single value.
    pub std_dev: Fact<f64>,
    /// Half of them are not above it.
    pub median: f64,
    /// 90 % are not above it.
    pub p90: f64,
    /// 95 % are not above it.
    pub p95: f64,
    /// 99 % are not above it.
    pub p99: f64,
    /// 99.9 % are not above it.
    pub p999: f64,
    /// The largest.
    pub max: f64,
    /// Between these the mean lies with 95 % confidence; unknown for fewer than two values.
    pub mean_95_percent: Fact<(f64, f64)>,
    /// Between these the median lies with 95 % confidence, by order statistics; unknown where there are too few values. So
    /// for the others.
    #[serde(default)]
    pub median_95_percent: Fact<(f64, f64)>,
    /// The same of the 90th percentile.
    #[serde(default)]
    pub p90_95_percent: Fact<(f64, f64)>,
    /// The same of the 95th.
    #[serde(default)]
    pub p95_95_percent: Fact<(f64, f64)>,
    /// The same of the 99th.
    pub p99_95_percent: Fact<(f64, f64)>,
    /// The same of the 99.9th.
    #[serde(default)]
    pub p999_95_percent: Fact<(f64, f64)>,
}

/// Memory over the time of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemorySeries {
    /// `gpu` for a GPU as a whole, `gpu_process` for one of the server's processes on it, `resident` for a process's memory
    /// beside the GPU.
    pub of: String,
    /// The GPU's identifier; empty for `resident`.
    pub uuid: String,
    /// The process; unknown for `gpu`.
    pub pid: Fact<u64>,
    /// When each reading was taken, milliseconds from the first step's begin; at most 512 points.
    pub at_ms: Vec<f64>,
    /// The readings, bytes.
    pub bytes: Vec<u64>,
    /// Requests that had been answered by then.
    pub requests: Vec<u64>,
}
