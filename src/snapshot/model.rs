//! The model's file, read without loading its tensors.

use super::fact::room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// The structure of a model: all of it for ONNX, tensors and sizes only for safetensors and GGUF.
    pub struct ModelFacts {
        /// The file.
        pub path: String,
        /// Size of the file, without external data, bytes.
        pub file_bytes: u64,
        /// `onnx`, `safetensors` or `gguf`.
        pub format: String,
        /// ONNX IR version.
        pub ir_version: i64,
        /// Tool that wrote the model, with its version; empty if it did not say.
        pub producer: String,
        /// Operator set versions by domain; the default domain is written `ai.onnx`.
        pub opsets: BTreeMap<String, i64>,
        /// Functions that the model itself defines.
        pub functions: u64,
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
