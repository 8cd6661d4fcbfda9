//! What opening the driver's device nodes gives.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// The driver's device nodes, each opened once in a child process with the server's user where that is allowed.
    pub struct DeviceNodesFacts {
        /// `/dev/nvidiactl`, every `/dev/nvidiaN` and `/dev/nvidia-uvm`, in this order; also those that are missing but
        /// needed.
        pub opens: Vec<NodeOpen>,
    }
}

/// The result of opening one node for reading and writing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeOpen {
    /// Path: `/dev/nvidia-uvm`.
    pub path: String,
    /// `ok`, the errno's name (`ENOENT`, `EACCES`, `EPERM`, `EIO`), or `not_a_device` if something else has that name.
    pub result: Fact<String>,
}
