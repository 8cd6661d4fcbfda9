//! Is there a GPU, and is its driver of one piece.

use super::Basis;
use crate::snapshot::{Fact, Facts, Unknown, Why, room};

room! {
    /// Whether there is a GPU, and whether its driver is of one piece.
    pub struct Presence {
        /// Whether this machine has an NVIDIA GPU at all, by the PCI bus, NVML or CUDA.
        pub gpu_visible: bool,
        /// Whether the kernel module and the driver's libraries are of different versions.
        pub driver_versions_differ: bool,
    }
}

impl Presence {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        Self { gpu_visible: basis.gpu_visible.clone(), driver_versions_differ: basis.driver_versions_differ.clone() }
    }
}

/// Return code of NVML for "driver not loaded" (nvml.h, NVML_ERROR_DRIVER_NOT_LOADED).
const NVML_DRIVER_NOT_LOADED: i64 = 9;
/// Return code of NVML for differing versions (nvml.h, NVML_ERROR_LIB_RM_VERSION_MISMATCH).
const NVML_VERSION_MISMATCH: i64 = 18;

/// Whether this machine has an NVIDIA GPU.
///
/// One witness is enough for yes: the PCI bus, NVML or CUDA. For no, the PCI bus must be readable and empty, this must
/// not be a machine whose GPU is elsewhere (WSL, Tegra), and no driver may have answered otherwise: a driver that hangs
/// or fails with another code than "not loaded" is a driver that found something to drive.
pub fn visible(facts: &Facts) -> Fact<bool> {
    let on_bus = facts.host.nvidia_pci_devices.known().map(Vec::len);
    let in_nvml = facts.nvml.gpus.known().map(Vec::len);
    let in_cuda = facts.cuda.device_count.known().copied();
    if on_bus > Some(0) || in_nvml > Some(0) || in_cuda > Some(0) {
        return Fact::Known(true);
    }
    if on_bus.is_none() {
        return facts.host.nvidia_pci_devices.as_ref().map(|_| false);
    }
    for elsewhere in [&facts.host.wsl, &facts.host.tegra] {
        match elsewhere {
            Fact::Known(false) => {}
            Fact::Known(true) => {
                return Fact::unknown(Why::Unsupported, "the GPU of WSL and Tegra machines is not on the PCI bus");
            }
            Fact::Unknown(unknown) => return Fact::Unknown(unknown.clone()),
        }
    }
    match (&facts.nvml.status, facts.nvml.init_code.known()) {
        // A driver that works and whose GPUs could not be listed may have some.
        (Fact::Known(status), _) if status == "ok" && in_nvml.is_none() => facts.nvml.gpus.as_ref().map(|_| false),
        (Fact::Known(status), _) if matches!(status.as_str(), "library_missing" | "library_invalid" | "ok") => {
            Fact::Known(false)
        }
        (Fact::Known(_), Some(&NVML_DRIVER_NOT_LOADED)) => Fact::Known(false),
        (Fact::Known(_), code) => {
            let code = code.map_or("an unknown code".into(), |code| format!("code {code}"));
            Fact::unknown(
                Why::Unsupported,
                format!("the PCI bus shows no NVIDIA device, yet a driver answered with {code}"),
            )
        }
        (Fact::Unknown(Unknown { why: Why::NotAsked, .. }), None) => Fact::Known(false),
        (Fact::Unknown(unknown), _) => {
            let detail = format!("the PCI bus shows no NVIDIA device, yet NVML did not say so too: {}", unknown.detail);
            Fact::unknown(unknown.why, detail)
        }
    }
}

/// Whether the loaded kernel module and the libraries that programs would load are of different versions.
pub fn versions_differ(facts: &Facts) -> Fact<bool> {
    match facts.nvml.init_code.known() {
        Some(&NVML_VERSION_MISMATCH) => return Fact::Known(true),
        Some(0) => return Fact::Known(false),
        _ => {}
    }
    let kernel = match &facts.host.driver_version {
        Fact::Known(version) => version,
        Fact::Unknown(unknown) => {
            // Without a loaded module there is nothing that a library could differ from.
            let unloaded = facts.host.nvidia_module_loaded.known() == Some(&false);
            return if unloaded { Fact::Known(false) } else { Fact::Unknown(unknown.clone()) };
        }
    };
    let libraries = match &facts.host.driver_libraries {
        Fact::Known(libraries) => libraries,
        Fact::Unknown(unknown) => return Fact::Unknown(unknown.clone()),
    };
    // The first of a name is the one that programs load. Those of CUDA's forward compatibility differ on purpose.
    let mut names: Vec<&str> = Vec::new();
    let mut versions: Vec<&String> = Vec::new();
    for library in libraries.iter().filter(|library| !library.path.contains("/compat/")) {
        if !names.contains(&library.soname.as_str()) {
            names.push(&library.soname);
            versions.extend(library.version.known());
        }
    }
    if versions.is_empty() {
        return Fact::unknown(Why::Absent, "no driver library with a version in its name was found");
    }
    Fact::Known(versions.iter().any(|version| *version != kernel))
}
