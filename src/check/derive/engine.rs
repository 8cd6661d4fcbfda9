//! What the serving software says of its devices, weighed: by the model that was tried, and against what was seen.

use super::server::{device_node_seen_open, is_gpu};
use super::{Basis, Facts};
use crate::snapshot::{EngineModel, Fact, PythonStub, StateAnswer, Unknown, Why, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// What follows from the serving software's word.
    pub struct Engine {
        /// Models that the serving software puts on the CPU, if the one that was tried is among them, or if none is on a
        /// GPU: a tokenizer on the CPU beside a model on the GPU is as it should be.
        pub engine_cpu_models: Vec<EngineSaying>,
        /// Models of Triton's Python backend that were given a GPU and use none: neither does their code speak of one nor
        /// does their process hold one open. The tried one, or all.
        pub python_models_off_gpu: Vec<EngineSaying>,
        /// Models that Triton did not load because the GPU that they want is not there, by its own word.
        pub models_without_their_gpu: Vec<EngineSaying>,
        /// Whether the serving software was seen to tell where any model runs. What its log said at its start counts less.
        pub engine_devices_told: bool,
        /// The proof that ollama says GPU while its processes hold none; empty if there is none.
        pub engine_claim_unseen: String,
    }
}

/// Something said of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EngineSaying {
    /// The model.
    pub model: String,
    /// What is said, in words that follow its name.
    pub says: String,
}

impl Engine {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let (facts, works) = (basis.facts, basis.gpu_seen_working);
        Self {
            engine_cpu_models: on_cpu(facts, works).into(),
            python_models_off_gpu: python_off_gpu(facts, works).into(),
            models_without_their_gpu: without_their_gpu(facts, works).into(),
            engine_devices_told: Fact::Known(devices_told(facts)),
            engine_claim_unseen: claim_unseen(facts, works).into(),
        }
    }
}

type Sayings = Result<Vec<EngineSaying>, Unknown>;

fn of_kind(facts: &Facts, kinds: &[&str]) -> Result<(), Unknown> {
    let kind = facts.engine.kind.read()?;
    match kinds.contains(&kind.as_str()) {
        true => Ok(()),
        false => Err(Unknown::new(Why::NotAsked, format!("the serving software is none of {}", kinds.join(", ")))),
    }
}

/// The name of the model in the paths that were tried: `/v2/models/NAME/infer`, `/predictions/NAME/1.0`.
pub fn tried(facts: &Facts) -> Option<&str> {
    let request = &facts.request;
    let paths = [
        request.good.known().map(|exchange| &exchange.path),
        request.client.known().map(|exchange| &exchange.path),
        request.operation.known().map(|operation| &operation.path),
    ];
    let starts = ["/v2/models/", "/predictions/"];
    let rest = paths.into_iter().flatten().find_map(|path| starts.iter().find_map(|start| path.strip_prefix(start)))?;
    rest.split(['/', '?']).next().filter(|name| !name.is_empty())
}

/// The model that was tried, if it runs anywhere by itself; else all that do. What the software was not seen to say does
/// not weigh against a GPU that works.
fn in_question(facts: &Facts, gpu_works: bool) -> Result<Vec<&EngineModel>, Unknown> {
    let models = match &facts.engine.models {
        Fact::Unknown(_) if gpu_works => return Ok(Vec::new()),
        models => models.read()?,
    };
    let untold = |model: &&EngineModel| model.device.reason().is_some_and(|unknown| unknown.why == Why::NotAsked);
    let (untold, own): (Vec<&EngineModel>, Vec<&EngineModel>) = models.iter().partition(untold);
    if own.is_empty()
        && let Some(unknown) = untold.first().and_then(|model| model.device.reason())
    {
        return Err(unknown.clone());
    }
    let tried = tried(facts);
    Ok(match own.iter().find(|model| Some(model.name.as_str()) == tried) {
        Some(model) => vec![model],
        None => own,
    })
}

fn is_python(model: &EngineModel) -> bool {
    model.backend.known().is_some_and(|backend| backend == "python")
}

/// Whether a process of the model was seen to hold a GPU open.
fn stub_on_gpu(facts: &Facts, model: &EngineModel) -> bool {
    let stubs = facts.engine.python_stubs.known().into_iter().flatten();
    stubs
        .filter(|stub| stub.model == model.name)
        .any(|stub| stub.device_nodes_open.known().into_iter().flatten().any(|node| is_gpu(node)))
}

fn on_cpu(facts: &Facts, gpu_works: bool) -> Sayings {
    of_kind(facts, &["triton", "tgi", "torchserve", "ray-serve"])?;
    let models = in_question(facts, gpu_works)?;
    let elsewhere = |model: &&EngineModel| {
        // Whatever it was told, a Python model chooses by itself.
        model.device.known().is_some_and(|device| device != "cpu")
            || model.proxied.known() == Some(&true)
            || is_python(model) && (gpu_works || stub_on_gpu(facts, model))
    };
    if models.iter().any(elsewhere) {
        return Ok(Vec::new());
    }
    match models.iter().find_map(|model| model.device.reason()) {
        Some(_) if gpu_works => Ok(Vec::new()),
        Some(unknown) => Err(unknown.clone()),
        None => {
            Ok(models.iter().map(|model| EngineSaying { model: model.name.clone(), says: placed(model) }).collect())
        }
    }
}

/// Where a model is placed, in the software's words: `KIND_CPU x1`, `2 workers, none with a GPU`.
pub fn placed(model: &EngineModel) -> String {
    if let Some(groups) = model.instance_groups.known() {
        let one = |group: &crate::snapshot::InstanceGroup| {
            let gpus: Vec<String> = group.gpus.iter().map(u64::to_string).collect();
            let gpus = if gpus.is_empty() { String::new() } else { format!(" on GPU {}", gpus.join(", ")) };
            format!("{} x{}{gpus}", group.kind, group.count)
        };
        let words = groups.iter().map(one).collect::<Vec<_>>().join(", ");
        let own = groups.iter().any(|group| group.name == model.name);
        let note = if own { ", filled in by Triton: its configuration has no instance_group" } else { "" };
        return format!("{words}{note}");
    }
    if let Some(workers) = model.workers.known() {
        let with = workers.iter().filter(|worker| worker.gpu.known() == Some(&true)).count();
        return format!("{}, {with} with a GPU", crate::words::count(workers.len(), "worker"));
    }
    if let Some(gpus) = model.gpus_per_replica.known() {
        return format!("num_gpus {gpus}");
    }
    let device = model.device.known().map_or("device unknown", String::as_str);
    match model.dtype.known() {
        Some(dtype) => format!("{device}, {dtype}"),
        None => device.to_owned(),
    }
}

fn python_off_gpu(facts: &Facts, gpu_works: bool) -> Sayings {
    of_kind(facts, &["triton"])?;
    let mut found = Vec::new();
    for model in in_question(facts, gpu_works)? {
        let given = model.device.as_ref().map(|device| device == "gpu" || device == "both");
        let off = match given {
            // Another model may be the one that works on the GPU.
            Fact::Known(true) if is_python(model) && model.proxied.known() != Some(&true) => off_gpu(facts, model),
            Fact::Known(_) => Ok(None),
            Fact::Unknown(unknown) => Err(unknown),
        };
        match off {
            Ok(Some(says)) => found.push(EngineSaying { model: model.name.clone(), says }),
            Err(unknown) if !gpu_works => return Err(unknown),
            _ => return Ok(Vec::new()),
        }
    }
    Ok(found)
}

/// That the model's code and process leave the GPU alone, in words.
fn off_gpu(facts: &Facts, model: &EngineModel) -> Result<Option<String>, Unknown> {
    let stubs = facts.engine.python_stubs.read()?;
    let own: Vec<&PythonStub> = stubs.iter().filter(|stub| stub.model == model.name).collect();
    // One proof that it uses the GPU is enough, whatever the rest is.
    let names = |model: &EngineModel| model.python_source.known().is_some_and(|source| !source.names_gpu.is_empty());
    if stub_on_gpu(facts, model) || names(model) {
        return Ok(None);
    }
    let source = model.python_source.read()?;
    for stub in &own {
        stub.device_nodes_open.read()?;
    }
    if own.is_empty() {
        return Err(Unknown::new(Why::Absent, format!("no process of model {} was seen", model.name)));
    }
    let pids: Vec<String> = own.iter().map(|stub| stub.pid.to_string()).collect();
    let (groups, pids) = (placed(model), pids.join(", "));
    Ok(Some(format!("{groups}; {} never speaks of a GPU, and its process (PID {pids}) holds none open", source.path)))
}

/// Triton's words where an instance group asks for a GPU that it does not have.
const NO_GPU: &[&str] = &["has kind KIND_GPU but no GPUs are available", "specifies invalid or unsupported gpu id"];

fn without_their_gpu(facts: &Facts, gpu_works: bool) -> Sayings {
    of_kind(facts, &["triton"])?;
    let models = match &facts.engine.models {
        Fact::Unknown(_) if gpu_works => return Ok(Vec::new()),
        models => models.read()?,
    };
    let said = |model: &EngineModel| {
        let reason = model.reason.known()?;
        NO_GPU.iter().any(|words| reason.contains(words)).then(|| reason.clone())
    };
    let saying = |model: &EngineModel| Some(EngineSaying { model: model.name.clone(), says: said(model)? });
    Ok(models.iter().filter_map(saying).collect())
}

fn devices_told(facts: &Facts) -> bool {
    facts.engine.models.known().into_iter().flatten().any(|model| model.device.known().is_some())
}

/// The proof that ollama's word is wrong: its models were in GPU memory before any request of the doctor's, and neither
/// NVML nor the device nodes know of its processes.
pub fn claim_unseen(facts: &Facts, gpu_works: bool) -> Result<String, Unknown> {
    of_kind(facts, &["ollama"])?;
    let not_asked = |detail: &str| Unknown::new(Why::NotAsked, detail);
    if gpu_works || device_node_seen_open(facts) {
        return Ok(String::new());
    }
    let models = facts.engine.models.read()?;
    let claims = models.iter().filter(|model| model.size_vram_bytes.known() > Some(&0));
    let claims: Vec<String> = claims.map(in_gpu_memory).collect();
    if claims.is_empty() {
        return Ok(String::new());
    }
    let states = facts.request.state_answers.known().into_iter().flatten();
    if !states.into_iter().any(holds_models) {
        return Err(not_asked("no model was in memory before the doctor's requests, when NVML was read"));
    }
    if facts.nvml.status.known().is_some_and(|status| status != "ok") {
        return Err(not_asked("NVML is not usable, so it contradicts nobody"));
    }
    if facts.nvml.host_pid_namespace.known() != Some(&true) {
        return Err(not_asked("NVML tells the host's process ids, and the doctor counts others"));
    }
    let servers: Vec<u64> = facts.process.processes.read()?.iter().map(|process| process.pid).collect();
    for gpu in facts.nvml.gpus.read()? {
        if gpu.processes.read()?.iter().any(|process| servers.contains(&process.pid)) {
            return Ok(String::new());
        }
    }
    let windows = facts.execution.gpus.known().into_iter().flatten();
    if windows.into_iter().any(|window| window.server_memory_bytes.known() > Some(&0)) {
        return Ok(String::new());
    }
    facts.process.device_nodes_open.read()?;
    let pids: Vec<String> = servers.iter().map(u64::to_string).collect();
    Ok(format!(
        "/api/ps tells {}, but NVML lists none of its processes (PID {}), and none of them holds a GPU's device node open",
        claims.join(", "),
        pids.join(", ")
    ))
}

fn in_gpu_memory(model: &EngineModel) -> String {
    let gigabytes = model.size_vram_bytes.known().map_or(0.0, |bytes| *bytes as f64 / 1e9);
    format!("{gigabytes:.1} GB of {} in GPU memory", model.name)
}

/// Whether ollama answered that it has a model in memory.
fn holds_models(one: &StateAnswer) -> bool {
    let answer: String = one.answer.chars().filter(|c| !c.is_whitespace()).take(20).collect();
    one.path.ends_with("/api/ps") && answer.starts_with("{\"models\":[{")
}
