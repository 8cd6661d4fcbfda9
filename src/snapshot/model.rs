//! The model's file, read without loading its tensors.

use super::fact::room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// The structure of a model: all of it for ONNX, tensors and sizes only for safetensors and GGUF.
    pub struct ModelFacts {
        /// The file; where a folder was named, the model's in it.
        pub path: String,
        /// Why the file is not read as a model: it is cut short, its contents make no sense, or it is something else, such
        /// as a pointer of Git LFS; empty if it is read. What lies in other files is told in `external_files`.
        pub fault: String,
        /// Size of the file, without external data, bytes.
        pub file_bytes: u64,
        /// `onnx`, `safetensors` or `gguf`, which are read; or a format that is only told apart: `pytorch`, `torchscript`,
        /// `tensorrt`, `tensorflow`, `tflite`, `openvino`, `coreml`, `nemo`, `ctranslate2`, ...
        pub format: String,
        /// Version of the format as the file states it: ONNX's IR version, or GGUF's with `, big-endian` where it is.
        pub format_version: String,
        /// Architecture by GGUF's `general.architecture`, or by the `model_type` of a config.json beside the file: `llama`.
        pub architecture: String,
        /// What the file says of itself beside its tensors: ONNX's metadata, safetensors' `__metadata__`, GGUF's single
        /// values without the tokenizer's; the first 256, texts cut at 256 bytes.
        pub metadata: BTreeMap<String, String>,
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
        /// Bytes of all those tensors, from their shapes and types; of all parts, where a model has several.
        pub parameter_bytes: u64,
        /// The same bytes by element type: `float32`, `bfloat16`, `int8`, or GGUF's quantized ones: `q4_K`.
        pub parameter_bytes_by_type: BTreeMap<String, u64>,
        /// Other files in which the model keeps tensors: ONNX's external data, the shards of safetensors, the other parts
        /// of a split GGUF.
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
    /// Whether a regular file is there, inside the model's folder, and long enough for every tensor that points into it;
    /// a shard or part must also be sound by itself and hold the tensors that it should.
    pub sound: bool,
    /// What is wrong with it; empty if sound.
    pub fault: String,
}
