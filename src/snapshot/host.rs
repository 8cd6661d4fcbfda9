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
        /// Whether the kernel module `nvidia` is loaded.
        pub nvidia_module_loaded: bool,
        /// Whether the kernel module `nvidia_uvm`, which CUDA needs, is loaded.
        pub nvidia_uvm_module_loaded: bool,
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
