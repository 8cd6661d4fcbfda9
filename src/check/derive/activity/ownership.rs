//! Which of the watched GPUs is the server's: by NVML's list of processes, by what the server was given, by what it says.

use crate::check::derive::server::is_gpu;
use crate::check::derive::sharing::{counted_alike, server_pids};
use crate::snapshot::{Fact, Facts, Gpu, GpuWindow};
use std::collections::BTreeSet;

/// Whether the server is on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Its processes hold memory there.
    On,
    /// It was given this GPU, and may use it.
    May,
    /// It was given others only, or only others hold memory there.
    Not,
    /// Nothing tells.
    Unknown,
}

impl Place {
    /// As checks read it.
    pub fn word(self) -> &'static str {
        match self {
            Place::On => "on_it",
            Place::May => "may_use_it",
            Place::Not => "not_on_it",
            Place::Unknown => "unknown",
        }
    }
}

/// Whether the server is on a GPU, and by what.
#[derive(Debug, Clone)]
pub struct Owned {
    pub place: Place,
    pub because: String,
    /// The processes of others that NVML lists there; `None` where its list does not tell them from the server's.
    pub others: Option<Vec<u64>>,
    /// Those of them that were seen to work in the window, in words; empty if none was.
    pub others_at_work: String,
}

/// The GPU of NVML's first reading that a window is of.
pub fn gpu_of<'a>(facts: &'a Facts, window: &GpuWindow) -> Option<&'a Gpu> {
    facts.nvml.gpus.known()?.iter().find(|gpu| window.is_of(gpu))
}

/// Tells for each window whether the server is on its GPU.
pub fn of(facts: &Facts, windows: &[GpuWindow]) -> Vec<Owned> {
    let given = given(facts);
    let works_itself = computes_itself(facts);
    let mut all: Vec<Owned> = windows.iter().map(|window| one(facts, window, given.as_ref(), works_itself)).collect();
    told_by_the_others(windows, &mut all);
    all
}

/// Where NVML lists the server's processes on one GPU, its list is right, and one on which it lists nobody is not the server's.
fn told_by_the_others(windows: &[GpuWindow], all: &mut [Owned]) {
    let on = windows.iter().zip(all.iter()).find(|(_, one)| one.place == Place::On && one.others.is_some());
    let Some(index) = on.map(|(window, _)| window.index) else { return };
    let nobody = |one: &&mut Owned| one.place == Place::Unknown && one.others.as_ref().is_some_and(Vec::is_empty);
    for one in all.iter_mut().filter(nobody) {
        one.place = Place::Not;
        one.because = format!("NVML lists the server's processes on GPU {index}, and none here");
    }
}

fn one(facts: &Facts, window: &GpuWindow, given: Option<&Given>, works_itself: bool) -> Owned {
    let gpu = gpu_of(facts, window);
    let (own, others) = listed(facts, window, gpu);
    let others_at_work = others_at_work(facts, window, gpu);
    let owned = |place, because: String| Owned {
        place,
        because,
        others: others.clone(),
        others_at_work: others_at_work.clone(),
    };
    let held = window.server_memory_bytes.known().filter(|bytes| **bytes > 0);
    if let Some(bytes) = held {
        let words = crate::words::bytes(*bytes as f64);
        return owned(Place::On, format!("the server's processes hold {words} there"));
    }
    if let Some(pid) = own.first() {
        return owned(Place::On, format!("NVML lists the server's process {pid} there"));
    }
    match given {
        Some(given) if !given.names(window, gpu) => {
            return owned(Place::Not, format!("the server was given {} only", given.words));
        }
        _ => {}
    }
    // A server that computes itself and is not listed where others are: the work there is theirs. One that hands its work to
    // processes of another family (Ray, a gateway) would not be listed either, and uses little CPU time.
    if others.as_ref().is_some_and(|others| !others.is_empty()) && works_itself {
        let words = "NVML lists processes of others there and none of the server's, which computes on the CPU";
        return owned(Place::Not, words.to_owned());
    }
    match given {
        Some(given) => owned(Place::May, format!("the server was given {}", given.words)),
        None => owned(Place::Unknown, "neither NVML's processes nor the server's variables tell".to_owned()),
    }
}

/// The server's processes on the GPU and those of others, by NVML, before the window and in it. `None` for others where NVML
/// counts processes otherwise than the doctor.
fn listed(facts: &Facts, window: &GpuWindow, gpu: Option<&Gpu>) -> (Vec<u64>, Option<Vec<u64>>) {
    let Some(servers) = server_pids(facts).filter(|_| counted_alike(facts)) else { return (Vec::new(), None) };
    let before = gpu.and_then(|gpu| gpu.processes.known());
    let during = window.processes.known();
    let mut all: BTreeSet<u64> = before.into_iter().flatten().map(|process| process.pid).collect();
    all.extend(during.into_iter().flatten().map(|process| process.pid));
    let of_server: BTreeSet<u64> =
        during.into_iter().flatten().filter(|process| process.of_server).map(|process| process.pid).collect();
    let is_own = |pid: &u64| servers.contains(pid) || of_server.contains(pid);
    let (own, others): (Vec<u64>, Vec<u64>) = all.into_iter().partition(is_own);
    (own, (before.is_some() || during.is_some()).then_some(others))
}

/// CUDA's service for several processes computes for all of them under its own name.
const SHARED_SERVICE: &str = "nvidia-cuda-mps";

/// Processes of others that worked on the GPU in the window, in words.
fn others_at_work(facts: &Facts, window: &GpuWindow, gpu: Option<&Gpu>) -> String {
    if !counted_alike(facts) || server_pids(facts).is_none() {
        return String::new();
    }
    let name = |pid: u64| {
        let processes = gpu.and_then(|gpu| gpu.processes.known()).into_iter().flatten();
        processes.into_iter().find(|one| one.pid == pid).and_then(|one| one.name.known()).cloned()
    };
    let at_work = window.processes.known().into_iter().flatten().filter(|one| {
        let shared = name(one.pid).is_some_and(|name| name.starts_with(SHARED_SERVICE));
        !one.of_server && one.utilization_percent.known() > Some(&0) && !shared
    });
    let words: Vec<String> = at_work
        .take(3)
        .map(|one| {
            let name = name(one.pid).map(|name| format!(" ({name})")).unwrap_or_default();
            format!("PID {}{name} at {} %", one.pid, one.utilization_percent.known().copied().unwrap_or_default())
        })
        .collect();
    match words.is_empty() {
        true => String::new(),
        false => format!("{}, not of the server, works there", words.join(", ")),
    }
}

/// Whether the server's own processes used enough CPU time to be where the work is done.
pub fn computes_itself(facts: &Facts) -> bool {
    let execution = &facts.execution;
    match (execution.server_cpu_ms.known(), execution.window_ms.known()) {
        (Some(cpu_ms), Some(window_ms)) => *cpu_ms >= super::thresholds::cpu_busy_share() * window_ms.max(1.0),
        _ => false,
    }
}

/// The GPUs that the server was given.
struct Given {
    /// Identifiers of GPUs or MIG devices, as given; may be shortened.
    uuids: Vec<String>,
    /// Indices in NVML's order.
    indices: Vec<u64>,
    words: String,
}

impl Given {
    fn names(&self, window: &GpuWindow, gpu: Option<&Gpu>) -> bool {
        let uuid = window.uuid.known().or(gpu.and_then(|gpu| gpu.uuid.known()));
        let parts = gpu.and_then(|gpu| gpu.mig_devices.known()).into_iter().flatten();
        let known: Vec<&String> = uuid.into_iter().chain(parts.filter_map(|part| part.uuid.known())).collect();
        self.indices.contains(&window.index)
            || self.uuids.iter().any(|given| known.iter().any(|uuid| uuid.starts_with(given.as_str())))
    }
}

/// What the server was given; `None` if that is not known, or all of them.
///
/// libcuda's own list counts first: it was asked with the server's variables, and knows CUDA's order.
fn given(facts: &Facts) -> Option<Given> {
    let variables = facts.process.environment.known()?;
    let set = |name: &str| variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let visible = set("CUDA_VISIBLE_DEVICES");
    let devices = facts.cuda.devices.known().filter(|devices| !devices.is_empty());
    let uuids = devices.and_then(|all| all.iter().map(|one| one.uuid.known().cloned()).collect::<Option<Vec<_>>>());
    if let (Some(value), Some(uuids)) = (visible, uuids) {
        let words = format!("{} (CUDA_VISIBLE_DEVICES={value})", uuids.join(", "));
        return Some(Given { uuids, indices: Vec::new(), words });
    }
    // CUDA counts the fastest GPU first, NVML by PCI address: indices mean the same only where the GPUs are alike.
    if let Some(value) = visible {
        let in_pci_order = set("CUDA_DEVICE_ORDER") == Some("PCI_BUS_ID") || alike(facts);
        if let Some(given) = entries(value, "CUDA_VISIBLE_DEVICES", in_pci_order) {
            return Some(given);
        }
    }
    entries(set("NVIDIA_VISIBLE_DEVICES")?, "NVIDIA_VISIBLE_DEVICES", true)
}

/// Whether all GPUs are of one kind.
fn alike(facts: &Facts) -> bool {
    let names: Option<BTreeSet<&String>> =
        facts.nvml.gpus.known().and_then(|gpus| gpus.iter().map(|gpu| gpu.name.known()).collect());
    names.is_some_and(|names| names.len() == 1)
}

/// The entries of a variable, if each is an identifier, or an index that may be trusted.
fn entries(value: &str, variable: &str, indices_count: bool) -> Option<Given> {
    let mut given = Given { uuids: Vec::new(), indices: Vec::new(), words: format!("{variable}={value}") };
    for entry in value.split(',').map(str::trim) {
        match entry.parse::<u64>() {
            Ok(index) if indices_count => given.indices.push(index),
            Err(_) if entry.starts_with("GPU-") || entry.starts_with("MIG-") => given.uuids.push(entry.to_owned()),
            // `all`, `void`, `0:1`, an index in an order that is not known.
            _ => return None,
        }
    }
    Some(given)
}

/// Whether the server's processes hold a CUDA context somewhere; `None` if that cannot be told.
pub fn holds_context(facts: &Facts, owned: &[Owned]) -> Option<bool> {
    if owned.iter().any(|one| one.place == Place::On) {
        return Some(true);
    }
    let (before, after) = (&facts.process.device_nodes_open, &facts.execution.device_nodes_open_after);
    let nodes: Vec<&String> = [before, after].into_iter().filter_map(Fact::known).flatten().collect();
    // CUDA's memory node is opened with a context; NVML alone opens the others.
    let memory = nodes.iter().any(|node| node.starts_with("/dev/nvidia-uvm"));
    let wsl = nodes.iter().any(|node| node.as_str() == "/dev/dxg");
    if wsl || memory && nodes.iter().any(|node| is_gpu(node)) {
        return Some(true);
    }
    let every_list_tells = !owned.is_empty() && owned.iter().all(|one| one.others.is_some());
    let none_open = after.known().is_some_and(Vec::is_empty) || before.known().is_some_and(Vec::is_empty);
    (every_list_tells || none_open).then_some(false)
}
