//! What the server's own code and log say about providers and devices, held against what the server does.
//!
//! What was not seen is never taken for absent: these facts are for proving and quoting, not for ruling out.

use super::Basis;
use super::server::{other_gpu_runtime_seen, seen_without_onnxruntime};
use super::sources_text::{layers_kept, mended, refused, typos};
use crate::snapshot::{Fact, Facts, Saying, SourceCall, Why, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// What code and log say.
    pub struct Sources {
        /// Calls of the server's and its model's own code that make an onnxruntime session and ask for no GPU.
        pub session_calls_without_gpu: Vec<CallToMend>,
        /// Whether every session that was found is made without a GPU, and every file of the server was read.
        pub all_sessions_without_gpu: bool,
        /// Such calls in packages that the server imports.
        pub package_calls_without_gpu: Vec<CallToMend>,
        /// Whether the code was seen to forbid onnxruntime to fall back to the CPU.
        pub cpu_fallback_forbidden: bool,
        /// Packages that run onnxruntime inside and that the server was seen to import.
        pub onnx_wrappers_seen: Vec<String>,
        /// What claims that such a package uses the GPU: a line of the log, or a call; empty if nothing was seen to.
        pub wrapper_claims_gpu: String,
        /// What shows that the model's own code or the server's makes onnxruntime sessions; empty if nothing was seen to, or if
        /// the server was seen not to have it loaded: what stands in a branch of the code need not run.
        pub onnxruntime_in_code: String,
        /// Whether all that was seen to use onnxruntime keeps it on the CPU on purpose, beside the runtime that has the
        /// model: faster-whisper's voice detector.
        pub onnxruntime_meant_for_cpu: bool,
        /// Whether onnxruntime's CUDA provider was seen mapped by the server.
        pub cuda_provider_seen_mapped: bool,
        /// The last line of a log by which insightface took the CPU alone; empty if there is none.
        pub insightface_on_cpu: String,
        /// The calls of insightface in the server's code.
        pub insightface_calls: Vec<SourceCall>,
        /// The line of the log with which CTranslate2 refuses a compute type, the newest; empty if there is none.
        pub ct2_refusal: String,
        /// Whether it went on with another type by itself, because the model and not the program asked for that type.
        pub ct2_converted: bool,
        /// The compute type that it refuses; empty if there is none.
        pub ct2_refused_type: String,
        /// GPUs that cannot compute in that type.
        pub gpus_without_refused_type: Vec<String>,
        /// Whether every GPU can.
        pub gpus_compute_refused_type: bool,
        /// Calls of CTranslate2 that leave the choice of the device to it or take the CPU.
        pub ct2_calls_without_gpu: Vec<SourceCall>,
        /// The line of the log by which llama.cpp kept all layers on the CPU; empty if the newest says otherwise.
        pub llama_said_no_layers: String,
        /// Whether the newest such line of a log says that layers are on the GPU.
        pub llama_said_layers: bool,
        /// What starts llama.cpp without layers for the GPU: a call or the command line; empty if nothing was seen to.
        pub llama_asks_no_layers: String,
        /// Words for devices that the server's runtime does not take, or that name a GPU which is not there.
        pub device_typos: Vec<DeviceTypo>,
        /// Whether the server's own code was read as a whole, and neither it nor a package that it imports and that is known for
        /// it uses onnxruntime. Meant for ruling causes out: what lies beside a server is not what it runs.
        pub onnxruntime_unused_by_code: bool,
    }
}

/// A call, and how it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallToMend {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The source lines in one.
    pub text: String,
    /// `default` if no provider is named, `cpu` if only the CPU's is.
    pub device: String,
    /// Whose code it is.
    pub origin: String,
    /// The call with the provider named; empty where the call is too long.
    pub mended: String,
}

/// A word for a device that is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceTypo {
    /// Name of the option, variable or parameter.
    pub name: String,
    /// The word.
    pub value: String,
    /// Where it stands.
    pub place: String,
    /// What is wrong with it.
    pub wrong: String,
    /// What is meant.
    pub instead: String,
}

impl Sources {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let sessions = facts.source.session_calls.known().map(Vec::as_slice).unwrap_or_default();
        let models = facts.source.model_calls.known().map(Vec::as_slice).unwrap_or_default();
        let wrappers = facts.source.wrappers.known().cloned().unwrap_or_default();
        let kind = |kinds: &[&str], devices: &[&str]| {
            let fits = |call: &&SourceCall| {
                kinds.contains(&call.kind.as_str()) && (devices.is_empty() || devices.contains(&call.device.as_str()))
            };
            models.iter().filter(fits).cloned().collect::<Vec<_>>()
        };
        let refusal = refused(facts);
        Self {
            session_calls_without_gpu: Fact::Known(without_gpu(sessions, false)),
            all_sessions_without_gpu: Fact::Known(all_without_gpu(facts, sessions)),
            package_calls_without_gpu: Fact::Known(without_gpu(sessions, true)),
            cpu_fallback_forbidden: Fact::Known(
                facts.source.cpu_fallback_disabled.known().is_some_and(|calls| !calls.is_empty()),
            ),
            wrapper_claims_gpu: Fact::Known(wrapper_claims_gpu(facts, models)),
            onnx_wrappers_seen: Fact::Known(
                wrappers.into_iter().filter(|name| !MEANT_FOR_CPU.contains(&name.as_str())).collect(),
            ),
            onnxruntime_meant_for_cpu: meant_for_cpu(facts, sessions),
            cuda_provider_seen_mapped: Fact::Known(cuda_provider_seen_mapped(facts)),
            onnxruntime_in_code: Fact::Known(onnxruntime_in_code(facts, sessions)),
            insightface_on_cpu: Fact::Known(insightface_on_cpu(facts)),
            insightface_calls: Fact::Known(kind(&["face_analysis"], &[])),
            ct2_refusal: Fact::Known(refusal.line),
            ct2_converted: Fact::Known(refusal.converted),
            ct2_refused_type: Fact::Known(refusal.compute_type),
            gpus_compute_refused_type: refusal.too_old.as_ref().map(Vec::is_empty),
            gpus_without_refused_type: refusal.too_old,
            ct2_calls_without_gpu: Fact::Known(kind(&["whisper_model"], &["default", "auto", "cpu"]))
                .map(|calls| [calls, kind(&["ctranslate2_model"], &["default", "auto", "cpu"])].concat()),
            llama_said_no_layers: Fact::Known(llama_said_no_layers(facts)),
            llama_said_layers: Fact::Known(
                !llama_last_said(facts).is_empty() && llama_said_no_layers(facts).is_empty(),
            ),
            llama_asks_no_layers: Fact::Known(layers_kept(facts, models)),
            device_typos: Fact::Known(typos(facts)),
            onnxruntime_unused_by_code: Fact::Known(unused_by_code(facts)),
        }
    }
}

/// Packages that keep onnxruntime on the CPU on purpose: a small model beside a large one, such as a voice detector.
const MEANT_FOR_CPU: &[&str] = &["faster_whisper", "magika", "silero_vad", "whisperx"];

/// Whether such packages are all that was seen to use onnxruntime, beside another runtime that may have the GPU.
fn meant_for_cpu(facts: &Facts, sessions: &[SourceCall]) -> Fact<bool> {
    if !other_gpu_runtime_seen(facts) {
        return Fact::Known(false);
    }
    let own = sessions.iter().any(|call| call.origin != "package")
        || facts.source.remote_onnxruntime_files.known().is_some_and(|files| !files.is_empty());
    let meant = |name: &String| MEANT_FOR_CPU.contains(&name.as_str());
    match &facts.source.wrappers {
        // A server that is no Python program imports none of them.
        Fact::Unknown(unknown) if unknown.why == Why::NotAsked => Fact::Known(false),
        wrappers => wrappers.as_ref().map(|names| !own && !names.is_empty() && names.iter().all(meant)),
    }
}

/// Whether the code was read as a whole and names onnxruntime nowhere.
fn unused_by_code(facts: &Facts) -> bool {
    let source = &facts.source;
    let none = |list: &Fact<Vec<String>>| list.known().is_some_and(Vec::is_empty);
    source.files.known().is_some_and(|files| !files.is_empty())
        && source.cut_short.known().is_some_and(String::is_empty)
        && source.imports.known().is_some_and(|names| !names.iter().any(|name| name.starts_with("onnxruntime")))
        && [&source.not_read, &source.wrappers, &source.remote_onnxruntime_files].into_iter().all(none)
        && source.session_calls.known().is_some_and(Vec::is_empty)
}

/// The last of these sayings in each file of the log.
pub fn last_said(facts: &Facts, fits: impl Fn(&Saying) -> bool) -> Vec<&Saying> {
    let mut last: Vec<&Saying> = Vec::new();
    for saying in facts.server_log.sayings.known().into_iter().flatten().filter(|saying| fits(saying)) {
        let place = |saying: &Saying| (saying.skipped_bytes, saying.line_number);
        match last.iter_mut().find(|one| one.file == saying.file) {
            Some(known) if place(saying) >= place(known) => *known = saying,
            Some(_) => {}
            None => last.push(saying),
        }
    }
    last
}

/// A quoted line with its place.
pub fn quoted(saying: &Saying) -> String {
    format!("\"{}\" ({}, line {})", saying.line, saying.file, saying.line_number)
}

fn without_gpu(sessions: &[SourceCall], of_packages: bool) -> Vec<CallToMend> {
    let wanted = |call: &&SourceCall| {
        (call.origin == "package") == of_packages && ["default", "cpu"].contains(&call.device.as_str())
    };
    let mut found: Vec<CallToMend> = sessions.iter().filter(wanted).map(to_mend).collect();
    // The model's own code is farther from its user's eyes than the server's; that comes first.
    found.sort_by_key(|call| call.origin != "server");
    found
}

fn to_mend(call: &SourceCall) -> CallToMend {
    CallToMend {
        file: call.file.clone(),
        line: call.line,
        text: call.text.clone(),
        device: call.device.clone(),
        origin: call.origin.clone(),
        mended: mended(call),
    }
}

fn all_without_gpu(facts: &Facts, sessions: &[SourceCall]) -> bool {
    let own: Vec<_> = sessions.iter().filter(|call| call.origin != "package").collect();
    let all_read = facts.source.cut_short.known().is_some_and(String::is_empty)
        && facts.source.not_read.known().is_some_and(Vec::is_empty);
    let asks_for_none = |call: &&SourceCall| ["default", "cpu"].contains(&call.device.as_str());
    // Another session may be made inside a package.
    let in_packages = sessions.iter().any(|call| call.origin == "package" && !asks_for_none(&call));
    all_read && !own.is_empty() && own.iter().all(asks_for_none) && !in_packages
}

fn wrapper_claims_gpu(facts: &Facts, models: &[SourceCall]) -> String {
    let said = last_said(facts, |saying| saying.id == "using-device" && saying.values.contains_key("device"));
    let on_gpu =
        |saying: &&&Saying| saying.values.get("device").is_some_and(|device| !device.eq_ignore_ascii_case("cpu"));
    if let Some(saying) = said.iter().find(on_gpu) {
        return format!("the log says {}", quoted(saying));
    }
    let fell_back = last_said(facts, |saying| saying.id == "ort-wrapper-drops-provider");
    if let Some(saying) = fell_back.first() {
        return format!("the log says {}", quoted(saying));
    }
    let call = models.iter().find(|call| call.kind == "onnx_wrapper" && call.device == "gpu");
    call.map_or(String::new(), |call| format!("{}, line {}, asks for it: {}", call.file, call.line, call.text))
}

fn onnxruntime_in_code(facts: &Facts, sessions: &[SourceCall]) -> String {
    if seen_without_onnxruntime(facts) {
        return String::new();
    }
    // A session that asks for a GPU is meant for one; whether it gets it is another matter.
    let call = |origin: &str| sessions.iter().find(|call| call.origin == origin && call.device != "gpu");
    if let Some(call) = call("remote_code").or_else(|| call("server")) {
        return format!("{}, line {}: {}", call.file, call.line, call.text);
    }
    let file = facts.source.remote_onnxruntime_files.known().and_then(|files| files.first());
    file.map_or(String::new(), |file| format!("{file} imports onnxruntime"))
}

fn insightface_on_cpu(facts: &Facts) -> String {
    let last = last_said(facts, |saying| ["insightface-applied-cpu", "ort-applied-providers"].contains(&&*saying.id));
    // The same line carries both ids; one that names another provider has only the second.
    let on_cpu = |saying: &&&Saying| {
        saying.id == "insightface-applied-cpu"
            || saying.values.get("providers").is_some_and(|named| named.trim() == "'CPUExecutionProvider'")
    };
    match last.iter().all(|saying| on_cpu(&saying)) {
        true => last.first().map_or(String::new(), |saying| quoted(saying)),
        false => String::new(),
    }
}

fn cuda_provider_seen_mapped(facts: &Facts) -> bool {
    let mapped = [&facts.process.gpu_libraries, &facts.execution.gpu_libraries_after];
    mapped.into_iter().filter_map(Fact::known).any(|libraries| libraries.contains_key("onnxruntime_cuda_provider"))
}

fn llama_last_said(facts: &Facts) -> Vec<&Saying> {
    last_said(facts, |saying| saying.id == "layers-offloaded")
}

fn llama_said_no_layers(facts: &Facts) -> String {
    let last = llama_last_said(facts);
    let none = |saying: &&&Saying| saying.values.get("offloaded").is_some_and(|number| number == "0");
    match last.iter().all(|saying| none(&saying)) {
        true => last.first().map_or(String::new(), |saying| quoted(saying)),
        false => String::new(),
    }
}
