//! NVML's counters while requests run: a child samples them, this side starts and stops it.

use crate::probe::isolation::{self, Child};
use crate::snapshot::{Fact, Unknown};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::{Duration, Instant};

/// Time between two samples: 20 Hz, faster than the driver's own counters change.
const PERIOD: Duration = Duration::from_millis(50);
/// How long the first sample may take.
const START_BUDGET: Duration = Duration::from_secs(2);
/// How long the child may take to stop.
const STOP_BUDGET: Duration = Duration::from_millis(500);

/// A child that samples every GPU until it is told to stop, at most for two minutes.
pub struct Sampler {
    child: Child,
}

/// Every GPU at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When the reading began, as [`monotonic_ms`] tells it.
    pub at_ms: f64,
    /// The GPUs in NVML's order.
    pub gpus: Vec<GpuSample>,
}

/// One GPU at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GpuSample {
    /// Index in NVML's order.
    pub index: u64,
    /// `GPU-...` identifier.
    pub uuid: Fact<String>,
    /// Share of time with a kernel running, percent: the highest of the driver's samples since the last reading, or
    /// where the driver keeps none, its current value.
    pub utilization_percent: Fact<u64>,
    /// Share of the multiprocessors that a server process uses, percent; the highest if there are several.
    pub process_utilization_percent: Fact<u64>,
    /// Power draw, milliwatts. The driver averages over up to a second.
    pub power_milliwatts: Fact<u64>,
    /// Energy since the driver was loaded, millijoules.
    pub energy_millijoules: Fact<u64>,
    /// Clock of the streaming multiprocessors, MHz.
    pub sm_clock_mhz: Fact<u64>,
    /// Memory in use, bytes.
    pub memory_used_bytes: Fact<u64>,
    /// Memory that the server processes hold, bytes.
    pub server_memory_bytes: Fact<u64>,
    /// Core temperature, degrees Celsius.
    pub temperature_celsius: Fact<u64>,
    /// Why the clocks are not higher, as a bit set (nvml.h, nvmlClocksEventReasons).
    pub throttle_reasons_bits: Fact<u64>,
    /// Generation of the PCIe link.
    pub pcie_link_generation: Fact<u64>,
    /// Lanes of the PCIe link.
    pub pcie_link_width: Fact<u64>,
    /// PCIe packets that had to be sent again since the GPU was last reset.
    pub pcie_replays: Fact<u64>,
    /// Received over PCIe, bytes a second; `None` in the many samples that did not read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_received_bytes_per_second: Option<Fact<u64>>,
    /// Sent over PCIe, bytes a second; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_sent_bytes_per_second: Option<Fact<u64>>,
}

impl GpuSample {
    /// The GPU at `index` with every counter unknown for one reason.
    pub fn all_unknown(index: u64, unknown: &Unknown) -> Self {
        Self {
            index,
            uuid: Fact::Unknown(unknown.clone()),
            utilization_percent: Fact::Unknown(unknown.clone()),
            process_utilization_percent: Fact::Unknown(unknown.clone()),
            power_milliwatts: Fact::Unknown(unknown.clone()),
            energy_millijoules: Fact::Unknown(unknown.clone()),
            sm_clock_mhz: Fact::Unknown(unknown.clone()),
            memory_used_bytes: Fact::Unknown(unknown.clone()),
            server_memory_bytes: Fact::Unknown(unknown.clone()),
            temperature_celsius: Fact::Unknown(unknown.clone()),
            throttle_reasons_bits: Fact::Unknown(unknown.clone()),
            pcie_link_generation: Fact::Unknown(unknown.clone()),
            pcie_link_width: Fact::Unknown(unknown.clone()),
            pcie_replays: Fact::Unknown(unknown.clone()),
            pcie_received_bytes_per_second: None,
            pcie_sent_bytes_per_second: None,
        }
    }
}

/// Starts sampling; `server_pids` are the processes to tell apart. Returns after the first sample.
///
/// The child lives no longer than the calling thread, which the kernel takes for its parent.
///
/// # Errors
/// Why there is no sample within two seconds: no library, no driver, a fault in the library.
pub fn start(server_pids: &[u64]) -> Result<Sampler, Unknown> {
    let deadline = Instant::now() + START_BUDGET;
    let argument = json!({ "server_pids": server_pids, "period_ms": PERIOD.as_millis() as u64 });
    let mut child = match isolation::start("nvml-samples", &argument, &[]) {
        Ok(child) => child,
        Err(report) => return Err(report.unreported()),
    };
    while child.parts_so_far().is_empty() {
        if Instant::now() >= deadline || child.has_ended() {
            return Err(child.finish(Instant::now()).unreported());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(Sampler { child })
}

impl Sampler {
    /// Stops sampling and returns all samples, oldest first. Those taken before a fault are kept.
    ///
    /// # Errors
    /// Why there is not a single sample.
    pub fn finish(self) -> Result<Vec<Sample>, Unknown> {
        let report = self.child.finish(Instant::now() + STOP_BUDGET);
        let samples: Vec<Sample> = report.parts.iter().filter_map(|part| Sample::deserialize(part).ok()).collect();
        if samples.is_empty() { Err(report.unreported()) } else { Ok(samples) }
    }
}

/// Milliseconds of the kernel's monotonic clock, the same in every process of this machine.
pub fn monotonic_ms() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to a live structure; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}
