//! What the CUDA driver library says.

use super::fact::{Fact, Unknown, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// libcuda, asked in a child process with the server's environment where it is known.
    pub struct CudaFacts {
        /// `ok`, `library_missing`, `library_invalid` or `init_failed`.
        pub status: String,
        /// The library file that the dynamic linker chose.
        pub library: String,
        /// Return code of `cuInit`; 0 is success, 100 no device (cuda.h, CUresult).
        pub init_code: i64,
        /// The failure in words: CUDA's name of the code, or the dynamic linker's text; empty if there was none.
        pub init_error: String,
        /// CUDA version that the driver library implements, `12.4`.
        pub driver_cuda_version: String,
        /// Number of devices that CUDA enumerates under the given `CUDA_VISIBLE_DEVICES`.
        pub device_count: u64,
        /// The devices in CUDA's order.
        pub devices: Vec<CudaDevice>,
        /// `CUDA_VISIBLE_DEVICES` in force; empty text if it is set but empty.
        pub visible_devices: String,
    }
}

/// One device in CUDA's order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CudaDevice {
    /// CUDA's ordinal, which need not be NVML's index.
    pub ordinal: u64,
    /// Product name.
    pub name: Fact<String>,
    /// `GPU-...` identifier.
    pub uuid: Fact<String>,
    /// Compute capability, `9.0`.
    pub compute_capability: Fact<String>,
    /// Memory of the card, bytes.
    pub memory_total_bytes: Fact<u64>,
}

impl CudaDevice {
    /// The device at `ordinal` with every fact unknown for one reason.
    pub fn all_unknown(ordinal: u64, unknown: &Unknown) -> Self {
        Self {
            ordinal,
            name: Fact::Unknown(unknown.clone()),
            uuid: Fact::Unknown(unknown.clone()),
            compute_capability: Fact::Unknown(unknown.clone()),
            memory_total_bytes: Fact::Unknown(unknown.clone()),
        }
    }
}
