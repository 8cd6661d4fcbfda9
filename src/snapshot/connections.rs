//! Where a server's connections land: `balance`.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// Connections that the doctor opened and held, and the GPU that each came to.
    pub struct ConnectionsFacts {
        /// The path to which they were made.
        pub path: String,
        /// What the connections are: `WebSocket`, or the method of requests whose answers do not end (`GET`, `POST`).
        pub kind: String,
        /// What was said on each once it was open; empty if nothing was.
        pub said: String,
        /// Connections that were to be tried: as many as the server is to hold, and one more.
        pub asked: u64,
        /// Why fewer were tried; empty if all were.
        pub stopped_by: String,
        /// The attempts, in the order in which they were made: all that were not answered or refused among them.
        pub attempts: Vec<Attempt>,
        /// Readings of all GPUs and of the server's own word, before the first, after each (of many, after some) and after
        /// the release.
        pub readings: Vec<SpreadReading>,
        /// Where the server tells of its GPUs (`/gpu-status`), as it was read; empty if it was not found.
        pub status_url: String,
        /// Connections that the server says a GPU takes at most.
        pub told_limit_per_gpu: u64,
        /// How long after the connections were closed the last reading was taken, milliseconds.
        pub released_after_ms: f64,
        /// Whether a path that does not exist is refused in the same way as the connection too many was: the refusal
        /// then tells a client nothing.
        pub unknown_path_refused_alike: bool,
        /// One connection more, tried after the release, where one was refused before.
        pub after_release: Attempt,
        /// The same number of connections once more, where memory was still taken after the first ones were closed: if that
        /// grows again, it leaks; if it stays, it is kept for the next ones.
        pub second_round: SecondRound,
    }
}

/// Connections that were opened again after the first ones were closed, and closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondRound {
    /// How many were accepted.
    pub connections: u64,
    /// The GPUs with all of them open.
    pub full: SpreadReading,
    /// The GPUs after they were closed.
    pub closed: SpreadReading,
    /// How long after the close that was read, milliseconds.
    pub closed_after_ms: f64,
}

/// One connection that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u64,
    /// Whether it was accepted and stayed open until the doctor closed it.
    pub accepted: bool,
    /// Whether it was accepted, held, and ended by the other side while it was held.
    #[serde(default)]
    pub ended_while_held: bool,
    /// HTTP status of the answer to the opening; unknown without an answer.
    pub status: Fact<u64>,
    /// Close code of the WebSocket; unknown if it was not closed.
    pub close_code: Fact<u64>,
    /// Reason in the server's words, without secrets; empty if it gave none.
    pub reason: String,
    /// How long the opening took, milliseconds.
    pub opening_ms: f64,
    /// Index of the GPU by the server's own word (a message, a header, the difference of `/gpu-status`).
    pub claimed_gpu: Fact<u64>,
    /// Index of the GPU by the driver: the one on which memory or a process was added.
    pub measured_gpu: Fact<u64>,
    /// Index of the GPU by the server's log.
    pub logged_gpu: Fact<u64>,
    /// Memory that was added on that GPU, bytes.
    pub added_bytes: Fact<u64>,
}

/// One look at all GPUs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpreadReading {
    /// Connections of the doctor that were open.
    pub open_connections: u64,
    /// By the server's own word.
    pub told: Fact<Vec<ToldGpu>>,
    /// By the driver.
    pub measured: Fact<Vec<MeasuredGpu>>,
}

/// A GPU by the server's own word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToldGpu {
    /// Its index as the server counts.
    pub index: u64,
    /// Connections that it says are on it.
    pub connections: Fact<u64>,
    /// Memory that it says is in use on it, bytes.
    pub used_bytes: Fact<u64>,
    /// Memory that it says is free, bytes.
    pub free_bytes: Fact<u64>,
    /// Utilization by its word, percent.
    pub utilization_percent: Fact<f64>,
}

/// A GPU by the driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeasuredGpu {
    /// Its index in NVML's order.
    pub index: u64,
    /// Its identifier.
    pub uuid: Fact<String>,
    /// All memory of it, bytes.
    pub total_bytes: Fact<u64>,
    /// Memory in use by everybody, bytes.
    pub used_bytes: Fact<u64>,
    /// Memory that the server's processes hold, bytes.
    pub server_bytes: Fact<u64>,
    /// Processes of the server on it.
    pub server_processes: Fact<u64>,
    /// Their ids.
    #[serde(default)]
    pub server_pids: Fact<Vec<u64>>,
    /// Utilization, percent.
    pub utilization_percent: Fact<u64>,
}
