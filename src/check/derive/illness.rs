//! Signs of an ill GPU that anybody can see, and whether the kernel's log is to be asked about them.

use super::Basis;
use crate::snapshot::{Fact, Facts, Gpu, Unknown, Why, room};

room! {
    /// Signs of an ill GPU, and whether the kernel's log counts.
    pub struct Illness {
        /// Whether the kernel's log was read.
        pub kernel_log_read: bool,
        /// Whether the driver or a GPU was seen to behave as an ill one does: NVML hangs, dies, gives such a code, or shows too
        /// few GPUs.
        pub gpu_trouble_seen: bool,
        /// Whether the kernel's log decides: it was read, or trouble that was seen calls for it. Otherwise nobody asked for
        /// it, and a user without the right to read it is not left in doubt.
        pub kernel_log_counts: bool,
        /// Whether NVML said that a GPU is lost (code 15).
        pub gpu_lost_in_nvml: bool,
        /// Whether NVML shows fewer GPUs than the PCI bus has bound to the driver, outside of a container.
        pub fewer_gpus_in_nvml: bool,
    }
}

impl Illness {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self {
            kernel_log_read: Fact::Known(kernel_log_read(facts)),
            gpu_trouble_seen: Fact::Known(seen(facts)),
            kernel_log_counts: kernel_log_counts(facts),
            gpu_lost_in_nvml: Fact::Known(gpu_lost_in_nvml(facts)),
            fewer_gpus_in_nvml: fewer_gpus_in_nvml(facts),
        }
    }
}

/// Return code of NVML for a GPU that does not answer on the bus (nvml.h, NVML_ERROR_GPU_IS_LOST).
const NVML_GPU_IS_LOST: i64 = 15;
/// Return codes of NVML that an ill GPU or driver gives: timeout, interrupt problem, corrupt infoROM, GPU lost, reset
/// required, blocked by the operating system, unknown error.
const NVML_ILL: &[i64] = &[10, 11, 14, NVML_GPU_IS_LOST, 16, 17, 999];

/// Whether the kernel's log was read.
fn kernel_log_read(facts: &Facts) -> bool {
    facts.kernel_log.xids.known().is_some()
}

/// Whether the kernel's log decides anything: it was read, or something that anybody can see calls for it. A healthy user
/// without the right to read it must not be left in doubt by that.
fn kernel_log_counts(facts: &Facts) -> Fact<bool> {
    let Some(unknown) = facts.kernel_log.xids.reason() else { return Fact::Known(true) };
    match seen(facts) {
        true => Fact::Known(true),
        false => {
            let detail = format!("nothing that can be seen without the kernel's log calls for it ({})", unknown.detail);
            Fact::unknown(Why::NotAsked, detail)
        }
    }
}

/// Whether the driver or a GPU behaves as an ill one does.
fn seen(facts: &Facts) -> bool {
    let died = |unknown: Option<&Unknown>| unknown.is_some_and(|u| matches!(u.why, Why::TimedOut | Why::Crashed));
    let nvml = &facts.nvml;
    let ill = nvml.init_code.known().is_some_and(|code| NVML_ILL.contains(code));
    let gpu_died = |gpu: &Gpu| readings(gpu).any(|reason| died(Some(reason)));
    let gpus_died = nvml.gpus.known().is_some_and(|gpus| gpus.iter().any(gpu_died));
    ill || died(nvml.status.reason())
        || gpus_died
        || gpu_lost_in_nvml(facts)
        || fewer_gpus_in_nvml(facts) == Fact::Known(true)
}

/// Why readings of a GPU failed.
fn readings(gpu: &Gpu) -> impl Iterator<Item = &Unknown> {
    let texts = [&gpu.name, &gpu.uuid, &gpu.pci_address].into_iter().filter_map(|fact| fact.reason());
    texts.chain([&gpu.memory_total_bytes, &gpu.temperature_celsius].into_iter().filter_map(|fact| fact.reason()))
}

/// Whether NVML said that a GPU is lost. One that waits for a reset (16) is not.
fn gpu_lost_in_nvml(facts: &Facts) -> bool {
    let nvml = &facts.nvml;
    let lost = |gpu: &Gpu| gpu.handle_code.known() == Some(&NVML_GPU_IS_LOST);
    nvml.init_code.known() == Some(&NVML_GPU_IS_LOST) || nvml.gpus.known().is_some_and(|gpus| gpus.iter().any(lost))
}

/// Whether NVML was seen to show fewer GPUs than the bus has bound to the driver. In a container that is its purpose, and no
/// sign; where NVML shows none at all for a reason that it tells, that reason is the thing to look at.
fn fewer_gpus_in_nvml(facts: &Facts) -> Fact<bool> {
    let devices = match &facts.host.nvidia_pci_devices {
        Fact::Known(devices) => devices,
        Fact::Unknown(unknown) if unknown.why == Why::NotAsked => return Fact::Unknown(unknown.clone()),
        Fact::Unknown(_) => return Fact::Known(false),
    };
    let driven = devices.iter().filter(|device| device.driver.known().is_some_and(|driver| driver == "nvidia")).count();
    if driven == 0 || facts.container.kind.known().is_none_or(|kind| kind != "none") {
        return Fact::Known(false);
    }
    match &facts.nvml.gpus {
        Fact::Known(gpus) => Fact::Known(gpus.len() < driven),
        Fact::Unknown(unknown) if matches!(unknown.why, Why::TimedOut | Why::Crashed | Why::NotAsked) => {
            Fact::Unknown(unknown.clone())
        }
        Fact::Unknown(_) => Fact::Known(false),
    }
}
