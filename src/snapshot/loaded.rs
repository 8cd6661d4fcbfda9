//! The model as the deployment's own code loads it (`--loader`).

use super::fact::room;
use super::server_log::Saying;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// The model as the deployment's own code loads it, in a process of its own.
    pub struct LoadedFacts {
        /// What was called: `module:callable`.
        pub loader: String,
        /// The interpreter that ran it.
        pub python: String,
        /// The folder that it ran in: the server's working directory, where that is known, else the doctor's.
        pub folder: String,
        /// Where it failed: `import app`, `app:load()`; empty if it came to its end.
        pub failed_in: String,
        /// How it failed: the exception in Python's words, or what ended the process; empty if it came to its end.
        pub error: String,
        /// The last lines of the exception's traceback, without secrets, at most 12.
        pub traceback: Vec<String>,
        /// Time of the import, milliseconds.
        pub import_ms: f64,
        /// Time of the call, milliseconds.
        pub load_ms: f64,
        /// Frameworks that the code had imported by then, with their versions; empty for a version that is not told.
        pub frameworks: BTreeMap<String, String>,
        /// `torch.cuda.is_available()` there; absent if the code had not imported torch.
        pub torch_cuda_available: bool,
        /// The models that were found in what it returned, outermost first, at most 64.
        pub objects: Vec<LoadedObject>,
        /// Whether all that it returned was looked into.
        pub search_complete: bool,
        /// Parameters of all torch modules by device (`cuda:0`, `cpu`, `meta`). What several share counts once.
        pub parameters_by_device: BTreeMap<String, Tensors>,
        /// Buffers of all torch modules by device.
        pub buffers_by_device: BTreeMap<String, Tensors>,
        /// The inference that was run: `module:callable`.
        pub forward: String,
        /// Time of the inference, milliseconds.
        pub forward_ms: f64,
        /// How the inference failed, in Python's words; empty if it came to its end.
        pub forward_error: String,
        /// The last lines of that exception's traceback.
        pub forward_traceback: Vec<String>,
        /// What was watched during the inference: outermost torch modules, their parts, and onnxruntime sessions.
        pub watched: Vec<WatchedModule>,
        /// Calls of modules without parts, by class and by the device of their parameters (or else of their inputs).
        pub leaf_calls: BTreeMap<String, BTreeMap<String, u64>>,
        /// Known sayings in what the code printed.
        pub said: Vec<Saying>,
        /// What the code printed, at most 2,000 characters.
        pub printed: String,
    }
}

/// A model among what the loader returned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadedObject {
    /// The way to it: `returned.model`, `returned['encoder']`.
    pub path: String,
    /// `torch module`, `onnxruntime session`, `ctranslate2 model`, `transformers pipeline` or `pyannote pipeline`.
    pub kind: String,
    /// Its class: `transformers.models.bert.modeling_bert.BertModel`.
    pub class: String,
    /// Device that a ctranslate2 model or a pipeline names; empty for others.
    pub device: String,
    /// Parameters of a torch module by device; empty for others.
    pub parameters_by_device: BTreeMap<String, Tensors>,
    /// The same by element type.
    pub parameters_by_dtype: BTreeMap<String, Tensors>,
    /// Buffers of a torch module by device; empty for others.
    pub buffers_by_device: BTreeMap<String, Tensors>,
    /// Parameters that could not be read, such as uninitialized ones.
    pub unread_parameters: u64,
    /// What `device_map` became: block to device (`cuda:0`, `cpu`, `disk`); empty if the module has none.
    pub device_map: BTreeMap<String, String>,
    /// Devices of the parameters of each part: `cuda:0`, `cpu+cuda:0`.
    pub blocks: BTreeMap<String, String>,
    /// Device to which accelerate's hooks bring parameters for each call; empty without such hooks.
    pub execution_device: String,
    /// Modules whose parameters such hooks bring there.
    pub offloaded_modules: u64,
    /// Compute type of a ctranslate2 model; empty for others.
    pub compute_type: String,
    /// Execution providers of an onnxruntime session, first choice first; empty for others.
    pub providers: Vec<String>,
    /// Their options.
    pub provider_options: BTreeMap<String, BTreeMap<String, String>>,
    /// File of an onnxruntime session's model; empty for others, and for a model that came from memory.
    pub model_path: String,
    /// Whether an onnxruntime session was told to fail rather than to put nodes on the CPU.
    pub cpu_fallback_disabled: bool,
    /// Why it could not be looked into, in Python's words; empty if it could.
    pub unread: String,
}

/// Some tensors, added up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tensors {
    /// How many.
    pub tensors: u64,
    /// Their elements.
    pub elements: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Names of the first few.
    pub first_names: Vec<String>,
}

/// A module or session that was watched during an inference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchedModule {
    /// The way to it.
    pub path: String,
    /// Its class, without the module that defines it.
    pub class: String,
    /// How often it was called.
    pub calls: u64,
    /// Device of its first parameter; empty if it has none.
    pub parameters_on: String,
    /// The tensors that it was given, without repetition.
    pub inputs: Vec<InputTensor>,
}

/// A tensor that a module was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputTensor {
    /// The name of the argument: `input_ids`.
    pub name: String,
    /// Its device.
    pub device: String,
    /// Its element type.
    pub dtype: String,
}
