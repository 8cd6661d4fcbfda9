//! The process behind the server's port.

use super::fact::{Fact, room};
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
        /// Environment variables of the server's process that decide about GPUs and libraries. Others are never read out.
        pub environment: BTreeMap<String, String>,
    }
}

/// A socket that listens on the server's port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Local address: `127.0.0.1:8000`.
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
