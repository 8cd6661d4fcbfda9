//! The one sentence.

use super::{Diagnosis, Link, Missing, Standing, Verdict, recorded};
use crate::check::{Finding, Severity, View};
use crate::snapshot::{Snapshot, Stage};
use crate::words::count;

/// Writes the headline: the first cause, every other independent one in a few words, or what is missing for an answer.
pub fn write(
    snapshot: &Snapshot,
    view: &View,
    verdict: Verdict,
    diagnoses: &[Diagnosis],
    unknown: &[Missing],
    chain: &[Link],
    findings: &[Finding],
) -> String {
    let failures: Vec<&Diagnosis> = diagnoses.iter().filter(|d| d.severity == Severity::Fail).collect();
    let warnings: Vec<&Diagnosis> = diagnoses.iter().filter(|d| d.severity == Severity::Warn).collect();
    match (failures.as_slice(), verdict) {
        ([first, others @ ..], _) => {
            let mut line = match first.symptom {
                true => of_symptom(first, unknown),
                false => format!("{} {}", opening(snapshot, first, view), first.brief),
            };
            let others: Vec<&str> = others.iter().chain(&warnings).map(|diagnosis| diagnosis.brief.as_str()).collect();
            if !others.is_empty() {
                line.push_str(&format!("; besides, {}", others.join("; and ")));
            }
            line
        }
        ([], Verdict::Undecided) if unknown.is_empty() => {
            let line = match chain.iter().find(|link| link.standing == Standing::Unknown) {
                open if snapshot.facts.recorded.files.known().is_some() => recorded::undecided(snapshot, open),
                Some(link) => format!(
                    "Undecided: stage {} does not work, and no check names the cause: {}",
                    link.stage, link.seen
                ),
                None if super::was_not_asked(snapshot, chain) => {
                    "Undecided: no request was accepted, so that nothing is known of how the server serves".into()
                }
                None => "Undecided: nothing was examined, because no selected check applies to what was named".into(),
            };
            with_warnings(line, &warnings)
        }
        ([], Verdict::Undecided) => {
            // What was asked comes first: whether the GPU works. A probe that crashed or hangs says more.
            let asked = unknown.iter().find(|missing| missing.path == "derived.activity");
            let (first, others) =
                (asked.filter(|_| !unknown[0].checks.is_empty()).unwrap_or(&unknown[0]), unknown.len() - 1);
            let mut line =
                format!("Undecided: {} could not be known ({}: {})", in_words(&first.path), first.why, first.detail);
            if others > 0 {
                line.push_str(&format!(", nor {} that could change the answer", count(others, "other fact")));
            }
            with_warnings(line, &warnings)
        }
        ([], _) => {
            with_warnings(format!("No fault found {}{}", scope(snapshot, view), selected(findings, chain)), &warnings)
        }
    }
}

/// A symptom is no answer to why.
fn of_symptom(symptom: &Diagnosis, unknown: &[Missing]) -> String {
    let why = match unknown.first() {
        Some(missing) => format!("why could not be known ({}: {})", missing.why, missing.detail),
        None => "no cause was found".into(),
    };
    format!("GPU is idle: {}; {why}", symptom.brief)
}

/// What the cause is the cause of. Where the GPU worked on the doctor's own requests, it is not said to be idle, unless
/// the client's requests never get that far.
fn opening(snapshot: &Snapshot, first: &Diagnosis, view: &View) -> &'static str {
    let worked = view.value("derived.gpu_seen_working").and_then(serde_json::Value::as_bool) == Some(true);
    match snapshot.target.server {
        _ if recorded::tells_of_requests(snapshot) => recorded::opening(snapshot, worked, view),
        // Connections at rest tell nothing of how busy a GPU is.
        _ if snapshot.facts.connections.attempts.known().is_some()
            && first.evidence.iter().any(|one| one.path.starts_with("derived.connection")) =>
        {
            "The connections show that"
        }
        Some(_) if worked && first.stage != Stage::Request => "The GPU works, yet",
        Some(_) => "GPU is idle because",
        None => "The GPU cannot be used because",
    }
}

/// A fact's path, or in words what a derived one asks.
pub fn in_words(path: &str) -> &str {
    match path {
        "derived.gpu_visible" => "whether this machine has a GPU",
        "derived.driver_versions_differ" => "whether the driver's parts are of one version",
        "derived.onnxruntime_without_cuda" => "whether onnxruntime has CUDA",
        "derived.rejected_for_unknown_reason" => "whether requests are accepted",
        "derived.activity" => "whether the GPU works while requests run",
        "derived.gpu_libraries" => "which GPU libraries the server has loaded",
        "derived.model_not_loaded" => "whether the server's model is loaded",
        "derived.model_loaded_per_request" => "whether the model is loaded anew for each request",
        "derived.port_rivals" => "whether another server listens on the port",
        "derived.hot_gpus" => "whether a GPU is too hot",
        "derived.power_limited_gpus" => "whether a GPU is short of power",
        "derived.poor_link_gpus" => "whether a GPU's PCIe link is sound",
        "derived.memory_error_gpus" => "whether a GPU's memory has errors",
        "derived.reset_due_gpus" => "whether a GPU must be reset",
        "derived.unlicensed_gpus" => "whether a virtual GPU is licensed",
        "derived.exclusive_gpus" => "whether a GPU is closed to processes",
        "derived.empty_mig_gpus" => "whether a GPU has MIG devices",
        "derived.model_too_large" => "whether the model fits into the GPU's memory",
        "derived.model_never_moved" => "whether the model's weights are on the GPU",
        "derived.crowded_gpus" => "who holds the GPUs' memory",
        "kernel_log.xids" | "kernel_log.lines" => "what the kernel reported of the GPU",
        "nvml" => "the state of the GPU (NVML)",
        "derived.start_failures" => "whether the container could be started",
        "derived.container_asks_for_gpu" => "whether the container asks for a GPU",
        "derived.cpu_images" => "whether the image is one for the CPU",
        "derived.runtimes_too_new_for_driver" => "which CUDA the server's runtimes were built for",
        "derived.runtimes" => "which runtimes the deployment has",
        "derived.gpus_without_torch_code" => "whether torch holds code for the GPU",
        "derived.cudnn_split_folders" => "where the server takes cuDNN from",
        "derived.cuda_compat_refused" => "whether CUDA refuses its compatibility library",
        "derived.cuda_stub_in_place" => "whether the server finds the driver's libcuda",
        "derived.libcuda_missing" => "whether the server finds the driver's libcuda",
        "derived.cuda_asked_for_server" => "what CUDA says to the server",
        "derived.device_nodes_refused" => "whether the server may open the GPU's device nodes",
        "derived.uvm_missing" => "whether CUDA's kernel module is loaded",
        "derived.gpu_nodes_forbidden" => "whether the container may open the GPU's device nodes",
        "derived.other_drivers_bound" => "which kernel driver holds the GPU",
        "derived.fewer_gpus_in_nvml" => "whether the driver shows every GPU",
        "derived.kernel_log_counts" => "whether the kernel's log speaks of this machine",
        "derived.stale_files_seen" => "whether the server runs files that were replaced",
        "derived.engine_state" => "whether the engine sleeps",
        "derived.load_breaking_point" => "whether the server keeps up with the load test",
        "derived.load_refusals" => "whether the server refuses requests under load",
        "derived.load_resident_leak" => "whether the server's memory grows",
        "derived.gpu_memory_trend" => "whether the GPU's memory grows",
        "derived.expectations_unmet" => "whether the machine is what the config expects",
        "derived.shm_shortage" => "whether /dev/shm is large enough",
        "derived.image_driver_library" => "whether the image brings driver libraries",
        "derived.image_requirement_met" => "whether the driver meets the image's requirement",
        "derived.container_lacks_libcuda" => "whether the container has libcuda",
        "derived.limited_pod_without_devices" => "whether the pod was given its GPU",
        "derived.oversubscribed_nodes" => "whether pods share a GPU",
        "derived.gpu_nodes_without_gpus" => "whether the nodes offer GPUs",
        "derived.cpu_throttled_percent" => "whether a CPU limit stops the server",
        "derived.gpu_busy_percent" => "how busy the GPU is",
        "derived.collective_hang" => "whether GPUs wait for each other",
        "derived.connections_on_one_gpu" => "how connections are spread over the GPUs",
        "derived.connection_places_leaked" => "whether the places of closed connections are free again",
        "derived.connection_limit_not_enforced" => "whether the limit of connections is kept",
        "derived.server_on_one_gpu" => "how the server's processes are spread over the GPUs",
        "derived.single_hot_thread" => "whether one thread sets the pace",
        "ort.cuda_compiled_in" => "whether onnxruntime has CUDA",
        "ort.missing_libraries" => "whether onnxruntime finds its CUDA libraries",
        "ort.cuda_registers" => "whether onnxruntime can use CUDA",
        "server_log.sayings" => "what the server's log says",
        "cuda.init_code" => "whether CUDA starts",
        "process.environment" => "the server's environment variables",
        "nvml.gpus" => "which GPUs the driver lists",
        "packages.onnxruntime_distributions" => "which onnxruntime packages are installed",
        "packages.onnxruntime_owner" => "which package onnxruntime's files are of",
        "derived.cpu_onnxruntime_installed_while_serving" => "whether a package was exchanged while the server ran",
        "linker.runtimes" => "whether the server finds what its runtimes need",
        "process.code_newer_than_start" => "whether the server's code is newer than its start",
        "process.deleted_libraries" => "whether the server runs libraries that were replaced",
        "ort.cuda_failure" => "why onnxruntime cannot use CUDA",
        "derived.pipelines_on_cpu" | "derived.parameters_told" => "where the server's own code puts the model",
        "smoke.runs" => "whether a kernel runs on the GPU",
        "derived.model_gpu_bytes" => "what the model needs of the GPU's memory",
        "derived.given_up_by_proxy" => "whether a proxy gives requests up",
        "derived.limit_refusal" => "whether the server refuses requests above a limit",
        "derived.model_time_percent" | "derived.outside_model_ms" => "how much of a request's time is the model's",
        "execution.cores_busy" => "how busy the server's threads are",
        "execution.light_request_during_ms" | "execution.light_request_idle_ms" | "execution.light_request_left_ms" => {
            "whether a light request waits for a heavy one"
        }
        "derived.requests_failing" => "how many requests fail",
        "derived.missed_bursts" => "whether work falls between the readings of utilization",
        "derived.unreported_gpus" => "whether the GPU tells its utilization",
        "derived.start_only_work" => "whether the GPU worked at the start only",
        "derived.hidden_processes" => "whose processes hold the GPU's memory",
        "derived.websocket_full" => "whether sessions are refused",
        "request.missing_fields" => "what the server's requests need",
        "packages.onnxruntime_files" => "whether onnxruntime's package is whole",
        "derived.link_bound_gpus" => "whether a GPU waits for its PCIe link",
        "derived.unseen_control" => "whether the counters see a kernel of the doctor's own",
        "derived.whisper_on_cpu" => "whether Whisper runs on the CPU",
        "derived.submodels_on_cpu" => "whether a part of the model is on the CPU",
        "derived.models_on_cpu" | "derived.inputs_on_cpu" => "on which device the model's code works",
        "derived.engine_cpu_models" | "derived.python_models_off_gpu" | "derived.models_without_their_gpu" => {
            "on which device the serving software puts its models"
        }
        "derived.device_map_offload" => "whether layers of the model were left on the CPU",
        "derived.pcie_times_body" | "derived.pcie_bytes_per_second" => "what goes over the PCIe link in a request",
        path => by_room(path),
    }
}

/// In words what a fact of this room, or one that its probe takes, is about.
fn by_room(path: &str) -> &str {
    match path.split(['.', '[']).next().unwrap_or_default() {
        "host" => "what the machine shows of its GPUs and driver",
        "kernel_log" => "what the kernel reported of the GPU",
        "process" => "what the server's processes show",
        "device_nodes" => "whether the GPU's device nodes can be opened",
        "container" => "what the server's container is allowed",
        "docker" => "what Docker says of the container",
        "kubernetes" => "what Kubernetes says of the pod",
        "packages" | "imports" => "what the deployment's packages are",
        "nvml" => "the state of the GPU (NVML)",
        "cuda" => "what CUDA says",
        "smoke" => "whether a kernel runs on the GPU",
        "linker" => "whether the server finds what its runtimes need",
        "source" => "what the server's own code asks for",
        "model" => "what is in the model's file",
        "ort" | "onnxruntime" => "what the deployment's onnxruntime can do",
        "placement" | "prediction" => "where the model's nodes run",
        "service" | "request" => "what the server answers",
        "execution" | "counters" => "what was measured while requests ran",
        "engine" => "what the serving software says of its models",
        "loaded" | "loader" => "where the model is once it is loaded",
        "server_log" => "what the server's log says",
        "load" => "what a load shows",
        "connections" | "balance" => "what held connections show",
        _ => path,
    }
}

/// The stages that were judged, if they are not all: a part that is sound is not a sound whole.
fn selected(findings: &[Finding], chain: &[Link]) -> String {
    let judged = |stage: &&Stage| findings.iter().any(|finding| finding.check.spec.stage == **stage);
    let stages: Vec<String> = Stage::ALL.iter().filter(judged).map(|stage| stage.to_string()).collect();
    // Stages without a row of their own have nothing to tell.
    let told = |link: &&Link| link.standing != Standing::NotApplicable || !link.seen.is_empty();
    let left_out = chain.iter().filter(told).any(|link| !stages.contains(&link.stage.to_string()));
    match left_out {
        true => format!("; only judged: {}", stages.join(", ")),
        false => String::new(),
    }
}

fn scope(snapshot: &Snapshot, view: &View) -> String {
    if let Some(files) = snapshot.facts.recorded.files.known() {
        return recorded::scope(snapshot, files, view);
    }
    match (&snapshot.target.server, snapshot.target.server_is_local) {
        (Some(server), Some(false)) => format!("in the requests to {server} (another machine, itself not examined)"),
        (Some(server), _) if snapshot.facts.connections.attempts.known().is_some() => {
            format!("on this machine and in the connections to {server}")
        }
        (Some(server), _) => format!("on this machine and in the requests to {server}"),
        (None, _) => "on this machine; name a server to have its requests examined (--server)".into(),
    }
}

fn with_warnings(mut line: String, warnings: &[&Diagnosis]) -> String {
    if !warnings.is_empty() {
        let briefs: Vec<&str> = warnings.iter().map(|diagnosis| diagnosis.brief.as_str()).collect();
        line.push_str(&format!("; worth a look: {}", briefs.join("; and ")));
    }
    line
}
