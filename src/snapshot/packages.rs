//! Which Python packages the deployment has on disk, read without running Python.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// The site-packages of the deployment's Python.
    pub struct PackagesFacts {
        /// The folders that were read, as the doctor can open them (`/proc/PID/root/...` for a container's).
        pub site_packages: Vec<String>,
        /// How the folders were found: `--python`, the server's mapped libraries, its environment or its command line.
        pub found_by: String,
        /// Distributions that matter to inference (onnxruntime*, torch, nvidia-*, ctranslate2, ...), by name.
        pub distributions: Vec<Distribution>,
        /// Names of the installed distributions that provide `import onnxruntime`.
        pub onnxruntime_distributions: Vec<String>,
        /// What `onnxruntime/capi/build_and_package_info.py` says of the files that are really there.
        pub onnxruntime_build: OnnxruntimeBuild,
        /// Key files of the import package `onnxruntime`: which distributions list them, and whose they are.
        pub onnxruntime_files: Vec<OwnedFile>,
        /// The distribution that wrote the extension module `capi/onnxruntime_pybind11_state*.so` as it lies on disk, by the
        /// SHA-256 in its RECORD.
        pub onnxruntime_owner: String,
        /// Distributions that matter to inference and ask for `onnxruntime` by name, so that pip installs the CPU package
        /// beside them.
        pub onnxruntime_required_by: Vec<String>,
        /// How each inference runtime on disk was built, by name.
        pub builds: Vec<RuntimeBuild>,
        /// The runtimes of `builds` that were built for CUDA, as far as the version is known.
        pub cuda_builds: Vec<CudaBuild>,
        /// NVIDIA's own libraries that are installed as packages (`nvidia-cublas-cu12`, ...), with the CUDA that they are of.
        pub cuda_libraries: Vec<CudaBuild>,
    }
}

/// One installed Python distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Normalized name: `onnxruntime-gpu`.
    pub name: String,
    /// Version.
    pub version: String,
    /// Its `.dist-info` folder.
    pub path: String,
    /// When it was installed, RFC 3339: the change of its INSTALLER, which every installer writes anew.
    #[serde(default)]
    pub installed_at: Fact<String>,
    /// Who installed it: `pip`, `uv`, `conda`, ...
    #[serde(default)]
    pub installer: Fact<String>,
}

/// A file that one or more distributions list in their RECORD (PEP 376, PEP 627).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnedFile {
    /// Its path from site-packages: `onnxruntime/__init__.py`.
    pub path: String,
    /// Whether it is there.
    pub present: Fact<bool>,
    /// Distributions that list it.
    pub listed_by: Vec<String>,
    /// Those of them whose RECORD has the SHA-256 of the file as it is. Several may have brought the same file.
    pub written_by: Fact<Vec<String>>,
}

/// How a runtime was built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuntimeBuild {
    /// The distribution: `torch`.
    pub distribution: String,
    /// Its version, with the local part: `2.6.0+cu124`.
    pub version: String,
    /// Kinds of `process.gpu_libraries` under which it shows in a process that has loaded it.
    pub library_kinds: Vec<String>,
    /// Whether it was built to compute on NVIDIA GPUs.
    pub cuda: Fact<bool>,
    /// What says so: the file, and what stands in it; empty if nothing does.
    pub because: String,
    /// CUDA version that it was built for: `12.4`, or `12` where only the major version can be told.
    pub cuda_version: Fact<String>,
    /// Architectures that it holds code for: `sm_86`, and `compute_90` for code that the driver compiles. As built, from the
    /// string that `torch.cuda.get_arch_list()` returns.
    pub cuda_architectures: Fact<Vec<String>>,
}

/// A distribution and the CUDA that it was built for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CudaBuild {
    /// The distribution: `torch`.
    pub distribution: String,
    /// CUDA version: `12.4`, or `12` where only the major version can be told.
    pub cuda_version: String,
    /// Kinds of `process.gpu_libraries` under which it shows in a process that has loaded it; a distribution that merely
    /// lies on disk shows under none.
    pub library_kinds: Vec<String>,
}

/// The identity that onnxruntime's build wrote into its package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnnxruntimeBuild {
    /// `onnxruntime`, `onnxruntime-gpu`, ...
    pub package_name: String,
    /// Version of the build.
    pub version: String,
    /// CUDA version that it was built for; absent in CPU builds and before 1.22.
    pub cuda_version: Fact<String>,
}
