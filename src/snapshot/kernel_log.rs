//! What the kernel wrote about the GPU and its driver.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// The kernel's log, from a file that the user names or from this machine where that is allowed.
    pub struct KernelLogFacts {
        /// Where it was read: a file, or the kernel's ring buffer.
        pub source: String,
        /// Lines of the NVIDIA driver (`NVRM:`) and others that tell about it, oldest first, at most 200.
        pub lines: Vec<String>,
        /// Xid errors, oldest first, at most 200.
        pub xids: Vec<Xid>,
    }
}

/// One Xid error: the driver's report of a fault of a GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Xid {
    /// The number (NVIDIA, "Xid Errors"): 79 is "GPU has fallen off the bus".
    pub code: u64,
    /// PCI address as the kernel wrote it: `0000:3b:00`.
    pub pci_address: String,
    /// Time as the kernel wrote it; absent if the line has none.
    pub at: Fact<String>,
    /// The line.
    pub line: String,
}
