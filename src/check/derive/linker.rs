//! What the loaded and resolvable libraries add up to.

use super::Basis;
use crate::snapshot::{Fact, Facts, MappedLibrary, Unknown, Why, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

room! {
    /// What the dynamic linker finds that misfits.
    pub struct Linker {
        /// Runtimes whose CUDA is of a later major version than the driver supports.
        pub runtimes_too_new_for_driver: Vec<TooNew>,
        /// Folders from which one process of the server has libraries of one major version of cuDNN, if there are several.
        pub cudnn_split_folders: Vec<String>,
        /// Whether the toolkit's stub of libcuda stands where the driver's library should.
        pub cuda_stub_in_place: bool,
        /// Whether CUDA's forward compatibility library is in place and the driver or the card refuses it.
        pub cuda_compat_refused: bool,
    }
}

impl Linker {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let in_use = basis.gpu_seen_working || super::server::device_node_seen_open(facts);
        Self {
            runtimes_too_new_for_driver: too_new_for_driver(facts),
            cudnn_split_folders: cudnn_split_folders(facts),
            cuda_stub_in_place: stub_in_place(facts),
            cuda_compat_refused: compat_refused(facts, &basis.driver_versions_differ, in_use),
        }
    }
}

/// CUresult of the toolkit's stub of libcuda (cuda.h, CUDA_ERROR_STUB_LIBRARY).
const STUB_LIBRARY: i64 = 34;
/// CUresult where libcuda and the kernel's module do not fit (CUDA_ERROR_SYSTEM_DRIVER_MISMATCH).
const SYSTEM_DRIVER_MISMATCH: i64 = 803;
/// CUresult where the card does not allow forward compatibility (CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE).
const COMPAT_NOT_SUPPORTED: i64 = 804;

/// A runtime whose CUDA is of a later major version than the driver's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TooNew {
    /// The runtime: `onnxruntime`, `torch`, `ctranslate2`.
    pub name: String,
    /// CUDA version that it was built for: `13.0`, or `13` where only the major version is told.
    pub cuda_version: String,
    /// What tells it: the library or the package.
    pub told_by: String,
    /// Whether the server was seen to have it loaded.
    pub seen_loaded: bool,
}

/// CUDA's major version that the driver supports.
fn driver_cuda_major(facts: &Facts) -> Result<u64, Unknown> {
    let version =
        facts.nvml.cuda_version.read().or_else(|unknown| facts.cuda.driver_cuda_version.read().map_err(|_| unknown))?;
    major(version).ok_or_else(|| Unknown::new(Why::Malformed, format!("the driver's CUDA version reads \"{version}\"")))
}

fn major(version: &str) -> Option<u64> {
    version.split('.').next()?.trim().parse().ok()
}

/// Runtimes that need a later driver. Within a major version from 11 on any driver of that version will do (CUDA's minor
/// version compatibility), so that only major versions are compared; with CUDA's compatibility package in place nothing is
/// told.
fn too_new_for_driver(facts: &Facts) -> Fact<Vec<TooNew>> {
    let mut wanted: Vec<(u64, TooNew)> = Vec::new();
    let runtimes = facts.linker.runtimes.known().map(Vec::as_slice).unwrap_or_default();
    for runtime in runtimes.iter().filter(|runtime| runtime.name != "onnxruntime_tensorrt") {
        if let Some(major) = runtime.cuda_major.known() {
            let (name, told_by) = (runtime.name.clone(), runtime.library.clone());
            let seen_loaded = runtime.seen_loaded;
            wanted.push((*major, TooNew { name, cuda_version: major.to_string(), told_by, seen_loaded }));
        }
    }
    for (name, version, told_by, seen_loaded) in builds_in_question(facts) {
        let Some(major) = major(&version) else { continue };
        match wanted.iter_mut().find(|(_, runtime)| runtime.name == name) {
            // The package tells the minor version too.
            Some((of_library, runtime)) if *of_library == major => runtime.cuda_version = version,
            Some(_) => {}
            None => wanted.push((major, TooNew { name, cuda_version: version, told_by, seen_loaded })),
        }
    }
    if wanted.is_empty() {
        return facts.linker.runtimes.as_ref().map(|_| Vec::new());
    }
    if facts.linker.cuda_driver.known().is_some_and(|driver| driver.kind == "compat") {
        return Fact::Known(Vec::new());
    }
    let driver = match driver_cuda_major(facts) {
        Ok(driver) => driver,
        Err(unknown) => return Fact::Unknown(unknown),
    };
    Fact::Known(wanted.into_iter().filter(|(major, _)| *major > driver).map(|(_, runtime)| runtime).collect())
}

/// Installed packages that may be what runs the model, as name of the runtime, CUDA version, what tells it, and whether
/// the server has it loaded. Where the server could be looked into, what it has not loaded is no matter.
fn builds_in_question(facts: &Facts) -> Vec<(String, String, String, bool)> {
    let server_read = facts.linker.mapped.known().is_some() || facts.process.gpu_libraries.known().is_some();
    let mapped = |kind: &String| facts.process.gpu_libraries.known().is_some_and(|kinds| kinds.contains_key(kind));
    let builds = facts.packages.cuda_builds.known().into_iter().flatten().filter_map(|build| {
        let loaded = build.library_kinds.iter().any(mapped);
        let runtime = if build.distribution.starts_with("onnxruntime") { "onnxruntime" } else { &build.distribution };
        let told_by = build.distribution.clone();
        (loaded || !server_read).then(|| (runtime.to_owned(), build.cuda_version.clone(), told_by, loaded))
    });
    let onnxruntime = facts.packages.onnxruntime_build.known().and_then(|build| {
        let loaded = mapped(&"onnxruntime".to_owned()) || mapped(&"onnxruntime_python".to_owned());
        let told_by = format!("{} {}", build.package_name, build.version);
        let version = build.cuda_version.known()?.clone();
        (loaded || !server_read).then(|| ("onnxruntime".to_owned(), version, told_by, loaded))
    });
    onnxruntime.into_iter().chain(builds).collect()
}

/// Folders from which one process has libraries of one major version of cuDNN, if there are several. A main library that
/// a wheel brings along under a name of its own is not counted: it takes its parts from elsewhere by design.
fn cudnn_split_folders(facts: &Facts) -> Fact<Vec<String>> {
    facts.linker.mapped.as_ref().map(|mapped| {
        let mut folders: BTreeMap<(u64, u64), BTreeSet<&str>> = BTreeMap::new();
        for library in mapped {
            if let Some(major) = cudnn_major(library) {
                folders.entry((library.pid, major)).or_default().insert(&library.folder);
            }
        }
        let split = folders.into_values().find(|folders| folders.len() > 1);
        split.into_iter().flatten().map(str::to_owned).collect()
    })
}

/// The major version of `libcudnn.so.9` and `libcudnn_ops.so.9`; `None` for other libraries.
fn cudnn_major(library: &MappedLibrary) -> Option<u64> {
    let (name, version) = library.name.split_once(".so.")?;
    (name == "libcudnn" || name.starts_with("libcudnn_")).then(|| major(version))?
}

/// Whether the toolkit's stub stands where the driver's libcuda should.
fn stub_in_place(facts: &Facts) -> Fact<bool> {
    match facts.cuda.init_code.known() {
        Some(&STUB_LIBRARY) => Fact::Known(true),
        _ => facts.linker.cuda_driver.as_ref().map(|driver| driver.kind == "stub"),
    }
}

/// Whether CUDA's forward compatibility library is in place and the kernel's driver or the card refuses it.
///
/// CUDA's own answer decides. Without one it is so if the library is older than the kernel's module, or the card is a
/// GeForce, which never allows it.
fn compat_refused(facts: &Facts, versions_differ: &Fact<bool>, gpu_in_use: bool) -> Fact<bool> {
    let code = facts.cuda.init_code.known().copied();
    match code {
        Some(COMPAT_NOT_SUPPORTED) => return Fact::Known(true),
        // An upgraded driver whose module is still the old one answers so too.
        Some(SYSTEM_DRIVER_MISMATCH) if versions_differ != &Fact::Known(true) => return Fact::Known(true),
        _ => {}
    }
    // The doctor's answer stands for a server only where there is none.
    if gpu_in_use || (code == Some(0) && facts.process.processes.known().is_none()) {
        return Fact::Known(false);
    }
    match compat_misfits(facts) {
        Ok(misfits) => Fact::Known(misfits),
        Err(unknown) => Fact::Unknown(unknown),
    }
}

fn compat_misfits(facts: &Facts) -> Result<bool, Unknown> {
    let driver = facts.linker.cuda_driver.read()?;
    if driver.kind != "compat" {
        return Ok(false);
    }
    let numbers = |version: &str| version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>();
    let (library, module) = (numbers(driver.version.read()?), numbers(facts.host.driver_version.read()?));
    match (library, module) {
        (Some(library), Some(module)) if library < module => Ok(true),
        (Some(library), Some(module)) if library == module => Ok(false),
        _ => {
            let geforce = |name: &Fact<String>| name.known().is_some_and(|name| name.contains("GeForce"));
            Ok(facts.nvml.gpus.read()?.iter().any(|gpu| geforce(&gpu.name)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{CudaBuild, CudaDriverLibrary, GpuRuntime, Why};

    fn facts() -> Facts {
        Facts::all_unknown(&Unknown::new(Why::NotAsked, "not asked"))
    }

    fn mapped(pid: u64, name: &str, folder: &str) -> MappedLibrary {
        MappedLibrary { pid, name: name.into(), folder: folder.into() }
    }

    fn split(libraries: &[MappedLibrary]) -> Vec<String> {
        let mut facts = facts();
        facts.linker.mapped = Fact::Known(libraries.to_vec());
        cudnn_split_folders(&facts).known().unwrap().clone()
    }

    #[test]
    fn only_one_major_version_of_one_process_in_two_folders_is_split() {
        let (main, part) = ("libcudnn.so.9", "libcudnn_ops.so.9.1.0");
        assert_eq!(split(&[mapped(7, main, "/a"), mapped(7, part, "/b")]), ["/a", "/b"]);
        assert_eq!(split(&[mapped(7, main, "/a"), mapped(7, part, "/a")]), [""; 0]);
        assert_eq!(split(&[mapped(7, main, "/a"), mapped(8, part, "/b")]), [""; 0], "two processes");
        assert_eq!(split(&[mapped(7, main, "/a"), mapped(7, "libcudnn.so.8", "/b")]), [""; 0], "two major versions");
        let bundled = mapped(7, "libcudnn-74a4c495.so.9.1.0", "/v/ctranslate2.libs");
        assert_eq!(
            split(&[bundled, mapped(7, main, "/a"), mapped(7, part, "/a")]),
            [""; 0],
            "a wheel's own main library"
        );
    }

    fn runtime(major: u64) -> GpuRuntime {
        GpuRuntime {
            name: "torch".into(),
            library: "/v/torch/lib/libtorch_cuda.so".into(),
            version: Fact::default(),
            cuda_major: Fact::Known(major),
            cudnn_majors: Fact::default(),
            bundled_cudnn: String::new(),
            seen_loaded: true,
            missing: Fact::Known(Vec::new()),
            missing_on_use: Fact::Known(Vec::new()),
            other_cudnn: Vec::new(),
        }
    }

    #[test]
    fn major_versions_are_compared() {
        let mut facts = facts();
        facts.linker.runtimes = Fact::Known(vec![runtime(13), runtime(12)]);
        assert!(too_new_for_driver(&facts).reason().is_some(), "without a readable driver nothing is said");
        facts.nvml.cuda_version = Fact::Known("12.2".into());
        assert_eq!(too_new_for_driver(&facts).known().unwrap().len(), 1);
        facts.nvml.cuda_version = Fact::Known("13.0".into());
        assert_eq!(too_new_for_driver(&facts), Fact::Known(Vec::new()));
        facts.linker.runtimes = Fact::Known(Vec::new());
        facts.nvml.cuda_version = Fact::default();
        assert_eq!(too_new_for_driver(&facts), Fact::Known(Vec::new()), "no runtime, no question");
    }

    #[test]
    fn a_package_counts_unless_a_server_was_seen_without_it() {
        let build = |distribution: &str, version: &str, kind: &str| CudaBuild {
            distribution: distribution.into(),
            cuda_version: version.into(),
            library_kinds: vec![kind.into()],
        };
        let mut facts = facts();
        facts.linker.runtimes = Fact::Known(Vec::new());
        facts.nvml.cuda_version = Fact::Known("12.4".into());
        facts.packages.cuda_builds =
            Fact::Known(vec![build("torch", "13.0", "torch_cuda"), build("ctranslate2", "12", "ctranslate2")]);
        let told = |facts: &Facts| {
            let told = too_new_for_driver(facts).known().cloned().unwrap();
            told.into_iter().map(|one| (one.name, one.cuda_version, one.seen_loaded)).collect::<Vec<_>>()
        };
        assert_eq!(told(&facts), [("torch".into(), "13.0".into(), false)], "no server was named");
        let maps = |kind: &str| Fact::Known(BTreeMap::from([(kind.to_owned(), "/v/lib.so".to_owned())]));
        facts.process.gpu_libraries = maps("torch_cuda");
        assert_eq!(told(&facts), [("torch".into(), "13.0".into(), true)]);
        facts.process.gpu_libraries = maps("ctranslate2");
        assert_eq!(told(&facts), [], "it lies beside the server");
        facts.process.gpu_libraries = maps("torch_cuda");
        facts.linker.runtimes = Fact::Known(vec![runtime(13)]);
        assert_eq!(told(&facts), [("torch".into(), "13.0".into(), true)], "told once, with the minor version");
        facts.linker.runtimes = Fact::Known(vec![runtime(12)]);
        assert_eq!(told(&facts), [], "what is loaded counts before what is installed");
    }

    fn compat(version: &str, module: &str, code: Option<i64>) -> Fact<bool> {
        let mut facts = facts();
        let size_bytes = Fact::default();
        facts.linker.cuda_driver = Fact::Known(CudaDriverLibrary {
            kind: "compat".into(),
            path: "/usr/local/cuda/compat/libcuda.so.1".into(),
            version: Fact::Known(version.into()),
            size_bytes,
            seen_loaded: false,
        });
        facts.host.driver_version = Fact::Known(module.into());
        facts.nvml.gpus = Fact::Known(Vec::new());
        if let Some(code) = code {
            facts.cuda.init_code = Fact::Known(code);
        }
        compat_refused(&facts, &Fact::Known(false), false)
    }

    #[test]
    fn compatibility_goes_forward_only() {
        assert_eq!(compat("550.54.15", "580.65.06", None), Fact::Known(true), "older than the kernel's module");
        assert_eq!(compat("580.65.06", "550.54.15", None), Fact::Known(false), "newer, on a card that allows it");
        assert_eq!(compat("580.65.06", "550.54.15", Some(803)), Fact::Known(true));
        assert_eq!(compat("550.54.15", "580.65.06", Some(0)), Fact::Known(false), "it works");
        let mut facts = facts();
        facts.cuda.init_code = Fact::Known(803);
        assert!(compat_refused(&facts, &Fact::Known(true), false).known() != Some(&true), "an unfinished upgrade");
    }
}
