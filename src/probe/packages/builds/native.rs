//! Runtimes whose compiled libraries tell how they were built.

use super::{Built, Package, binary};
use crate::snapshot::{Unknown, Why};
use std::path::{Path, PathBuf};

/// Most libraries of a package that are looked into.
const LIBRARIES_MAX: usize = 64;

/// CTranslate2: it has the CUDA runtime in itself and opens cuBLAS by name, so the name stands among its constants, or,
/// in older builds, among the libraries that it needs.
pub fn ctranslate2(package: &Package) -> Built {
    let library = ["ctranslate2.libs", "ctranslate2"]
        .iter()
        .find_map(|folder| files(package, folder).into_iter().find(|(name, _)| name.starts_with("libctranslate2")));
    let Some((name, path)) = library else {
        let detail = format!("{}: no libctranslate2 in it or in ctranslate2.libs", package.shown("ctranslate2"));
        return Built::untold(&Unknown::new(Why::Absent, detail));
    };
    for section in [".dynstr", ".rodata"] {
        let texts = match binary::section(package.tree, &path, section) {
            Ok(texts) => texts,
            Err(unknown) => return Built::untold(&unknown),
        };
        if let Some(soname) = binary::text_starting_with(&texts, "libcublas.so.") {
            let major = soname.trim_start_matches("libcublas.so.").split('.').next().unwrap_or_default().to_owned();
            let untold = || Unknown::new(Why::Malformed, format!("{name} names {soname}"));
            let digital = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
            return Built::with_cuda(digital.then_some(major).ok_or_else(untold), format!("{name} loads {soname}"));
        }
    }
    Built::without_cuda(format!("{} names no libcublas", package.tree.outside(&path).display()))
}

/// llama-cpp-python: CUDA is a library of its own, `libggml-cuda.so`; before the middle of 2024 a part of libllama.so.
pub fn llama_cpp(package: &Package) -> Built {
    let mut libraries = files(package, "llama_cpp/lib");
    libraries.extend(files(package, "llama_cpp"));
    let named = |begin: &str| libraries.iter().find(|(name, _)| name.starts_with(begin));
    let cuda = named("libggml-cuda");
    let Some((name, path)) = cuda.or(named("libllama.so")) else {
        let detail = format!("{}: no libllama.so in it or in its lib", package.shown("llama_cpp"));
        return Built::untold(&Unknown::new(Why::Absent, detail));
    };
    let linked = match binary::section(package.tree, path, ".dynstr") {
        Ok(linked) => linked,
        // The library of its own is there, whatever it asks for.
        Err(unknown) if cuda.is_some() => return Built::with_cuda(Err(unknown), format!("{name} is there")),
        Err(unknown) => return Built::untold(&unknown),
    };
    let shown = package.tree.outside(path).display().to_string();
    match (
        binary::cuda_major(&linked),
        cuda.is_some() || binary::text_starting_with(&linked, "ggml_init_cublas").is_some(),
    ) {
        (Some((soname, major)), _) => Built::with_cuda(Ok(major), format!("{shown} needs {soname}")),
        (None, true) => {
            let untold = Unknown::new(Why::Absent, format!("{shown} needs no versioned CUDA library"));
            Built::with_cuda(Err(untold), format!("{shown} is built with CUDA"))
        }
        (None, false) => {
            Built::without_cuda(format!("no libggml-cuda.so beside {shown}, which needs no CUDA library either"))
        }
    }
}

/// sherpa-onnx: GPU builds have `+cuda` in their version and bring onnxruntime's CUDA provider.
pub fn sherpa_onnx(package: &Package) -> Built {
    let version = &package.found.version;
    let provider = "sherpa_onnx/lib/libonnxruntime_providers_cuda.so";
    let path = package.site.join(provider);
    let has_provider = package.tree.exists(&path).unwrap_or(false);
    if !has_provider && !version.contains("+cuda") {
        let because = format!("the version {version} has no +cuda, and {} is not there", package.shown(provider));
        return Built::without_cuda(because);
    }
    let linked = binary::section(package.tree, &path, ".dynstr");
    let untold = || Unknown::new(Why::Absent, format!("{} needs no versioned CUDA library", package.shown(provider)));
    let cuda = linked.and_then(|linked| binary::cuda_major(&linked).map(|(_, major)| major).ok_or_else(untold));
    Built::with_cuda(cuda, format!("sherpa-onnx {version} with onnxruntime's CUDA provider"))
}

/// vLLM: its extension needs the CUDA runtime that it was compiled with.
pub fn vllm(package: &Package) -> Built {
    const EXTENSION: &str = "vllm/_C.abi3.so";
    match binary::section(package.tree, &package.site.join(EXTENSION), ".dynstr") {
        Ok(linked) => match binary::cuda_major(&linked) {
            Some((soname, major)) => Built::with_cuda(Ok(major), format!("{EXTENSION} needs {soname}")),
            None => Built::without_cuda(format!("{} needs no CUDA library", package.shown(EXTENSION))),
        },
        Err(unknown) => Built::untold(&unknown),
    }
}

/// Libraries in a folder of the package: name and path. None where the folder is not there or cannot be read.
fn files(package: &Package, folder: &str) -> Vec<(String, PathBuf)> {
    let folder: &Path = &package.site.join(folder);
    let names = package.tree.list(folder).unwrap_or_default();
    let libraries = names.into_iter().filter(|name| name.contains(".so")).take(LIBRARIES_MAX);
    libraries.map(|name| (name.clone(), folder.join(name))).collect()
}
