//! What the server's own counters (Prometheus) gained while requests ran.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// Two readings of the server's metrics pages, as differences.
    pub struct CountersFacts {
        /// The pages that were read: URLs, or files that the user named.
        pub pages: Vec<String>,
        /// Whose counters they are: `triton`, `vllm`, `sglang`, `tgi`, `tei`, `torchserve`, `ray_serve`, `bentoml`,
        /// `mlserver`, `llama_cpp`, `dcgm`; several if several pages were read.
        pub software: Vec<String>,
        /// Time between the first and the last reading, milliseconds.
        pub interval_ms: f64,
        /// The counters of each model; one entry without a name where they are told for the server as a whole.
        pub models: Vec<ModelCounters>,
        /// What the pages tell of GPUs.
        pub gpus: Vec<ReportedGpu>,
        /// What makes them doubtful, one sentence each: a counter that ran backwards (a restart, or several workers
        /// behind one port), a page that was gone in between.
        pub doubts: Vec<String>,
    }
}

/// What one model's counters gained. What the software does not count is unknown, never 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelCounters {
    /// The model's name; empty for the server as a whole.
    pub model: String,
    /// The page that tells.
    pub page: String,
    /// Requests that it took on, whatever became of them.
    #[serde(default)]
    pub requests_taken: Fact<f64>,
    /// Requests that succeeded by the software's own count. Triton's failure counter is not to be trusted: an error of
    /// the backend counts as a success there.
    #[serde(default)]
    pub requests_ok: Fact<f64>,
    /// Requests that failed by the software's own count.
    #[serde(default)]
    pub requests_failed: Fact<f64>,
    /// Requests that it refused because a limit was reached.
    #[serde(default)]
    pub requests_refused: Fact<f64>,
    /// Inferences: samples of a batch count one by one, answers from a cache do not.
    #[serde(default)]
    pub inferences: Fact<f64>,
    /// Executions of the model: a batch counts once.
    #[serde(default)]
    pub executions: Fact<f64>,
    /// Answers that came from a cache.
    #[serde(default)]
    pub cache_hits: Fact<f64>,
    /// Mean time of a request in the queue, milliseconds.
    #[serde(default)]
    pub queue_ms: Fact<f64>,
    /// Mean time of a request in the model, milliseconds.
    #[serde(default)]
    pub compute_ms: Fact<f64>,
    /// Mean time of a request from its arrival to its answer, milliseconds.
    #[serde(default)]
    pub request_ms: Fact<f64>,
    /// Share of the interval in which the model computed, percent; above 100 with several instances. Software that tells
    /// times by request only counts requests that ran side by side several times.
    #[serde(default)]
    pub busy_percent: Fact<f64>,
    /// Requests that were being worked on, the highest reading.
    #[serde(default)]
    pub running_most: Fact<f64>,
    /// Requests that waited, the highest reading.
    #[serde(default)]
    pub waiting_most: Fact<f64>,
    /// Share of the key-value cache in use, percent, the highest reading.
    #[serde(default)]
    pub kv_cache_percent: Fact<f64>,
    /// Requests that were put back because the key-value cache was full.
    #[serde(default)]
    pub preemptions: Fact<f64>,
    /// What the counters had counted at the first reading, since the server started.
    #[serde(default)]
    pub totals: Fact<CounterTotals>,
}

/// What a model's counters had counted by the first reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CounterTotals {
    /// Requests that succeeded by the software's own count.
    #[serde(default)]
    pub requests_ok: Fact<f64>,
    /// Requests that it refused because a limit was reached.
    #[serde(default)]
    pub requests_refused: Fact<f64>,
    /// Inferences: samples of a batch count one by one.
    #[serde(default)]
    pub inferences: Fact<f64>,
    /// Executions of the model: a batch counts once.
    #[serde(default)]
    pub executions: Fact<f64>,
    /// Answers that came from a cache.
    #[serde(default)]
    pub cache_hits: Fact<f64>,
    /// Mean time of a request in the queue, milliseconds.
    #[serde(default)]
    pub queue_ms: Fact<f64>,
    /// Mean time of a request in the model, milliseconds.
    #[serde(default)]
    pub compute_ms: Fact<f64>,
    /// Requests that were put back because the key-value cache was full.
    #[serde(default)]
    pub preemptions: Fact<f64>,
}

/// A GPU by the word of a metrics page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedGpu {
    /// `GPU-...` identifier, or the index that the page names.
    pub gpu: String,
    /// The page that tells.
    pub page: String,
    /// Highest utilization of the readings, percent.
    #[serde(default)]
    pub utilization_percent: Fact<f64>,
    /// Memory in use at the last reading, bytes.
    #[serde(default)]
    pub memory_used_bytes: Fact<f64>,
    /// Mean draw over the interval, milliwatts.
    #[serde(default)]
    pub power_milliwatts: Fact<f64>,
}
