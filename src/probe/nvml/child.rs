//! Job "nvml": everything in [`NvmlFacts`](crate::snapshot::NvmlFacts), reported one by one.

use super::{LIBRARY, error, read};
use crate::probe::device_nodes;
use crate::probe::isolation::{self, Reporter, library};
use crate::snapshot::{Fact, Gpu, Unknown, Why};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use serde::Serialize;
use serde_json::{Value, json};
use std::mem::ManuallyDrop;

/// Reads everything, but for the GPUs whose indexes stand under `skip`.
pub fn job(argument: &Value, reporter: &mut Reporter) -> Value {
    reporter.stage("opening /dev/nvidiactl");
    let opened = device_nodes::open_here("/dev/nvidiactl");
    reporter.fact("/control_node_open", &Fact::Known(opened));
    let nvml = match open(reporter) {
        Ok(nvml) => nvml,
        Err(unknown) => return isolation::account(Some(&unknown)),
    };
    read_system(&nvml, reporter);
    reporter.stage("nvmlDeviceGetCount_v2");
    let count = match nvml.device_count() {
        Ok(count) => u64::from(count).min(super::MOST_GPUS),
        Err(error) => {
            let unknown = error::unknown(error, "nvmlDeviceGetCount_v2");
            reporter.fact::<()>("/gpus", &Fact::Unknown(unknown));
            return isolation::account(None);
        }
    };
    reporter.part(json!({ "gpu_count": count }));
    let skip: Vec<u64> = serde_json::from_value(argument["skip"].clone()).unwrap_or_default();
    for index in (0..count).filter(|index| !skip.contains(index)) {
        reporter.part(json!({ "gpu_begins": index }));
        let place = format!("nvmlDeviceGetHandleByIndex_v2 of GPU {index}");
        reporter.stage(&place);
        match nvml.device_by_index(index as u32) {
            Ok(device) => GpuReading { nvml: &nvml, device: &device, index, reporter }.everything(),
            Err(error) => {
                let gpu = Gpu::all_unknown(index, &error::unknown(error, &place));
                reporter.part(json!({ "at": format!("/gpus/known/{index}"), "fact": gpu }));
            }
        }
    }
    isolation::account(None)
}

/// Loads and initializes the library, and reports how that went. `Err` is why nothing else can be known.
///
/// Never dropped: `nvmlShutdown` can hang, and the process ends anyway.
fn open(reporter: &mut Reporter) -> Result<ManuallyDrop<Nvml>, Unknown> {
    reporter.stage(&format!("loading {LIBRARY}"));
    // The handle stays open, so that a failed nvmlInit does not unload the library.
    let (loaded, path) = match library::load(LIBRARY, "nvmlInit_v2") {
        Ok(loaded) => loaded,
        Err(failure) => {
            reporter.fact("/status", &Fact::Known(failure.status));
            reporter.fact("/library", &failure.path);
            reporter.fact("/init_error", &Fact::Known(&failure.error));
            return Err(failure.unknown(LIBRARY));
        }
    };
    std::mem::forget(loaded);
    reporter.fact("/library", &path);
    reporter.stage("nvmlInit_v2");
    match Nvml::init() {
        Ok(nvml) => {
            reporter.fact("/status", &Fact::Known("ok"));
            reporter.fact("/init_code", &Fact::Known(0));
            reporter.fact("/init_error", &Fact::Known(""));
            Ok(ManuallyDrop::new(nvml))
        }
        Err(error) => {
            let (code, text) = error::code_and_text(error);
            reporter.fact("/status", &Fact::Known("init_failed"));
            reporter.fact("/init_error", &Fact::Known(&text));
            let Some(code) = code else {
                return Err(Unknown::new(Why::Unsupported, format!("nvmlInit_v2: {text}")));
            };
            reporter.fact("/init_code", &Fact::Known(code));
            Err(Unknown::new(error::why(code), format!("nvmlInit_v2: {text} (NVML {code})")))
        }
    }
}

fn read_system(nvml: &Nvml, reporter: &mut Reporter) {
    let call = "nvmlSystemGetDriverVersion";
    reporter.stage(call);
    let version = nvml.sys_driver_version().map_err(|error| error::unknown(error, call));
    reporter.fact("/driver_version", &version.into());
    let call = "nvmlSystemGetCudaDriverVersion_v2";
    reporter.stage(call);
    let version = nvml.sys_cuda_driver_version().map_err(|error| error::unknown(error, call));
    let text = version.map(|version| format!("{}.{}", version / 1000, version % 1000 / 10));
    reporter.fact("/cuda_version", &text.into());
}

/// One GPU being read.
struct GpuReading<'a> {
    nvml: &'a Nvml,
    device: &'a Device<'a>,
    index: u64,
    reporter: &'a mut Reporter,
}

impl GpuReading<'_> {
    fn everything(&mut self) {
        let (nvml, device) = (self.nvml, self.device);
        self.fact("name", "nvmlDeviceGetName", || device.name());
        self.fact("uuid", "nvmlDeviceGetUUID", || device.uuid());
        self.fact("pci_address", "nvmlDeviceGetPciInfo_v3", || Ok(device.pci_info()?.bus_id));
        self.fact("compute_capability", "nvmlDeviceGetCudaComputeCapability", || {
            device.cuda_compute_capability().map(|version| format!("{}.{}", version.major, version.minor))
        });
        self.fact("memory_total_bytes", "nvmlDeviceGetMemoryInfo", || Ok(read::memory(nvml, device)?.total_bytes));
        self.fact("memory_used_bytes", "nvmlDeviceGetMemoryInfo", || Ok(read::memory(nvml, device)?.used_bytes));
        self.fact("utilization_percent", "nvmlDeviceGetUtilizationRates", || Ok(device.utilization_rates()?.gpu));
        self.fact("temperature_celsius", "nvmlDeviceGetTemperature", || read::temperature(device));
        self.fact("power_milliwatts", "nvmlDeviceGetPowerUsage", || device.power_usage());
        self.fact("p_state", "nvmlDeviceGetPerformanceState", || read::p_state(device));
        self.fact("mig_enabled", "nvmlDeviceGetMigMode", || Ok(device.mig_mode()?.current == 1));
        self.fact("compute_mode", "nvmlDeviceGetComputeMode", || read::compute_mode(device));
        self.fact("processes", "nvmlDeviceGetComputeRunningProcesses", || read::processes(nvml, device));
    }

    /// Makes one call and reports its outcome under the name of the field.
    fn fact<T: Serialize>(&mut self, field: &str, call: &str, read: impl FnOnce() -> Result<T, NvmlError>) {
        let place = format!("{call} of GPU {}", self.index);
        self.reporter.stage(&place);
        let fact = Fact::from(read().map_err(|error| error::unknown(error, &place)));
        self.reporter.fact(&format!("/gpus/known/{}/{field}", self.index), &fact);
    }
}
