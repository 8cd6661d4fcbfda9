//! How the inference runtimes on disk were built: for which CUDA, if any. Read from their files, never by running them.

mod binary;
mod native;
mod python;

use super::distributions::{self, Found};
use crate::probe::tree::Tree;
use crate::snapshot::{CudaBuild, OnnxruntimeBuild, RuntimeBuild, Unknown, Why};
use std::path::Path;

/// One distribution on disk.
struct Package<'a> {
    tree: &'a Tree,
    /// Its site-packages folder.
    site: &'a Path,
    found: &'a Found,
    /// Every distribution that matters.
    all: &'a [Found],
}

/// What a runtime's files say.
struct Built {
    /// Its version, where the files tell more than the distribution's.
    version: Option<String>,
    cuda: Result<bool, Unknown>,
    because: String,
    cuda_version: Result<String, Unknown>,
    architectures: Result<Vec<String>, Unknown>,
}

impl Built {
    /// One that was built without CUDA, as `because` says.
    fn without_cuda(because: impl Into<String>) -> Self {
        let none = || Unknown::new(Why::NotAsked, "it was built without CUDA");
        Self {
            version: None,
            cuda: Ok(false),
            because: because.into(),
            cuda_version: Err(none()),
            architectures: Err(none()),
        }
    }

    /// One that was built for the CUDA of that version.
    fn with_cuda(cuda_version: Result<String, Unknown>, because: impl Into<String>) -> Self {
        let untold = Unknown::new(Why::Unsupported, "this runtime's files do not list its architectures");
        Self { version: None, cuda: Ok(true), because: because.into(), cuda_version, architectures: Err(untold) }
    }

    /// One whose files do not tell.
    fn untold(unknown: &Unknown) -> Self {
        Self {
            version: None,
            cuda: Err(unknown.clone()),
            because: String::new(),
            cuda_version: Err(unknown.clone()),
            architectures: Err(unknown.clone()),
        }
    }
}

impl Package<'_> {
    /// A file's place, for people.
    fn shown(&self, path: &str) -> String {
        self.tree.outside(&self.site.join(path)).display().to_string()
    }
}

type Reader = fn(&Package) -> Built;

/// Runtimes by distribution, with the kinds of `process.gpu_libraries` that they map and the reader of their files.
const RUNTIMES: &[(&str, &[&str], Reader)] = &[
    ("torch", &["torch_cpu", "torch_cuda", "torch_c10_cuda"], python::torch),
    ("tensorflow", &["tensorflow"], python::tensorflow),
    ("tensorflow-cpu", &["tensorflow"], python::tensorflow),
    ("tensorflow-gpu", &["tensorflow"], python::tensorflow),
    ("jaxlib", &["jaxlib", "jax_cuda"], python::jaxlib),
    ("ctranslate2", &["ctranslate2"], native::ctranslate2),
    ("llama-cpp-python", LLAMA_KINDS, native::llama_cpp),
    // Builds of others' of the same package.
    ("llama-cpp-python-kirp", LLAMA_KINDS, native::llama_cpp),
    ("sherpa-onnx", &["sherpa_onnx"], native::sherpa_onnx),
    // Its own libraries have no names of their own; torch's show that it runs.
    ("vllm", &[], native::vllm),
];
/// Kinds under which llama.cpp shows.
const LLAMA_KINDS: &[&str] = &["llama", "ggml_cpu", "ggml_cuda"];
/// Kinds under which onnxruntime shows.
const ONNXRUNTIME_KINDS: &[&str] = &["onnxruntime_python", "onnxruntime"];

/// How each runtime was built, by distribution. Of several packages that share the folder `onnxruntime` the one is told
/// whose files are there.
///
/// `onnxruntime` is what that package says of itself, if it is there.
pub fn of(tree: &Tree, found: &[Found], onnxruntime: Result<&OnnxruntimeBuild, &Unknown>) -> Vec<RuntimeBuild> {
    let mut builds: Vec<RuntimeBuild> = Vec::new();
    for one in found {
        let Some((_, kinds, read)) = RUNTIMES.iter().find(|(name, _, _)| *name == one.name) else { continue };
        // The first of a name is the one that an import finds.
        if builds.iter().any(|build| build.distribution == one.name) {
            continue;
        }
        let Some(site) = one.folder.parent() else { continue };
        builds.push(told(&one.name, &one.version, kinds, read(&Package { tree, site, found: one, all: found })));
    }
    builds.extend(of_onnxruntime(tree, found, onnxruntime));
    builds.sort_by(|a, b| a.distribution.cmp(&b.distribution));
    builds
}

fn told(distribution: &str, version: &str, kinds: &[&str], built: Built) -> RuntimeBuild {
    RuntimeBuild {
        distribution: distribution.to_owned(),
        version: built.version.unwrap_or_else(|| version.to_owned()),
        library_kinds: kinds.iter().map(|kind| kind.to_string()).collect(),
        cuda: built.cuda.into(),
        because: built.because,
        cuda_version: built.cuda_version.into(),
        cuda_architectures: built.architectures.into(),
    }
}

fn of_onnxruntime(tree: &Tree, found: &[Found], build: Result<&OnnxruntimeBuild, &Unknown>) -> Option<RuntimeBuild> {
    let providers = distributions::providing_onnxruntime(tree, found);
    let (name, version, cuda_version, because) = match (build, providers.as_slice()) {
        (Ok(build), _) => {
            let said = format!("capi/build_and_package_info.py: package_name = '{}'", build.package_name);
            (&build.package_name, &build.version, build.cuda_version.read().cloned(), said)
        }
        (Err(unknown), [only]) if is_whole(tree, only) => {
            let untold = unknown.clone();
            (&only.name, &only.version, Err(untold), "the distribution's name".to_owned())
        }
        _ => return None,
    };
    let for_cuda = cuda_version.is_ok() || name.contains("gpu");
    let built = if for_cuda { Built::with_cuda(cuda_version, because) } else { Built::without_cuda(because) };
    Some(told(name, version, ONNXRUNTIME_KINDS, built))
}

/// Whether the package has more than what an uninstall leaves.
fn is_whole(tree: &Tree, one: &Found) -> bool {
    one.folder.parent().is_some_and(|site| tree.exists(site.join("onnxruntime/__init__.py")) == Ok(true))
}

/// The runtimes that were built for a CUDA whose version is known.
pub fn for_cuda(builds: &[RuntimeBuild]) -> Vec<CudaBuild> {
    let cuda = |build: &RuntimeBuild| {
        Some(CudaBuild {
            distribution: build.distribution.clone(),
            cuda_version: build.cuda_version.known()?.clone(),
            library_kinds: build.library_kinds.clone(),
        })
    };
    builds.iter().filter(|build| build.cuda.known() == Some(&true)).filter_map(cuda).collect()
}

/// NVIDIA's libraries among the distributions: `nvidia-cublas-cu12` is of CUDA 12. From CUDA 13 on most have CUDA's own
/// version instead of the suffix.
pub fn libraries(found: &[Found]) -> Vec<CudaBuild> {
    let library = |one: &Found| {
        let suffix = one.name.strip_prefix("nvidia-")?.rsplit_once("-cu").map(|(_, major)| major);
        let is_major = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let cuda_version = match suffix.filter(|major| is_major(major)) {
            Some(major) => major.to_owned(),
            // These have CUDA's own version; the others count for themselves.
            None if ["nvidia-cublas", "nvidia-cuda-runtime", "nvidia-cuda-nvrtc"].contains(&one.name.as_str()) => {
                one.version.split('.').next().filter(|major| is_major(major))?.to_owned()
            }
            None => return None,
        };
        Some(CudaBuild { distribution: one.name.clone(), cuda_version, library_kinds: Vec::new() })
    };
    found.iter().filter_map(library).collect()
}

#[cfg(test)]
mod tests;
