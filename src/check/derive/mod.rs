//! Facts that follow from facts: what CEL cannot say well. Derived anew at each judgement, never recorded.

mod activity;
mod docker_daemon;
mod gpu;
mod gpu_sharing;
mod image;
mod image_requirement;
mod pod;
mod server;
mod start_failure;

use crate::snapshot::{Fact, Facts, room};
use gpu_sharing::DividedNode;
use image::CpuImage;
use start_failure::StartFailure;

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
        /// Known reasons why containers could not be started, in the words of the engine, of Kubernetes or of the log.
        pub start_failures: Vec<StartFailure>,
        /// Whether the container was seen to run in Docker Desktop's virtual machine, and not on Windows.
        pub container_in_docker_desktop: bool,
        /// The installation of Docker that was seen in use in place of the system's: `desktop`, `snap`; empty if none.
        pub other_docker_daemon: String,
        /// Whether no Docker daemon runs, and the system's was seen to have a configuration with which none can start.
        pub docker_daemon_cannot_start: bool,
        /// Whether the container was asked to have a GPU, by the engine's record.
        pub container_asks_for_gpu: bool,
        /// Whether this machine's driver meets what the image requires (`NVIDIA_REQUIRE_*`).
        pub image_requirement_met: bool,
        /// What the image requires, the beginning of it: `NVIDIA_REQUIRE_CUDA=cuda>=12.8`.
        pub image_requirement: String,
        /// Images of the deployment whose names say that they are built for the CPU.
        pub cpu_images: Vec<CpuImage>,
        /// Whether the doctor looks out of a pod that has a GPU by its limit, and sees no device node there.
        pub limited_pod_without_devices: bool,
        /// Nodes of Kubernetes that are labelled as having an NVIDIA GPU and offer none to pods.
        pub gpu_nodes_without_gpus: Vec<String>,
        /// Nodes whose GPUs are divided between more pods than there are GPUs.
        pub oversubscribed_nodes: Vec<DividedNode>,
        /// What the GPUs did while requests ran: `active`, `idle`, `loaded_not_computing` or `no_work`.
        pub activity: String,
        /// The counters that say so, in words.
        pub activity_because: String,
    }
}

impl Derived {
    /// Rooms that the derived facts are made from.
    pub const NEEDS: &'static [&'static str] = &[
        "host",
        "nvml",
        "cuda",
        "process",
        "packages",
        "ort",
        "request",
        "execution",
        "container",
        "docker",
        "kubernetes",
        "server_log",
    ];

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
            start_failures: start_failure::all(facts),
            container_in_docker_desktop: docker_daemon::in_desktop(facts),
            other_docker_daemon: docker_daemon::other(facts),
            docker_daemon_cannot_start: Fact::Known(docker_daemon::cannot_start(facts)),
            container_asks_for_gpu: image::asks_for_gpu(facts),
            image_requirement_met: image_requirement::met(facts),
            image_requirement: image_requirement::shown(facts),
            cpu_images: image::for_cpu(facts),
            limited_pod_without_devices: Fact::Known(pod::limited_without_devices(facts)),
            gpu_nodes_without_gpus: gpu_sharing::gpu_nodes_without_gpus(facts),
            oversubscribed_nodes: gpu_sharing::oversubscribed(facts),
            activity: activity.into(),
            activity_because: activity_because.into(),
        }
    }
}
