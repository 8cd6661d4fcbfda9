//! What the kernel and the disk say about the machine, read without loading anything.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// The machine as `/proc`, `/sys`, `/dev` and the library folders show it.
    pub struct HostFacts {
        /// Kernel release, as `uname -r` prints it.
        pub kernel_release: String,
        /// Name and version of the operating system (`PRETTY_NAME` of os-release).
        pub os_name: String,
        /// Machine architecture, as `uname -m` prints it.
        pub architecture: String,
        /// Logical processors.
        pub cpu_count: u64,
        /// Physical memory, bytes.
        pub memory_total_bytes: u64,
        /// Whether this is the Windows Subsystem for Linux, where the driver lives in Windows.
        pub wsl: bool,
        /// Whether this is an NVIDIA Tegra or Jetson board, whose GPU is not on the PCI bus.
        pub tegra: bool,
        /// Display controllers of vendor 0x10de on the PCI bus (class 0x03).
        pub nvidia_pci_devices: Vec<PciDevice>,
        /// NVSwitch chips on the PCI bus (bridges of vendor 0x10de, class 0x0680): with them the GPUs need the fabric manager.
        pub nvswitch_bridges: Vec<PciDevice>,
        /// Whether the kernel module `nvidia` is loaded.
        pub nvidia_module_loaded: bool,
        /// Whether the kernel module `nvidia_uvm`, which CUDA needs, is loaded.
        pub nvidia_uvm_module_loaded: bool,
        /// Whether the kernel module `nouveau`, the open driver of the same cards, is loaded.
        pub nouveau_module_loaded: bool,
        /// Files of the kernel module `nvidia` on disk, for every installed kernel.
        pub nvidia_modules: Vec<ModuleFile>,
        /// Versions of the driver that DKMS builds from source, and the kernels it built them for.
        pub dkms_drivers: Vec<DkmsDriver>,
        /// Lines of modprobe.d that keep `nvidia` or `nouveau` from being loaded.
        pub blacklisted_modules: Vec<BlacklistedModule>,
        /// Whether the firmware enforces Secure Boot, so that the kernel takes signed modules only.
        pub secure_boot: bool,
        /// Whether `nvidia-modprobe` is installed with the right (setuid root) to load modules and to make device nodes for
        /// ordinary programs that start CUDA.
        pub nvidia_modprobe_setuid: bool,
        /// The driver's daemons that were seen running: `nv-fabricmanager`, `nvidia-persistenced`, `nvidia-gridd`, ...
        pub running_daemons: Vec<String>,
        /// Whether the fabric manager is installed: its unit or its program is there.
        pub fabric_manager_installed: bool,
        /// Version of the fabric manager's package, without the package's own suffix: `550.163.01`.
        pub fabric_manager_version: String,
        /// Owner that the driver gives to the device nodes it makes (`DeviceFileUID` of `/proc/driver/nvidia/params`).
        pub device_file_uid: u64,
        /// Group that the driver gives to the device nodes it makes (`DeviceFileGID`).
        pub device_file_gid: u64,
        /// Permission bits that the driver gives to the device nodes it makes, octal (`DeviceFileMode`): `0666`.
        pub device_file_mode: String,
        /// Changes of packages of the driver and of the kernel in the package tool's log, newest first, at most 20.
        pub package_changes: Vec<PackageChange>,
        /// Version of the loaded kernel module, from `/proc/driver/nvidia/version`.
        pub driver_version: String,
        /// The device nodes `/dev/nvidia*` that exist.
        pub device_nodes: Vec<DeviceNode>,
        /// The driver's user-space libraries found on disk, in the order in which the dynamic linker looks.
        pub driver_libraries: Vec<DriverLibrary>,
    }
}

/// One NVIDIA device on the PCI bus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PciDevice {
    /// Domain, bus, device and function: `0000:01:00.0`.
    pub address: String,
    /// Device id, hexadecimal with prefix: `0x2330`.
    pub device_id: String,
    /// Class code, hexadecimal with prefix: `0x030200`.
    pub class: String,
    /// Kernel driver bound to the device (`nvidia`, `nouveau`, `vfio-pci`); absent if none is.
    pub driver: Fact<String>,
}

/// One device node of the driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceNode {
    /// Path: `/dev/nvidiactl`.
    pub path: String,
    /// Permission bits, octal: `0666`.
    pub mode: String,
    /// Owning user id.
    pub uid: u64,
    /// Owning group id.
    pub gid: u64,
}

/// One of the driver's libraries on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriverLibrary {
    /// Name that programs ask for: `libcuda.so.1`.
    pub soname: String,
    /// File that the name resolves to, from the examined root.
    pub path: String,
    /// Driver version in the resolved file's name (`libcuda.so.550.144.03`).
    pub version: Fact<String>,
    /// Size of the file; 0 in images whose libraries were never injected.
    pub size_bytes: u64,
}

/// One file of the kernel module `nvidia`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModuleFile {
    /// Release of the kernel that it is for: `6.8.0-45-generic`.
    pub kernel: String,
    /// The file.
    pub path: String,
    /// Whether a signature is appended to it; which key signed it is not looked at. Unknown for compressed files.
    pub signed: Fact<bool>,
}

/// One version of the driver in DKMS's tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DkmsDriver {
    /// Name of the DKMS module: `nvidia`, `nvidia-open`.
    pub name: String,
    /// Driver version: `550.144.03`.
    pub version: String,
    /// Releases of the kernels that it was built for.
    pub kernels: Vec<String>,
    /// Log of a build that has not ended well; empty if there is none.
    pub build_log: String,
}

/// One line of modprobe's configuration that keeps a module from being loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlacklistedModule {
    /// `nvidia` or `nouveau`.
    pub module: String,
    /// The file that says so.
    pub file: String,
}

/// One change of a package, as the package tool logged it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageChange {
    /// `driver`, `kernel` or `fabric_manager`.
    pub kind: String,
    /// When, as the log writes it: `2024-01-15 06:25:11`.
    pub at: String,
    /// `install`, `upgrade`, `downgrade` or `remove`.
    pub action: String,
    /// The package: `libnvidia-compute-550`.
    pub package: String,
    /// Version before; empty if the log does not tell.
    pub from_version: String,
    /// Version after; empty if the package was removed.
    pub to_version: String,
    /// The command that did it, without its options: `/usr/bin/unattended-upgrade`, `apt upgrade`; `dnf` for that tool's log;
    /// empty if the log names none.
    pub by: String,
}
