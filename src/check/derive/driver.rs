//! Who holds the GPU on the bus, who may open its nodes, and what CUDA's start tells of the driver.

use super::Basis;
use crate::snapshot::{DeviceNode, Fact, Facts, NodeOpen, Unknown, Why, room};

room! {
    /// What the driver's parts come to.
    pub struct Driver {
        /// Kernel drivers other than NVIDIA's that hold an NVIDIA GPU on the bus: `nouveau`, `vfio-pci`.
        pub other_drivers_bound: Vec<String>,
        /// Whether NVML or CUDA was seen to list a GPU. Not seen is no proof that they would not.
        pub driver_seen_to_list_gpu: bool,
        /// Device nodes that permission bits keep from the server, or from the doctor where no server was named. Empty also
        /// where the server's container has nodes of its own that were not opened.
        pub device_nodes_refused: Vec<String>,
        /// Whether CUDA's memory module or its device node is missing, and CUDA fails the way it does without.
        pub uvm_missing: bool,
        /// Whether a program that starts CUDA loads that module by itself, through `nvidia-modprobe`.
        pub uvm_loads_on_demand: bool,
        /// Whether what CUDA said is what it would say to the server: known not to be only where that could be told.
        pub cuda_asked_for_server: bool,
        /// Whether the dynamic linker finds no usable libcuda.so.1 for the server, on a host whose driver works.
        pub libcuda_missing: bool,
    }
}

impl Driver {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self {
            other_drivers_bound: other_drivers_bound(facts),
            driver_seen_to_list_gpu: Fact::Known(seen_to_list_gpu(facts)),
            device_nodes_refused: device_nodes_refused(facts).into(),
            uvm_missing: uvm_missing(facts).into(),
            uvm_loads_on_demand: Fact::Known(uvm_loads_on_demand(facts)),
            cuda_asked_for_server: cuda_asked_for_server(facts),
            libcuda_missing: libcuda_missing(facts).into(),
        }
    }
}

/// Result codes of cuInit that a missing nvidia-uvm gives (cuda.h): unknown error, operating system call failed.
const WITHOUT_UVM: &[i64] = &[999, 304];
/// The result code of cuInit for "no device", which hidden devices give as well.
const NO_DEVICE: i64 = 100;
const UVM_NODE: &str = "/dev/nvidia-uvm";
/// errnos of opening a node that is not there, or that no driver answers.
const NO_NODE: &[&str] = &["ENOENT", "ENXIO", "ENODEV"];

/// Drivers other than NVIDIA's that are bound to its GPUs, each once.
fn other_drivers_bound(facts: &Facts) -> Fact<Vec<String>> {
    facts.host.nvidia_pci_devices.as_ref().map(|devices| {
        let bound = devices.iter().filter_map(|device| device.driver.known());
        let mut others: Vec<String> = bound.filter(|driver| !driver.starts_with("nvidia")).cloned().collect();
        others.sort_unstable();
        others.dedup();
        others
    })
}

/// Whether NVML or CUDA listed a GPU.
fn seen_to_list_gpu(facts: &Facts) -> bool {
    facts.nvml.gpus.known().is_some_and(|gpus| !gpus.is_empty()) || facts.cuda.device_count.known() > Some(&0)
}

/// Nodes that the server may not open because of their permission bits, told by trying where that was possible as the
/// server, else by the bits.
fn device_nodes_refused(facts: &Facts) -> Result<Vec<String>, Unknown> {
    let room = &facts.device_nodes;
    let no_server = room.server_uid.reason().is_some_and(|unknown| unknown.why == Why::NotAsked);
    let speaks = room.opened_for.known().is_some_and(|whom| whom == "server") || no_server;
    let tried = match &room.opens {
        // A version before this one did not try.
        Fact::Unknown(Unknown { why: Why::NotAsked, .. }) => return by_bits(facts),
        Fact::Unknown(unknown) if speaks => return by_bits(facts).map_err(|_| unknown.clone()),
        Fact::Unknown(_) => return by_bits(facts),
        Fact::Known(_) if !speaks => return by_bits(facts),
        Fact::Known(opens) => opens,
    };
    let refused = tried.iter().map(|open| (open.path.as_str(), answered(open, &["EACCES"])));
    let refused = shutting_out(refused.collect());
    match tried.iter().find_map(|open| open.result.reason()) {
        // A node that hangs may still be one that is permitted.
        Some(unknown) if refused.is_empty() => by_bits(facts).map_err(|_| unknown.clone()),
        _ => Ok(refused),
    }
}

/// Nodes whose owner, group and bits shut the server out.
fn by_bits(facts: &Facts) -> Result<Vec<String>, Unknown> {
    // The container's nodes are others; what its server may open is the container stage's question.
    if facts.container.kind.known().is_some_and(|kind| kind != "none") {
        return Ok(Vec::new());
    }
    let nodes = facts.host.device_nodes.read()?;
    let open_to_all = nodes.iter().all(|node| !needed(&node.path) || bits(node, 0) == 6);
    let room = &facts.device_nodes;
    if open_to_all || room.server_overrides_permissions.known() == Some(&true) {
        return Ok(Vec::new());
    }
    let (uid, gids) = (*room.server_uid.read()?, room.server_gids.read()?);
    // The first class that fits decides, as in path_resolution(7).
    let shut = |node: &DeviceNode| {
        let class = if node.uid == uid { 6 } else { 3 * u32::from(gids.contains(&node.gid)) };
        bits(node, class) != 6
    };
    Ok(shutting_out(nodes.iter().filter(|node| needed(&node.path)).map(|n| (n.path.as_str(), shut(n))).collect()))
}

/// The refused ones among nodes, if they keep a program from every GPU: a GPU that is kept from it while another is not may
/// be so on purpose.
fn shutting_out(nodes: Vec<(&str, bool)>) -> Vec<String> {
    let (gpus, shared): (Vec<_>, Vec<_>) = nodes.iter().partition(|(path, _)| is_gpu(path));
    let all_gpus = !gpus.is_empty() && gpus.iter().all(|(_, refused)| *refused);
    if !all_gpus && !shared.iter().any(|(_, refused)| *refused) {
        return Vec::new();
    }
    nodes.iter().filter(|(_, refused)| *refused).map(|(path, _)| path.to_string()).collect()
}

/// Nodes without which nothing computes: the control node, the memory node, and a GPU's own.
fn needed(path: &str) -> bool {
    is_gpu(path) || path == UVM_NODE || path == "/dev/nvidiactl"
}

fn is_gpu(path: &str) -> bool {
    path.strip_prefix("/dev/nvidia").is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Read and write permission of one class, whose lowest bit is `shift`.
fn bits(node: &DeviceNode, shift: u32) -> u32 {
    u32::from_str_radix(&node.mode, 8).map_or(6, |mode| (mode >> shift) & 6)
}

fn answered(open: &NodeOpen, results: &[&str]) -> bool {
    open.result.known().is_some_and(|result| results.contains(&result.as_str()))
}

/// Whether nvidia-uvm is missing and CUDA suffers from it.
///
/// On the host the module may simply not be loaded yet, so CUDA must have failed. In a server's container the node must be
/// there beside the others.
fn uvm_missing(facts: &Facts) -> Result<bool, Unknown> {
    let (host, room) = (&facts.host, &facts.device_nodes);
    let open = |node: &String| node == UVM_NODE;
    if facts.process.device_nodes_open.known().is_some_and(|nodes| nodes.iter().any(open)) {
        return Ok(false);
    }
    // Tegra's GPU needs no such module; without the main one there is more to mend than this.
    if host.tegra.known() == Some(&true) || !*host.nvidia_module_loaded.read()? {
        return Ok(false);
    }
    let opens = room.opens.known().map(Vec::as_slice).unwrap_or_default();
    let gone = opens.iter().any(|open| open.path == UVM_NODE && answered(open, NO_NODE));
    let others = opens.iter().any(|open| open.path != UVM_NODE && answered(open, &["ok"]));
    let in_container = room.opened_below.known().is_some_and(|root| root.starts_with("/proc/"));
    if in_container {
        return Ok(gone && others);
    }
    if !gone && *host.nvidia_uvm_module_loaded.read()? {
        return Ok(false);
    }
    // An answer of NVML is the sign that the rest of the driver works.
    if facts.nvml.status.read()? != "ok" {
        return Ok(false);
    }
    if facts.cuda.status.known().is_some_and(|status| status.starts_with("library")) {
        return Ok(false);
    }
    let code = *facts.cuda.init_code.read()?;
    let hidden = facts.cuda.visible_devices.known().is_some();
    Ok(WITHOUT_UVM.contains(&code) || (code == NO_DEVICE && !hidden))
}

/// Whether the next program that starts CUDA would load the module itself. The doctor's child may not: it gives up gaining
/// privileges.
fn uvm_loads_on_demand(facts: &Facts) -> bool {
    facts.host.nvidia_modprobe_setuid.known() == Some(&true)
        && facts.container.kind.known().is_some_and(|kind| kind == "none")
}

/// Whether CUDA was asked with the server's variables, or none of the doctor's own could have changed its answer.
fn cuda_asked_for_server(facts: &Facts) -> Fact<bool> {
    let own_is_set = facts.cuda.visible_devices.known().is_some();
    match &facts.process.environment {
        Fact::Known(_) => Fact::Known(true),
        Fact::Unknown(Unknown { why: Why::NotAsked, .. }) => Fact::Known(true),
        Fact::Unknown(_) if !own_is_set => Fact::Known(true),
        Fact::Unknown(unknown) => Fact::Unknown(unknown.clone()),
    }
}

/// Whether the host's dynamic linker finds no usable libcuda.so.1, with the server's variables, while NVML shows that the
/// driver works. Containers are left to their own stage: there the library comes with the way the container was started.
fn libcuda_missing(facts: &Facts) -> Result<bool, Unknown> {
    let mapped = facts.process.gpu_libraries.known();
    if mapped.is_some_and(|libraries| libraries.contains_key("cuda_driver")) {
        return Ok(false);
    }
    if !facts.cuda.status.read()?.starts_with("library") || facts.nvml.status.read()? != "ok" {
        return Ok(false);
    }
    if facts.nvml.gpus.read()?.is_empty() || !*facts.host.nvidia_module_loaded.read()? {
        return Ok(false);
    }
    if facts.container.kind.read()? != "none" {
        return Ok(false);
    }
    // What nvidia-smi printed may be of another machine than the one whose linker was asked; its files have a libcuda.
    let by_file = facts.nvml.source.known().is_some_and(|source| !source.starts_with("libnvidia-ml"));
    let installed = |all: &Vec<crate::snapshot::DriverLibrary>| all.iter().any(|one| one.soname == "libcuda.so.1");
    if by_file && facts.host.driver_libraries.known().is_some_and(installed) {
        return Ok(false);
    }
    // LD_LIBRARY_PATH may lead the server to one that the doctor does not see.
    match &facts.process.environment {
        Fact::Known(_) | Fact::Unknown(Unknown { why: Why::NotAsked, .. }) => Ok(true),
        Fact::Unknown(unknown) => Err(unknown.clone()),
    }
}
