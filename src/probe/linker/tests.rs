//! The whole room on libraries that the C compiler makes, in file trees of their own.

use super::driver;
use super::mapped::{Loaded, Mapped};
use super::needed;
use super::runtimes;
use super::search::{Search, usual_folders};
use super::{elf, ld_cache};
use crate::probe::tree::Tree;
use crate::snapshot::{Distribution, Fact, GpuRuntime};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file tree with libraries in it.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn tree(&self) -> Tree {
        Tree::new(self.folder.path())
    }

    /// Makes the library `path` with this source, linked with the others, by these flags.
    fn library(&self, path: &str, source: &str, linked: &[&str], flags: &[&str]) {
        let tree = self.tree();
        let file = tree.outside(Path::new(path));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let code = self.folder.path().join("code.c");
        std::fs::write(&code, source).unwrap();
        let soname = format!("-Wl,-soname,{}", file.file_name().unwrap().to_string_lossy());
        let linked = linked.iter().map(|path| tree.outside(Path::new(path)));
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-nostdlib", "-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined", &soname]);
        let made = cc.args(flags).arg("-o").arg(&file).arg(&code).args(linked).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn plain(&self, path: &str) {
        self.library(path, "", &[], &[]);
    }

    fn search(&self, library_path: &str) -> Search {
        Search::new(self.tree(), Some(library_path))
    }

    fn missing(&self, root: &str, search: &Search) -> Vec<String> {
        let missing = needed::missing(Path::new(root), search, &[]).unwrap();
        missing.into_iter().map(|library| library.soname).collect()
    }

    /// What is told of the only runtime in `/site`.
    fn installed(&self, library_path: &str) -> GpuRuntime {
        let search = self.search(library_path);
        let sites = [PathBuf::from("/site")];
        let elsewhere = usual_folders(&search.tree, &sites, Path::new("/usr/local"));
        let found = runtimes::installed(&sites, &search);
        assert_eq!(found.len(), 1, "{found:?}");
        let name = |name: &str, version: &str| Distribution {
            name: name.into(),
            version: version.into(),
            path: String::new(),
            installer: Fact::default(),
            installed_at: Fact::default(),
        };
        let distributions = [name("onnxruntime-gpu", "1.23.2"), name("ctranslate2", "4.6.0")];
        runtimes::look(&found[0], &search, &sites, &elsewhere, &distributions)
    }
}

const PROVIDER: &str = "/site/onnxruntime/capi/libonnxruntime_providers_cuda.so";

#[test]
fn each_way_to_a_library_is_taken_in_its_order() {
    let scene = Scene::new();
    scene.plain("/a/libx.so.1");
    let by = |flags: &[&str]| scene.library("/app/libroot.so", "", &["/a/libx.so.1"], flags);
    let missing = |search: &Search| scene.missing("/app/libroot.so", search);
    by(&[]);
    assert_eq!(missing(&scene.search("")), ["libx.so.1"]);
    assert_eq!(missing(&scene.search("/nowhere:/a")), [""; 0], "LD_LIBRARY_PATH");
    for flags in [
        ["-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN/../a"],
        ["-Wl,--disable-new-dtags", "-Wl,-rpath,${ORIGIN}/../a"],
    ] {
        by(&flags);
        assert_eq!(missing(&scene.search("")), [""; 0], "{flags:?}");
    }
    by(&["-Wl,--enable-new-dtags", "-Wl,-rpath,a"]);
    assert_eq!(missing(&scene.search("")), ["libx.so.1"], "a relative folder depends on the working directory");
    by(&[]);
    let mut search = scene.search("");
    search.program_rpath = vec!["/a".into()];
    assert_eq!(missing(&search), [""; 0], "the program's DT_RPATH, as conda's Python has it");
    let mut search = scene.search("");
    search.loaded = Loaded::of(&Mapped(vec![(7, "/elsewhere/libx.so.1".into())]));
    assert_eq!(missing(&search), [""; 0], "loaded already, by its file's name");
    std::fs::copy(scene.tree().outside(Path::new("/a/libx.so.1")), scene.folder.path().join("a/libx.so.1.2.3"))
        .unwrap();
    search.loaded = Loaded::of(&Mapped(vec![(7, "/a/libx.so.1.2.3".into())]));
    assert_eq!(missing(&search), [""; 0], "loaded already, by its DT_SONAME");
    search.loaded = Loaded::of(&Mapped(vec![(7, "/a/libx.so.2".into())]));
    assert_eq!(missing(&search), ["libx.so.1"], "another version is another library");
}

#[test]
fn a_rpath_is_handed_down_and_a_runpath_is_not() {
    let scene = Scene::new();
    scene.plain("/deep/liby.so.1");
    scene.library("/a/libx.so.1", "", &["/deep/liby.so.1"], &[]);
    let by = |tags: &str| scene.library("/app/libroot.so", "", &["/a/libx.so.1"], &[tags, "-Wl,-rpath,/a:/deep"]);
    by("-Wl,--disable-new-dtags");
    assert_eq!(scene.missing("/app/libroot.so", &scene.search("")), [""; 0]);
    by("-Wl,--enable-new-dtags");
    let missing = needed::missing(Path::new("/app/libroot.so"), &scene.search(""), &[]).unwrap();
    assert_eq!((missing[0].soname.as_str(), missing.len()), ("liby.so.1", 1));
    assert_eq!(missing[0].needed_by, ["libroot.so", "libx.so.1"], "the chain from the root down");
}

#[test]
fn libraries_that_need_one_another_are_walked_once() {
    let scene = Scene::new();
    scene.plain("/a/liby.so.1");
    scene.library("/a/libx.so.1", "", &["/a/liby.so.1"], &[]);
    scene.library("/a/liby.so.1", "", &["/a/libx.so.1"], &[]);
    assert_eq!(scene.missing("/a/libx.so.1", &scene.search("/a")), [""; 0]);
}

#[test]
fn the_origin_of_a_linked_file_is_where_the_link_lies() {
    let scene = Scene::new();
    scene.plain("/site/nvidia/cublas/lib/libcublas.so.12");
    // As uv installs packages: files of site-packages are links into a store.
    let linked = ["/site/nvidia/cublas/lib/libcublas.so.12"];
    scene.library("/store/libtorch_cuda.so", "", &linked, &["-Wl,-rpath,$ORIGIN/../../nvidia/cublas/lib"]);
    std::fs::create_dir_all(scene.tree().outside(Path::new("/site/torch/lib"))).unwrap();
    std::os::unix::fs::symlink(
        "/store/libtorch_cuda.so",
        scene.tree().outside(Path::new("/site/torch/lib/libtorch_cuda.so")),
    )
    .unwrap();
    assert_eq!(scene.missing("/site/torch/lib/libtorch_cuda.so", &scene.search("")), [""; 0]);
}

#[test]
fn a_provider_tells_its_cuda_and_what_it_lacks() {
    let scene = Scene::new();
    for library in ["/x/libcublasLt.so.11", "/x/libcudart.so.11.0", "/x/libcudnn.so.8"] {
        scene.plain(library);
    }
    // As onnxruntime-gpu 1.18.1 from PyPI has it.
    scene.library(
        PROVIDER,
        "",
        &["/x/libcublasLt.so.11", "/x/libcudart.so.11.0", "/x/libcudnn.so.8"],
        &["-Wl,-rpath,/usr/local/cuda-11.8/lib:"],
    );
    scene.plain("/site/nvidia/cuda_runtime/lib/libcudart.so.12");
    scene.plain("/site/nvidia/cudnn/lib/libcudnn.so.9");
    let found = scene.installed("");
    assert_eq!((found.name.as_str(), found.seen_loaded), ("onnxruntime", false));
    assert_eq!(found.version.known().map(String::as_str), Some("1.23.2"));
    assert_eq!(found.cuda_major.known(), Some(&11), "what lies beside it is of CUDA 12 and does not count");
    assert_eq!(found.cudnn_majors.known(), Some(&vec![8]));
    let missing = found.missing.known().unwrap();
    let packages: Vec<_> = missing.iter().map(|library| (library.soname.as_str(), library.package.as_str())).collect();
    let expected = [
        ("libcublasLt.so.11", "nvidia-cublas-cu11"),
        ("libcudart.so.11.0", "nvidia-cuda-runtime-cu11"),
        ("libcudnn.so.8", "nvidia-cudnn-cu11"),
    ];
    assert_eq!(packages, expected);
    assert_eq!(
        found.other_cudnn,
        [scene.tree().outside(Path::new("/site/nvidia/cudnn/lib/libcudnn.so.9")).display().to_string()]
    );
    assert_eq!(found.missing_on_use.known().map(Vec::len), Some(0));
    scene.plain("/site/nvidia/cudnn/lib/libcudnn.so.8");
    let lies_at = scene.installed("").missing.known().unwrap()[2].lies_at.clone();
    assert!(lies_at.ends_with("/site/nvidia/cudnn/lib/libcudnn.so.8"), "{lies_at}");
    assert_eq!(scene.installed("/x").missing.known().map(Vec::len), Some(0));
}

#[test]
fn a_provider_without_cudnn_opens_it_later() {
    let scene = Scene::new();
    scene.plain("/x/libcublasLt.so.13");
    scene.library(PROVIDER, "", &["/x/libcublasLt.so.13"], &[]);
    let found = scene.installed("/x");
    assert_eq!(found.missing.known().map(Vec::len), Some(0));
    let on_use = found.missing_on_use.known().unwrap();
    assert_eq!((on_use[0].soname.as_str(), on_use[0].package.as_str()), ("libcudnn.so.9", "nvidia-cudnn-cu13"));
    scene.plain("/x/libcudnn.so.9");
    assert_eq!(scene.installed("/x").missing_on_use.known().map(Vec::len), Some(0));
}

const CUBLAS: &str =
    r#"const char *const names[] = {"libcublas.so.12", "cannot open libcublas.so.11", "libmkl_avx2.so.2"};"#;
const LIBCTRANSLATE2: &str = "/site/ctranslate2.libs/libctranslate2-c75cca97.so.4.6.0";

#[test]
fn ctranslate2_opens_cublas_by_name() {
    let scene = Scene::new();
    scene.library(LIBCTRANSLATE2, CUBLAS, &[], &[]);
    let found = scene.installed("");
    assert_eq!((found.version.known().map(String::as_str), found.cuda_major.known()), (Some("4.6.0"), Some(&12)));
    let missing = found.missing_on_use.known().unwrap();
    assert_eq!(
        (missing.len(), missing[0].soname.as_str(), missing[0].package.as_str()),
        (1, "libcublas.so.12", "nvidia-cublas-cu12")
    );
    scene.plain("/site/nvidia/cublas/lib/libcublas.so.12");
    let missing = scene.installed("").missing_on_use.known().unwrap().clone();
    assert!(missing[0].lies_at.ends_with("/site/nvidia/cublas/lib/libcublas.so.12"), "off the path: {missing:?}");
    assert_eq!(scene.installed("/site/nvidia/cublas/lib").missing_on_use.known().map(Vec::len), Some(0));
}

#[test]
fn the_cudnn_that_ctranslate2_brings_along_wants_parts_of_its_own_version() {
    let scene = Scene::new();
    for (bundled, names, part, other) in [
        ("libcudnn-463fd6d5.so.8.9.7", r#""libcudnn_ops_infer.so.8""#, "libcudnn_ops_infer.so.8", "libcudnn.so.9"),
        ("libcudnn-74a4c495.so.9.1.0", r#""libcudnn_ops.so""#, "libcudnn_ops.so.9", "libcudnn.so.8"),
    ] {
        let scene_folder = format!("/site/ctranslate2.libs/{bundled}");
        let source = format!("const char *const names[] = {{{names}}};");
        scene.library(&scene_folder, &source, &[], &[]);
        scene.library(LIBCTRANSLATE2, CUBLAS, &[&scene_folder], &[]);
        scene.plain("/b/libcublas.so.12");
        let system = format!("/usr/lib/x86_64-linux-gnu/{other}");
        scene.plain(&system);
        let found = scene.installed("/b");
        assert!(found.bundled_cudnn.ends_with(bundled), "{}", found.bundled_cudnn);
        let missing: Vec<_> = found.missing_on_use.known().unwrap().iter().map(|l| l.soname.clone()).collect();
        assert_eq!((missing, found.missing.known().map(Vec::len)), (vec![part.to_string()], Some(0)));
        assert_eq!(found.other_cudnn, [scene.tree().outside(Path::new(&system)).display().to_string()]);
        scene.plain(&format!("/b/{part}"));
        assert_eq!(scene.installed("/b").missing_on_use.known().map(Vec::len), Some(0));
        std::fs::remove_file(scene.tree().outside(Path::new(&scene_folder))).unwrap();
        std::fs::remove_file(scene.tree().outside(Path::new(&system))).unwrap();
    }
}

#[test]
fn a_runtime_that_is_cut_short_is_unknown_and_says_where() {
    let scene = Scene::new();
    scene.library(LIBCTRANSLATE2, CUBLAS, &[], &[]);
    let file = scene.tree().outside(Path::new(LIBCTRANSLATE2));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..200]).unwrap();
    let found = scene.installed("");
    for reason in [found.missing.reason(), found.missing_on_use.reason(), found.cuda_major.reason()] {
        assert!(reason.unwrap().detail.contains("libctranslate2-c75cca97.so.4.6.0"), "{reason:?}");
    }
}

#[test]
fn which_libcuda_is_told_by_its_folder() {
    let scene = Scene::new();
    // What tells the tree's machine.
    scene.plain("/bin/sh");
    let kind = |library_path: &str| driver::of(None, &scene.search(library_path));
    assert_eq!(kind("").kind, "none");
    scene.plain("/usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01");
    let link = |target: &str, at: &str| {
        let at = scene.tree().outside(Path::new(at));
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, at).unwrap();
    };
    link("libcuda.so.550.163.01", "/usr/lib/x86_64-linux-gnu/libcuda.so.1");
    let driver = kind("");
    assert_eq!((driver.kind.as_str(), driver.version.known().map(String::as_str)), ("driver", Some("550.163.01")));
    assert_eq!((driver.path.as_str(), driver.seen_loaded), ("/usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01", false));
    scene.plain("/usr/local/cuda-12.4/compat/libcuda.so.580.65.06");
    link("libcuda.so.580.65.06", "/usr/local/cuda-12.4/compat/libcuda.so.1");
    link("cuda-12.4", "/usr/local/cuda");
    let compat = kind("/usr/local/cuda/compat");
    assert_eq!((compat.kind.as_str(), compat.version.known().map(String::as_str)), ("compat", Some("580.65.06")));
    scene.plain("/usr/local/cuda-12.4/targets/lib/stubs/libcuda.so");
    link("libcuda.so", "/usr/local/cuda-12.4/targets/lib/stubs/libcuda.so.1");
    assert_eq!(kind("/usr/local/cuda/targets/lib/stubs").kind, "stub");
    // An image's empty placeholder is passed over.
    std::fs::create_dir(scene.folder.path().join("empty")).unwrap();
    std::fs::write(scene.folder.path().join("empty/libcuda.so.1"), "").unwrap();
    assert_eq!(kind("/empty").kind, "driver");
    let stub = (7, PathBuf::from("/usr/local/cuda-12.4/targets/lib/stubs/libcuda.so"));
    let real = (7, PathBuf::from("/usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01"));
    let loaded = driver::of(Some(&Mapped(vec![stub.clone()])), &scene.search(""));
    assert_eq!((loaded.kind.as_str(), loaded.seen_loaded), ("stub", true));
    assert_eq!(driver::of(Some(&Mapped(vec![stub, real])), &scene.search("")).kind, "driver");
}

#[test]
fn the_tree_s_own_cache_is_read() {
    let scene = Scene::new();
    assert!(ld_cache::read(&scene.tree()).is_empty(), "the doctor's cache says nothing of another tree");
    let absent = elf::dynamic(&scene.tree(), Path::new("/none.so")).unwrap_err();
    assert!(absent.detail.contains("none.so"), "{absent}");
}
