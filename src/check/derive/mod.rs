//! Facts that follow from facts: what CEL cannot say well. Derived anew at each judgement, never recorded.

mod activity;
mod driver;
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
        /// Kernel drivers other than NVIDIA's that hold an NVIDIA GPU on the bus: `nouveau`, `vfio-pci`.
        pub other_drivers_bound: Vec<String>,
        /// Whether NVML or CUDA was seen to list a GPU. Not seen is no proof that they would not.
        pub driver_seen_to_list_gpu: bool,
        /// Device nodes that permission bits keep from the server, or from the doctor where no server was named. Empty also
        /// where the server's container has nodes of its own that were not opened.
        pub device_nodes_refused: Vec<String>,
        /// Whether CUDA's memory module or its device node is missing, and CUDA fails the way it does without.
        pub uvm_missing: bool,
        /// Whether a program that starts CUDA loads that module by itself, through `nvidia-modprobe`.
        pub uvm_loads_on_demand: bool,
        /// Whether what CUDA said is what it would say to the server: known not to be only where that could be told.
        pub cuda_asked_for_server: bool,
        /// Whether the dynamic linker finds no usable libcuda.so.1 for the server, on a host whose driver works.
        pub libcuda_missing: bool,
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
    }
}

impl Derived {
    /// Rooms that the derived facts are made from.
    pub const NEEDS: &'static [&'static str] =
        &["host", "device_nodes", "container", "nvml", "cuda", "process", "packages", "ort", "request", "execution"];

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
            other_drivers_bound: driver::other_drivers_bound(facts),
            driver_seen_to_list_gpu: Fact::Known(driver::seen_to_list_gpu(facts)),
            device_nodes_refused: driver::device_nodes_refused(facts).into(),
            uvm_missing: driver::uvm_missing(facts).into(),
            uvm_loads_on_demand: Fact::Known(driver::uvm_loads_on_demand(facts)),
            cuda_asked_for_server: driver::cuda_asked_for_server(facts),
            libcuda_missing: driver::libcuda_missing(facts).into(),
            cuda_provider_seen_to_load: Fact::Known(server::cuda_provider_seen_to_load(facts)),
            rejected_for_unknown_reason: server::rejected_for_unknown_reason(facts),
            gpu_seen_working: Fact::Known(activity.as_deref() == Ok("active")),
            device_node_seen_open: Fact::Known(server::device_node_seen_open(facts)),
            other_gpu_runtime_seen: Fact::Known(server::other_gpu_runtime_seen(facts)),
            server_seen_without_onnxruntime: Fact::Known(server::seen_without_onnxruntime(facts)),
            onnxruntime_without_cuda: server::onnxruntime_without_cuda(facts),
            activity: activity.into(),
            activity_because: activity_because.into(),
        }
    }
}
