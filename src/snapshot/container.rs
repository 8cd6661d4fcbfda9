//! The container around the deployment: what it was given, what it brings, and its limits.

use super::fact::{Fact, room};
use super::host::DeviceNode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// The container around the server's process, or around the doctor when no server is named.
    pub struct ContainerFacts {
        /// `none`, `docker`, `containerd`, `kubernetes`, `podman`, `lxc` or `unnamed`.
        pub kind: String,
        /// What the kind was told by (a control group, a marker file), and of which process.
        pub told_by: String,
        /// The container's id, 64 hexadecimal digits, from its control group or from files that its engine mounts.
        pub id: String,
        /// Whether the doctor runs in the same control group as the process. Only then does the doctor meet the device
        /// rules that the process meets.
        pub doctor_inside: bool,
        /// Those variables of the NVIDIA container runtime that are set for the process, by name:
        /// `NVIDIA_VISIBLE_DEVICES`, `NVIDIA_DRIVER_CAPABILITIES`. Set but empty is not the same as not set.
        pub runtime_variables: BTreeMap<String, String>,
        /// The device nodes `/dev/nvidia*` in the process's root.
        pub device_nodes: Vec<DeviceNode>,
        /// The device rules of the control group (version 1, `devices.list`): `c 195:* rwm`. Version 2 keeps them in a
        /// program of the kernel that cannot be read.
        pub device_rules: Vec<String>,
        /// The driver's user-space libraries in the process's root, by name in the order in which the dynamic linker looks.
        pub driver_libraries: Vec<ContainerLibrary>,
        /// Size of `/dev/shm`, bytes. Unknown where no memory file system is mounted there.
        pub shm_size_bytes: u64,
        /// What is in use of `/dev/shm`, bytes.
        pub shm_used_bytes: u64,
        /// Whether a control group, the process's own or one around it, limits the CPU time.
        pub cpu_limited: bool,
        /// The lowest of these limits, processors (`cpu.max`, `cpu.cfs_quota_us`). Not asked where there is none.
        pub cpu_limit: f64,
        /// Periods of that limit in which the group had work, since it was made (`nr_periods` of `cpu.stat`).
        pub cpu_periods: u64,
        /// Those of them in which it was stopped at the limit (`nr_throttled`).
        pub cpu_throttled_periods: u64,
        /// Time for which it was stopped, milliseconds (`throttled_usec`, `throttled_time`).
        pub cpu_throttled_ms: f64,
        /// Threads of the server's processes.
        pub server_threads: u64,
        /// Whether a control group limits the memory.
        pub memory_limited: bool,
        /// The lowest of these limits, bytes (`memory.max`, `memory.limit_in_bytes`). Not asked where there is none.
        pub memory_limit_bytes: u64,
        /// Memory in use by the group that has this limit, bytes, with its page cache.
        pub memory_used_bytes: u64,
        /// Processes of the group that the kernel has killed for want of memory (`oom_kill`).
        pub oom_kills: u64,
    }
}

/// One file of the driver's libraries in a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerLibrary {
    /// Name that programs ask for: `libcuda.so.1`.
    pub soname: String,
    /// The file, from the container's root.
    pub path: String,
    /// Driver version in the file's name.
    pub version: Fact<String>,
    /// Size of the file; 0 in images that were made from a running GPU container.
    pub size_bytes: u64,
    /// Whether it is the file of this name that the dynamic linker comes to first.
    pub first: bool,
    /// Whether it lies on a mount of its own, so that the container's engine put it there; false if it is the image's.
    pub injected: Fact<bool>,
    /// The image's Debian package that has it, empty if none has; unknown where there is no list of packages.
    pub package: Fact<String>,
}
