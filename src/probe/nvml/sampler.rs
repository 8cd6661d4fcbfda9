//! Samples every GPU's counters while something else runs. To be written: this one says that it cannot.

use crate::snapshot::{Fact, Unknown, Why};
use std::sync::LazyLock;
use std::time::Instant;

/// A running sampler.
#[derive(Debug)]
pub struct Sampler;

/// One round of readings.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When, on the clock of [`monotonic_ms`].
    pub at_ms: f64,
    /// Each GPU, in NVML's order.
    pub gpus: Vec<GpuSample>,
}

/// One GPU's counters at one time.
#[derive(Debug, Clone)]
pub struct GpuSample {
    /// Index in NVML's order.
    pub index: u64,
    /// `GPU-...` identifier.
    pub uuid: Fact<String>,
    /// Utilization, percent.
    pub utilization_percent: Fact<u64>,
    /// Utilization by the server's processes, percent.
    pub process_utilization_percent: Fact<u64>,
    /// Power draw, milliwatts.
    pub power_milliwatts: Fact<u64>,
    /// Energy since the driver was loaded, millijoules.
    pub energy_millijoules: Fact<u64>,
    /// Streaming multiprocessor clock, megahertz.
    pub sm_clock_mhz: Fact<u64>,
    /// Memory in use, bytes.
    pub memory_used_bytes: Fact<u64>,
    /// Memory held by the server's processes, bytes.
    pub server_memory_bytes: Fact<u64>,
}

/// Starts sampling; `server_pids` are the processes whose share is told apart.
pub fn start(_server_pids: &[u64]) -> Result<Sampler, Unknown> {
    Err(Unknown::new(Why::Unsupported, "sampling is not written yet"))
}

impl Sampler {
    /// Stops and gives the samples in order.
    pub fn finish(self) -> Result<Vec<Sample>, Unknown> {
        Ok(Vec::new())
    }
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds on a clock that only goes forward.
pub fn monotonic_ms() -> f64 {
    START.elapsed().as_secs_f64() * 1e3
}
