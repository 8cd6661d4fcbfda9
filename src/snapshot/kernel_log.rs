//! What the kernel wrote about the GPU and its driver.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// The kernel's log since it last started, from a file that the user names or from this machine where that is allowed.
    pub struct KernelLogFacts {
        /// Where it was read: a file, or the kernel's ring buffer.
        pub source: String,
        /// Whether it reaches back to the kernel's start. If not, older reports may have been written over.
        pub reaches_start: bool,
        /// Lines of the NVIDIA driver (`NVRM:`) and others that tell about it or about processes killed for want of memory,
        /// without their time, oldest first. Lines that differ only in long numbers stand once; at most 200.
        pub lines: Vec<String>,
        /// Xid errors by GPU and number, in the order of their first report, at most 200.
        pub xids: Vec<Xid>,
    }
}

/// Reports of one fault of one GPU by its driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Xid {
    /// The number (NVIDIA, "Xid Errors"): 79 is "GPU has fallen off the bus". That report also counts as 79 where the
    /// driver writes it without a number.
    pub code: u64,
    /// PCI address without the function: `0000:3b:00`; `not named` where the report names none.
    pub pci_address: String,
    /// Time of the first report, as the kernel wrote it; absent if the line has none.
    pub at: Fact<String>,
    /// Time of the newest report.
    #[serde(default)]
    pub last_at: Fact<String>,
    /// Further reports after the first.
    #[serde(default)]
    pub repeats: u64,
    /// Whose fault it is as a rule: `application`, `gpu`, `link`, `driver`, or `unlisted`.
    #[serde(default)]
    pub kind: Fact<String>,
    /// What the number means.
    #[serde(default)]
    pub meaning: Fact<String>,
    /// What NVIDIA recommends.
    #[serde(default)]
    pub action: Fact<String>,
    /// The same as one word: `none`, `restart_application`, `reset_gpu`, `reboot`, `check_hardware`, `investigate`.
    #[serde(default)]
    pub remedy: Fact<String>,
    /// The newest report, without its time.
    pub line: String,
}
