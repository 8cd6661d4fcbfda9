//! A kernel of the doctor's own, run on request: the positive control.

use super::execution::GpuWindow;
use super::fact::{Fact, Unknown, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// A vector addition on every device that CUDA shows, only with `--smoke`.
    pub struct SmokeFacts {
        /// One run a device, in CUDA's order.
        pub runs: Vec<SmokeRun>,
    }
}

/// Allocate, copy, launch, copy back and verify, on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmokeRun {
    /// CUDA's ordinal.
    pub ordinal: u64,
    /// Whether the result was right.
    pub verified: Fact<bool>,
    /// Return code of the call that failed, 0 if none did (cuda.h, CUresult).
    pub code: Fact<i64>,
    /// The call that failed and its code's name, in words; empty if none did.
    pub error: Fact<String>,
    /// Time of the kernel by CUDA's events, milliseconds.
    pub kernel_ms: Fact<f64>,
    /// Time from the first call to the verified result, milliseconds.
    pub total_ms: Fact<f64>,
    /// `GPU-...` or `MIG-...` identifier of the device.
    #[serde(default)]
    pub uuid: Fact<String>,
    /// How long the kernel was repeated for the counters to see it, milliseconds; not asked where the GPU had work already.
    #[serde(default)]
    pub busy_ms: Fact<f64>,
    /// The counters of its GPU before, while and after the kernel was repeated: the positive control. What they call the
    /// server's is the doctor's own process.
    #[serde(default)]
    pub counters: Fact<GpuWindow>,
}

impl SmokeRun {
    /// The run on device `ordinal` with every fact unknown for one reason.
    pub fn all_unknown(ordinal: u64, unknown: &Unknown) -> Self {
        Self {
            ordinal,
            verified: Fact::Unknown(unknown.clone()),
            code: Fact::Unknown(unknown.clone()),
            error: Fact::Unknown(unknown.clone()),
            kernel_ms: Fact::Unknown(unknown.clone()),
            total_ms: Fact::Unknown(unknown.clone()),
            uuid: Fact::Unknown(unknown.clone()),
            busy_ms: Fact::Unknown(unknown.clone()),
            counters: Fact::Unknown(unknown.clone()),
        }
    }
}
