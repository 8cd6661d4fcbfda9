//! What the serving software itself says of where it runs.

use super::fact::{Fact, Unknown, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// The serving software's own word on its models and their devices, asked after the requests. It can be wrong: what
    /// NVML and the processes show stands beside it.
    pub struct EngineFacts {
        /// Which software serves: `triton`, `tgi`, `ollama`, `torchserve`, `ray-serve`, or `unrecognized`.
        pub kind: String,
        /// Its version.
        pub version: String,
        /// Label of its container image, where it tells one (`docker_label` of TGI).
        pub image_label: String,
        /// What was asked and answered, other ports of the same host included, in order.
        pub answers: Vec<EngineAnswer>,
        /// Models, for Ray Serve deployments, in its order, at most 64.
        pub models: Vec<EngineModel>,
        /// Whether Triton's metrics have a series `nv_gpu_*`. Without one Triton sees no GPU, or was told not to watch it.
        pub gpu_metrics_present: bool,
        /// Triton's processes that run models of its Python backend.
        pub python_stubs: Vec<PythonStub>,
    }
}

/// One answer of the serving software.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineAnswer {
    /// Where, with the port: `http://127.0.0.1:8002/metrics`.
    pub url: String,
    /// HTTP status.
    pub status: Fact<u64>,
    /// Start of the body, at most 300 characters; of metrics the lines about GPUs.
    pub answer: String,
}

/// Declares the model: its name, and facts that all can be unknown for one reason.
macro_rules! model {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Name; of a Ray Serve deployment `application/deployment`.
            pub name: String,
            $($(#[$field_meta])* #[serde(default)]
            pub $field: Fact<$ty>,)*
        }

        impl $name {
            /// The model `name` with every fact unknown for one reason.
            pub fn all_unknown(name: impl Into<String>, unknown: &Unknown) -> Self {
                Self { name: name.into(), $($field: Fact::Unknown(unknown.clone()),)* }
            }
        }
    };
}

model! {
    /// A model as the serving software describes it.
    pub struct EngineModel {
        /// Version of the model.
        pub version: String,
        /// State, in the software's word: `READY`, `UNAVAILABLE`, `HEALTHY`.
        pub state: String,
        /// Why it is in that state, in the software's words.
        pub reason: String,
        /// Where the software says that it runs: `gpu`, `cpu`, `both`, or a device of another kind by its name (`xpu`).
        pub device: String,
        /// Type of its numbers: `torch.float16`.
        pub dtype: String,
        /// Triton's backend: `onnxruntime`, `python`.
        pub backend: String,
        /// Triton's platform: `onnxruntime_onnx`, `ensemble`; often empty.
        pub platform: String,
        /// Triton's instance groups.
        pub instance_groups: Vec<InstanceGroup>,
        /// Triton's `max_batch_size`; 0 where the model takes no batches.
        pub max_batch_size: u64,
        /// Whether Triton joins requests to batches (`dynamic_batching`, `sequence_batching`).
        pub dynamic_batching: bool,
        /// How long Triton keeps a request waiting for others (`max_queue_delay_microseconds`), milliseconds; 0 is its
        /// default.
        pub batch_delay_ms: f64,
        /// Sizes of batches that Triton sends at once (`preferred_batch_size`).
        pub preferred_batch_sizes: Vec<u64>,
        /// Models that an ensemble of Triton's calls, in order.
        pub steps: Vec<String>,
        /// Whether PyTriton answers for it: Triton only hands the requests on to another process, whatever its device.
        pub proxied: bool,
        /// The code of a model of Triton's Python backend.
        pub python_source: PythonSource,
        /// Memory that the loaded model takes, bytes (`size` of ollama's /api/ps).
        pub size_bytes: u64,
        /// How much of it is GPU memory, bytes (`size_vram`).
        pub size_vram_bytes: u64,
        /// TorchServe's workers.
        pub workers: Vec<EngineWorker>,
        /// GPUs that each replica of a Ray Serve deployment is given; 0 where none is asked for, Ray's default.
        pub gpus_per_replica: f64,
        /// Replicas of a Ray Serve deployment.
        pub replicas: u64,
    }
}

/// One entry of `instance_group` in Triton's configuration of a model, as completed by Triton.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceGroup {
    /// Name. One that Triton made up for a model without any entry is called like the model.
    pub name: String,
    /// `KIND_GPU`, `KIND_CPU`, `KIND_MODEL`, `KIND_AUTO`.
    pub kind: String,
    /// Instances, on each of the GPUs if it names several.
    pub count: u64,
    /// Indices of GPUs.
    pub gpus: Vec<u64>,
}

/// A worker of TorchServe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineWorker {
    /// Id.
    pub id: String,
    /// `READY`, `LOADING`, ...
    pub status: Fact<String>,
    /// Whether TorchServe gave it a GPU.
    pub gpu: Fact<bool>,
    /// What TorchServe tells of the GPU's use: `N/A`, `gpuId::0 utilization.gpu [%]::1 % ...`.
    pub gpu_usage: Fact<String>,
}

/// A model's Python code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PythonSource {
    /// The file, as the server sees it.
    pub path: String,
    /// What in it speaks of a GPU or picks a device: `cuda`, `.to(`, `model_instance_device_id`, a library that takes the
    /// GPU by itself. Empty if nothing does. Comments and choices of the CPU do not count.
    pub names_gpu: Vec<String>,
}

/// A process `triton_python_backend_stub`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PythonStub {
    /// Process id, in the doctor's namespace.
    pub pid: u64,
    /// The model's file that it runs, as it sees it.
    pub file: String,
    /// Name of the model.
    pub model: String,
    /// Device nodes of GPUs that it holds open.
    pub device_nodes_open: Fact<Vec<String>>,
}
