//! Facts that follow from facts: what CEL cannot say well. Derived anew at each judgement, never recorded.

mod activity;
mod gpu;
mod memory;
mod port;
mod server;
mod state;

use crate::snapshot::{Fact, Facts, room};
use std::collections::BTreeMap;

room! {
    /// What follows from the facts.
    pub struct Derived {
        /// Whether this machine has an NVIDIA GPU at all, by the PCI bus, NVML or CUDA.
        pub gpu_visible: bool,
        /// Whether the kernel module and the driver's libraries are of different versions.
        pub driver_versions_differ: bool,
        /// Whether onnxruntime's CUDA provider was seen to load, in the server's process or for the doctor.
        pub cuda_provider_seen_to_load: bool,
        /// Whether the GPU was seen to work for the server: a counter rose with the requests.
        pub gpu_seen_working: bool,
        /// Whether a GPU's device node was seen open in the server's processes, so that they were given one.
        pub device_node_seen_open: bool,
        /// Whether a runtime other than onnxruntime that can compute on a GPU was seen mapped by the server.
        pub other_gpu_runtime_seen: bool,
        /// Whether the server's processes could be read and none has onnxruntime mapped.
        pub server_seen_without_onnxruntime: bool,
        /// Whether the deployment's onnxruntime is one without CUDA, by the library or else by its package.
        pub onnxruntime_without_cuda: bool,
        /// Whether requests are rejected and no missing field was found to be the reason.
        pub rejected_for_unknown_reason: bool,
        /// Libraries of GPU runtimes that the server was seen to have mapped, before the first request or after the last.
        pub gpu_libraries: BTreeMap<String, String>,
        /// Whether a process was seen to map a library or a model that was removed or replaced since.
        pub stale_files_seen: bool,
        /// Whether another server listens on the port too: `none`, `other_program` or `same_program` if connections to
        /// the URL are dealt out between them, `other_address` if it takes those to the other IP version.
        pub port_rivals: String,
        /// Those servers, in words.
        pub port_rivals_because: String,
        /// The server's own word that its model is not loaded; empty if it did not say so or accepts requests.
        pub model_not_loaded: String,
        /// Whether the engine holds its model: `asleep`, `unloaded` or `awake`.
        pub engine_state: String,
        /// The server's own word for it; empty if it is awake.
        pub engine_state_because: String,
        /// Memory that the server's processes held on all GPUs before any load, bytes.
        pub server_gpu_memory_bytes: u64,
        /// How GPU memory went with the requests: `grows`, `sawtooth`, `settled` or `flat`.
        pub gpu_memory_trend: String,
        /// The figures that say so.
        pub gpu_memory_trend_because: String,
        /// The proof that the model is loaded anew with each request; empty if it is not.
        pub model_loaded_per_request: String,
        /// Whether one thread of the server alone kept a core busy while requests ran.
        pub single_hot_thread: bool,
        /// Highest mean utilization of a GPU while requests ran, percent.
        pub gpu_busy_percent: f64,
        /// What the GPUs did while requests ran: `active`, `idle`, `loaded_not_computing` or `no_work`.
        pub activity: String,
        /// The counters that say so, in words.
        pub activity_because: String,
    }
}

impl Derived {
    /// Rooms that the derived facts are made from.
    pub const NEEDS: &'static [&'static str] =
        &["host", "nvml", "cuda", "process", "packages", "ort", "model", "request", "execution"];

    /// Derives everything from the facts.
    pub fn of(facts: &Facts) -> Derived {
        let gpu_visible = gpu::visible(facts);
        let (activity, activity_because) = match activity::judge(facts, &gpu_visible) {
            Ok((verdict, because)) => (Ok(verdict.to_string()), Ok(because)),
            Err(unknown) => (Err(unknown.clone()), Err(unknown)),
        };
        let working = activity.as_deref() == Ok("active");
        let (port_rivals, port_rivals_because) = told(port::rivals(facts));
        let (engine_state, engine_state_because) = told(state::engine(facts));
        let (gpu_memory_trend, gpu_memory_trend_because) = told(memory::trend(facts, &gpu_visible));
        Derived {
            gpu_libraries: server::gpu_libraries(facts),
            stale_files_seen: Fact::Known(server::stale_files_seen(facts)),
            port_rivals,
            port_rivals_because,
            model_not_loaded: state::model_not_loaded(facts),
            engine_state,
            engine_state_because,
            server_gpu_memory_bytes: memory::of_server(facts).into(),
            gpu_memory_trend,
            gpu_memory_trend_because,
            model_loaded_per_request: memory::loaded_per_request(facts, &gpu_visible, working),
            single_hot_thread: server::single_hot_thread(facts),
            gpu_busy_percent: memory::busy_percent(facts, &gpu_visible).into(),
            gpu_visible,
            driver_versions_differ: gpu::versions_differ(facts),
            cuda_provider_seen_to_load: Fact::Known(server::cuda_provider_seen_to_load(facts)),
            rejected_for_unknown_reason: server::rejected_for_unknown_reason(facts),
            gpu_seen_working: Fact::Known(working),
            device_node_seen_open: Fact::Known(server::device_node_seen_open(facts)),
            other_gpu_runtime_seen: Fact::Known(server::other_gpu_runtime_seen(facts)),
            server_seen_without_onnxruntime: Fact::Known(server::seen_without_onnxruntime(facts)),
            onnxruntime_without_cuda: server::onnxruntime_without_cuda(facts),
            activity: activity.into(),
            activity_because: activity_because.into(),
        }
    }
}

/// A verdict and its reason, as two facts.
fn told(judged: Result<(&'static str, String), crate::snapshot::Unknown>) -> (Fact<String>, Fact<String>) {
    match judged {
        Ok((verdict, because)) => (Fact::Known(verdict.to_owned()), Fact::Known(because)),
        Err(unknown) => (Fact::Unknown(unknown.clone()), Fact::Unknown(unknown)),
    }
}
