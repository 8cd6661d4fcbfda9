//! What the server says of itself in its log.

use super::fact::room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// The server's log, from files that the user names or from the files that its output goes to.
    pub struct ServerLogFacts {
        /// The files that were read.
        pub files: Vec<String>,
        /// Known sayings of servers and runtimes found in it, each at most five times, in the order of the log.
        pub sayings: Vec<Saying>,
    }
}

/// A line of the log whose meaning is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Saying {
    /// What it says: `torch-not-compiled-with-cuda`, `ct2-libcublas-missing`, ... (see `src/probe/server_log/sayings.yaml`).
    pub id: String,
    /// The file.
    pub file: String,
    /// The line's number, from 1.
    pub line_number: u64,
    /// The line, without colour codes and with secrets left out, at most 300 characters.
    pub line: String,
    /// What the line names: a library, a version, a device.
    pub values: BTreeMap<String, String>,
}
