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
