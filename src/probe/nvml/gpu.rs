//! One GPU being read: each call is named before it is made, and costs one fact at most.

use super::{error, health, read};
use crate::probe::isolation::Reporter;
use crate::snapshot::Fact;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, TemperatureThreshold};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use serde::Serialize;

/// A GPU that NVML hands out.
pub struct GpuReading<'a> {
    nvml: &'a Nvml,
    device: &'a Device<'a>,
    index: u64,
    reporter: &'a mut Reporter,
    /// Whether a reading spoke of the whole GPU: that it is lost, or requires a reset.
    given_up: bool,
}

impl<'a> GpuReading<'a> {
    /// The GPU at `index`.
    pub fn new(nvml: &'a Nvml, device: &'a Device<'a>, index: u64, reporter: &'a mut Reporter) -> Self {
        Self { nvml, device, index, reporter, given_up: false }
    }

    /// Reads and reports everything.
    pub fn everything(&mut self) {
        self.report("handle_code", &Fact::Known(0));
        self.identity();
        self.load();
        self.clocks_and_power();
        self.link();
        self.memory_errors();
        self.modes();
    }

    fn identity(&mut self) {
        let device = self.device;
        self.fact("name", "nvmlDeviceGetName", || device.name());
        self.fact("uuid", "nvmlDeviceGetUUID", || device.uuid());
        self.fact("pci_address", "nvmlDeviceGetPciInfo_v3", || Ok(device.pci_info()?.bus_id));
        self.fact("compute_capability", "nvmlDeviceGetCudaComputeCapability", || {
            device.cuda_compute_capability().map(|version| format!("{}.{}", version.major, version.minor))
        });
    }

    fn load(&mut self) {
        let (nvml, device) = (self.nvml, self.device);
        self.fact("memory_total_bytes", "nvmlDeviceGetMemoryInfo", || Ok(read::memory(nvml, device)?.total_bytes));
        self.fact("memory_used_bytes", "nvmlDeviceGetMemoryInfo", || Ok(read::memory(nvml, device)?.used_bytes));
        self.fact("utilization_percent", "nvmlDeviceGetUtilizationRates", || Ok(device.utilization_rates()?.gpu));
        self.fact("processes", "nvmlDeviceGetComputeRunningProcesses", || read::processes(nvml, device));
    }

    fn clocks_and_power(&mut self) {
        let (nvml, device) = (self.nvml, self.device);
        let thresholds = "nvmlDeviceGetTemperatureThreshold";
        self.fact("temperature_celsius", "nvmlDeviceGetTemperature", || read::temperature(device));
        self.fact("temperature_slowdown_celsius", thresholds, || {
            health::threshold(device, TemperatureThreshold::Slowdown)
        });
        self.fact("temperature_shutdown_celsius", thresholds, || {
            health::threshold(device, TemperatureThreshold::Shutdown)
        });
        self.fact("power_milliwatts", "nvmlDeviceGetPowerUsage", || device.power_usage());
        self.fact("power_limit_milliwatts", "nvmlDeviceGetEnforcedPowerLimit", || device.enforced_power_limit());
        self.fact("power_limit_default_milliwatts", "nvmlDeviceGetPowerManagementDefaultLimit", || {
            device.power_management_limit_default()
        });
        self.fact("power_limit_max_milliwatts", "nvmlDeviceGetPowerManagementLimitConstraints", || {
            Ok(device.power_management_limit_constraints()?.max_limit)
        });
        self.fact("energy_millijoules", "nvmlDeviceGetTotalEnergyConsumption", || device.total_energy_consumption());
        self.fact("p_state", "nvmlDeviceGetPerformanceState", || read::p_state(device));
        self.fact("sm_clock_mhz", "nvmlDeviceGetClockInfo", || device.clock_info(Clock::SM));
        self.fact("sm_clock_max_mhz", "nvmlDeviceGetMaxClockInfo", || device.max_clock_info(Clock::SM));
        let reasons = "nvmlDeviceGetCurrentClocksThrottleReasons";
        self.fact("throttle_reasons_bits", reasons, || health::throttle_reasons(nvml, device));
        self.fact("throttle_reasons", reasons, || health::throttle_reason_names(nvml, device));
    }

    fn link(&mut self) {
        let device = self.device;
        self.fact("pcie_link_generation", "nvmlDeviceGetCurrPcieLinkGeneration", || device.current_pcie_link_gen());
        self.fact("pcie_link_generation_max", "nvmlDeviceGetMaxPcieLinkGeneration", || device.max_pcie_link_gen());
        self.fact("pcie_link_width", "nvmlDeviceGetCurrPcieLinkWidth", || device.current_pcie_link_width());
        self.fact("pcie_link_width_max", "nvmlDeviceGetMaxPcieLinkWidth", || device.max_pcie_link_width());
        self.fact("pcie_replays", "nvmlDeviceGetPcieReplayCounter", || device.pcie_replay_counter());
    }

    fn memory_errors(&mut self) {
        let (nvml, device) = (self.nvml, self.device);
        self.fact("ecc_enabled", "nvmlDeviceGetEccMode", || Ok(device.is_ecc_enabled()?.currently_enabled));
        for (field, corrected, since) in [
            ("ecc_corrected_volatile", true, EccCounter::Volatile),
            ("ecc_uncorrected_volatile", false, EccCounter::Volatile),
            ("ecc_corrected_aggregate", true, EccCounter::Aggregate),
            ("ecc_uncorrected_aggregate", false, EccCounter::Aggregate),
        ] {
            self.fact(field, "nvmlDeviceGetTotalEccErrors", || health::ecc_errors(device, corrected, since));
        }
        self.fact("remapped_rows", "nvmlDeviceGetRemappedRows", || health::remapped_rows(nvml, device));
        self.fact("retired_pages_pending", "nvmlDeviceGetRetiredPagesPendingStatus", || {
            device.are_pages_pending_retired()
        });
    }

    fn modes(&mut self) {
        let (nvml, device) = (self.nvml, self.device);
        self.fact("persistence_mode", "nvmlDeviceGetPersistenceMode", || device.is_in_persistent_mode());
        self.fact("compute_mode", "nvmlDeviceGetComputeMode", || read::compute_mode(device));
        self.fact("mig_enabled", "nvmlDeviceGetMigMode", || read::mig_enabled(device));
        self.fact("mig_devices", "nvmlDeviceGetMigDeviceHandleByIndex", || health::mig_devices(device));
        self.fact("virtualization", "nvmlDeviceGetVirtualizationMode", || health::virtualization(device));
        self.fact("license", "nvmlDeviceGetGridLicensableFeatures_v4", || health::license(nvml, device));
        self.fact("fabric_state", "nvmlDeviceGetGpuFabricInfo", || health::fabric_state(nvml, device));
        self.fact("recovery_action", "nvmlDeviceGetFieldValues", || health::recovery_action(device));
    }

    /// Makes one call and reports its outcome under the name of the field.
    fn fact<T: Serialize>(&mut self, field: &str, call: &str, read: impl FnOnce() -> Result<T, NvmlError>) {
        let place = format!("{call} of GPU {}", self.index);
        self.reporter.stage(&place);
        let answer = read();
        if let Some(code) = answer.as_ref().err().and_then(error::of_the_whole_gpu).filter(|_| !self.given_up) {
            self.given_up = true;
            self.report("handle_code", &Fact::Known(code));
        }
        self.report(field, &Fact::from(answer.map_err(|error| error::unknown(error, &place))));
    }

    fn report<T: Serialize>(&mut self, field: &str, fact: &Fact<T>) {
        self.reporter.fact(&format!("/gpus/known/{}/{field}", self.index), fact);
    }
}
