//! A list of processes that leaves out those that hold the memory: it was taken in a container's namespace of process ids.

use super::{accepted, not_asked};
use crate::check::derive::Basis;
use crate::snapshot::{Facts, Gpu, Unknown, Why};
use crate::words::bytes;

/// Memory in use that is a process's, not the driver's own, bytes. What a file shows lacks all else, so that more is asked.
const HELD_BYTES: u64 = 512 << 20;
const HELD_BYTES_IN_FILE: u64 = 1 << 30;
/// The library that tells where no file does.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// That memory is held on a GPU and no process is listed there, for it is of another namespace. What a run sees by its
/// other counters needs no list.
pub fn hidden(basis: &Basis) -> Result<String, Unknown> {
    let facts = basis.facts;
    let gpus = facts.nvml.gpus.read().map_err(super::nothing_to_watch)?;
    let source = facts.nvml.source.known().map(String::as_str).unwrap_or(LIBRARY);
    if source != LIBRARY {
        let words = unlisted(gpus, HELD_BYTES_IN_FILE);
        return Ok(words.map(|words| format!("{source}: {words}")).unwrap_or_default());
    }
    if of_files_only(facts) {
        return Err(not_asked("no list of a GPU's processes was given"));
    }
    accepted(facts)?;
    if basis.activity.is_ok() || *facts.nvml.host_pid_namespace.read()? {
        return Ok(String::new());
    }
    let lists = gpus.iter().all(|gpu| gpu.processes.known().is_some());
    match unlisted(gpus, HELD_BYTES) {
        Some(words) => Ok(format!("the doctor runs in a namespace of process ids of its own, and there {words}")),
        None if lists => Ok(String::new()),
        None => Err(Unknown::new(Why::Unsupported, "NVML tells no processes of a GPU")),
    }
}

/// Whether samples or logs are all that there is.
fn of_files_only(facts: &Facts) -> bool {
    facts.recorded.files.known().is_some() && facts.nvml.status.known().is_none()
}

/// GPUs that hold memory and list no process, in words. A card that MIG divides lists none by itself.
fn unlisted(gpus: &[Gpu], least: u64) -> Option<String> {
    let held = gpus.iter().filter_map(|gpu| {
        let used = *gpu.memory_used_bytes.known()?;
        let is_empty = gpu.processes.known().is_some_and(Vec::is_empty) && gpu.mig_enabled.known() != Some(&true);
        (is_empty && used >= least).then(|| format!("GPU {} holds {} for no process", gpu.index, bytes(used as f64)))
    });
    let words: Vec<String> = held.collect();
    (!words.is_empty()).then(|| words.join(", "))
}
