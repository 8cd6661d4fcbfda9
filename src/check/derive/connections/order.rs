//! Whose numbers are whose: the server counts the GPUs as CUDA gives them to it, NVML as they sit on the bus. And which
//! processes of the server are on which GPU.

use super::{accepted, fullest, gpus_in_words, numbers_in_words};
use crate::snapshot::{ConnectionsFacts, Facts, Gpu};
use crate::words::count;
use std::collections::{BTreeMap, BTreeSet};

/// The server's number of a GPU to NVML's, by what each connection showed; `None` where one number came to two GPUs.
fn seen(room: &ConnectionsFacts) -> Option<BTreeMap<u64, u64>> {
    let mut all = BTreeMap::new();
    for attempt in accepted(room).ok()? {
        let named = attempt.claimed_gpu.known().or(attempt.logged_gpu.known());
        if let (Some(named), Some(measured)) = (named, attempt.measured_gpu.known())
            && *all.entry(*named).or_insert(*measured) != *measured
        {
            return None;
        }
    }
    let distinct: BTreeSet<u64> = all.values().copied().collect();
    (distinct.len() == all.len()).then_some(all)
}

/// The server's number to NVML's by its environment: the entries of CUDA_VISIBLE_DEVICES, numbers or identifiers.
fn given(facts: &Facts) -> Option<(String, BTreeMap<u64, u64>)> {
    let list = facts.process.environment.known()?.get("CUDA_VISIBLE_DEVICES")?;
    let gpus = facts.nvml.gpus.known()?;
    let place = |entry: &str| -> Option<u64> {
        let entry = entry.trim();
        let by_name = |gpu: &&Gpu| gpu.uuid.known().is_some_and(|uuid| !entry.is_empty() && uuid.starts_with(entry));
        match entry.parse::<u64>() {
            Ok(index) => gpus.iter().find(|gpu| gpu.index == index).map(|gpu| gpu.index),
            Err(_) => gpus.iter().find(by_name).map(|gpu| gpu.index),
        }
    };
    // CUDA stops at the first entry that names nothing.
    let entries: Vec<u64> = list.split(',').map_while(place).collect();
    Some((list.clone(), (0..).zip(entries).collect()))
}

/// GPUs that the server may use by its environment, if it names any.
pub fn visible(facts: &Facts) -> Option<usize> {
    given(facts).map(|(_, entries)| entries.len()).filter(|entries| *entries > 0)
}

/// How the numbers differ, in words; empty if they do not, or if it is not known.
pub fn numbers(facts: &Facts) -> String {
    let Some(seen) = seen(&facts.connections).filter(|seen| seen.iter().any(|(named, measured)| named != measured))
    else {
        return String::new();
    };
    let names: Vec<String> = seen.keys().map(u64::to_string).collect();
    let measured: Vec<String> = seen.values().map(u64::to_string).collect();
    let by = match given(facts) {
        Some((list, entries)) if seen.iter().all(|(named, measured)| entries.get(named) == Some(measured)) => {
            format!(", as CUDA_VISIBLE_DEVICES={list} has it")
        }
        _ => ": CUDA counts by speed or by CUDA_VISIBLE_DEVICES, NVML by the bus".into(),
    };
    format!("the server's GPU {} is NVML's GPU {}{by}", names.join(", "), measured.join(", "))
}

/// Which processes of the server are on which GPU, in words; empty where the driver is not asked.
pub fn processes(room: &ConnectionsFacts) -> String {
    let Some(gpus) = fullest(room).ok().and_then(|reading| reading.measured.known()) else { return String::new() };
    let mut by_pid: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for gpu in gpus {
        match gpu.server_pids.read() {
            Ok(pids) => pids.iter().for_each(|pid| by_pid.entry(*pid).or_default().push(gpu.index)),
            Err(unknown) => return format!("which process is on which GPU is not known: {}", unknown.detail),
        }
    }
    let many = by_pid.len();
    let one_each = by_pid.values().all(|gpus| gpus.len() == 1);
    match by_pid.iter().next() {
        None => "no process of the server is on a GPU by NVML".into(),
        Some((pid, gpus)) if many == 1 => format!("one process, {pid}, has {}", gpus_in_words(gpus.clone())),
        Some(_) if one_each => {
            let seats: Vec<String> =
                by_pid.iter().take(16).map(|(pid, gpus)| format!("{pid} on {}", gpus_in_words(gpus.clone()))).collect();
            format!("{}, each with one GPU: {}", count_processes(many), seats.join(", "))
        }
        Some(_) => {
            let pids = numbers_in_words(by_pid.keys().copied().take(16).collect());
            format!("{}, some with several GPUs: {pids}", count_processes(many))
        }
    }
}

fn count_processes(number: usize) -> String {
    match number {
        1 => count(1, "process"),
        _ => format!("{number} processes"),
    }
}
