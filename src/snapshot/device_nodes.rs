//! What opening the driver's device nodes gives.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// The driver's device nodes, each opened once in a child process with the server's user where that is allowed.
    pub struct DeviceNodesFacts {
        /// `/dev/nvidiactl`, `/dev/nvidia-uvm` and every `/dev/nvidiaN`, in this order; the first two also where they are
        /// missing.
        pub opens: Vec<NodeOpen>,
        /// Folder below which they were opened: `/`, the root that was asked about, or the root of the server's container,
        /// `/proc/4242/root`.
        pub opened_below: String,
        /// Whom the openings speak for: `server` if they were made in its root with its rights, else `gpu-doctor`.
        pub opened_for: String,
        /// User id that the nodes were opened as.
        pub opened_as_uid: u64,
        /// Process id of the server that was looked at.
        pub server_pid: u64,
        /// Effective user id of the server.
        pub server_uid: u64,
        /// Group ids of the server: the effective one and the supplementary ones.
        pub server_gids: Vec<u64>,
        /// Whether the server may open files whatever their permission bits say (CAP_DAC_OVERRIDE).
        pub server_overrides_permissions: bool,
    }
}

/// The result of opening one node for reading and writing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeOpen {
    /// Path, from the folder below which it was opened: `/dev/nvidia-uvm`.
    pub path: String,
    /// `ok`, the errno's name (`ENOENT`, `EACCES`, `EPERM`, `EIO`), or `not_a_device` if something else has that name.
    pub result: Fact<String>,
    /// Permission bits of what has that name, octal: `0660`.
    #[serde(default)]
    pub mode: Fact<String>,
    /// Its owning user id.
    #[serde(default)]
    pub uid: Fact<u64>,
    /// Its owning group id.
    #[serde(default)]
    pub gid: Fact<u64>,
}
