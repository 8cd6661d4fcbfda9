//! The process behind the server's port.

use super::fact::{Fact, Unknown, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// The server's processes: owners of the listening socket and all their descendants.
    pub struct ProcessFacts {
        /// The server's TCP port.
        pub port: u64,
        /// Sockets that listen on the port in the doctor's network namespace, those that fit the URL's address best first.
        pub listeners: Vec<Listener>,
        /// The program that listens, if it only carries requests to another machine (`ssh`, `kubectl`); empty if not.
        pub forwarded_by: String,
        /// The processes, owners of the socket first. Behind Docker's proxy they are the container's.
        pub processes: Vec<ServerProcess>,
        /// Libraries of GPU runtimes mapped by any of them: kind (`cuda_driver`, `onnxruntime`, ...) to one path,
        /// as the process sees it.
        pub gpu_libraries: BTreeMap<String, String>,
        /// Device nodes `/dev/nvidia*`, and WSL's `/dev/dxg`, that any of them holds open.
        pub device_nodes_open: Vec<String>,
        /// Source files of the server that were changed after the process that runs them was started, newest first, at most
        /// 50. Empty where a live reloader watches them.
        pub code_newer_than_start: Vec<NewerFile>,
        /// Libraries of GPU runtimes and files of models that a process still has mapped although they were removed or
        /// replaced since. Temporary files that were unlinked on purpose are left out.
        pub deleted_libraries: Vec<DeletedFile>,
        /// Files of models' weights that any of the processes has mapped or open, at most 64. Those that were read and
        /// closed again do not show.
        pub model_files: Vec<ModelFile>,
        /// The families of processes that listen on the port: a server and its workers are one. More than one share the
        /// port by `SO_REUSEPORT`, or hold it on different addresses. Oldest first.
        pub instances: Vec<PortInstance>,
        /// Whether the doctor is in the machine's first process namespace, whose ids NVML tells.
        pub initial_pid_namespace: bool,
        /// Environment variables of the server's process that decide about GPUs and libraries. Others are never read out.
        pub environment: BTreeMap<String, String>,
    }
}

/// A socket that listens on the server's port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Local address: `127.0.0.1:8000`, or `unix:/run/asr.sock`.
    pub address: String,
    /// Owning user id.
    pub uid: u64,
}

/// One process of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerProcess {
    /// Process id, in the doctor's namespace.
    pub pid: u64,
    /// `listener` or `descendant`.
    pub role: String,
    /// Command line, with values that look like secrets left out.
    pub command: Fact<String>,
    /// The running executable.
    pub executable: Fact<String>,
    /// Working directory.
    pub working_directory: Fact<String>,
    /// User id.
    pub uid: Fact<u64>,
    /// Start time, RFC 3339.
    pub started_at: Fact<String>,
    /// Resident memory, bytes.
    pub resident_bytes: Fact<u64>,
    /// Whether the process reloads changed code by itself (`--reload`).
    pub reloads: Fact<bool>,
    /// Threads.
    #[serde(default)]
    pub threads: Fact<u64>,
    /// CPU time since the start, user and system, milliseconds.
    #[serde(default)]
    pub cpu_ms: Fact<f64>,
    /// Bytes that it has read by `read` and the like, from the page cache too (`rchar` in proc_pid_io(5)).
    #[serde(default)]
    pub read_chars_bytes: Fact<u64>,
    /// Bytes that it has read from disks (`read_bytes` in proc_pid_io(5)).
    #[serde(default)]
    pub read_disk_bytes: Fact<u64>,
    /// Supplementary group ids.
    #[serde(default)]
    pub groups: Fact<Vec<u64>>,
    /// Its ids in the process namespaces from the doctor's down to its own (`NSpid` in proc_pid_status(5)).
    #[serde(default)]
    pub namespace_pids: Fact<Vec<u64>>,
}

impl ServerProcess {
    /// The process `pid` with every fact unknown for one reason.
    pub fn all_unknown(pid: u64, unknown: &Unknown) -> Self {
        Self {
            pid,
            role: "listener".into(),
            command: Fact::Unknown(unknown.clone()),
            executable: Fact::Unknown(unknown.clone()),
            working_directory: Fact::Unknown(unknown.clone()),
            uid: Fact::Unknown(unknown.clone()),
            started_at: Fact::Unknown(unknown.clone()),
            resident_bytes: Fact::Unknown(unknown.clone()),
            reloads: Fact::Unknown(unknown.clone()),
            threads: Fact::Unknown(unknown.clone()),
            cpu_ms: Fact::Unknown(unknown.clone()),
            read_chars_bytes: Fact::Unknown(unknown.clone()),
            read_disk_bytes: Fact::Unknown(unknown.clone()),
            groups: Fact::Unknown(unknown.clone()),
            namespace_pids: Fact::Unknown(unknown.clone()),
        }
    }
}

/// A file that a process has mapped and that is no longer the one at its path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletedFile {
    /// Path, as the process sees it.
    pub path: String,
    /// Kind of library (`cuda_driver`, `onnxruntime`, ...), or `model`.
    pub kind: String,
    /// Process that has it mapped; the first if there are several.
    pub pid: u64,
    /// Whether another file stands at the path now. If not, the path is gone.
    pub replaced: bool,
}

/// A file of a model's weights in use by a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Path, as the process sees it.
    pub path: String,
    /// Its size, bytes.
    pub bytes: Fact<u64>,
    /// `mapped`, so that its bytes may serve as tensors in host memory, or `open`.
    pub held: String,
    /// Process that has it; the first if there are several.
    pub pid: u64,
}

/// A family of processes that listens on the server's port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortInstance {
    /// Local addresses on which it listens.
    pub addresses: Vec<String>,
    /// Owning user id of its sockets.
    pub uid: u64,
    /// Its processes that own a socket, oldest first.
    pub pids: Fact<Vec<u64>>,
    /// Which of the connections to the server's URL come to it: `all`, `some` or `none`, by the kernel's rules.
    pub answers: String,
    /// Command line of its oldest process, with values that look like secrets left out.
    pub command: Fact<String>,
    /// The executable that runs.
    pub executable: Fact<String>,
    /// The program as it was called, which for Python tells the virtual environment.
    pub called_as: Fact<String>,
    /// Working directory.
    pub working_directory: Fact<String>,
    /// Start of its oldest process, RFC 3339.
    pub started_at: Fact<String>,
}

/// A source file that is newer than the process that runs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewerFile {
    /// The file.
    pub path: String,
    /// Process id that started before the change.
    pub pid: u64,
    /// Time from the process's start, or from the newest program file that it loaded, to the change, seconds.
    pub newer_by_seconds: f64,
}
