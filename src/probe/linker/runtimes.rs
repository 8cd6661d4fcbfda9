//! Which GPU runtimes there are, and what each of them lacks.

use super::mapped::Mapped;
use super::needed::{self, Walk};
use super::search::{Search, children, nvidia_folders};
use super::{elf, wheels};
use crate::snapshot::{Distribution, Fact, GpuRuntime, MissingLibrary, Unknown, Why};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A library that computes on the GPU, by the begin of its file's name, and its folder in site-packages.
const LIBRARIES: &[(&str, &str, &str)] = &[
    ("onnxruntime", CUDA_PROVIDER, "onnxruntime/capi"),
    ("onnxruntime_tensorrt", "libonnxruntime_providers_tensorrt.so", "onnxruntime/capi"),
    ("ctranslate2", "libctranslate2", "ctranslate2.libs"),
    ("torch", "libtorch_cuda.so", "torch/lib"),
    ("llama", "libggml-cuda", "llama_cpp/lib"),
    ("tensorrt", "libnvinfer.so", "tensorrt_libs"),
    ("tensorflow", "libtensorflow_cc.so", "tensorflow"),
];
/// onnxruntime's CUDA provider, beside the library or extension module that loads it.
const CUDA_PROVIDER: &str = "libonnxruntime_providers_cuda.so";
/// Begins of the names of what loads it.
const ONNXRUNTIME: &[&str] = &["libonnxruntime.so", "onnxruntime_pybind11_state"];
/// Distributions that bring a runtime.
const DISTRIBUTIONS: &[(&str, &[&str])] = &[
    ("onnxruntime", &["onnxruntime-gpu", "onnxruntime"]),
    ("onnxruntime_tensorrt", &["onnxruntime-gpu"]),
    ("ctranslate2", &["ctranslate2"]),
    ("torch", &["torch"]),
    ("llama", &["llama-cpp-python"]),
    ("tensorrt", &["tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-cu11"]),
    ("tensorflow", &["tensorflow"]),
];
/// Major versions of cuDNN that are looked for.
const CUDNN_MAJORS: std::ops::RangeInclusive<u64> = 7..=10;
/// Most runtimes that are looked at.
const RUNTIMES_LIMIT: usize = 32;

/// A runtime's library, from the root of the file tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    name: &'static str,
    library: PathBuf,
    seen_loaded: bool,
}

/// The runtimes that the server's processes have loaded.
pub fn loaded(mapped: &Mapped, search: &Search) -> Vec<Candidate> {
    let mut found = BTreeSet::new();
    for (_, path) in &mapped.0 {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some((name, ..)) = LIBRARIES.iter().find(|(_, begin, _)| file.starts_with(begin)) {
            found.insert(Candidate { name, library: path.clone(), seen_loaded: true });
        }
        if ONNXRUNTIME.iter().any(|begin| file.starts_with(begin)) {
            let provider = path.with_file_name(CUDA_PROVIDER);
            if search.tree.exists(&provider).unwrap_or(false) {
                found.insert(Candidate { name: "onnxruntime", library: provider, seen_loaded: true });
            }
        }
    }
    found.into_iter().take(RUNTIMES_LIMIT).collect()
}

/// The runtimes that lie in site-packages.
pub fn installed(site_packages: &[PathBuf], search: &Search) -> Vec<Candidate> {
    let of = |site: &PathBuf| {
        let site = site.clone();
        LIBRARIES.iter().filter_map(move |(name, begin, folder)| {
            let library = children(&search.tree, &site.join(folder), begin).next()?;
            Some(Candidate { name, library, seen_loaded: false })
        })
    };
    site_packages.iter().flat_map(of).take(RUNTIMES_LIMIT).collect()
}

/// Looks at one runtime.
pub fn look(
    candidate: &Candidate,
    search: &Search,
    site_packages: &[PathBuf],
    elsewhere: &[PathBuf],
    distributions: &[Distribution],
) -> GpuRuntime {
    let Candidate { name, library, seen_loaded } = candidate;
    let folder = library.parent().unwrap_or(Path::new("/"));
    // The extension module that loads a library of NAME.libs has that folder as its DT_RPATH (auditwheel).
    let in_libs = folder.extension().is_some_and(|extension| extension == "libs");
    let inherited: Vec<PathBuf> = in_libs.then(|| folder.to_owned()).into_iter().collect();
    let walk = needed::walk(library, search, &inherited, elsewhere);
    let bundled = in_libs.then(|| children(&search.tree, folder, "libcudnn-").next()).flatten();
    let opened =
        walk.as_ref().map_err(Unknown::clone).and_then(|walk| opened(name, library, walk, bundled.as_deref(), search));
    let names: BTreeSet<&String> =
        walk.iter().flat_map(|walk| &walk.asked).chain(opened.iter().flatten().flat_map(|(_, names)| names)).collect();
    let cuda_major = wheels::cuda_major(names.iter().map(|name| name.as_str()));
    let cudnn_majors: BTreeSet<u64> = names.iter().filter_map(|name| wheels::cudnn_major(name)).collect();
    let missing_on_use = opened.as_ref().map_err(Unknown::clone).and_then(|opened| {
        let mut missing = Vec::new();
        for (opener, names) in opened {
            missing.extend(needed::missing_on_use(opener, names, cuda_major, search, elsewhere)?);
        }
        Ok(missing)
    });
    let read = walk.as_ref().map(|_| ()).map_err(Unknown::clone);
    let by_python = if *name == "torch" { nvidia_folders(&search.tree, site_packages) } else { Vec::new() };
    let missing = walk.map(|walk| match search.loaded.has_file(library) {
        // It is loaded, so all that it needs was found, by whatever means.
        true => Vec::new(),
        false => without_preloaded(walk.missing, &by_python, search),
    });
    GpuRuntime {
        name: (*name).into(),
        library: search.tree.outside(library).display().to_string(),
        version: version(name, library, site_packages, distributions),
        cuda_major: match (read.clone(), cuda_major) {
            (Ok(()), Some(major)) => Fact::Known(major.into()),
            (Ok(()), None) => {
                let detail = format!("{} names no CUDA library with a version", library.display());
                Fact::unknown(Why::Unsupported, detail)
            }
            (Err(unknown), _) => Fact::Unknown(unknown),
        },
        other_cudnn: match cudnn_majors.is_empty() {
            true => Vec::new(),
            false => other_cudnn(&cudnn_majors, library, search, elsewhere),
        },
        cudnn_majors: read.map(|()| cudnn_majors.into_iter().collect()).into(),
        bundled_cudnn: bundled.map(|path| search.tree.outside(&path).display().to_string()).unwrap_or_default(),
        seen_loaded: *seen_loaded,
        missing: missing.into(),
        missing_on_use: missing_on_use.into(),
    }
}

/// The names that a runtime opens once it computes, with the library that opens them.
fn opened(
    name: &str,
    library: &Path,
    walk: &Walk,
    bundled: Option<&Path>,
    search: &Search,
) -> Result<Vec<(PathBuf, Vec<String>)>, Unknown> {
    let asks = |begin: &str| walk.asked.iter().any(|soname| soname.starts_with(begin));
    let mut opened = Vec::new();
    if name == "ctranslate2" {
        let names = elf::names_in_constants(&search.tree, library)?;
        opened.push((library.to_owned(), names.into_iter().filter(|name| name.starts_with("libcublas.")).collect()));
    }
    // onnxruntime 1.28 and newer open cuDNN with the first operator that wants it; the name is put together by code.
    if name == "onnxruntime" && asks("libcublas") && !asks("libcudnn") {
        opened.push((library.to_owned(), vec!["libcudnn.so.9".into()]));
    }
    let main = |path: &&Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libcudnn.so") || name.starts_with("libcudnn-")
    };
    let found = walk.files.iter().map(PathBuf::as_path).filter(main);
    for cudnn in bundled.into_iter().chain(found).collect::<BTreeSet<_>>() {
        opened.push((cudnn.to_owned(), parts_of_cudnn(cudnn, search)?));
    }
    Ok(opened)
}

/// The other libraries of cuDNN that its main library opens by name. cuDNN 9 keeps the names without version and puts
/// its own behind them.
fn parts_of_cudnn(cudnn: &Path, search: &Search) -> Result<Vec<String>, Unknown> {
    let resolved = search.tree.resolve(cudnn)?;
    let file = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(major) = wheels::cudnn_major(&file(cudnn)).or_else(|| wheels::cudnn_major(&file(&resolved))) else {
        return Ok(Vec::new());
    };
    let names = elf::names_in_constants(&search.tree, cudnn)?;
    let parts = names.into_iter().filter(|name| name.starts_with("libcudnn_"));
    Ok(parts.map(|name| if name.ends_with(".so") { format!("{name}.{major}") } else { name }).collect())
}

/// torch's Python code loads NVIDIA's packages from site-packages before it loads itself.
fn without_preloaded(mut missing: Vec<MissingLibrary>, folders: &[PathBuf], search: &Search) -> Vec<MissingLibrary> {
    let outside: Vec<PathBuf> = folders.iter().map(|folder| search.tree.outside(folder)).collect();
    missing.retain(|library| !outside.iter().any(|folder| Path::new(&library.lies_at).starts_with(folder)));
    missing
}

/// Files of cuDNN of major versions other than these.
fn other_cudnn(majors: &BTreeSet<u64>, library: &Path, search: &Search, elsewhere: &[PathBuf]) -> Vec<String> {
    let Some(machine) = elf::machine(&search.tree, library) else { return Vec::new() };
    let names = CUDNN_MAJORS.filter(|major| !majors.contains(major)).map(|major| format!("libcudnn.so.{major}"));
    let place = |name: String| {
        let asker = elf::Dynamic::default();
        match search.find(&name, &asker, &[], machine) {
            Some(super::search::Hit::Loaded) => Some(name),
            Some(super::search::Hit::File(path)) => Some(search.tree.outside(&path).display().to_string()),
            None => elsewhere
                .iter()
                .find_map(|folder| search.at(folder, Path::new(&name), machine))
                .map(|path| search.tree.outside(&path).display().to_string()),
        }
    };
    names.filter_map(place).collect()
}

/// The version in the file's name (`libctranslate2-a7a60d30.so.4.8.5`), else that of the distribution around the file.
fn version(name: &str, library: &Path, site_packages: &[PathBuf], distributions: &[Distribution]) -> Fact<String> {
    let file = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some((_, version)) = file.split_once(".so.")
        && version.contains('.')
    {
        return Fact::Known(version.into());
    }
    let inside = site_packages.iter().any(|site| library.starts_with(site));
    let names = DISTRIBUTIONS.iter().find(|(of, _)| *of == name).map(|(_, names)| *names).unwrap_or_default();
    let installed = distributions.iter().filter(|_| inside).find(|one| names.contains(&one.name.as_str()));
    match installed {
        Some(distribution) => Fact::Known(distribution.version.clone()),
        None => Fact::unknown(Why::Absent, format!("neither the name {file} nor an installed package tells it")),
    }
}
