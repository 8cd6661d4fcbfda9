//! Facts that follow from facts: what CEL cannot say well. Derived anew at each judgement, never recorded.

mod activity;
mod container;
mod driver;
mod expectations;
mod gpu;
mod health;
mod illness;
mod linker;
mod memory;
mod packages;
mod port;
mod server;
mod sharing;
mod state;
mod trouble;

pub use trouble::GpuTrouble;

use crate::snapshot::{Expectations, Fact, Facts, Unknown, room};
use std::collections::BTreeMap;
mod docker_daemon;
mod gpu_sharing;
mod image;
mod image_requirement;
mod pod;
mod start_failure;

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
        /// Whether what listens is a program that only hands requests on: nginx, Envoy, HAProxy.
        pub server_is_proxy: bool,
        /// Whether the driver's nodes in the container may not be opened by its processes.
        pub gpu_nodes_forbidden: bool,
        /// Whether the container has libnvidia-ml and no libcuda.
        pub container_lacks_libcuda: bool,
        /// Whether NVIDIA_DRIVER_CAPABILITIES is set and lets no CUDA into the container.
        pub capabilities_lack_compute: bool,
        /// The image's own driver library that hides the one put into the container, which is the kernel driver's; empty if none.
        pub image_driver_library: String,
        /// What speaks for too small a `/dev/shm`: `said` (the server's log), `full`, `needed` (64 MiB, and a program that is
        /// known to need more) or `none`.
        pub shm_shortage: String,
        /// Share of the periods in which the CPU limit stopped the server, percent; 0 without a limit.
        pub cpu_throttled_percent: f64,
        /// When those periods were: while requests ran, or since the control group was made.
        pub cpu_throttled_when: String,
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
        /// Whether the container runs and its engine's record asks for no GPU.
        pub container_recorded_without_gpu: bool,
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
        /// Runtimes whose CUDA is of a later major version than the driver supports.
        pub runtimes_too_new_for_driver: Vec<linker::TooNew>,
        /// Folders from which one process of the server has libraries of one major version of cuDNN, if there are several.
        pub cudnn_split_folders: Vec<String>,
        /// Whether the toolkit's stub of libcuda stands where the driver's library should.
        pub cuda_stub_in_place: bool,
        /// Whether CUDA's forward compatibility library is in place and the driver or the card refuses it.
        pub cuda_compat_refused: bool,
        /// What the GPUs did while requests ran: `active`, `idle`, `loaded_not_computing` or `no_work`.
        pub activity: String,
        /// The counters that say so, in words.
        pub activity_because: String,
        /// What the machine lacks of what the config expects of it, a sentence each; empty if it has it all.
        pub expectations_unmet: Vec<String>,
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
    pub const NEEDS: &'static [&'static str] = &[
        "host",
        "device_nodes",
        "container",
        "nvml",
        "cuda",
        "process",
        "packages",
        "ort",
        "model",
        "request",
        "execution",
        "server_log",
        "kernel_log",
        "smoke",
        "docker",
        "kubernetes",
        "linker",
    ];

    /// Derives everything from the facts.
    pub fn of(facts: &Facts, expect: &Expectations) -> Derived {
        let gpu_visible = gpu::visible(facts);
        let (activity, activity_because) = match activity::judge(facts, &gpu_visible) {
            Ok((verdict, because)) => (Ok(verdict.to_string()), Ok(because)),
            Err(unknown) => (Err(unknown.clone()), Err(unknown)),
        };
        let throttling = container::throttling(facts);
        let working = activity.as_deref() == Ok("active");
        let (port_rivals, port_rivals_because) = told(port::rivals(facts));
        let (engine_state, engine_state_because) = told(state::engine(facts));
        let (gpu_memory_trend, gpu_memory_trend_because) = told(memory::trend(facts, &gpu_visible));
        let driver_versions_differ = gpu::versions_differ(facts);
        let gpu_in_use = working || server::device_node_seen_open(facts);
        let onnxruntime_without_cuda = server::onnxruntime_without_cuda(facts);
        Derived {
            server_is_proxy: Fact::Known(container::server_is_proxy(facts)),
            gpu_nodes_forbidden: container::gpu_nodes_forbidden(facts).into(),
            container_lacks_libcuda: container::lacks_libcuda(facts).into(),
            capabilities_lack_compute: container::capabilities_lack_compute(facts),
            image_driver_library: container::image_driver_library(facts).into(),
            shm_shortage: container::shm_shortage(facts).map(str::to_owned).into(),
            cpu_throttled_percent: throttling.as_ref().map(|(share, _)| *share).map_err(Unknown::clone).into(),
            cpu_throttled_when: throttling.map(|(_, when)| when.to_owned()).into(),
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
            other_drivers_bound: driver::other_drivers_bound(facts),
            driver_seen_to_list_gpu: Fact::Known(driver::seen_to_list_gpu(facts)),
            device_nodes_refused: driver::device_nodes_refused(facts).into(),
            uvm_missing: driver::uvm_missing(facts).into(),
            uvm_loads_on_demand: Fact::Known(driver::uvm_loads_on_demand(facts)),
            cuda_asked_for_server: driver::cuda_asked_for_server(facts),
            libcuda_missing: driver::libcuda_missing(facts).into(),
            runtimes_too_new_for_driver: linker::too_new_for_driver(facts),
            cudnn_split_folders: linker::cudnn_split_folders(facts),
            cuda_stub_in_place: linker::stub_in_place(facts),
            cuda_compat_refused: linker::compat_refused(facts, &driver_versions_differ, gpu_in_use),
            driver_versions_differ,
            cuda_provider_seen_to_load: Fact::Known(server::cuda_provider_seen_to_load(facts)),
            rejected_for_unknown_reason: server::rejected_for_unknown_reason(facts),
            gpu_seen_working: Fact::Known(working),
            device_node_seen_open: Fact::Known(server::device_node_seen_open(facts)),
            other_gpu_runtime_seen: Fact::Known(server::other_gpu_runtime_seen(facts)),
            server_seen_without_onnxruntime: Fact::Known(server::seen_without_onnxruntime(facts)),
            start_failures: start_failure::all(facts),
            container_in_docker_desktop: docker_daemon::in_desktop(facts),
            other_docker_daemon: docker_daemon::other(facts),
            docker_daemon_cannot_start: Fact::Known(docker_daemon::cannot_start(facts)),
            container_asks_for_gpu: image::asks_for_gpu(facts),
            container_recorded_without_gpu: image::recorded_without_gpu(facts).into(),
            image_requirement_met: image_requirement::met(facts),
            image_requirement: image_requirement::shown(facts),
            cpu_images: image::for_cpu(facts),
            limited_pod_without_devices: Fact::Known(pod::limited_without_devices(facts)),
            gpu_nodes_without_gpus: gpu_sharing::gpu_nodes_without_gpus(facts),
            oversubscribed_nodes: gpu_sharing::oversubscribed(facts),
            server_seen_on_gpu: Fact::Known(working || packages::server_holds_gpu_context(facts)),
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
            kernel_log_read: Fact::Known(illness::kernel_log_read(facts)),
            gpu_trouble_seen: Fact::Known(illness::seen(facts)),
            kernel_log_counts: illness::kernel_log_counts(facts),
            gpu_lost_in_nvml: Fact::Known(illness::gpu_lost_in_nvml(facts)),
            fewer_gpus_in_nvml: illness::fewer_gpus_in_nvml(facts),
            activity: activity.into(),
            activity_because: activity_because.into(),
            expectations_unmet: expectations::unmet(facts, expect),
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

/// A verdict and its reason, as two facts.
fn told(judged: Result<(&'static str, String), crate::snapshot::Unknown>) -> (Fact<String>, Fact<String>) {
    match judged {
        Ok((verdict, because)) => (Fact::Known(verdict.to_owned()), Fact::Known(because)),
        Err(unknown) => (Fact::Unknown(unknown.clone()), Fact::Unknown(unknown)),
    }
}
