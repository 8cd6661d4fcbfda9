//! The model's file, read without loading its tensors.

use super::fact::room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// The structure of an ONNX model.
    pub struct ModelFacts {
        /// The file.
        pub path: String,
        /// Size of the file, without external data, bytes.
        pub file_bytes: u64,
        /// `onnx`.
        pub format: String,
        /// ONNX IR version.
        pub ir_version: i64,
        /// Tool that wrote the model, with its version; empty if it did not say.
        pub producer: String,
        /// Operator set versions by domain; the default domain is written `ai.onnx`.
        pub opsets: BTreeMap<String, i64>,
        /// Inputs of the graph, without initializers.
        pub inputs: Vec<ModelPort>,
        /// Outputs of the graph.
        pub outputs: Vec<ModelPort>,
        /// Nodes of the main graph.
        pub nodes: u64,
        /// Nodes of subgraphs (If, Loop, Scan) and local functions.
        pub subgraph_nodes: u64,
        /// Nodes by operator, all graphs together.
        pub operators: BTreeMap<String, u64>,
        /// Named initializers and tensors of Constant nodes, all graphs together.
        pub tensors: u64,
        /// Elements of all those tensors.
        pub parameters: u64,
        /// Bytes of all those tensors, from their shapes and types.
        pub parameter_bytes: u64,
        /// The same bytes by element type.
        pub parameter_bytes_by_type: BTreeMap<String, u64>,
        /// Files with external tensor data that the model refers to.
        pub external_files: Vec<ExternalFile>,
    }
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelPort {
    /// Name.
    pub name: String,
    /// Element type: `float32`, `int64`, ...; `unknown` for sequences, maps and newer types.
    pub element_type: String,
    /// Dimensions: a number, the name of a symbolic one, or `?`.
    pub shape: Vec<String>,
}

/// A file that holds tensor data outside the model's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalFile {
    /// Location as the model writes it, relative to the model's folder.
    pub location: String,
    /// Whether a regular file is there, inside the model's folder, and long enough for every tensor that points into it.
    pub sound: bool,
    /// What is wrong with it; empty if sound.
    pub fault: String,
}

room! {
    /// Where onnxruntime puts the model's nodes and parameters.
    pub struct PlacementFacts {
        /// Execution providers that the session was created with, first choice first.
        pub session_providers: Vec<String>,
        /// Where the placement was read: `verbose log`.
        pub method: String,
        /// Execution graph nodes, after onnxruntime's optimizations.
        pub nodes: u64,
        /// Those nodes by execution provider.
        pub nodes_by_provider: BTreeMap<String, u64>,
        /// Copies between host and device that onnxruntime inserted.
        pub memcpy_nodes: u64,
        /// Parameter bytes whose every consumer runs on a GPU provider.
        pub gpu_parameter_bytes: u64,
        /// Parameter bytes that a node on the CPU reads.
        pub cpu_parameter_bytes: u64,
        /// Parameter bytes that could not be followed to an execution graph node (folded or fused away).
        pub unplaced_parameter_bytes: u64,
        /// Why nodes went to the CPU, in onnxruntime's words, without repetition.
        pub cpu_reasons: Vec<String>,
        /// Time to create the session, milliseconds. Unknown when the session was given up after the placement, before the
        /// parameters were copied to the GPU.
        pub session_ms: f64,
    }
}
