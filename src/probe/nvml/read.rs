//! Readings that need more than one call of nvml-wrapper.

use super::namespace;
use crate::snapshot::{Fact, GpuProcess, Why};
use nvml_wrapper::enum_wrappers::device::{ComputeMode, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::{NvmlError, nvml_try};
use nvml_wrapper::{Device, Nvml};

/// Memory of a GPU.
pub struct Memory {
    /// Of the card, bytes.
    pub total_bytes: u64,
    /// In use, bytes.
    pub used_bytes: u64,
}

/// Memory of the GPU. Drivers before 510 have only the older call, whose `used` includes what the driver reserves.
pub fn memory(nvml: &Nvml, device: &Device<'_>) -> Result<Memory, NvmlError> {
    match device.memory_info() {
        Ok(memory) => Ok(Memory { total_bytes: memory.total, used_bytes: memory.used }),
        Err(error @ (NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound)) => {
            let Ok(call) = nvml.lib().nvmlDeviceGetMemoryInfo.as_ref() else { return Err(error) };
            // SAFETY: the structure is plain integers, the handle is the wrapper's own.
            let memory = unsafe {
                let mut memory = std::mem::zeroed();
                nvml_try(call(device.handle(), &mut memory))?;
                memory
            };
            Ok(Memory { total_bytes: memory.total, used_bytes: memory.used })
        }
        Err(error) => Err(error),
    }
}

/// Core temperature, degrees Celsius.
pub fn temperature(device: &Device<'_>) -> Result<u32, NvmlError> {
    device.temperature(TemperatureSensor::Gpu)
}

/// Performance state, 0 to 15. NVML says 32 where it does not know.
pub fn p_state(device: &Device<'_>) -> Result<u32, NvmlError> {
    match device.performance_state()?.as_c() {
        state @ 0..=15 => Ok(state),
        _ => Err(NvmlError::NotSupported),
    }
}

/// The compute mode's name in the snapshot.
pub fn compute_mode(device: &Device<'_>) -> Result<&'static str, NvmlError> {
    Ok(match device.compute_mode()? {
        ComputeMode::Default => "default",
        ComputeMode::ExclusiveThread => "exclusive_thread",
        ComputeMode::Prohibited => "prohibited",
        ComputeMode::ExclusiveProcess => "exclusive_process",
    })
}

/// Whether MIG mode is on. A card that knows no MIG has it off.
pub fn mig_enabled(device: &Device<'_>) -> Result<bool, NvmlError> {
    match device.mig_mode() {
        Ok(mode) => Ok(mode.current == 1),
        Err(NvmlError::NotSupported) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Processes with a compute context on the GPU.
pub fn processes(nvml: &Nvml, device: &Device<'_>) -> Result<Vec<GpuProcess>, NvmlError> {
    let legacy = nvml.sys_driver_version().is_ok_and(|version| has_longer_entries(&version));
    let list = match legacy {
        true => device.running_compute_processes_v2()?,
        false => match device.running_compute_processes() {
            Err(NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound) => {
                device.running_compute_processes_v2()?
            }
            other => other?,
        },
    };
    let process = |entry: nvml_wrapper::struct_wrappers::device::ProcessInfo| GpuProcess {
        pid: u64::from(entry.pid),
        name: namespace::program("/proc", entry.pid),
        used_bytes: match entry.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Fact::Known(bytes),
            UsedGpuMemory::Unavailable => {
                Fact::unknown(Why::Unsupported, format!("NVML does not tell the memory of process {}", entry.pid))
            }
        },
    };
    Ok(list.into_iter().map(process).collect())
}

/// Whether this driver writes entries of 32 bytes where nvml.h has 24, in its newer process list: 535.43 to 535.97.
pub fn has_longer_entries(driver_version: &str) -> bool {
    let mut numbers = driver_version.split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(535)), Some(Ok(43..98))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_early_535_drivers_have_longer_entries() {
        for (version, longer) in [
            ("535.43.02", true),
            ("535.86.10", true),
            ("535.98", false),
            ("535.288.01", false),
            ("550.54", false),
            ("", false),
        ] {
            assert_eq!(has_longer_entries(version), longer, "{version}");
        }
    }
}
