//! Facts that follow from facts: what CEL cannot say well. Derived anew at each judgement, never recorded.

mod activity;
mod gpu;
mod server;

use crate::snapshot::{Fact, Facts, room};

room! {
    /// What follows from the facts.
    pub struct Derived {
        /// Whether this machine has an NVIDIA GPU at all, by the PCI bus, NVML or CUDA.
        pub gpu_visible: bool,
        /// Whether the kernel module and the driver's libraries are of different versions.
        pub driver_versions_differ: bool,
        /// Whether onnxruntime's CUDA provider was seen in the maps of the server's process.
        pub cuda_provider_seen_mapped: bool,
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
    pub const NEEDS: &'static [&'static str] = &["host", "nvml", "cuda", "process", "request", "execution"];

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
            cuda_provider_seen_mapped: Fact::Known(server::cuda_provider_seen_mapped(facts)),
            rejected_for_unknown_reason: server::rejected_for_unknown_reason(facts),
            activity: activity.into(),
            activity_because: activity_because.into(),
        }
    }
}
