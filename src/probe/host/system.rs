//! Operating system, kernel, processors and memory; WSL and Tegra.

use super::SMALL_FILE_BYTES;
use crate::probe::tree::Tree;
use crate::snapshot::{Fact, Unknown, Why};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, System};

const OSRELEASE: &str = "proc/sys/kernel/osrelease";

/// The general facts of the machine.
pub struct SystemFacts {
    pub kernel_release: Fact<String>,
    pub os_name: Fact<String>,
    pub architecture: Fact<String>,
    pub cpu_count: Fact<u64>,
    pub memory_total_bytes: Fact<u64>,
}

/// From the running system if the tree is its own, else from the tree's files.
pub fn read(tree: &Tree) -> SystemFacts {
    if !tree.is_whole() {
        return SystemFacts {
            kernel_release: tree.read(OSRELEASE, 256).map(|text| text.trim().to_owned()).map_err(|_| untold()).into(),
            os_name: os_name(tree).into(),
            architecture: Fact::Unknown(untold()),
            cpu_count: Fact::Unknown(untold()),
            memory_total_bytes: Fact::Unknown(untold()),
        };
    }
    let unsupported = |error: sysinfo::Error| Unknown::new(Why::Unsupported, format!("sysinfo: {error}"));
    let hardware = System::new().map_err(unsupported).map(|mut system| {
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        system.refresh_cpu_list(CpuRefreshKind::nothing());
        (system.cpus().len() as u64, system.total_memory())
    });
    // sysinfo says 0 for what it could not read.
    let above_zero = |value: Result<u64, Unknown>, what: &str| match value {
        Ok(0) => Fact::unknown(Why::Absent, format!("{what}: not told by /proc")),
        other => other.into(),
    };
    SystemFacts {
        kernel_release: System::kernel_version().map_err(unsupported).into(),
        os_name: os_name(tree).or_else(|unknown| System::long_os_version().map_err(|_| unknown)).into(),
        architecture: Fact::Known(System::cpu_arch()),
        cpu_count: above_zero(hardware.clone().map(|(count, _)| count), "processors"),
        memory_total_bytes: above_zero(hardware.map(|(_, bytes)| bytes), "memory"),
    }
}

fn untold() -> Unknown {
    Unknown::new(Why::Unsupported, "not told by a file tree")
}

/// `PRETTY_NAME` of os-release(5).
fn os_name(tree: &Tree) -> Result<String, Unknown> {
    let text = tree
        .read("etc/os-release", SMALL_FILE_BYTES)
        .or_else(|unknown| tree.read("usr/lib/os-release", SMALL_FILE_BYTES).map_err(|_| unknown))?;
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = line.map(|value| value.trim().trim_matches(['"', '\'']).to_owned()).filter(|name| !name.is_empty());
    name.ok_or_else(|| Unknown::new(Why::Malformed, "/etc/os-release has no PRETTY_NAME"))
}

/// Whether this is WSL: its paravirtual GPU device, or Microsoft's name in the kernel release.
pub fn wsl(tree: &Tree) -> Result<bool, Unknown> {
    if tree.exists("dev/dxg")? {
        return Ok(true);
    }
    Ok(tree.read(OSRELEASE, 256)?.to_ascii_lowercase().contains("microsoft"))
}

/// Whether this is a Tegra board: Jetson's release file, or `nvidia,tegra` in the device tree.
pub fn tegra(tree: &Tree) -> Result<bool, Unknown> {
    if tree.exists("etc/nv_tegra_release")? {
        return Ok(true);
    }
    match tree.read("proc/device-tree/compatible", SMALL_FILE_BYTES) {
        Ok(text) => Ok(text.contains("nvidia,tegra")),
        // No device tree: then /etc, where JetPack leaves its release file, has told.
        Err(unknown) if unknown.why == Why::Absent && tree.exists("etc")? => Ok(false),
        Err(unknown) => Err(unknown),
    }
}
