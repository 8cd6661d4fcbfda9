//! Where the deployment's code puts its model: by what the server says of it, and by what its loader left where.
//!
//! Each fact lists the proofs, in words, of one cause; empty where it was looked for and not found.

use super::Basis;
use super::loaded::{is_gpu, sum};
use crate::snapshot::{Fact, Facts, GPU_PROVIDERS, LoadedObject, Saying, Unknown, Why, room};
use crate::words::bytes;

room! {
    /// Signs of a model, or of a part of it, on the CPU.
    pub struct ModelDevices {
        /// Whether something was seen that keeps every program of the deployment from the GPU: a driver that does not
        /// work, or a torch without CUDA. What the code chooses is no cause then.
        pub gpu_out_of_reach: bool,
        /// Whether torch was seen to reach no GPU where the deployment's loader ran, whatever the reason.
        pub torch_seen_without_gpu: bool,
        /// Models that the loader left on the CPU, if they are most of what it loaded.
        pub models_on_cpu: Vec<String>,
        /// Signs of a transformers pipeline on the CPU.
        pub pipelines_on_cpu: Vec<String>,
        /// Signs of openai-whisper on the CPU.
        pub whisper_on_cpu: Vec<String>,
        /// Signs of parameters that `device_map` left in host memory or on disk.
        pub device_map_offload: Vec<String>,
        /// Signs of inputs on another device than the model.
        pub inputs_on_cpu: Vec<String>,
        /// Signs of a model beside others, or of a part of one, that is on the CPU while the rest is on the GPU.
        pub submodels_on_cpu: Vec<String>,
    }
}

impl ModelDevices {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let objects = || facts.loaded.objects.known().map(Vec::as_slice).unwrap_or_default();
        let log = &facts.server_log.sayings;
        let (log, loaded) = (log.reason(), facts.loaded.objects.reason());
        let newest = |id: &str| newest(facts, id);
        Self {
            gpu_out_of_reach: Fact::Known(out_of_reach(facts)),
            torch_seen_without_gpu: Fact::Known(facts.loaded.torch_cuda_available.known() == Some(&false)),
            models_on_cpu: facts.loaded.objects.as_ref().map(|objects| models_on_cpu(objects)),
            pipelines_on_cpu: either([newest("hf-pipeline-default-cpu"), pipelines(objects())], [log, loaded]),
            whisper_on_cpu: either([newest("whisper-fp16-warning-cpu"), whisper(objects())], [log, loaded]),
            device_map_offload: either([newest("device-map-cpu-offload"), offloaded(objects())], [log, loaded]),
            inputs_on_cpu: either(
                [newest("inputs-on-cpu"), answers(facts)],
                [log, facts.server_log.said_in_answers.reason(), facts.loaded.forward_error.reason()],
            ),
            submodels_on_cpu: submodels(basis),
        }
    }
}

/// Whether a model, a part of it or its inputs were seen to be put on the CPU: then it is known why the work is there.
pub fn cpu_seen_chosen(basis: &Basis) -> bool {
    let devices = ModelDevices::of(basis);
    let proofs = [
        devices.models_on_cpu,
        devices.pipelines_on_cpu,
        devices.whisper_on_cpu,
        devices.device_map_offload,
        devices.inputs_on_cpu,
        devices.submodels_on_cpu,
    ];
    proofs.iter().filter_map(Fact::known).any(|proofs| !proofs.is_empty())
}

/// The proofs of all sources. That there are none is known if one source could be asked and none failed.
fn either<const F: usize, const S: usize>(
    found: [Vec<String>; F],
    sources: [Option<&Unknown>; S],
) -> Fact<Vec<String>> {
    let found = found.concat();
    let failed = sources.iter().flatten().find(|unknown| unknown.why != Why::NotAsked);
    match (found.is_empty(), failed, sources.iter().all(Option::is_some), sources.iter().flatten().next()) {
        (false, ..) => Fact::Known(found),
        (true, Some(unknown), ..) | (true, None, true, Some(unknown)) => Fact::Unknown((*unknown).clone()),
        _ => Fact::Known(Vec::new()),
    }
}

/// Whether the driver or torch was seen not to reach any GPU.
fn out_of_reach(facts: &Facts) -> bool {
    let cuda =
        facts.cuda.status.known().is_some_and(|status| status != "ok") || facts.cuda.device_count.known() == Some(&0);
    let driver = facts.nvml.status.known().is_some_and(|status| status != "ok") && facts.cuda.status.known().is_none();
    let builds = facts.packages.builds.known().into_iter().flatten();
    let torch = { builds }.any(|build| build.distribution == "torch" && build.cuda.known() == Some(&false));
    let said = ["torch-cpu-wheel", "cuda-sees-no-device", "driver-too-old-for-runtime"];
    let mut sayings = facts.server_log.sayings.known().into_iter().flatten();
    cuda || driver || torch || sayings.any(|saying| said.contains(&saying.id.as_str()))
}

/// Lines of that meaning in the log and in what the loader printed, unless a later line of the same file has a GPU.
fn newest(facts: &Facts, id: &str) -> Vec<String> {
    let all: Vec<&Saying> =
        [&facts.server_log.sayings, &facts.loaded.said].into_iter().filter_map(Fact::known).flatten().collect();
    let place = |saying: &Saying| (saying.skipped_bytes, saying.line_number);
    let on_gpu = |saying: &Saying| saying.id == "using-device" && !is_cpu(saying.values.get("device"));
    let superseded = |one: &Saying| {
        let says_so = id == "hf-pipeline-default-cpu" || id == "whisper-fp16-warning-cpu";
        says_so && all.iter().any(|other| on_gpu(other) && other.file == one.file && place(other) > place(one))
    };
    let said = all.iter().filter(|saying| saying.id == id && !between_gpus(saying) && !superseded(saying));
    said.map(|saying| quoted(saying)).collect()
}

fn is_cpu(device: Option<&String>) -> bool {
    device.is_some_and(|device| device.eq_ignore_ascii_case("cpu"))
}

/// Whether the line is about two GPUs: a model that is spread over several, which is another story.
fn between_gpus(saying: &Saying) -> bool {
    matches!((saying.values.get("one"), saying.values.get("other")), (Some(one), Some(other)) if is_gpu(one) && is_gpu(other))
}

fn answers(facts: &Facts) -> Vec<String> {
    let said = facts.server_log.said_in_answers.known().into_iter().flatten();
    said.filter(|saying| saying.id == "inputs-on-cpu" && !between_gpus(saying)).map(quoted).collect()
}

fn quoted(saying: &Saying) -> String {
    format!("{}, line {}: \"{}\"", saying.file, saying.line_number, saying.line.trim_end_matches('.'))
}

/// Where a model is.
#[derive(PartialEq)]
enum Place {
    Gpu,
    Cpu,
    Nowhere,
}

fn place(object: &LoadedObject) -> Place {
    let (gpu, cpu) = (bytes_on(object, is_gpu), bytes_on(object, |device| device == "cpu"));
    match object.kind.as_str() {
        "torch module" if is_gpu(&object.execution_device) || (gpu >= cpu && gpu > 0) => Place::Gpu,
        "torch module" if cpu > 0 || is_computed_on_cpu(object) => Place::Cpu,
        "ctranslate2 model" if is_gpu(&object.device) => Place::Gpu,
        "ctranslate2 model" if object.device == "cpu" => Place::Cpu,
        "onnxruntime session" if object.providers.iter().any(|one| GPU_PROVIDERS.contains(&one.as_str())) => Place::Gpu,
        "onnxruntime session" if !object.providers.is_empty() => Place::Cpu,
        _ => Place::Nowhere,
    }
}

/// Whether accelerate's hooks bring its parameters to the CPU for each call.
fn is_computed_on_cpu(object: &LoadedObject) -> bool {
    object.execution_device == "cpu" && object.offloaded_modules > 0
}

fn bytes_on(object: &LoadedObject, picked: impl Fn(&str) -> bool) -> u64 {
    sum(&object.parameters_by_device, picked).bytes
}

/// Whether the model serves the one that matters, and is small enough for the CPU: a voice detector, a tokenizer.
fn is_beside(object: &LoadedObject) -> bool {
    let file = object.model_path.rsplit('/').next().unwrap_or_default();
    let names = [object.path.as_str(), object.class.as_str(), file].map(|name| name.to_ascii_lowercase());
    names.iter().any(|name| ["vad", "silero", "tokeniz"].iter().any(|word| name.contains(word)))
}

/// A model in words: `returned.model (Recognizer)`.
fn named(object: &LoadedObject) -> String {
    format!("{} ({})", object.path, object.class.rsplit('.').next().unwrap_or(&object.class))
}

fn models_on_cpu(objects: &[LoadedObject]) -> Vec<String> {
    let heavy = |wanted: Place, picked: fn(&str) -> bool| {
        let torch = objects.iter().filter(move |one| one.kind == "torch module" && place(one) == wanted);
        torch.map(move |one| bytes_on(one, picked)).fold(0, u64::saturating_add)
    };
    let other_on_gpu = objects.iter().any(|one| one.kind != "torch module" && place(one) == Place::Gpu);
    let (gpu, cpu) = (heavy(Place::Gpu, is_gpu), heavy(Place::Cpu, |device| device == "cpu"));
    // A model that hooks bring to the GPU for each call is there, wherever its parameters rest.
    let hooked = objects.iter().any(|one| is_gpu(&one.execution_device));
    let any_on_gpu = objects.iter().any(|one| place(one) == Place::Gpu);
    if other_on_gpu || hooked || (any_on_gpu && gpu >= cpu) {
        return Vec::new();
    }
    let on_cpu = objects.iter().filter(|one| place(one) == Place::Cpu && !is_beside(one));
    on_cpu.map(on_cpu_in_words).collect()
}

fn on_cpu_in_words(object: &LoadedObject) -> String {
    let name = named(object);
    match object.kind.as_str() {
        "torch module" if is_computed_on_cpu(object) => format!("{name} is computed on the CPU by accelerate's hooks"),
        "torch module" => {
            let (gpu, cpu) =
                (sum(&object.parameters_by_device, is_gpu), sum(&object.parameters_by_device, |one| one == "cpu"));
            let all = gpu.tensors.saturating_add(cpu.tensors);
            format!("{name} has {} of its {all} parameters on the CPU ({})", cpu.tensors, bytes(cpu.bytes as f64))
        }
        "ctranslate2 model" => format!("{name} has device \"cpu\" and compute type {}", object.compute_type),
        _ => format!("{name} has the providers {}", object.providers.join(", ")),
    }
}

fn pipelines(objects: &[LoadedObject]) -> Vec<String> {
    let mapped = |pipeline: &LoadedObject| {
        let inside = format!("{}.", pipeline.path);
        objects.iter().any(|one| one.path.starts_with(&inside) && !one.device_map.is_empty())
    };
    let on_cpu =
        objects.iter().filter(|one| one.kind == "transformers pipeline" && one.device == "cpu" && !mapped(one));
    on_cpu.map(|one| format!("{} has device \"cpu\" when the loader returns it", named(one))).collect()
}

fn whisper(objects: &[LoadedObject]) -> Vec<String> {
    let on_cpu = objects.iter().filter(|one| one.class == "whisper.model.Whisper" && place(one) == Place::Cpu);
    on_cpu.map(on_cpu_in_words).collect()
}

fn offloaded(objects: &[LoadedObject]) -> Vec<String> {
    objects.iter().filter_map(left_out_by_device_map).collect()
}

/// What `device_map` or accelerate's hooks keep off the GPU. A model that was put on the CPU as a whole is none of theirs.
fn left_out_by_device_map(object: &LoadedObject) -> Option<String> {
    let blocks = |place: &str| {
        let names: Vec<&str> =
            object.device_map.iter().filter(|(_, device)| *device == place).map(|(block, _)| block.as_str()).collect();
        (!names.is_empty()).then(|| {
            let more = if names.len() > 4 { ", ..." } else { "" };
            format!(
                "{} of {} blocks on {place} ({}{more})",
                names.len(),
                object.device_map.len(),
                names[..names.len().min(4)].join(", ")
            )
        })
    };
    let on_gpu = object.device_map.values().any(|device| is_gpu(device));
    let (cpu, disk) = (blocks("cpu"), blocks("disk"));
    let left_out: Vec<String> = [cpu, disk.clone()].into_iter().flatten().collect();
    if !left_out.is_empty() && (on_gpu || disk.is_some()) {
        return Some(format!("device_map of {} left {}", named(object), left_out.join(" and ")));
    }
    (object.offloaded_modules > 0 && is_gpu(&object.execution_device)).then(|| {
        format!(
            "{} modules of {} are brought to {} anew for each call",
            object.offloaded_modules,
            named(object),
            object.execution_device
        )
    })
}

/// Parameters from which on a part counts as a sub-model. A voice detector has 2 MB, pyannote's segmentation 6, bytes.
const SUBMODEL_BYTES: u64 = 4_000_000;

fn submodels(basis: &Basis) -> Fact<Vec<String>> {
    let facts = basis.facts;
    let mut found = newest(facts, "pyannote-or-submodel-default-cpu");
    let objects = facts.loaded.objects.known().map(Vec::as_slice).unwrap_or_default();
    if objects.iter().any(|one| place(one) == Place::Gpu) {
        let torch = objects.iter().filter(|one| one.kind == "torch module" && !is_beside(one));
        found.extend(torch.filter_map(left_behind));
        let translators = objects.iter().filter(|one| one.kind == "ctranslate2 model" && place(one) == Place::Cpu);
        found.extend(translators.map(on_cpu_in_words));
    }
    found.extend(bursts(basis));
    either([found], [facts.server_log.sayings.reason(), facts.loaded.objects.reason()])
}

/// What of a torch module was left on the CPU beside models on the GPU: all of it, or parts.
fn left_behind(object: &LoadedObject) -> Option<String> {
    let on_cpu = bytes_on(object, |device| device == "cpu");
    if on_cpu < SUBMODEL_BYTES || !object.device_map.is_empty() || object.offloaded_modules > 0 {
        return None;
    }
    if place(object) == Place::Cpu {
        return Some(on_cpu_in_words(object));
    }
    let parts: Vec<&str> =
        object.blocks.iter().filter(|(_, device)| *device == "cpu").map(|(block, _)| block.as_str()).collect();
    (!parts.is_empty()).then(|| {
        let parts = parts.join(", ");
        format!(
            "of {} the parts {parts} are on the CPU ({}), the others on the GPU",
            named(object),
            bytes(on_cpu as f64)
        )
    })
}

/// Requests from which on their phases can be told apart, milliseconds.
const LONG_REQUEST_MS: f64 = 1000.0;
/// Utilization that a burst reaches at least, percent.
const BURST_PERCENT: f64 = 40.0;
/// Mean utilization up to which the GPU is idle most of the time, as a share of the burst.
const MOSTLY_IDLE_SHARE: f64 = 0.25;

/// Long requests of a server with pyannote, in which the GPU works in bursts and the CPU all the time.
fn bursts(basis: &Basis) -> Option<String> {
    let facts = basis.facts;
    let diarizes = |name: &str| name.starts_with("pyannote-audio") || name == "whisperx";
    let package = facts.packages.distributions.known()?.iter().find(|one| diarizes(&one.name))?;
    let request_ms = *facts.execution.request_ms_median.known()?;
    let cores = *facts.execution.cores_busy.known()?;
    let gpus = facts.execution.gpus.known()?;
    let burst = gpus.iter().filter_map(|gpu| Some((gpu.index, gpu.utilization_percent.known()?.during.clone())));
    let (index, during) = { burst }.find(|(_, during)| {
        during.samples >= super::activity::LEAST_SAMPLES
            && during.max >= BURST_PERCENT
            && during.mean <= during.max * MOSTLY_IDLE_SHARE
    })?;
    let busy = basis.gpu_seen_working && request_ms >= LONG_REQUEST_MS && cores >= 0.8;
    busy.then(|| {
        format!(
            "{} {} is installed, and in requests of {request_ms:.0} ms GPU {index} reaches {:.0} % for moments, {:.0} % on \
             average, while {cores:.1} CPU cores are busy all the time",
            package.name, package.version, during.max, during.mean
        )
    })
}
