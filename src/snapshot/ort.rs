//! What the deployment's own onnxruntime can do.

use super::fact::room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// The deployment's onnxruntime library, loaded in a child process.
    pub struct OrtFacts {
        /// The library file.
        pub library: String,
        /// How it was found: `--onnxruntime`, `--python`, or the maps of the server's process.
        pub found_by: String,
        /// Version of the library.
        pub version: String,
        /// Execution providers compiled in. A provider in this list need not work.
        pub compiled_providers: Vec<String>,
        /// Whether the CUDA execution provider is compiled in.
        pub cuda_compiled_in: bool,
        /// Whether the CUDA execution provider, asked for strictly, registered and a session of one node could be created
        /// with it: its libraries load and the device answers.
        pub cuda_registers: bool,
        /// Why it did not, in onnxruntime's words, less C++ signatures and the machine's name; empty if it
        /// did.
        pub cuda_error: String,
        /// The provider library `libonnxruntime_providers_cuda.so` beside the library.
        pub cuda_provider_library: String,
        /// Every library that the CUDA provider needs, directly or not, and that the dynamic linker would not find.
        /// Unsupported when CUDA is not compiled in: there is no provider that could need anything.
        pub missing_libraries: Vec<MissingLibrary>,
    }
}

/// A shared library that is needed and not found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingLibrary {
    /// Name that the dynamic linker looks for: `libcublasLt.so.12`.
    pub soname: String,
    /// Who asks for it, from the provider library down: `libonnxruntime_providers_cuda.so`, ...
    pub needed_by: Vec<String>,
    /// The PyPI package that would bring it; empty if none is known.
    pub package: String,
    /// Where it lies on disk outside the search path; empty if it was not seen.
    pub lies_at: String,
}
