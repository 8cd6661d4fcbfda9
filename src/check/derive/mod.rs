//! Facts that follow from facts: what CEL cannot say well. Derived anew at each judgement, never recorded.

mod activity;
mod gpu;
mod server;
mod trouble;

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
        &["host", "kernel_log", "container", "nvml", "cuda", "process", "packages", "ort", "request", "execution"];

    /// Derives everything from the facts.
    pub fn of(facts: &Facts) -> Derived {
        let gpu_visible = gpu::visible(facts);
        let (activity, activity_because) = match activity::judge(facts, &gpu_visible) {
            Ok((verdict, because)) => (Ok(verdict.to_string()), Ok(because)),
            Err(unknown) => (Err(unknown.clone()), Err(unknown)),
        };
        Derived {
            gpu_visible,
            driver_versions_differ: gpu::versions_differ(facts),
            cuda_provider_seen_to_load: Fact::Known(server::cuda_provider_seen_to_load(facts)),
            rejected_for_unknown_reason: server::rejected_for_unknown_reason(facts),
            gpu_seen_working: Fact::Known(activity.as_deref() == Ok("active")),
            device_node_seen_open: Fact::Known(server::device_node_seen_open(facts)),
            other_gpu_runtime_seen: Fact::Known(server::other_gpu_runtime_seen(facts)),
            server_seen_without_onnxruntime: Fact::Known(server::seen_without_onnxruntime(facts)),
            onnxruntime_without_cuda: server::onnxruntime_without_cuda(facts),
            kernel_log_read: Fact::Known(trouble::kernel_log_read(facts)),
            gpu_trouble_seen: Fact::Known(trouble::seen(facts)),
            kernel_log_counts: trouble::kernel_log_counts(facts),
            gpu_lost_in_nvml: Fact::Known(trouble::gpu_lost_in_nvml(facts)),
            fewer_gpus_in_nvml: trouble::fewer_gpus_in_nvml(facts),
            activity: activity.into(),
            activity_because: activity_because.into(),
        }
    }
}
