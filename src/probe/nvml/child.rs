//! Job "nvml": everything in [`NvmlFacts`](crate::snapshot::NvmlFacts), reported one by one.

use super::gpu::GpuReading;
use super::{LIBRARY, error, namespace};
use crate::probe::device_nodes;
use crate::probe::isolation::{self, Reporter, library};
use crate::snapshot::{Fact, Gpu, Unknown, Why};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use serde_json::{Value, json};
use std::mem::ManuallyDrop;

/// Reads everything, but for the GPUs whose indexes stand under `skip`.
pub fn job(argument: &Value, reporter: &mut Reporter) -> Value {
    reporter.stage("opening /dev/nvidiactl");
    let opened = device_nodes::open_here("/dev/nvidiactl");
    reporter.fact("/control_node_open", &Fact::Known(opened));
    reporter.fact("/source", &Fact::Known(LIBRARY));
    reporter.fact("/host_pid_namespace", &namespace::is_first("/proc/self/ns/pid"));
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
            Ok(device) => GpuReading::new(&nvml, &device, index, reporter).everything(),
            Err(error) => {
                let gpu = unreachable(index, error, &place);
                reporter.part(json!({ "at": format!("/gpus/known/{index}"), "fact": gpu }));
            }
        }
    }
    isolation::account(None)
}

/// A GPU that NVML lists and does not hand out: one that fell off the bus, for instance.
fn unreachable(index: u64, error: NvmlError, place: &str) -> Gpu {
    let (unknown, code) = error::with_code(error, place);
    let mut gpu = Gpu::all_unknown(index, &unknown);
    if let Some(code) = code {
        gpu.handle_code = Fact::Known(code);
    }
    gpu
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
