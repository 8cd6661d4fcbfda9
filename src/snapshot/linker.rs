//! The dynamic linker's view of the deployment's runtimes.

use super::fact::room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// The GPU runtimes of the deployment and the libraries that they need, walked without loading anything.
    pub struct LinkerFacts {
        /// Runtimes that were found, with what they lack.
        pub runtimes: Vec<GpuRuntime>,
    }
}

/// One runtime: a library that computes on the GPU if all that it needs is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuRuntime {
    /// `ctranslate2`, `torch`, `llama`, `tensorrt`, `onnxruntime`.
    pub name: String,
    /// Its library, as the doctor can open it.
    pub library: String,
}
