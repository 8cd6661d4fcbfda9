//! Where a model's nodes run and where its parameters live: as onnxruntime said, and as predicted without it.

use super::fact::room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// onnxruntime's name for what runs nodes on NVIDIA GPUs by CUDA.
pub const CUDA_PROVIDER: &str = "CUDAExecutionProvider";
/// Its name for what runs nodes on the CPU, and is there always.
pub const CPU_PROVIDER: &str = "CPUExecutionProvider";
/// All its providers that compute on NVIDIA GPUs.
pub const GPU_PROVIDERS: &[&str] = &[CUDA_PROVIDER, "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider"];

room! {
    /// Where onnxruntime puts the model's nodes and parameters.
    pub struct PlacementFacts {
        /// The library that placed them: `onnxruntime 1.23.2`.
        pub runtime: String,
        /// Execution providers that the session was created with, first choice first.
        pub session_providers: Vec<String>,
        /// Where the placement was read: `verbose log`, or `optimized model` where that was written too.
        pub method: String,
        /// `dry` if the GPU was not given the parameters: the session was created on one block of GPU memory in which they
        /// overwrite each other, or given up after the placement; else `whole`.
        pub session: String,
        /// Execution graph nodes, after onnxruntime's optimizations, copies between devices among them.
        pub nodes: u64,
        /// Those nodes by execution provider.
        pub nodes_by_provider: BTreeMap<String, u64>,
        /// Copies between host and device that onnxruntime inserted.
        pub memcpy_nodes: u64,
        /// Those copies one by one, the first 1,000.
        pub copies: Vec<DeviceCopy>,
        /// Tensors of parameters whose every consumer runs on a GPU provider. Of a session with a GPU provider those of the
        /// execution graph are counted, where `method` says that it was written: onnxruntime computes some parameters
        /// beforehand and keeps others twice. Else those of the model's file.
        pub gpu_parameters: u64,
        /// Tensors of parameters that a node on the CPU reads.
        pub cpu_parameters: u64,
        /// Parameter bytes whose every consumer runs on a GPU provider.
        pub gpu_parameter_bytes: u64,
        /// Parameter bytes that a node on the CPU reads.
        pub cpu_parameter_bytes: u64,
        /// Bytes of the file's tensors that the execution graph does not read as they are: they were folded or fused into
        /// others, which count in their place, or nothing reads them. Where `method` says that the execution graph was not
        /// written, those that could not be followed to a node.
        pub unplaced_parameter_bytes: u64,
        /// Why nodes went to the CPU, in onnxruntime's words, without repetition.
        pub cpu_reasons: Vec<String>,
        /// Nodes one by one: those on the CPU of a session that has a GPU provider, the first 1,000; all of them, the first
        /// 100,000, when the model itself was asked about.
        pub listed_nodes: Vec<PlacedNode>,
        /// The groups of connected nodes on the CPU that stand between nodes on a GPU provider, the costliest first.
        pub cpu_islands: Vec<CpuIsland>,
        /// Time to create the session, milliseconds. Unknown for a dry one.
        pub session_ms: f64,
        /// Time of one run of the model by execution provider, milliseconds, where a profile was asked for.
        pub run_ms_by_provider: BTreeMap<String, f64>,
    }
}

room! {
    /// Where onnxruntime's CUDA provider would put the model's nodes and parameters, from tables and the model's file alone.
    pub struct PredictionFacts {
        /// Version of onnxruntime that the prediction is for: `1.23.2`.
        pub for_version: String,
        /// Whose version that is: `--for-onnxruntime`, `the deployment's onnxruntime`, `the deployment's packages`, or
        /// `the newest known`.
        pub version_from: String,
        /// Version whose tables were used: the nearest known one.
        pub tables_version: String,
        /// Nodes of the execution graph, as far as folding and inlining are predicted, copies between devices among them.
        pub nodes: u64,
        /// Those nodes by execution provider; `unknown` for nodes that none takes, as far as the tables tell.
        pub nodes_by_provider: BTreeMap<String, u64>,
        /// Copies between host and device that would be inserted.
        pub memcpy_nodes: u64,
        /// Nodes of operators that the tables do not know.
        pub unknown_nodes: u64,
        /// Tensors of parameters that would be copied to the GPU; what folding makes of parameters counts in their place.
        pub gpu_parameters: u64,
        /// Tensors of parameters that would be read from the host's memory; one that both sides read counts on both.
        pub cpu_parameters: u64,
        /// Parameter bytes that would be copied to the GPU.
        pub gpu_parameter_bytes: u64,
        /// Parameter bytes that would be read from the host's memory.
        pub cpu_parameter_bytes: u64,
        /// Bytes of the file's tensors that the execution graph would not read as they are: folded or fused into others,
        /// which count in their place, or read by nothing.
        pub unplaced_parameter_bytes: u64,
        /// Nodes one by one: those on the CPU, the first 1,000; all of them, the first 100,000, when the model itself was
        /// asked about.
        pub listed_nodes: Vec<PlacedNode>,
        /// The groups of connected nodes on the CPU that stand between nodes on the GPU, the costliest first.
        pub cpu_islands: Vec<CpuIsland>,
    }
}

/// One node and where it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacedNode {
    /// Name; of a node without one, its first output in quotes.
    pub name: String,
    /// Operator, with its domain unless that is ONNX's own: `Conv`, `com.microsoft.FusedConv`.
    pub op: String,
    /// Execution provider.
    pub provider: String,
    /// Why it is not on the GPU, or how it came there; empty where there is nothing to say.
    pub why: String,
}

/// A group of connected nodes on the CPU within a graph that otherwise runs on a GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuIsland {
    /// Nodes in it.
    pub nodes: u64,
    /// Names of the first five of them, in the order of the graph.
    pub first: Vec<String>,
    /// Nodes by operator.
    pub operators: BTreeMap<String, u64>,
    /// Tensors that come in from the GPU.
    pub tensors_in: u64,
    /// Tensors that go out to the GPU.
    pub tensors_out: u64,
}

impl CpuIsland {
    /// Whether the GPU waits for it: it takes tensors from the GPU and gives some back.
    pub fn cuts(&self) -> bool {
        self.tensors_in > 0 && self.tensors_out > 0
    }
}

/// A copy between host and device within a run of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceCopy {
    /// Name of the tensor.
    pub tensor: String,
    /// `to host` or `to device`.
    pub direction: String,
    /// Node that makes it; empty for an input of the model or a parameter, and where the execution graph was not written.
    #[serde(default)]
    pub made_by: String,
    /// Nodes that need it on the other side, the first five; empty where the model's outputs do.
    #[serde(default)]
    pub needed_by: Vec<String>,
}
