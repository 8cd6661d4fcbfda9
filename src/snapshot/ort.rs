//! What the deployment's own onnxruntime can do.

use super::fact::{Fact, room};
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
        /// The same, parsed: which kind of failure it is, of which library or call, and what to do. Kind `none` if it did
        /// register.
        pub cuda_failure: CudaFailure,
        /// The package that the library came in, by `build_and_package_info.py` beside it: `onnxruntime-gpu`.
        pub package: String,
        /// The CUDA version that it was built for, by the same file: `12.8`. Unsupported for a build without CUDA.
        pub cuda_version: String,
        /// What the library says of its build (GetBuildInfoString).
        pub build_info: String,
        /// The provider library `libonnxruntime_providers_cuda.so` beside the library.
        pub cuda_provider_library: String,
        /// Every library that the CUDA provider needs, directly or not, and that the dynamic linker would not find.
        /// Unsupported when CUDA is not compiled in: there is no provider that could need anything.
        pub missing_libraries: Vec<MissingLibrary>,
    }
}

/// Why onnxruntime's CUDA provider did not register, parsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CudaFailure {
    /// `none`, or what failed. Before CUDA is asked: `cpu_build`, `provider_missing` (no CUDA provider beside the
    /// library), `providers_shared_missing`, `library_missing`, `wrong_major` (missing, while another major version of it
    /// is there), `library_invalid`, `symbol_missing`, `cudnn_missing`, `no_driver` (no libcuda.so.1),
    /// `crash_at_load`. By CUDA's code: `driver_too_old` (35), `stub_driver` (34), `no_device` (100),
    /// `invalid_device` (101), `busy` (46), `out_of_memory` (2), `no_kernel_image` (209), `ptx_too_new` (222),
    /// `operating_system` (304), `insufficient_permission` (800), `not_ready` (802), `driver_mismatch` (803),
    /// `compat` (804), `unknown_error` (999), `cuda_error` for any other. By the library that failed: `cublas`, `cudnn`,
    /// `cufft`, `curand`. `other` for words that are not known here.
    pub kind: String,
    /// The code that the library gave; unknown where it gave none.
    pub code: Fact<u64>,
    /// The shared library that it is about: the missing one, or `CUDA`, `CUBLAS`, `CUDNN`, `CUFFT`, `CURAND`; empty if none
    /// is named.
    pub library: String,
    /// The call that failed: `cudaSetDevice(info_.device_id)`; empty if none is named.
    pub call: String,
    /// The failure in its library's words, one sentence; empty if there is none.
    pub says: String,
    /// What to do about it, one or two sentences; empty for `none`.
    pub fix: String,
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
