//! What the driver's management library says.

use super::fact::{Fact, Unknown, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// NVML, asked in a child process, or the output of `nvidia-smi -q -x` that the user named.
    pub struct NvmlFacts {
        /// Who told: `libnvidia-ml.so.1`, or the file that the user named.
        pub source: String,
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
        /// Whether the doctor counts processes as NVML does: it runs in the first process namespace of the machine.
        pub host_pid_namespace: bool,
        /// Driver version.
        pub driver_version: String,
        /// Highest CUDA version that the driver supports, `12.4`.
        pub cuda_version: String,
        /// Every GPU, in NVML's order (PCI bus order).
        pub gpus: Vec<Gpu>,
    }
}

/// Declares the GPU: its index, and facts that all can be unknown for one reason.
macro_rules! gpu {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Index in NVML's order.
            pub index: u64,
            $($(#[$field_meta])* #[serde(default)]
            pub $field: Fact<$ty>,)*
        }

        impl $name {
            /// The GPU at `index` with every fact unknown for one reason.
            pub fn all_unknown(index: u64, unknown: &Unknown) -> Self {
                Self { index, $($field: Fact::Unknown(unknown.clone()),)* }
            }
        }
    };
}

gpu! {
    /// One GPU as NVML sees it before any load.
    pub struct Gpu {
        /// Return code of asking NVML for the GPU, or of the first reading that speaks of the whole GPU: 0 it answers,
        /// 15 it is lost, 16 it requires a reset (nvml.h, nvmlReturn_t).
        pub handle_code: i64,
        /// Product name.
        pub name: String,
        /// `GPU-...` identifier, the same in NVML and CUDA.
        pub uuid: String,
        /// PCI address as NVML writes it: `00000000:01:00.0`.
        pub pci_address: String,
        /// Compute capability, `9.0`.
        pub compute_capability: String,
        /// Memory of the card, bytes.
        pub memory_total_bytes: u64,
        /// Memory in use, bytes.
        pub memory_used_bytes: u64,
        /// Share of the last sampling window in which at least one kernel ran, percent.
        pub utilization_percent: u64,
        /// Core temperature, degrees Celsius.
        pub temperature_celsius: u64,
        /// Core temperature from which on the hardware lowers the clocks, degrees Celsius.
        pub temperature_slowdown_celsius: u64,
        /// Core temperature at which the hardware shuts the GPU down, degrees Celsius.
        pub temperature_shutdown_celsius: u64,
        /// Power draw, milliwatts.
        pub power_milliwatts: u64,
        /// Power limit in force, the lowest of all that apply, milliwatts.
        pub power_limit_milliwatts: u64,
        /// Power limit that the card starts with, milliwatts.
        pub power_limit_default_milliwatts: u64,
        /// Highest power limit that can be set, milliwatts.
        pub power_limit_max_milliwatts: u64,
        /// Energy since the driver was loaded, millijoules.
        pub energy_millijoules: u64,
        /// Performance state: 0 is the highest, 15 the lowest.
        pub p_state: u64,
        /// Clock of the streaming multiprocessors, megahertz.
        pub sm_clock_mhz: u64,
        /// Highest clock of the streaming multiprocessors, megahertz.
        pub sm_clock_max_mhz: u64,
        /// Why the clocks are not higher, as a bit set (nvml.h, nvmlClocksEventReasons); 1 is an idle GPU.
        pub throttle_reasons_bits: u64,
        /// The same by name: `gpu_idle`, `sw_power_cap`, `hw_slowdown`, `sw_thermal_slowdown`, `hw_thermal_slowdown`,
        /// `hw_power_brake_slowdown`, `applications_clocks_setting`, `sync_boost`, `display_clock_setting`; a bit
        /// without a name as `0x400`.
        pub throttle_reasons: Vec<String>,
        /// Whether the driver keeps the GPU initialized while nobody uses it.
        pub persistence_mode: bool,
        /// Generation of the PCIe link now; an idle GPU lowers it to save power.
        pub pcie_link_generation: u64,
        /// Highest PCIe generation that this card and this slot have in common.
        pub pcie_link_generation_max: u64,
        /// Lanes of the PCIe link now.
        pub pcie_link_width: u64,
        /// Most lanes that this card and this slot have in common, as NVML tells.
        pub pcie_link_width_max: u64,
        /// PCIe packets that had to be sent again since the GPU was last reset.
        pub pcie_replays: u64,
        /// Whether the memory's error correction is on.
        pub ecc_enabled: bool,
        /// Corrected memory errors since the driver was loaded.
        pub ecc_corrected_volatile: u64,
        /// Uncorrected memory errors since the driver was loaded.
        pub ecc_uncorrected_volatile: u64,
        /// Corrected memory errors in the card's life.
        pub ecc_corrected_aggregate: u64,
        /// Uncorrected memory errors in the card's life.
        pub ecc_uncorrected_aggregate: u64,
        /// Memory rows that were replaced by spare ones (Ampere and newer).
        pub remapped_rows: RemappedRows,
        /// Whether memory pages wait for a reboot to be retired (before Ampere).
        pub retired_pages_pending: bool,
        /// Whether MIG mode is on.
        pub mig_enabled: bool,
        /// The MIG devices (a compute instance within a GPU instance) that can be seen; none where MIG mode is off.
        pub mig_devices: Vec<MigDevice>,
        /// Compute mode: `default`, `exclusive_thread`, `prohibited`, `exclusive_process`.
        pub compute_mode: String,
        /// `none`, `passthrough`, `vgpu` (this is a virtual GPU in a guest), `host_vgpu` or `host_vsga`.
        pub virtualization: String,
        /// License of the virtual GPU: `licensed`, `unlicensed`, `unlicensed_unrestricted` (not yet throttled),
        /// `unlicensed_restricted`, or `not_needed`.
        pub license: String,
        /// State of the NVLink fabric: `not_supported`, `not_started`, `in_progress` or `completed`.
        pub fabric_state: String,
        /// What the driver asks for to bring the GPU back: `none`, `reset`, `reboot`, `drain_p2p` or `drain_and_reset`
        /// (NVML field 230).
        pub recovery_action: String,
        /// Processes with a compute context. In a container these are the host's process ids.
        pub processes: Vec<GpuProcess>,
    }
}

/// Memory rows that were replaced by spare ones (nvml.h, nvmlDeviceGetRemappedRows).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemappedRows {
    /// Rows replaced because of correctable errors.
    pub correctable: u64,
    /// Rows replaced because of uncorrectable errors.
    pub uncorrectable: u64,
    /// Whether rows wait for a reset of the GPU to be replaced.
    pub pending: bool,
    /// Whether a replacement failed, now or earlier: no spare row is left.
    pub failure: bool,
}

/// One MIG device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MigDevice {
    /// Index on its GPU.
    pub index: u64,
    /// `MIG-...` identifier.
    pub uuid: Fact<String>,
}

/// A process that holds a compute context on a GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuProcess {
    /// Process id, in the host's namespace.
    pub pid: u64,
    /// Name of its program, without arguments.
    #[serde(default)]
    pub name: Fact<String>,
    /// GPU memory that the process holds, bytes.
    pub used_bytes: Fact<u64>,
}
