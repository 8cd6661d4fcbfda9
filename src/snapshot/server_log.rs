//! What the server says of itself in its log.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// The server's log, from files that the user names or from the files that its output goes to.
    pub struct ServerLogFacts {
        /// The files that were read.
        pub files: Vec<String>,
        /// Known sayings of servers and runtimes found in it, the newest five of each, in the order of the log.
        pub sayings: Vec<Saying>,
        /// The same of lines that were written before the server's process started, by their time: they tell of an
        /// earlier process, and prove nothing about this one.
        pub before_start: Vec<Saying>,
        /// The same sayings in the server's answers to the doctor's and the client's requests.
        pub said_in_answers: Vec<Saying>,
    }
}

/// A line of the log whose meaning is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Saying {
    /// What it says: `torch-cpu-wheel`, `ct2-libcublas-missing`, ... (see `src/probe/server_log/sayings/`).
    pub id: String,
    /// The file, or the request whose answer it is.
    pub file: String,
    /// The line's number, from 1; counted from the first whole line after the bytes that were skipped, if any.
    pub line_number: u64,
    /// Bytes of the file before this line that were not read, because the file is large.
    #[serde(default)]
    pub skipped_bytes: u64,
    /// When it was written, by its own word, RFC 3339; without a zone where the line tells none.
    #[serde(default)]
    pub at: Fact<String>,
    /// The line, without colour codes and with secrets left out, at most 300 characters.
    pub line: String,
    /// What the line names: a library, a version, a device.
    pub values: BTreeMap<String, String>,
}
