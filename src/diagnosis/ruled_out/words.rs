//! What a term says of a fact, in words. A clause must be true for every check that asks the fact that way; where checks
//! ask one list different questions, it goes by the check.

use crate::check::{Asks, Term, View};
use serde_json::Value;

/// What a log would say is one witness among others, and a log is not always there.
pub const IN_NO_LOG: &str = "no log says so";

/// The same of files that were given.
pub const IN_NO_FILE: &str = "no file says so";

/// Whether a term is asked by many checks alike, so that it says little of one.
pub fn is_of_all(term: &Term) -> bool {
    let first = term.paths.first().map(String::as_str);
    matches!(
        first,
        Some(
            "derived.gpu_visible"
                | "derived.gpu_seen_working"
                | "derived.device_node_seen_open"
                | "request.reachable"
                | "container.kind"
        )
    )
}

/// The clause in words, if there are any for it.
pub fn clause(check: &str, term: &Term, view: &View) -> Option<String> {
    let path = term.paths.first()?.as_str();
    if let Asks::Has(what) = &term.asks
        && !term.is_so
    {
        return without(path, what).map(str::to_owned);
    }
    if let Some(words) = of_check(check, path, term) {
        return Some(words.to_owned());
    }
    let value = view.value(path)?;
    match value {
        Value::Bool(is_so) => of_truth(path, *is_so).map(str::to_owned),
        Value::String(text) if text.is_empty() => of_none(path).map(str::to_owned),
        Value::String(text) => of_text(path, text),
        Value::Array(items) if items.is_empty() => of_none(path).map(str::to_owned),
        Value::Number(number) => of_number(path, number),
        _ => None,
    }
    .or_else(|| of_list(path, term).map(str::to_owned))
}

/// The clause by path and value, where there are no words for it.
pub fn plain_clause(term: &Term, view: &View) -> Option<String> {
    let path = term.paths.first()?;
    let value = match view.value(path)? {
        Value::Array(items) if items.is_empty() => return Some(format!("{path} is empty")),
        Value::Array(_) | Value::Object(_) if !term.is_so => return Some(format!("nothing in {path} fits")),
        Value::String(text) if text.is_empty() => return Some(format!("{path} is empty")),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => view.value(path)?.to_string(),
        _ => return None,
    };
    Some(format!("{path} is {value}"))
}

/// A text or name that is not there.
fn without(path: &str, what: &str) -> Option<&'static str> {
    Some(match (path, what) {
        ("derived.said_in_log", _) => IN_NO_LOG,
        ("derived.other_drivers_bound", "nouveau") => "nouveau does not hold the GPU",
        ("process.environment", "CUDA_VISIBLE_DEVICES") => "the server's CUDA_VISIBLE_DEVICES is not set",
        ("container.runtime_variables", _) => "NVIDIA_VISIBLE_DEVICES is not set",
        ("docker.labels", "com.docker.compose.service") => "the container was not started by Compose",
        ("derived.gpu_libraries", "torch_cuda" | "torch_c10_cuda") => "torch's CUDA libraries are not loaded",
        ("derived.gpu_libraries", "onnxruntime" | "onnxruntime_python") => "the server has no onnxruntime loaded",
        ("derived.gpu_libraries", "onnxruntime_cuda_provider") => {
            "onnxruntime's CUDA provider is not loaded in the server"
        }
        ("derived.gpu_libraries", "ctranslate2") => "the server has no CTranslate2 loaded",
        _ => return None,
    })
}

/// Lists of which one check asks what others do not.
fn of_check(check: &str, path: &str, term: &Term) -> Option<&'static str> {
    Some(match (check, path, term.is_so) {
        ("ort-both-packages-clobbered", "packages.onnxruntime_files", false) => {
            "no two packages claim onnxruntime's files"
        }
        ("ort-both-packages-clobbered", "packages.onnxruntime_distributions", false) => {
            "only one onnxruntime package is installed"
        }
        ("ort-namespace-package-after-uninstall", "packages.onnxruntime_files", false) => {
            "onnxruntime's files are there"
        }
        ("driver-module-missing-for-running-kernel", "host.nvidia_modules", true) => {
            "the nvidia module is built for the running kernel"
        }
        ("secure-boot-blocks-module", "host.nvidia_modules", false) => {
            "no nvidia module is built for the running kernel"
        }
        ("ort-cudnn-missing", "ort.missing_libraries", false) => "onnxruntime's CUDA provider lacks no part of cuDNN",
        ("ort-cuda-libs-missing-or-wrong-major", "ort.missing_libraries", false) => {
            "onnxruntime's CUDA provider lacks no library of CUDA"
        }
        ("torch-cpu-wheel", "derived.runtimes", false) => "no torch without CUDA is in use",
        ("ct2-built-without-cuda", "derived.runtimes", false) => "no CTranslate2 without CUDA is in use",
        ("llama-cpp-built-without-cuda", "derived.runtimes", false) => "no llama.cpp without CUDA is in use",
        ("sherpa-onnx-built-without-gpu", "derived.runtimes", false) => "no sherpa-onnx without CUDA is in use",
        ("jax-cpu-jaxlib", "derived.runtimes", false) => "no jaxlib without CUDA is in use",
        ("cudnn8-vs-cudnn9", "linker.runtimes", false) => "no runtime lacks its version of cuDNN",
        ("ct2-libcublas-missing", "linker.runtimes", false) => "CTranslate2 lacks no libcublas",
        ("k8s-gpu-limit-missing", "kubernetes.pods", false) => "no running pod lacks a GPU limit that it should have",
        ("compose-gpu-stanza-missing", "docker.gpu_requests", false) => {
            "the container's record has no request for 0 GPUs"
        }
        ("soft-error-200", "request.soft_failures", false) => "no accepted answer holds an error inside",
        ("vad-or-filter-drops-input", "request.soft_failures", false) => "no transcript came back empty",
        ("cpu-only-image-tag", "derived.cpu_images", false) => "no image's name says that it is built for the CPU",
        ("driver-capabilities-lack-compute", "container.driver_libraries", false) => {
            "nothing of the driver was put into the container"
        }
        _ => return None,
    })
}

/// A fact that is true or false.
fn of_truth(path: &str, is_so: bool) -> Option<&'static str> {
    Some(match (path, is_so) {
        ("derived.gpu_visible", true) => "this machine has a GPU",
        ("derived.gpu_visible", false) => "this machine has no NVIDIA GPU",
        ("derived.gpu_seen_working", true) => "the GPU was seen to work",
        ("derived.gpu_seen_working", false) => "the GPU was not seen to work",
        ("derived.gpu_seen_idle", false) => "the GPU was not seen to be idle while requests were accepted",
        ("derived.gpu_seen_saturated", true) => "the GPU is busy",
        ("derived.weights_seen_on_gpu", false) => "no weights were seen on the GPU",
        ("derived.server_seen_on_gpu", true) => "the server was seen on the GPU",
        ("derived.device_node_seen_open", true) => "the server holds the GPU's device node open",
        ("derived.driver_seen_to_list_gpu", true) => "the driver lists the GPU",
        ("derived.driver_versions_differ", false) => "the kernel module and the driver's libraries are of one version",
        ("derived.driver_versions_differ", true) => "the driver's parts are of different versions",
        ("derived.cuda_provider_seen_to_load", true) => "onnxruntime's CUDA provider was seen to load",
        ("derived.other_gpu_runtime_seen", true) => "the server has another runtime loaded that computes on GPUs",
        ("derived.uvm_missing", false) => "CUDA's memory module is there",
        ("derived.libcuda_missing", false) => "the server finds the driver's libcuda",
        ("derived.cuda_compat_refused", false) => "CUDA refuses no compatibility library",
        ("derived.cuda_stub_in_place", false) => "no stub stands where the driver's libcuda should",
        ("derived.gpu_nodes_forbidden", false) => "the container may open the GPU's device nodes",
        ("derived.container_lacks_libcuda", false) => "the container has libcuda",
        ("derived.container_recorded_without_gpu", false) => "no container's record asks for no GPU",
        ("derived.container_asks_for_gpu", true) => "the container asks for a GPU",
        ("derived.container_in_docker_desktop", false) => "the container does not run in Docker Desktop",
        ("derived.capabilities_lack_compute", false) => "the container's driver capabilities include compute",
        ("derived.image_requirement_met", true) => "the driver meets the image's requirement",
        ("derived.docker_daemon_cannot_start", false) => "Docker's daemon can start",
        ("derived.limited_pod_without_devices", false) => "no pod with a GPU limit lacks its GPU",
        ("derived.onnxruntime_without_cuda", false) => "the installed onnxruntime has CUDA",
        ("derived.onnxruntime_meant_for_cpu", true) => "onnxruntime is meant for the CPU there",
        ("derived.onnxruntime_seen_gutted", false) => "onnxruntime's package was seen whole",
        ("derived.cpu_onnxruntime_installed_while_serving", false) => {
            "no onnxruntime was installed while the server ran"
        }
        ("derived.cuda_provider_seen_mapped", true) => "the server has onnxruntime's CUDA provider loaded",
        ("derived.stale_files_seen", false) => "no file that the server has loaded was replaced",
        ("derived.rejected_without_words", false) => "no rejection comes without a reason",
        ("derived.masked_as_5xx_proven", false) => "no 5xx was proven to be the request's fault",
        ("derived.engine_devices_told", true) => "the serving software names a GPU as its device",
        ("derived.ct2_converted", false) => "CTranslate2 converted no type",
        ("host.nvidia_module_loaded", true) => "the nvidia kernel module is loaded",
        ("host.nvidia_module_loaded", false) => "the nvidia kernel module is not loaded",
        ("host.secure_boot", false) => "secure boot is off",
        ("ort.cuda_compiled_in", true) => "onnxruntime is built with CUDA",
        ("ort.cuda_compiled_in", false) => "onnxruntime is built without CUDA",
        ("ort.cuda_registers", false) => "onnxruntime cannot register CUDA",
        ("ort.cuda_registers", true) => "onnxruntime registers CUDA",
        ("request.reachable", true) => "the server answers",
        ("request.reachable", false) => "the server does not answer",
        _ => return None,
    })
}

/// A text or list that is empty.
fn of_none(path: &str) -> Option<&'static str> {
    Some(match path {
        "derived.credentials_refused" => "no answer asks for credentials",
        "derived.size_refused" => "no answer complains of the request's size",
        "derived.context_exceeded" => "no answer complains of the input's length",
        "derived.tensor_mismatch" => "no answer complains of a tensor's name, shape or type",
        "derived.model_not_loaded" => "the server does not say that its model is missing",
        "derived.wrong_model" => "no answer says that it lacks the model",
        "derived.wrong_path" => "the path and method exist",
        "derived.wrong_port" => "what answers on the port is no other service",
        "derived.nothing_to_send" => "a request could be built",
        "derived.masked_as_5xx" => "no 5xx is known to be the request's fault",
        "derived.fields_not_named" => "no answer keeps a field's name to itself",
        "derived.answers_too_fast" => "no answer came too fast to have been computed",
        "derived.waits_for_other" => "no request waits for another server",
        "derived.limit_refusal" => "no answer tells of a limit",
        "derived.link_bound_gpus" => "no link to a GPU is full",
        "derived.model_loaded_per_request" => "the model is not loaded anew for each request",
        "derived.ollama_one_at_a_time" => "no ollama computes one request at a time",
        "derived.waiting_while_free" => "no request waits beside an empty key-value cache",
        "derived.kv_cache_full" => "no key-value cache is full",
        "derived.saturated_queues" => "no queue is far longer than the computation",
        "derived.narrow_batch_windows" => "no model waits too shortly for a batch",
        "derived.unbatched_models" => "no model computes each request alone while others wait",
        "derived.upstream_bottlenecks" => "no step of an ensemble holds up the next",
        "derived.load_resident_leak" => "the memory beside the GPU does not grow with each request",
        "derived.load_breaking_point" => "every user of the load was served",
        "derived.load_refusals" => "no request was refused for the load",
        "derived.given_up_by_proxy" => "no proxy gave up waiting",
        "derived.recorded_missing_field" => IN_NO_FILE,
        "derived.credentials_wanted" => "no credentials are asked for",
        "request.missing_fields" => "no field is missing",
        "request.content_type_faults" => "nothing points to the content type",
        "request.transport.tls_fault" => "the connection has no fault of TLS",
        "derived.reset_due_gpus" => "no GPU is due for a reset",
        "derived.exclusive_gpus" => "no GPU is closed to further processes",
        "derived.memory_error_gpus" => "no GPU reports errors of its memory",
        "derived.empty_mig_gpus" => "no GPU is in MIG mode without instances",
        "derived.unlicensed_gpus" => "no virtual GPU lacks its license",
        "derived.hot_gpus" => "no GPU is too hot",
        "derived.power_limited_gpus" => "no GPU is short of power",
        "derived.poor_link_gpus" => "every PCIe link is as wide and fast as it should be",
        "derived.crowded_gpus" => "no other process holds the GPU's memory",
        "derived.model_without_room" => "the model has room",
        "derived.model_too_large" => "the model fits into the GPU's memory",
        "derived.device_nodes_refused" => "no device node is refused by its permissions",
        "derived.gpus_without_torch_code" => "torch has code for every GPU",
        "derived.cudnn_split_folders" => "cuDNN comes from one place",
        "derived.image_driver_library" => "the image brings no driver libraries of its own",
        "derived.cpu_images" => "no image's name says that it is built for the CPU",
        "derived.start_failures" => "no container failed to start",
        "derived.other_docker_daemon" => "there is no second Docker daemon",
        "derived.gpu_nodes_without_gpus" => "every GPU node offers its GPUs",
        "derived.runtimes_too_new_for_driver" => "no runtime is too new for the driver",
        "derived.other_drivers_bound" => "no other driver holds the GPU",
        "derived.renumbered_gpus" => "CUDA and nvidia-smi number the GPUs alike",
        "derived.collective_hang" => "the GPUs do not wait for each other",
        "derived.computed_beside_gpu" => "no work was seen beside a model on the GPU",
        "derived.onnxruntime_in_code" => "no code of the server uses onnxruntime",
        "derived.inputs_on_cpu" => "no input was seen to stay on the CPU",
        "derived.device_map_offload" => "no part of the model was given to the CPU by device_map",
        "derived.submodels_on_cpu" => "no part of the pipeline was seen on the CPU",
        "derived.pipelines_on_cpu" => "no transformers pipeline was seen on the CPU",
        "derived.whisper_on_cpu" => "no whisper model was seen on the CPU",
        "derived.python_models_off_gpu" => "no model of Triton's Python backend was seen off the GPU",
        "derived.models_on_cpu" => "the deployment's code leaves no model on the CPU",
        "derived.model_never_moved" => "the model was not seen to stay in main memory",
        "derived.loader_failure" => "the deployment's code loads its model",
        "derived.ct2_refusal" => "CTranslate2 refused no type",
        "derived.insightface_on_cpu" => "insightface says nothing of the CPU",
        "derived.engine_claim_unseen" => "no claim of the serving software is contradicted",
        "derived.cached_answers" => "no cache was seen to answer",
        "derived.low_load" => "the load was not seen to be low",
        "derived.llama_said_no_layers" | "derived.llama_asks_no_layers" => "llama.cpp was not told to keep all layers",
        "process.deleted_libraries" => "the server has no deleted library loaded",
        "process.code_newer_than_start" => "no file of the server's code is newer than the server",
        "model.fault" => "the model's file is whole",
        "container.device_nodes" => "the container has no device nodes of a GPU",
        "host.nvidia_pci_devices" => "no NVIDIA GPU is on the PCI bus",
        "kubernetes.pods" => "no pods are told of",
        "kernel_log.xids" => "the kernel's log has no Xid",
        "server_log.sayings" => IN_NO_LOG,
        "server_log.said_in_answers" => "no answer says so",
        _ => return None,
    })
}

/// A text that is not the one asked for.
fn of_text(path: &str, text: &str) -> Option<String> {
    Some(match (path, text) {
        ("container.kind", "none") => "the server is in no container that could be seen".into(),
        ("container.kind", kind) => format!("the container is of {kind}"),
        ("derived.engine_state", _) => "the engine does not say that it sleeps".into(),
        ("derived.port_rivals", "none") => "no other server listens on the port".into(),
        ("derived.shm_shortage", "none") => "/dev/shm is large enough".into(),
        ("nvml.status", "ok") => "NVML works".into(),
        ("cuda.status", "ok") => "CUDA starts".into(),
        ("engine.kind", kind) => format!("the server is {kind}"),
        ("ort.cuda_failure.kind", "none") => "onnxruntime registers CUDA".into(),
        ("ort.cuda_failure.kind", "cpu_build") => "onnxruntime is built without CUDA".into(),
        ("ort.cuda_failure.kind", "library_missing" | "wrong_major") => "onnxruntime lacks a library of CUDA".into(),
        ("ort.cuda_failure.kind", "cudnn_missing") => "onnxruntime lacks cuDNN".into(),
        ("ort.cuda_failure.kind", "no_driver") => "onnxruntime finds no driver".into(),
        _ => return None,
    })
}

fn of_number(path: &str, number: &serde_json::Number) -> Option<String> {
    Some(match (path, number.as_f64()?) {
        ("cuda.init_code", 0.0) => "CUDA starts".into(),
        ("cuda.init_code", code) => format!("CUDA's start failed with code {code}"),
        ("cuda.device_count", 1.0) => "CUDA lists a GPU".into(),
        ("cuda.device_count", count) => format!("CUDA lists {count} GPUs"),
        ("execution.cores_busy", cores) => format!("the server kept {cores:.1} CPU cores busy"),
        ("derived.gpu_busy_percent", percent) => format!("the GPU was {percent:.0} % busy"),
        ("derived.model_time_percent", percent) => format!("the model takes {percent:.0} % of a request's time"),
        _ => return None,
    })
}

/// A list of which none fits.
fn of_list(path: &str, term: &Term) -> Option<&'static str> {
    if term.is_so {
        return None;
    }
    Some(match path {
        "server_log.sayings" => IN_NO_LOG,
        "server_log.said_in_answers" => "no answer says so",
        "derived.start_failures" => "no container failed to start for that reason",
        "kernel_log.xids" => "the kernel's log has no such Xid",
        "kernel_log.lines" => "the kernel's log has no such line",
        "request.content_type_faults" => "no other content type helped",
        _ => return None,
    })
}
