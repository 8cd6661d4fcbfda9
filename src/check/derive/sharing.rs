//! Who may use the GPUs, and who holds them: compute mode, MIG, memory.

use super::Basis;
use super::server;
use super::trouble::{GpuTrouble, Gpus, Said, answer, tells};
use crate::snapshot::{Fact, Facts, Gpu, GpuProcess, Unknown, Why, room};

room! {
    /// Who shares the GPUs.
    pub struct Sharing {
        /// GPUs whose compute mode shuts processes out.
        pub exclusive_gpus: Vec<GpuTrouble>,
        /// GPUs in MIG mode without a MIG device that the server could use.
        pub empty_mig_gpus: Vec<GpuTrouble>,
        /// GPUs whose memory is held by others than the server.
        pub crowded_gpus: Vec<GpuTrouble>,
        /// Whether the server was seen to say that GPU memory ran out, in its log or in an answer.
        pub oom_seen_said: bool,
        /// Whether one of the crowded GPUs was seen to keep the server from what it wants.
        pub crowded_out: bool,
    }
}

impl Sharing {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let crowded_gpus = crowded(facts);
        Self {
            exclusive_gpus: exclusive(facts),
            empty_mig_gpus: without_mig_device(facts),
            crowded_out: Fact::Known(crowded_gpus.known().is_some_and(|gpus| gpus.iter().any(|gpu| gpu.severe))),
            crowded_gpus,
            oom_seen_said: Fact::Known(oom_seen_said(facts)),
        }
    }
}

/// cuda.h, CUDA_ERROR_DEVICE_UNAVAILABLE: another process has an exclusive GPU, or it is prohibited.
const CUDA_DEVICE_UNAVAILABLE: i64 = 46;
/// Processes of a server from which on several of them want the GPU: a listener and two workers.
const SEVERAL_PROCESSES: usize = 3;
/// Share of the memory below which what is free is little.
const LITTLE_FREE_SHARE: f64 = 0.1;
/// Share of the memory from which on others hold much of it.
const MUCH_HELD_SHARE: f64 = 0.5;

/// Whether a line of the log or an answer says that GPU memory ran out.
fn oom_seen_said(facts: &Facts) -> bool {
    let log = &facts.server_log;
    let said = [&log.sayings, &log.said_in_answers].into_iter().filter_map(Fact::known).flatten();
    said.into_iter().any(|saying| saying.id == "cuda-oom")
}

/// GPUs whose compute mode shuts processes out.
fn exclusive(facts: &Facts) -> Fact<Vec<GpuTrouble>> {
    let refused = facts.cuda.init_code.known() == Some(&CUDA_DEVICE_UNAVAILABLE)
        || facts
            .smoke
            .runs
            .known()
            .is_some_and(|runs| runs.iter().any(|run| run.code.known() == Some(&CUDA_DEVICE_UNAVAILABLE)));
    let servers = server_pids(facts);
    let several = servers.as_ref().is_some_and(|pids| pids.len() >= SEVERAL_PROCESSES);
    Gpus::of(facts).each(|gpu, _| {
        let mode = tells(&gpu.compute_mode)?.ok_or_else(|| answer(&gpu.compute_mode))?;
        let mode_words = mode.replace('_', " ");
        match mode.as_str() {
            "default" => return Ok(None),
            "prohibited" => return Ok(Some(Said::severe("compute mode prohibited: no process may compute on it"))),
            _ => {}
        }
        let holder = servers.as_ref().filter(|_| counted_alike(facts)).and_then(|pids| shut_out_by(gpu, pids));
        let because = match (refused, holder, several) {
            (true, ..) => "and CUDA answers that the device is unavailable".to_string(),
            (_, Some(pid), _) => format!("and process {pid}, which is not the server's, has it"),
            (.., true) => "and several processes of the server want it".to_string(),
            _ => {
                return Ok(Some(Said::mild(format!(
                    "compute mode {mode_words}: one process at a time may compute on it"
                ))));
            }
        };
        Ok(Some(Said::severe(format!("compute mode {mode_words}, {because}"))))
    })
}

/// A process that has the GPU while none of the server's has.
fn shut_out_by(gpu: &Gpu, server_pids: &[u64]) -> Option<u64> {
    let processes = gpu.processes.known()?;
    let inside = processes.iter().any(|process| server_pids.contains(&process.pid));
    processes.first().filter(|_| !inside).map(|process| process.pid)
}

/// GPUs in MIG mode that have no MIG device to compute on, or none of the name that the server was given.
fn without_mig_device(facts: &Facts) -> Fact<Vec<GpuTrouble>> {
    let named = mig_device_wanted(facts);
    let no_device = facts.cuda.device_count.known() == Some(&0);
    Gpus::of(facts).each(|gpu, _| {
        let enabled = tells(&gpu.mig_enabled)?.ok_or_else(|| answer(&gpu.mig_enabled))?;
        if !enabled {
            return Ok(None);
        }
        let Some(devices) = tells(&gpu.mig_devices)? else { return Err(answer(&gpu.mig_devices)) };
        if devices.is_empty() {
            // Where CUDA finds something else to compute on, this GPU is merely of no use.
            let severe = facts.cuda.device_count.known().is_none_or(|count| *count == 0);
            return Ok(Some(Said { severe, words: "MIG mode is on, and there is no MIG device on it".into() }));
        }
        let uuids: Option<Vec<&String>> = devices.iter().map(|device| device.uuid.known()).collect();
        Ok(match (&named, uuids) {
            (Some(wanted), Some(uuids)) if no_device && !uuids.iter().any(|uuid| uuid.starts_with(wanted)) => {
                let has: Vec<&str> = uuids.iter().map(|uuid| uuid.as_str()).collect();
                let has = has.join(", ");
                Some(Said::severe(format!("the server was given {wanted}, but the MIG devices are {has}")))
            }
            _ => None,
        })
    })
}

/// The MIG device that `CUDA_VISIBLE_DEVICES` names first.
fn mig_device_wanted(facts: &Facts) -> Option<String> {
    let of_server = facts.process.environment.known().and_then(|variables| variables.get("CUDA_VISIBLE_DEVICES"));
    let list = of_server.or(facts.cuda.visible_devices.known())?;
    let first = list.split(',').next()?.trim();
    first.starts_with("MIG-").then(|| first.to_string())
}

/// GPUs whose memory others hold, so that little is left for the server.
fn crowded(facts: &Facts) -> Fact<Vec<GpuTrouble>> {
    let Some(pids) = server_pids(facts) else {
        return match facts.process.processes.reason() {
            Some(unknown) => Fact::Unknown(unknown.clone()),
            None => Fact::unknown(Why::NotAsked, "no process of the server is known"),
        };
    };
    // The server's own memory cannot be told from others' where processes are counted otherwise than by NVML.
    if !counted_alike(facts) {
        let detail = "NVML tells the host's process ids, and the doctor runs in a container where they differ";
        return Fact::unknown(Why::NotAsked, detail);
    }
    let listed = facts.nvml.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let holds = |gpu: &Gpu| gpu.processes.known().is_some_and(|all| all.iter().any(|one| pids.contains(&one.pid)));
    let holds_any = listed.iter().any(holds);
    let given: Option<Vec<&String>> =
        facts.cuda.devices.known().map(|devices| devices.iter().filter_map(|device| device.uuid.known()).collect());
    let usable = |gpu: &Gpu| match (&given, gpu.uuid.known()) {
        (Some(given), Some(uuid)) if !given.is_empty() => given.contains(&uuid),
        _ => true,
    };
    let wants = holds_any || server::device_node_seen_open(facts);
    // Another GPU with room would do.
    let all_full = listed.iter().filter(|gpu| usable(gpu)).all(|gpu| matches!(held(gpu, &pids), Ok(Some(_))));
    Gpus::of(facts).each(|gpu, _| {
        if !(if holds_any { holds(gpu) } else { usable(gpu) }) {
            return Ok(None);
        }
        let held = held(gpu, &pids)?.filter(|_| holds_any || all_full);
        Ok(held.map(|words| Said { severe: wants, words }))
    })
}

/// Who holds the GPU's memory, in words, if little is free and most is held by others.
fn held(gpu: &Gpu, pids: &[u64]) -> Result<Option<String>, Unknown> {
    let need = |fact: &Fact<u64>| tells(fact)?.copied().ok_or_else(|| answer(fact));
    let (total, used) = (need(&gpu.memory_total_bytes)?, need(&gpu.memory_used_bytes)?);
    if total == 0 || (total.saturating_sub(used)) as f64 > LITTLE_FREE_SHARE * total as f64 {
        return Ok(None);
    }
    let processes = tells(&gpu.processes)?.ok_or_else(|| answer(&gpu.processes))?;
    let (own, foreign): (Vec<&GpuProcess>, Vec<&GpuProcess>) =
        processes.iter().partition(|process| pids.contains(&process.pid));
    let own_bytes =
        own.iter().try_fold(0u64, |sum, process| Ok::<_, Unknown>(sum.saturating_add(*process.used_bytes.read()?)))?;
    let others = used.saturating_sub(own_bytes);
    if (others as f64) < MUCH_HELD_SHARE * total as f64 {
        return Ok(None);
    }
    let named: Vec<String> = foreign.iter().take(4).map(|process| named(process)).collect();
    let by = match named.is_empty() {
        true => "no process that NVML lists".to_string(),
        false => named.join(", "),
    };
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    Ok(Some(format!(
        "{:.1} of {:.1} GiB are in use, {:.1} GiB of them not by the server; held by {by}",
        gib(used),
        gib(total),
        gib(others)
    )))
}

/// A process and what it holds, in words.
pub fn named(process: &GpuProcess) -> String {
    let mut words = format!("PID {}", process.pid);
    match &process.name {
        Fact::Known(name) => words.push_str(&format!(" ({name})")),
        Fact::Unknown(Unknown { why: Why::Absent, .. }) => words.push_str(" (which has ended)"),
        Fact::Unknown(_) => {}
    }
    if let Fact::Known(bytes) = process.used_bytes {
        words.push_str(&format!(" with {:.1} GiB", bytes as f64 / f64::from(1 << 30)));
    }
    words
}

/// Ids of the server's processes, if there are any.
pub fn server_pids(facts: &Facts) -> Option<Vec<u64>> {
    let processes = facts.process.processes.known().filter(|processes| !processes.is_empty())?;
    Some(processes.iter().map(|process| process.pid).collect())
}

/// Whether the doctor's process ids are NVML's.
pub fn counted_alike(facts: &Facts) -> bool {
    facts.nvml.host_pid_namespace.known() == Some(&true)
}
