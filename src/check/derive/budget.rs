//! What the model needs on a GPU, against what the GPU has: an estimate, before anything is loaded.
//!
//! Certain are the bytes of the parameters. What comes on top depends on the driver, the libraries and the requests, and is
//! taken from experience.

use super::Basis;
use super::memory;
use super::sharing::{counted_alike, named, server_pids};
use super::trouble::{answer, tells};
use crate::snapshot::{Fact, Facts, GPU_PROVIDERS, Gpu, GpuProcess, Unknown, Why, room};
use crate::words::grouped;

/// Memory that a CUDA context with a runtime's kernels takes on the GPU at least, bytes. People report 300 to 800 MiB by
/// card, driver and libraries (https://discuss.pytorch.org/t/73021, https://discuss.pytorch.org/t/81330); since CUDA 11.7
/// kernels may be loaded lazily, which lowers it.
pub const CONTEXT_LEAST_BYTES: u64 = 300 << 20;
/// The same as an estimate, with cuBLAS and cuDNN and their workspaces, bytes.
pub const CONTEXT_BYTES: u64 = 500 << 20;
/// Largest step in which onnxruntime's arena grows by doubling, bytes (bfc_arena.h, DEFAULT_MAX_POWER_OF_TWO_EXTEND_BYTES,
/// with the default strategy kNextPowerOfTwo). The parameters are reserved to size; the requests' own memory grows so.
const ARENA_STEP_BYTES: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
/// Processes that are named, at most.
const NAMED_MAX: usize = 4;

room! {
    /// What the model needs on a GPU.
    pub struct Budget {
        /// Bytes of the named model's parameters that go to the GPU.
        pub model_gpu_bytes: u64,
        /// Who says so: `placement` (the deployment's onnxruntime placed the nodes), `prediction`, or `model` (all that the
        /// file holds).
        pub model_gpu_bytes_from: String,
        /// Estimate of the GPU memory that the model needs before the first request, bytes.
        pub gpu_memory_needed_bytes: u64,
        /// Why the model cannot be on any single GPU here, however empty; in words, empty if it can.
        pub model_too_large: String,
        /// Whether there is a way out that needs no other GPU: a format that may be spread or quantized as it is loaded.
        pub model_may_be_spread: bool,
        /// Why the model does not fit into what is free now, with who holds the rest; in words, empty if it fits or if that
        /// was not seen.
        pub model_without_room: String,
        /// What the model needs, what the server holds and what the GPUs have free, on one line.
        pub device_budget: String,
    }
}

impl Budget {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let needs = Needs::of(facts);
        let room = needs.clone().and_then(|needs| Ok((needs, gpus(facts)?)));
        let too_large = room.as_ref().map_err(Unknown::clone).and_then(|(needs, gpus)| too_large(needs, gpus));
        // A model that no GPU could hold is told once.
        let without_room = match (&too_large, &room) {
            (Ok(words), Ok((needs, gpus))) if words.is_empty() => without_room(facts, needs, gpus).unwrap_or_default(),
            _ => String::new(),
        };
        Self {
            model_gpu_bytes: needs.clone().map(|needs| needs.parameters).into(),
            model_gpu_bytes_from: needs.clone().map(|needs| needs.from.to_owned()).into(),
            gpu_memory_needed_bytes: needs.clone().map(|needs| needs.estimate()).into(),
            model_may_be_spread: needs.map(|needs| needs.may_be_spread).into(),
            model_too_large: too_large.into(),
            model_without_room: Fact::Known(without_room),
            device_budget: room.map(|(needs, gpus)| line(facts, &needs, &gpus)).into(),
        }
    }
}

/// What the named model needs.
#[derive(Clone)]
struct Needs {
    parameters: u64,
    from: &'static str,
    may_be_spread: bool,
}

impl Needs {
    /// By the best teller: the placement by the deployment's own onnxruntime before all parameters of the file.
    fn of(facts: &Facts) -> Result<Needs, Unknown> {
        let whole = whole(facts)?;
        // A format that could not be read may be one of those.
        let may_be_spread = facts.model.format.known().is_none_or(|format| format != "onnx");
        let predicted = facts.prediction.gpu_parameter_bytes.known().copied();
        let tellers = [("placement", placed(facts)), ("prediction", predicted)];
        let told = tellers.into_iter().find_map(|(from, bytes)| Some((from, bytes?)));
        let (from, parameters) = told.unwrap_or(("model", whole));
        Ok(Needs { parameters, from, may_be_spread })
    }

    fn least(&self) -> u64 {
        self.parameters.saturating_add(CONTEXT_LEAST_BYTES)
    }

    fn estimate(&self) -> u64 {
        self.parameters.saturating_add(CONTEXT_BYTES)
    }

    fn in_words(&self) -> String {
        let whose = match self.from {
            "placement" => "of parameters that onnxruntime places on the GPU",
            "prediction" => "of parameters that onnxruntime is predicted to place on the GPU",
            _ => "of parameters",
        };
        format!(
            "an estimated {} MiB ({} MiB {whose}, and {} MiB for CUDA itself)",
            mebibytes(self.estimate()),
            mebibytes(self.parameters),
            mebibytes(CONTEXT_BYTES)
        )
    }
}

/// Bytes of all parameters. Formats that are not taken apart (`.pt`) are little else than parameters.
fn whole(facts: &Facts) -> Result<u64, Unknown> {
    let unknown = match &facts.model.parameter_bytes {
        Fact::Known(bytes) => return Ok(*bytes),
        Fact::Unknown(unknown) => unknown.clone(),
    };
    match (facts.model.format.known(), facts.model.file_bytes.known()) {
        (Some(format), Some(bytes)) if format != "onnx" => Ok(*bytes),
        // That the file cannot be read is told of it, once.
        _ => Err(Unknown::new(Why::NotAsked, unknown.detail)),
    }
}

/// Parameter bytes that onnxruntime was seen to put on a GPU. A session without a GPU provider says nothing about what one
/// with it would take.
fn placed(facts: &Facts) -> Option<u64> {
    let placement = &facts.placement;
    let gpu = |name: &String| GPU_PROVIDERS.contains(&name.as_str());
    placement.session_providers.known().filter(|providers| providers.iter().any(gpu))?;
    let placed = *placement.gpu_parameter_bytes.known()?;
    // The execution graph holds what was made of folded parameters; the log alone leaves them out, and they went mostly to
    // where their consumers are.
    let is_whole = placement.method.known().is_some_and(|method| method == "optimized model");
    let unplaced = placement.unplaced_parameter_bytes.known().copied().filter(|_| !is_whole).unwrap_or(0);
    Some(placed.saturating_add(unplaced))
}

/// Memory of one GPU that the server may use.
struct Room<'a> {
    gpu: &'a Gpu,
    total: u64,
    used: u64,
    /// What the server's processes hold of it; unknown where processes cannot be told apart.
    own: Result<u64, Unknown>,
}

impl Room<'_> {
    fn free(&self) -> u64 {
        self.total.saturating_sub(self.used)
    }

    /// What the server could have: what is free and what it holds.
    fn available(&self) -> Result<u64, Unknown> {
        Ok(self.free().saturating_add(self.own.clone()?.min(self.used)))
    }

    fn name(&self) -> String {
        let name = self.gpu.name.known().map_or(String::new(), |name| format!(" ({name})"));
        format!("GPU {}{name}", self.gpu.index)
    }
}

/// The GPUs that the server may use and that tell their memory. One in MIG mode does not tell that of its parts.
fn gpus(facts: &Facts) -> Result<Vec<Room<'_>>, Unknown> {
    if facts.nvml.status.known().is_none_or(|status| status != "ok") {
        return Err(Unknown::new(Why::NotAsked, "NVML is not usable, so no GPU tells its memory"));
    }
    let given = facts.cuda.devices.known().filter(|devices| !devices.is_empty());
    let usable = |gpu: &&Gpu| match (given, gpu.uuid.known()) {
        (Some(devices), Some(uuid)) => devices.iter().any(|device| device.uuid.known().is_none_or(|one| one == uuid)),
        _ => true,
    };
    let mut rooms = Vec::new();
    let mut silent = Unknown::new(Why::NotAsked, "NVML lists no GPU that the server may use");
    for gpu in facts.nvml.gpus.read()?.iter().filter(usable) {
        if gpu.handle_code.known().is_some_and(|code| *code != 0) {
            silent = Unknown::new(Why::NotAsked, format!("GPU {} does not answer", gpu.index));
            continue;
        }
        if gpu.mig_enabled.known() == Some(&true) {
            let detail = format!("GPU {} is in MIG mode; the memory of its parts is not told", gpu.index);
            silent = Unknown::new(Why::NotAsked, detail);
            continue;
        }
        match (tells(&gpu.memory_total_bytes)?, tells(&gpu.memory_used_bytes)?) {
            (Some(total), Some(used)) if *total > 0 => {
                rooms.push(Room { gpu, total: *total, used: *used, own: own(facts, gpu) });
            }
            (Some(_), Some(_)) => {}
            (None, _) => silent = Unknown::new(Why::NotAsked, answer(&gpu.memory_total_bytes).detail),
            (_, None) => silent = Unknown::new(Why::NotAsked, answer(&gpu.memory_used_bytes).detail),
        }
    }
    if rooms.is_empty() { Err(silent) } else { Ok(rooms) }
}

/// What the server held of this GPU before any load; nothing where no server was named.
fn own(facts: &Facts, gpu: &Gpu) -> Result<u64, Unknown> {
    let Some(pids) = server_pids(facts) else {
        return match facts.process.processes.reason() {
            Some(Unknown { why: Why::NotAsked, .. }) | None => Ok(0),
            Some(unknown) => Err(unknown.clone()),
        };
    };
    if !counted_alike(facts) {
        return Err(Unknown::new(Why::NotAsked, "NVML's process ids are not those that the doctor sees"));
    }
    let held = gpu.processes.read()?.iter().filter(|process| pids.contains(&process.pid));
    held.into_iter().try_fold(0_u64, |sum, process| Ok(sum.saturating_add(*process.used_bytes.read()?)))
}

/// Why no GPU could hold the model were it empty, in words; empty if one could.
fn too_large(needs: &Needs, gpus: &[Room]) -> Result<String, Unknown> {
    let largest = gpus.iter().rev().max_by_key(|room| room.total);
    let largest = largest.ok_or_else(|| Unknown::new(Why::NotAsked, "no GPU tells its memory"))?;
    let all = gpus.iter().fold(0_u64, |sum, room| sum.saturating_add(room.total));
    if needs.least() <= largest.total || (needs.may_be_spread && needs.least() <= all) {
        return Ok(String::new());
    }
    let together = match (needs.may_be_spread, gpus.len()) {
        (true, 2..) => format!(", and all {} have {} MiB together", gpus.len(), mebibytes(all)),
        _ => String::new(),
    };
    Ok(format!(
        "it needs {}, and {} has {} MiB in all{together}",
        needs.in_words(),
        largest.name(),
        mebibytes(largest.total)
    ))
}

/// Why the model does not fit into what is free, in words; `None` if it does, or if that cannot be told.
fn without_room(facts: &Facts, needs: &Needs, gpus: &[Room]) -> Option<String> {
    let available: Vec<u64> = gpus.iter().map(Room::available).collect::<Result<_, _>>().ok()?;
    let (best, most) = gpus.iter().zip(&available).rev().max_by_key(|(_, bytes)| **bytes)?;
    let all = available.iter().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
    if needs.least() <= *most || (needs.may_be_spread && needs.least() <= all) {
        return None;
    }
    let own = match best.own {
        Ok(own) if own > 0 => format!(" besides the {} MiB that the server holds", mebibytes(own)),
        _ => String::new(),
    };
    Some(format!(
        "the model needs {}, and {} has {} of {} MiB free{own}; {}",
        needs.in_words(),
        best.name(),
        mebibytes(best.free()),
        mebibytes(best.total),
        holders(facts, best.gpu)
    ))
}

/// Who holds the GPU's memory besides the server, in words.
fn holders(facts: &Facts, gpu: &Gpu) -> String {
    let own = server_pids(facts).filter(|_| counted_alike(facts)).unwrap_or_default();
    let Some(processes) = gpu.processes.known() else { return "NVML does not tell who holds the rest".into() };
    let mut others: Vec<&GpuProcess> = processes.iter().filter(|process| !own.contains(&process.pid)).collect();
    others.sort_by_key(|process| std::cmp::Reverse(process.used_bytes.known().copied().unwrap_or(0)));
    match others.as_slice() {
        [] => "no process that NVML lists holds the rest".into(),
        others => {
            let named: Vec<String> = others.iter().take(NAMED_MAX).map(|process| named(process)).collect();
            format!("held by {}", named.join(", "))
        }
    }
}

/// The budget on one line.
fn line(facts: &Facts, needs: &Needs, gpus: &[Room]) -> String {
    let held = match memory::held_by_server(facts) {
        Ok(bytes) => format!("the server holds {} MiB; ", mebibytes(bytes)),
        Err(_) if facts.process.processes.known().is_some() => "what the server holds is not told; ".into(),
        Err(_) => String::new(),
    };
    let free =
        |room: &Room| format!("{} has {} of {} MiB free", room.name(), mebibytes(room.free()), mebibytes(room.total));
    let free: Vec<String> = gpus.iter().take(NAMED_MAX * 2).map(free).collect();
    format!(
        "{held}the model needs {} before the first request; {}. Requests take more, in onnxruntime by steps of up to {} \
         MiB",
        needs.in_words(),
        free.join(", "),
        mebibytes(ARENA_STEP_BYTES)
    )
}

/// Whole MiB, rounded up, with separators: `2,400`.
pub fn mebibytes(bytes: u64) -> String {
    grouped(bytes.div_ceil(MIB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mebibytes_are_grouped() {
        let told = [0, 1, MIB, 999 * MIB, 1000 * MIB, 1_234_567 * MIB].map(mebibytes);
        assert_eq!(told, ["0", "1", "1", "999", "1,000", "1,234,567"]);
    }

    fn facts() -> Facts {
        let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"));
        facts.model.parameter_bytes = Fact::Known(2000 * MIB);
        facts.model.format = Fact::Known("onnx".into());
        facts
    }

    #[test]
    fn a_placement_on_the_gpu_counts_before_the_file_and_one_on_the_cpu_does_not() {
        let mut facts = facts();
        let needs = |facts: &Facts| Needs::of(facts).map(|needs| (needs.from, needs.parameters / MIB)).unwrap();
        assert_eq!(needs(&facts), ("model", 2000));
        facts.placement.gpu_parameter_bytes = Fact::Known(0);
        facts.placement.session_providers = Fact::Known(vec!["CPUExecutionProvider".into()]);
        assert_eq!(needs(&facts), ("model", 2000), "a session on the CPU says nothing of the GPU");
        facts.placement.gpu_parameter_bytes = Fact::Known(1500 * MIB);
        facts.placement.unplaced_parameter_bytes = Fact::Known(100 * MIB);
        facts.placement.session_providers =
            Fact::Known(["CUDAExecutionProvider", "CPUExecutionProvider"].map(String::from).to_vec());
        assert_eq!(needs(&facts), ("placement", 1600));
        facts.placement.method = Fact::Known("optimized model".into());
        assert_eq!(
            needs(&facts),
            ("placement", 1500),
            "what the execution graph holds in their place is counted already"
        );
        facts.model.parameter_bytes = Fact::unknown(Why::NotAsked, "no model was named");
        assert_eq!(Needs::of(&facts).err().unwrap().why, Why::NotAsked);
    }

    #[test]
    fn a_server_whose_share_is_not_told_is_not_accused() {
        let mut facts = facts();
        let unknown = Unknown::new(Why::NotAsked, "test");
        let gpu = Gpu {
            memory_total_bytes: Fact::Known(8000 * MIB),
            memory_used_bytes: Fact::Known(7000 * MIB),
            processes: Fact::Known(vec![GpuProcess {
                pid: 9,
                name: Fact::Known("x".into()),
                used_bytes: Fact::Known(MIB),
            }]),
            ..Gpu::all_unknown(0, &unknown)
        };
        facts.nvml.status = Fact::Known("ok".into());
        facts.nvml.gpus = Fact::Known(vec![gpu]);
        let told = |facts: &Facts| without_room(facts, &Needs::of(facts).unwrap(), &gpus(facts).unwrap());
        assert!(told(&facts).unwrap().ends_with("held by PID 9 (x) with 0.0 GiB"), "{:?}", told(&facts));
        facts.process.processes = Fact::Known(vec![crate::snapshot::ServerProcess::all_unknown(7, &unknown)]);
        assert_eq!(told(&facts), None, "in a container the rest may be the server's own");
        facts.nvml.host_pid_namespace = Fact::Known(true);
        assert!(told(&facts).is_some());
    }
}
