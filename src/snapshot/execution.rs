//! What the GPUs and the server did while known-good requests ran.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// Counters before, during and after a bounded window of requests.
    pub struct ExecutionFacts {
        /// Requests sent in the window, one after the other.
        pub requests_sent: u64,
        /// Those that were accepted.
        pub requests_ok: u64,
        /// Answers by HTTP status; `none` for requests without an answer.
        pub answers_by_status: BTreeMap<String, u64>,
        /// Length of the idle baseline before the window, milliseconds.
        pub baseline_ms: f64,
        /// Length of the window, milliseconds.
        pub window_ms: f64,
        /// Median time of a request in the window, milliseconds.
        pub request_ms_median: f64,
        /// CPU time of the server's processes in the window, milliseconds.
        pub server_cpu_ms: f64,
        /// Periods of the server's CPU limit in which it had work in the window (`nr_periods` of its control group).
        pub cpu_periods: u64,
        /// Those of them in which the server was stopped at its limit (`nr_throttled`).
        pub cpu_throttled_periods: u64,
        /// Each GPU's counters in step with the window, in NVML's order.
        pub gpus: Vec<GpuWindow>,
    }
}

/// One GPU's counters around the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuWindow {
    /// Index in NVML's order.
    pub index: u64,
    /// `GPU-...` identifier.
    pub uuid: Fact<String>,
    /// Utilization in the three phases, percent.
    pub utilization_percent: Fact<Phases>,
    /// Utilization by the server's own processes in the three phases, percent; unsupported on MIG.
    pub process_utilization_percent: Fact<Phases>,
    /// Power in the three phases, milliwatts.
    pub power_milliwatts: Fact<Phases>,
    /// Streaming multiprocessor clock in the three phases, megahertz.
    pub sm_clock_mhz: Fact<Phases>,
    /// Memory in use in the three phases, bytes.
    pub memory_used_bytes: Fact<Phases>,
    /// Memory held by the server's processes at the end of the window, bytes; 0 if NVML lists other processes only.
    pub server_memory_bytes: Fact<u64>,
    /// Core temperature in the three phases, degrees Celsius.
    #[serde(default)]
    pub temperature_celsius: Fact<Phases>,
    /// Why the clocks were not higher while requests ran: share of the samples in which each reason stood, percent, by
    /// the names of `nvml.gpus[].throttle_reasons`. Empty if no reason ever stood.
    #[serde(default)]
    pub throttle_reasons_percent: Fact<BTreeMap<String, f64>>,
    /// Generation of the PCIe link in the three phases.
    #[serde(default)]
    pub pcie_link_generation: Fact<Phases>,
    /// Lanes of the PCIe link in the three phases.
    #[serde(default)]
    pub pcie_link_width: Fact<Phases>,
    /// PCIe packets that had to be sent again since the GPU was last reset, in the three phases.
    #[serde(default)]
    pub pcie_replays: Fact<Phases>,
}

/// One counter before, during and after the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phases {
    /// Idle baseline.
    pub before: Series,
    /// While requests ran.
    pub during: Series,
    /// After the last answer.
    pub after: Series,
}

/// Summary of one counter over one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Readings.
    pub samples: u64,
    /// Smallest reading; absent from judgement if `samples` is 0.
    pub min: f64,
    /// Mean of the readings.
    pub mean: f64,
    /// Largest reading.
    pub max: f64,
}
