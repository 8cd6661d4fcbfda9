//! The dynamic linker's view of the deployment's runtimes.

use super::fact::{Fact, room};
use super::ort::MissingLibrary;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// The GPU runtimes of the deployment and the libraries that they need, walked without loading anything.
    pub struct LinkerFacts {
        /// GPU runtimes that the server has loaded; without a server, those in the site-packages of `--python`.
        pub runtimes: Vec<GpuRuntime>,
        /// CUDA, cuDNN and driver libraries that the server's processes have mapped, one entry a file and process.
        pub mapped: Vec<MappedLibrary>,
        /// The driver library `libcuda.so.1` that the server has mapped, or else the one that its dynamic linker would take.
        pub cuda_driver: CudaDriverLibrary,
    }
}

/// One runtime: a library that computes on the GPU if all that it needs is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuRuntime {
    /// `onnxruntime`, `onnxruntime_tensorrt`, `ctranslate2`, `torch`, `llama`, `tensorrt` or `tensorflow`.
    pub name: String,
    /// Its library, as the doctor can open it.
    pub library: String,
    /// Version, by the installed distribution or the file's name.
    #[serde(default)]
    pub version: Fact<String>,
    /// Major version of the CUDA libraries that it asks for, by their names.
    #[serde(default)]
    pub cuda_major: Fact<u64>,
    /// Major versions of cuDNN that it asks for, itself or through a cuDNN of its own; none where it asks for no cuDNN.
    #[serde(default)]
    pub cudnn_majors: Fact<Vec<u64>>,
    /// cuDNN's main library that its package brings along, which still opens the others by name; empty if there is none.
    #[serde(default)]
    pub bundled_cudnn: String,
    /// Whether the server was seen to have it mapped. False where no server could be looked into.
    #[serde(default)]
    pub seen_loaded: bool,
    /// Libraries that it needs to be loaded at all (DT_NEEDED), directly or not, and that would not be found.
    #[serde(default)]
    pub missing: Fact<Vec<MissingLibrary>>,
    /// Libraries that it opens by name once it computes (cuBLAS, cuDNN), and that would not be found then.
    #[serde(default)]
    pub missing_on_use: Fact<Vec<MissingLibrary>>,
    /// Files of cuDNN of another major version than it asks for, found where the server or its packages keep them.
    #[serde(default)]
    pub other_cudnn: Vec<String>,
}

/// A library that a process of the server has mapped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MappedLibrary {
    /// Process id, in the doctor's namespace.
    pub pid: u64,
    /// File name: `libcudnn_ops.so.9`.
    pub name: String,
    /// Folder, as the process sees it.
    pub folder: String,
}

/// The library through which programs reach the driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CudaDriverLibrary {
    /// `driver`, `compat` (CUDA's forward compatibility package), `stub` (the toolkit's, for linking only), `wsl`, or
    /// `none` if there is none.
    pub kind: String,
    /// The file, as the server sees it, links followed; empty if there is none.
    pub path: String,
    /// Driver version in the file's name.
    pub version: Fact<String>,
    /// Size, bytes. The toolkit's stub has about 100 kB, a driver's library tens of megabytes.
    pub size_bytes: Fact<u64>,
    /// Whether the server was seen to have it mapped.
    pub seen_loaded: bool,
}
