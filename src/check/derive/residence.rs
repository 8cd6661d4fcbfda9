//! Where the server's weights lie while it answers: in the GPU's memory, or in the machine's.

use super::Basis;
use super::budget::{CONTEXT_LEAST_BYTES, mebibytes};
use super::memory::held_by_server;
use super::model_devices;
use crate::snapshot::{Fact, Facts, ModelCounters, ModelFile, Unknown, Why, room};

room! {
    /// Where the server's weights lie.
    pub struct Residence {
        /// Bytes of the weights that the server works with: of the files that it has mapped or open, else of the named model.
        pub weights_bytes: u64,
        /// Whose they are: a file, or the named model.
        pub weights_of: String,
        /// The figures that show that the weights stayed in the machine's memory; empty if they did not.
        pub model_never_moved: String,
        /// Whether the server was seen to hold as much GPU memory as its weights take, or where those are not known, as much
        /// more than a CUDA context.
        pub weights_seen_on_gpu: bool,
        /// The figures that show that the server computes on the CPU although its model lies on the GPU; empty if they do not.
        pub computed_beside_gpu: String,
    }
}

impl Residence {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let weights = weights(facts);
        Self {
            weights_bytes: weights.clone().map(|(bytes, _)| bytes).into(),
            weights_of: weights.clone().map(|(_, of)| of).into(),
            model_never_moved: never_moved(facts, &weights, basis.gpu_seen_working).into(),
            computed_beside_gpu: Fact::Known(computed_beside_gpu(
                basis,
                weights.as_ref().ok().map(|(bytes, _)| *bytes),
            )),
            weights_seen_on_gpu: Fact::Known(seen_on_gpu(facts, weights.ok().map(|(bytes, _)| bytes))),
        }
    }
}

/// Weights smaller than this are lost among what a runtime takes anyway, bytes.
const WEIGHTS_LEAST: u64 = 100 << 20;
/// Share of the weights up to which the GPU holds next to nothing of them. Weights of 32 bits that are quantized to 4 as
/// they are loaded take an eighth.
const NEXT_TO_NOTHING: f64 = 0.1;
/// Weights that are large against what a context takes, bytes, and how much more than the least one it may then take.
const LARGE_WEIGHTS: u64 = 1 << 30;
const CONTEXT_MORE: u64 = 200 << 20;
/// Share of the weights from which on the process holds them in the machine's memory.
const HELD_BY_HOST: f64 = 0.7;
/// Share of the weights from which on they are on the GPU: those of 32 bits are often made 16 as they are loaded.
const HELD_BY_GPU: f64 = 0.4;
/// GPU memory that is more than a context, bytes.
const MORE_THAN_CONTEXT: u64 = 1 << 30;
/// Cores that a server keeps busy that computes its model on the CPU.
const CPU_BUSY_CORES: f64 = 0.5;
/// Share of a core from which on a thread is named, percent.
const NAMED_FROM_PERCENT: f64 = 10.0;
/// Rise of the mean draw that is no noise, as a factor. Uncalibrated.
const DRAW_RISE: f64 = 1.15;

/// The weights that the server works with, and whose they are.
fn weights(facts: &Facts) -> Result<(u64, String), Unknown> {
    let files = in_use(facts)?;
    let large: Vec<(u64, &ModelFile)> = files
        .iter()
        .filter_map(|file| Some((*file.bytes.known()?, *file)))
        .filter(|(bytes, _)| *bytes >= WEIGHTS_LEAST / 10)
        .collect();
    let bytes = large.iter().fold(0_u64, |sum, (bytes, _)| sum.saturating_add(*bytes));
    if let Some((_, first)) = large.first().filter(|_| bytes >= WEIGHTS_LEAST) {
        let more = match large.len() {
            1 => String::new(),
            number => format!(" and {} more", number - 1),
        };
        return Ok((bytes, format!("{}{more}, which it has {}", first.path, first.held)));
    }
    // Models of other formats do not compute in PyTorch.
    let torch = |format: &&String| matches!(format.as_str(), "safetensors" | "pytorch" | "torchscript" | "nemo");
    // What is not taken apart is little else than parameters.
    let named = facts.model.parameter_bytes.known().or(facts.model.file_bytes.known());
    match (facts.model.format.known().filter(torch), named) {
        (Some(_), Some(bytes)) => {
            Ok((*bytes, facts.model.path.known().cloned().unwrap_or_else(|| "the named model".into())))
        }
        _ => {
            let detail =
                "the server has no large file of weights mapped or open, and no such model was named (--model)";
            Err(Unknown::new(Why::NotAsked, detail))
        }
    }
}

/// Files of weights that PyTorch and its kin read, in use by the server before or after the window.
fn in_use(facts: &Facts) -> Result<Vec<&ModelFile>, Unknown> {
    let (before, after) = (&facts.process.model_files, &facts.execution.model_files_after);
    let reason = before.reason().filter(|_| after.known().is_none());
    if let Some(unknown) = reason {
        return Err(unknown.clone());
    }
    let torch = |file: &&ModelFile| {
        let ending = file.path.rsplit('.').next().unwrap_or_default();
        matches!(ending, "safetensors" | "pt" | "pth" | "bin")
    };
    let mut files: Vec<&ModelFile> = Vec::new();
    for file in after.known().into_iter().chain(before.known()).flatten().filter(torch) {
        if !files.iter().any(|known| known.path == file.path) {
            files.push(file);
        }
    }
    Ok(files)
}

/// The most that the server can hold of the GPUs: its own share, or where that is not told, all that is in use.
fn held_at_most(facts: &Facts) -> Result<(u64, &'static str), Unknown> {
    let unknown = match held_by_server(facts) {
        Ok(bytes) => return Ok((bytes, "the server holds")),
        Err(unknown) => unknown,
    };
    let windows = facts.execution.gpus.known().ok_or(unknown.clone())?;
    let used = windows.iter().map(|window| Some(window.memory_used_bytes.known()?.during.max as u64));
    let used: Option<u64> = used.into_iter().try_fold(0_u64, |sum, bytes| Some(sum.saturating_add(bytes?)));
    used.filter(|_| !windows.is_empty()).map(|bytes| (bytes, "all processes together hold")).ok_or(unknown)
}

/// The figures that show that the weights never went to a GPU, in words; empty if something speaks against it.
///
/// Four things together: next to nothing on the GPU, all of it in the machine's memory, a busy CPU, a GPU that does
/// nothing. Weights that are spread over GPUs, quantized or mapped as they are loaded lack one of them at least.
fn never_moved(
    facts: &Facts,
    weights: &Result<(u64, String), Unknown>,
    gpu_seen_working: bool,
) -> Result<String, Unknown> {
    let clear = Ok(String::new());
    let execution = &facts.execution;
    if gpu_seen_working || execution.requests_ok.known() == Some(&0) {
        return clear;
    }
    if execution.cores_busy.known().is_some_and(|cores| *cores < CPU_BUSY_CORES) {
        return clear;
    }
    let (bytes, of) = weights.clone()?;
    let cores = *execution.cores_busy.read()?;
    let (held, who) = held_at_most(facts)?;
    let context = CONTEXT_LEAST_BYTES + if bytes >= LARGE_WEIGHTS { CONTEXT_MORE } else { 0 };
    let on_gpu = held.saturating_sub(context);
    if bytes < WEIGHTS_LEAST || on_gpu as f64 > NEXT_TO_NOTHING * bytes as f64 {
        return clear;
    }
    let resident = resident(facts)?;
    if (resident as f64) < HELD_BY_HOST * bytes as f64 {
        return clear;
    }
    Ok(format!(
        "{who} {} MiB of GPU memory (a CUDA context alone takes 300 or more), and its weights need {} MiB ({of}); \
         {} MiB lie in the machine's memory, and {cores:.1} CPU cores were busy while requests ran",
        mebibytes(held),
        mebibytes(bytes),
        mebibytes(resident)
    ))
}

/// Resident memory of the largest process of the server, bytes: after the window, else before it.
fn resident(facts: &Facts) -> Result<u64, Unknown> {
    if let Some(bytes) = facts.execution.resident_bytes_after.known() {
        return Ok(*bytes);
    }
    let processes = facts.process.processes.read()?.iter();
    let largest = processes.filter_map(|process| process.resident_bytes.known()).max();
    largest.copied().ok_or_else(|| Unknown::new(Why::Absent, "no process of the server tells its memory"))
}

/// Whether the server was seen to hold its weights on a GPU.
fn seen_on_gpu(facts: &Facts, weights: Option<u64>) -> bool {
    let Ok(held) = held_by_server(facts) else { return false };
    match weights {
        Some(bytes) => held.saturating_sub(CONTEXT_LEAST_BYTES) as f64 >= HELD_BY_GPU * bytes as f64,
        None => held >= MORE_THAN_CONTEXT,
    }
}

/// The figures of a server that has its model on a GPU and computes elsewhere; empty where that was not seen. Such a sight is
/// no proof of where: code, log and what is mapped tell that, and where they do, this says nothing.
fn computed_beside_gpu(basis: &Basis, weights: Option<u64>) -> String {
    let facts = basis.facts;
    let Ok(("loaded_not_computing", counters)) = &basis.activity else { return String::new() };
    if model_devices::cpu_seen_chosen(basis) || nothing_computed(facts) || draw_rose(facts) {
        return String::new();
    }
    let Some(held) = held_by_server(facts).ok().filter(|_| seen_on_gpu(facts, weights)) else { return String::new() };
    let threads = facts.execution.busiest_threads.known().map(Vec::as_slice).unwrap_or_default();
    let named: Vec<String> = threads
        .iter()
        .filter(|thread| thread.cpu_percent >= NAMED_FROM_PERCENT)
        .take(3)
        .map(|thread| format!("{} (TID {}) {:.0} % of a core", thread.name, thread.tid, thread.cpu_percent))
        .collect();
    let named = if named.is_empty() { String::new() } else { format!("; busiest threads: {}", named.join(", ")) };
    format!("the server holds {} MiB of GPU memory, and {counters}{named}", mebibytes(held))
}

/// Whether the server's own counters say that its model was not run in the window: its answers came from a cache.
/// Counters that could not be read may say so too.
fn nothing_computed(facts: &Facts) -> bool {
    let may_say = |why| matches!(why, Why::Denied | Why::TimedOut | Why::Crashed | Why::Malformed);
    if facts.counters.models.reason().is_some_and(|unknown| may_say(unknown.why)) {
        return true;
    }
    let models = facts.counters.models.known().map(Vec::as_slice).unwrap_or_default();
    let idle = |model: &ModelCounters| model.executions.known().or(model.inferences.known()) == Some(&0.0);
    !models.is_empty() && models.iter().all(idle)
}

/// Whether a GPU drew more over the window than at rest, whatever its other counters say: they may miss bursts.
fn draw_rose(facts: &Facts) -> bool {
    let windows = facts.execution.gpus.known().map(Vec::as_slice).unwrap_or_default();
    windows.iter().filter_map(|window| window.energy_milliwatts.known()).any(|draw| {
        matches!((draw.before.known(), draw.during.known()), (Some(before), Some(during)) if *during > DRAW_RISE * before)
    })
}
