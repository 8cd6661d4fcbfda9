//! What the server's process and its answers add up to.

use super::Basis;
use crate::snapshot::{Fact, Facts, Unknown, Why, room};
use std::collections::BTreeMap;

room! {
    /// What the server was seen to do.
    pub struct Server {
        /// Whether onnxruntime's CUDA provider was seen to load, in the server's process or for the doctor.
        pub cuda_provider_seen_to_load: bool,
        /// Whether a GPU's device node was seen open in the server's processes, so that they were given one.
        pub device_node_seen_open: bool,
        /// Whether a runtime other than onnxruntime that can compute on a GPU was seen mapped by the server.
        pub other_gpu_runtime_seen: bool,
        /// Whether the server's processes could be read and none has onnxruntime mapped.
        pub server_seen_without_onnxruntime: bool,
        /// Whether the deployment's onnxruntime is one without CUDA, by the library or else by its package.
        pub onnxruntime_without_cuda: bool,
        /// Whether the deployment's onnxruntime was seen to be one without CUDA.
        pub cpu_onnxruntime_seen: bool,
        /// Whether requests are rejected and no missing field was found to be the reason.
        pub rejected_for_unknown_reason: bool,
        /// Libraries of GPU runtimes that the server was seen to have mapped, before the first request or after the last.
        pub gpu_libraries: BTreeMap<String, String>,
        /// Whether a process was seen to map a library or a model that was removed or replaced since.
        pub stale_files_seen: bool,
        /// Whether one thread of the server alone kept a core busy while requests ran.
        pub single_hot_thread: bool,
    }
}

impl Server {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let onnxruntime_without_cuda = onnxruntime_without_cuda(facts);
        Self {
            cuda_provider_seen_to_load: Fact::Known(cuda_provider_seen_to_load(facts)),
            device_node_seen_open: Fact::Known(device_node_seen_open(facts)),
            other_gpu_runtime_seen: Fact::Known(other_gpu_runtime_seen(facts)),
            server_seen_without_onnxruntime: Fact::Known(seen_without_onnxruntime(facts)),
            cpu_onnxruntime_seen: Fact::Known(onnxruntime_without_cuda.known() == Some(&true)),
            onnxruntime_without_cuda,
            rejected_for_unknown_reason: rejected_for_unknown_reason(facts),
            gpu_libraries: gpu_libraries(facts),
            stale_files_seen: Fact::Known(stale_files_seen(facts)),
            single_hot_thread: single_hot_thread(facts),
        }
    }
}

/// Libraries of GPU runtimes that the server has mapped, by kind: before the first request and after the window.
fn gpu_libraries(facts: &Facts) -> Fact<BTreeMap<String, String>> {
    match (&facts.process.gpu_libraries, &facts.execution.gpu_libraries_after) {
        (Fact::Known(before), Fact::Known(after)) => {
            let mut both = after.clone();
            before.iter().for_each(|(kind, path)| drop(both.insert(kind.clone(), path.clone())));
            Fact::Known(both)
        }
        (Fact::Unknown(_), Fact::Known(after)) => Fact::Known(after.clone()),
        (before, Fact::Unknown(_)) => before.clone(),
    }
}

/// Whether a process was seen to map a library or a model that was removed or replaced since.
fn stale_files_seen(facts: &Facts) -> bool {
    facts.process.deleted_libraries.known().is_some_and(|files| !files.is_empty())
}

/// Whether one thread alone kept a core busy through the window.
fn single_hot_thread(facts: &Facts) -> Fact<bool> {
    /// A thread from here on has no time left, and one up to here has, percent of a core.
    const HOT: f64 = 90.0;
    const NOT_HOT: f64 = 80.0;
    facts.execution.busiest_threads.as_ref().map(|threads| match threads.as_slice() {
        [first, others @ ..] => first.cpu_percent >= HOT && others.iter().all(|other| other.cpu_percent < NOT_HOT),
        [] => false,
    })
}

/// Whether onnxruntime's CUDA provider was seen to load: in the maps of the server's process, or by registering for the
/// doctor. Not seen is no proof of absence: it is meant for ruling causes out, never for finding them.
fn cuda_provider_seen_to_load(facts: &Facts) -> bool {
    let mapped = gpu_libraries(facts);
    mapped.known().is_some_and(|libraries| libraries.contains_key("onnxruntime_cuda_provider"))
        || facts.ort.cuda_registers.known() == Some(&true)
}

/// Whether one of the server's processes was seen to hold a GPU open. `/dev/nvidiactl` is none.
pub fn device_node_seen_open(facts: &Facts) -> bool {
    let open = [&facts.process.device_nodes_open, &facts.execution.device_nodes_open_after];
    open.into_iter().filter_map(Fact::known).flatten().any(|node| is_gpu(node))
}

/// Whether the device node is a GPU's own.
pub fn is_gpu(node: &str) -> bool {
    let number = node.strip_prefix("/dev/nvidia");
    node == "/dev/dxg" || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a process opens this device file when it makes a context on a GPU: the GPU's own, or CUDA's memory.
pub fn is_of_context(node: &str) -> bool {
    is_gpu(node) || node.starts_with("/dev/nvidia-uvm")
}

/// Kinds of mapped libraries that compute on GPUs without onnxruntime.
const OTHER_GPU_RUNTIMES: &[&str] =
    &["ctranslate2", "torch_cuda", "tensorrt", "jax_cuda", "tensorflow", "ggml_cuda", "triton_server"];

/// Whether a runtime other than onnxruntime was seen that may be the one that runs the model: faster-whisper computes in
/// CTranslate2 and keeps onnxruntime on the CPU for its voice detector.
pub fn other_gpu_runtime_seen(facts: &Facts) -> bool {
    let mapped = gpu_libraries(facts);
    mapped.known().is_some_and(|libraries| OTHER_GPU_RUNTIMES.iter().any(|kind| libraries.contains_key(*kind)))
}

/// Whether the server's processes were read and show no onnxruntime: it is installed beside the server, and what it
/// lacks is no proven reason. A server that loads it with its first request is seen after the window.
pub fn seen_without_onnxruntime(facts: &Facts) -> bool {
    let mapped = gpu_libraries(facts);
    mapped.known().is_some_and(|libraries| !libraries.keys().any(|kind| kind.starts_with("onnxruntime")))
}

/// Whether the deployment's onnxruntime has no CUDA. The library's word counts before the packages': a build of one's own
/// with CUDA may be called `onnxruntime` too, and where both packages are installed their names decide nothing.
pub fn onnxruntime_without_cuda(facts: &Facts) -> Fact<bool> {
    let unknown = match &facts.ort.cuda_compiled_in {
        Fact::Known(compiled_in) => return Fact::Known(!compiled_in),
        Fact::Unknown(unknown) => unknown,
    };
    match facts.packages.onnxruntime_distributions.known().map(Vec::as_slice) {
        Some([only]) if only == "onnxruntime" => Fact::Known(true),
        Some([only]) if only == "onnxruntime-gpu" => Fact::Known(false),
        // Several share one folder: whose the files are, their hashes tell.
        Some([_, _, ..]) if let Some(owner) = facts.packages.onnxruntime_owner.known() => match owner.as_str() {
            "onnxruntime" => Fact::Known(true),
            "onnxruntime-gpu" => Fact::Known(false),
            _ => Fact::Unknown(unknown.clone()),
        },
        _ => Fact::Unknown(unknown.clone()),
    }
}

/// Whether requests are rejected without a missing field as the proven reason.
///
/// The client's own request decides, if there is one; else the doctor's, which must have found an accepted one; else the
/// requests that files tell of.
fn rejected_for_unknown_reason(facts: &Facts) -> Fact<bool> {
    let request = &facts.request;
    if request.reachable.known().is_none() && facts.recorded.requests.known().is_some() {
        return match super::recorded::missing_field(facts) {
            Some(_) => Fact::Known(false),
            None => super::recorded::all_rejected(facts),
        };
    }
    if request.reachable.known() == Some(&false) {
        return Fact::Known(false);
    }
    // The content type alone was wrong.
    let by_content_type = request.content_type_faults.known().is_some_and(|all| all.iter().any(|one| one.accepted));
    if by_content_type && request.good.known().is_some() {
        return Fact::Known(false);
    }
    if request.rejected.known().is_some() {
        return match &request.missing_fields {
            // The conversation sought a field and its answers did not name one.
            Fact::Unknown(Unknown { why: Why::Unsupported, .. }) => Fact::Known(true),
            // A search that was cut short has not found that there is none.
            fields => fields.as_ref().map(Vec::is_empty),
        };
    }
    let client_accepted = request.client.known().is_some_and(|exchange| exchange.accepted);
    if client_accepted || request.good.known().is_some() {
        return Fact::Known(false);
    }
    request.rejected.as_ref().map(|_| true)
}
