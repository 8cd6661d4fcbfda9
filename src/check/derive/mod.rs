//! Facts that follow from facts: what CEL cannot say well. Derived anew at each judgement, never recorded.

mod activity;
mod gpu;
mod packages;
mod server;

use crate::snapshot::{Fact, Facts, room};

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
        /// The installed runtimes, each with what it was built for and whether it may be what runs the model.
        pub runtimes: Vec<packages::Runtime>,
        /// Names of the installed runtimes that are known to be built with CUDA.
        pub cuda_runtimes_seen: Vec<String>,
        /// Names of the installed runtimes that are known to be built without CUDA and may be what runs the model.
        pub cpu_runtimes_in_question: Vec<String>,
        /// Whether a runtime that was built with CUDA may be what runs the model.
        pub cuda_runtime_in_question: bool,
        /// Ids of what the server was seen to say in its log.
        pub said_in_log: Vec<String>,
        /// Whether the GPU was seen to work for the server, or NVML to list it, so that facts about it that are missing are no
        /// reason for doubt.
        pub server_seen_on_gpu: bool,
        /// Whether the deployment's onnxruntime was seen to be one without CUDA.
        pub cpu_onnxruntime_seen: bool,
        /// Whether the package `onnxruntime` was seen to lack its `__init__.py`.
        pub onnxruntime_seen_gutted: bool,
        /// Whether the package `onnxruntime` was seen with its `__init__.py`.
        pub onnxruntime_seen_whole: bool,
        /// Whether the CPU package of onnxruntime was installed after the server was started.
        pub cpu_onnxruntime_installed_while_serving: bool,
        /// GPUs for which torch holds no code, where torch may be what runs the model.
        pub gpus_without_torch_code: Vec<String>,
        /// Whether torch was seen to hold code for one of the GPUs.
        pub torch_has_code_for_a_gpu: bool,
        /// Whether requests are rejected and no missing field was found to be the reason.
        pub rejected_for_unknown_reason: bool,
        /// What the GPUs did while requests ran: `active`, `idle`, `loaded_not_computing` or `no_work`.
        pub activity: String,
        /// The counters that say so, in words.
        pub activity_because: String,
    }
}

impl Derived {
    /// Rooms that the derived facts are made from.
    pub const NEEDS: &'static [&'static str] =
        &["host", "nvml", "cuda", "process", "packages", "ort", "request", "execution", "server_log"];

    /// Derives everything from the facts.
    pub fn of(facts: &Facts) -> Derived {
        let gpu_visible = gpu::visible(facts);
        let (activity, activity_because) = match activity::judge(facts, &gpu_visible) {
            Ok((verdict, because)) => (Ok(verdict.to_string()), Ok(because)),
            Err(unknown) => (Err(unknown.clone()), Err(unknown)),
        };
        let works = activity.as_deref() == Ok("active");
        let onnxruntime_without_cuda = server::onnxruntime_without_cuda(facts);
        Derived {
            gpu_visible,
            driver_versions_differ: gpu::versions_differ(facts),
            cuda_provider_seen_to_load: Fact::Known(server::cuda_provider_seen_to_load(facts)),
            rejected_for_unknown_reason: server::rejected_for_unknown_reason(facts),
            gpu_seen_working: Fact::Known(works),
            device_node_seen_open: Fact::Known(server::device_node_seen_open(facts)),
            other_gpu_runtime_seen: Fact::Known(server::other_gpu_runtime_seen(facts)),
            server_seen_without_onnxruntime: Fact::Known(server::seen_without_onnxruntime(facts)),
            server_seen_on_gpu: Fact::Known(works || packages::server_holds_gpu_context(facts)),
            cpu_onnxruntime_seen: Fact::Known(onnxruntime_without_cuda.known() == Some(&true)),
            onnxruntime_seen_gutted: Fact::Known(packages::onnxruntime_seen_gutted(facts)),
            onnxruntime_without_cuda,
            runtimes: packages::runtimes(facts),
            cuda_runtimes_seen: Fact::Known(packages::cuda_runtimes_seen(facts)),
            cpu_runtimes_in_question: Fact::Known(packages::cpu_runtimes_in_question(facts)),
            cuda_runtime_in_question: Fact::Known(packages::cuda_runtime_in_question(facts)),
            said_in_log: Fact::Known(packages::said_in_log(facts)),
            onnxruntime_seen_whole: Fact::Known(packages::onnxruntime_seen_whole(facts)),
            cpu_onnxruntime_installed_while_serving: packages::cpu_onnxruntime_installed_while_serving(facts),
            gpus_without_torch_code: packages::gpus_without_torch_code(facts),
            torch_has_code_for_a_gpu: Fact::Known(packages::torch_has_code_for_a_gpu(facts)),
            activity: activity.into(),
            activity_because: activity_because.into(),
        }
    }
}
