//! What the driver's management library says.

use super::fact::{Fact, Unknown, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// NVML, asked in a child process.
    pub struct NvmlFacts {
        /// `ok`, `library_missing`, `library_invalid` or `init_failed`.
        pub status: String,
        /// The library file that the dynamic linker chose.
        pub library: String,
        /// Return code of `nvmlInit`; 0 is success, 9 driver not loaded, 18 version mismatch (nvml.h, nvmlReturn_t).
        pub init_code: i64,
        /// The failure in words: NVML's text or the dynamic linker's; empty if there was none.
        pub init_error: String,
        /// Result of opening `/dev/nvidiactl`: `ok`, the errno's name (`ENOENT`, `EACCES`, `EPERM`, `EIO`), or
        /// `not_a_device` if something else has that name.
        pub control_node_open: String,
        /// Driver version.
        pub driver_version: String,
        /// Highest CUDA version that the driver supports, `12.4`.
        pub cuda_version: String,
        /// Every GPU, in NVML's order (PCI bus order).
        pub gpus: Vec<Gpu>,
    }
}

/// One GPU as NVML sees it before any load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Index in NVML's order.
    pub index: u64,
    /// Product name.
    pub name: Fact<String>,
    /// `GPU-...` identifier, the same in NVML and CUDA.
    pub uuid: Fact<String>,
    /// PCI address as NVML writes it: `00000000:01:00.0`.
    pub pci_address: Fact<String>,
    /// Compute capability, `9.0`.
    pub compute_capability: Fact<String>,
    /// Memory of the card, bytes.
    pub memory_total_bytes: Fact<u64>,
    /// Memory in use, bytes.
    pub memory_used_bytes: Fact<u64>,
    /// Share of the last sampling window in which at least one kernel ran, percent.
    pub utilization_percent: Fact<u64>,
    /// Core temperature, degrees Celsius.
    pub temperature_celsius: Fact<u64>,
    /// Power draw, milliwatts.
    pub power_milliwatts: Fact<u64>,
    /// Performance state: 0 is the highest, 15 the lowest.
    pub p_state: Fact<u64>,
    /// Whether MIG mode is on.
    pub mig_enabled: Fact<bool>,
    /// Compute mode: `default`, `exclusive_thread`, `prohibited`, `exclusive_process`.
    pub compute_mode: Fact<String>,
    /// Processes with a compute context. In a container these are the host's process ids.
    pub processes: Fact<Vec<GpuProcess>>,
}

impl Gpu {
    /// The GPU at `index` with every fact unknown for one reason.
    pub fn all_unknown(index: u64, unknown: &Unknown) -> Self {
        Self {
            index,
            name: Fact::Unknown(unknown.clone()),
            uuid: Fact::Unknown(unknown.clone()),
            pci_address: Fact::Unknown(unknown.clone()),
            compute_capability: Fact::Unknown(unknown.clone()),
            memory_total_bytes: Fact::Unknown(unknown.clone()),
            memory_used_bytes: Fact::Unknown(unknown.clone()),
            utilization_percent: Fact::Unknown(unknown.clone()),
            temperature_celsius: Fact::Unknown(unknown.clone()),
            power_milliwatts: Fact::Unknown(unknown.clone()),
            p_state: Fact::Unknown(unknown.clone()),
            mig_enabled: Fact::Unknown(unknown.clone()),
            compute_mode: Fact::Unknown(unknown.clone()),
            processes: Fact::Unknown(unknown.clone()),
        }
    }
}

/// A process that holds a compute context on a GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuProcess {
    /// Process id, in the host's namespace.
    pub pid: u64,
    /// GPU memory that the process holds, bytes.
    pub used_bytes: Fact<u64>,
}
