//! Facts that follow from facts: what CEL cannot say well. Derived anew at each judgement, never recorded.

mod activity;
mod gpu;
mod health;
mod server;
mod sharing;
mod trouble;

pub use trouble::GpuTrouble;

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
        /// Whether requests are rejected and no missing field was found to be the reason.
        pub rejected_for_unknown_reason: bool,
        /// What the GPUs did while requests ran: `active`, `idle`, `loaded_not_computing` or `no_work`.
        pub activity: String,
        /// The counters that say so, in words.
        pub activity_because: String,
        /// GPUs whose clocks are lowered because they are too hot.
        pub hot_gpus: Vec<GpuTrouble>,
        /// GPUs that are held back by a lowered power limit or by the external power brake.
        pub power_limited_gpus: Vec<GpuTrouble>,
        /// GPUs whose PCIe link is narrower or slower than it could be, or unsound.
        pub poor_link_gpus: Vec<GpuTrouble>,
        /// GPUs whose memory has uncorrected errors, or waits for a repair.
        pub memory_error_gpus: Vec<GpuTrouble>,
        /// GPUs that must be reset before they work again.
        pub reset_due_gpus: Vec<GpuTrouble>,
        /// Virtual GPUs without a license.
        pub unlicensed_gpus: Vec<GpuTrouble>,
        /// GPUs whose compute mode shuts processes out.
        pub exclusive_gpus: Vec<GpuTrouble>,
        /// GPUs in MIG mode without a MIG device that the server could use.
        pub empty_mig_gpus: Vec<GpuTrouble>,
        /// GPUs whose memory is held by others than the server.
        pub crowded_gpus: Vec<GpuTrouble>,
    }
}

impl Derived {
    /// Rooms that the derived facts are made from.
    pub const NEEDS: &'static [&'static str] =
        &["host", "kernel_log", "nvml", "cuda", "smoke", "process", "packages", "ort", "request", "execution"];

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
            activity: activity.into(),
            activity_because: activity_because.into(),
            hot_gpus: health::hot(facts),
            power_limited_gpus: health::short_of_power(facts),
            poor_link_gpus: health::poor_link(facts),
            memory_error_gpus: health::memory_errors(facts),
            reset_due_gpus: health::reset_due(facts),
            unlicensed_gpus: health::unlicensed(facts),
            exclusive_gpus: sharing::exclusive(facts),
            empty_mig_gpus: sharing::without_mig_device(facts),
            crowded_gpus: sharing::crowded(facts),
        }
    }
}
