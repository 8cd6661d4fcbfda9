use super::python::{architecture_list, entry, setting};
use super::*;
use crate::snapshot::Fact;
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;

/// torch/version.py of the wheel 2.6.0+cpu, word for word.
const CPU_TORCH: &str = "from typing import Optional\n\n__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip']\n\
    __version__ = '2.6.0+cpu'\ndebug = False\ncuda: Optional[str] = None\n\
    git_version = '2236df1770800ffea5697b11b0bb0d910b2e59e1'\nhip: Optional[str] = None\nxpu: Optional[str] = None\n";

struct Site {
    folder: tempfile::TempDir,
    found: Vec<Found>,
}

impl Site {
    fn with(distributions: &[(&str, &str)], files: &[(&str, &str)]) -> Site {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found = distributions.iter().map(|(name, version)| Found {
            name: name.to_string(),
            version: version.to_string(),
            folder: PathBuf::from(format!("/{name}-{version}.dist-info")),
            requires_onnxruntime: false,
        });
        Site { found: found.collect(), folder }
    }

    fn builds(&self) -> Vec<RuntimeBuild> {
        let nothing = Unknown::new(Why::Absent, "no folder onnxruntime in site-packages");
        of(&Tree::new(self.folder.path()), &self.found, Err(&nothing))
    }
}

#[test]
fn torch_tells_its_cuda_in_its_version_file() {
    let build = &Site::with(&[("torch", "2.6.0")], &[("torch/version.py", CPU_TORCH)]).builds()[0];
    assert_eq!(build.cuda, Fact::Known(false));
    assert!(build.because.ends_with("torch/version.py: __version__ = '2.6.0+cpu', cuda = None"), "{}", build.because);

    let cuda =
        CPU_TORCH.replace("+cpu", "+cu124").replace("cuda: Optional[str] = None", "cuda: Optional[str] = '12.4'");
    let site = Site::with(&[("torch", "2.6.0")], &[("torch/version.py", &cuda)]);
    let build = &site.builds()[0];
    assert_eq!((&build.cuda, &build.cuda_version), (&Fact::Known(true), &Fact::Known("12.4".into())));
    assert_eq!(build.cuda_architectures.reason().unwrap().why, Why::Absent, "there is no library");
    let expected = CudaBuild {
        distribution: "torch".into(),
        cuda_version: "12.4".into(),
        library_kinds: vec!["torch_cpu".into(), "torch_cuda".into(), "torch_c10_cuda".into()],
    };
    assert_eq!(for_cuda(&site.builds()), [expected]);
}

#[test]
fn torch_without_its_files_is_told_by_its_version_or_not_at_all() {
    let build = |version| Site::with(&[("torch", version)], &[]).builds().remove(0);
    assert_eq!(build("2.6.0+cpu").cuda, Fact::Known(false));
    assert_eq!(build("2.6.0+cu118").cuda_version, Fact::Known("11.8".into()));
    let unknown = build("2.6.0").cuda;
    assert!(unknown.reason().unwrap().detail.contains("torch/version.py"), "{unknown:?}");
    assert_eq!(build("2.6.0+rocm6.2").cuda.reason().unwrap().why, Why::Absent);
    let amd = CPU_TORCH.replace("hip: Optional[str] = None", "hip: Optional[str] = '6.2'");
    let amd = &Site::with(&[("torch", "2.6.0")], &[("torch/version.py", &amd)]).builds()[0];
    assert!(amd.cuda == Fact::Known(false) && amd.because.contains("hip = '6.2'"), "{}", amd.because);
}

#[test]
fn jax_has_cuda_by_its_plugin_or_by_the_old_local_version() {
    let jaxlib = |distributions: &[(&str, &str)]| {
        let builds = Site::with(distributions, &[]).builds();
        builds.into_iter().find(|build| build.distribution == "jaxlib").unwrap()
    };
    assert_eq!(jaxlib(&[("jax", "0.6.0"), ("jaxlib", "0.6.0")]).cuda, Fact::Known(false));
    let plugin = jaxlib(&[("jaxlib", "0.6.0"), ("jax-cuda12-plugin", "0.6.0"), ("jax-cuda12-pjrt", "0.6.0")]);
    assert_eq!(plugin.cuda_version, Fact::Known("12".into()));
    assert_eq!(jaxlib(&[("jaxlib", "0.4.14+cuda12.cudnn89")]).cuda_version, Fact::Known("12".into()));
    let alone = jaxlib(&[("jaxlib", "0.6.0"), ("jax-cuda12-pjrt", "0.6.0")]);
    assert_eq!(alone.cuda, Fact::Known(false), "the other half of the plugin is not enough");
}

#[test]
fn tensorflow_tells_in_its_build_info() {
    let text = "build_info = collections.OrderedDict([('cuda_version', '12.5.1'), ('is_cuda_build', True), ('is_rocm_build', False)])\n";
    let site =
        |text: &str| Site::with(&[("tensorflow", "2.18.0")], &[("tensorflow/python/platform/build_info.py", text)]);
    assert_eq!(site(text).builds()[0].cuda_version, Fact::Known("12.5.1".into()));
    assert_eq!(site(&text.replace("True", "False")).builds()[0].cuda, Fact::Known(false));
    assert_eq!(site("nothing").builds()[0].cuda.reason().unwrap().why, Why::Malformed);
}

#[test]
fn nvidias_libraries_are_told_apart_by_cuda() {
    let site = Site::with(
        &[
            ("nvidia-cublas-cu12", "12.4.5.8"),
            ("nvidia-cudnn-cu13", "9.13.0.50"),
            ("nvidia-cuda-runtime", "13.0.88"),
            ("nvidia-cufft", "12.0.0.61"),
            ("nvidia-ml-py", "13.580.82"),
        ],
        &[],
    );
    let told: Vec<String> =
        libraries(&site.found).iter().map(|one| format!("{} {}", one.distribution, one.cuda_version)).collect();
    assert_eq!(told, ["nvidia-cublas-cu12 12", "nvidia-cudnn-cu13 13", "nvidia-cuda-runtime 13"]);
}

#[test]
fn lists_of_architectures_are_recognized() {
    let list = architecture_list(b"sm_75 sm_80 sm_90a sm_100 compute_120").unwrap();
    assert_eq!(list, ["sm_75", "sm_80", "sm_90a", "sm_100", "compute_120"]);
    for other in ["sm_count", "sm_80 and more", "sm_", "sm_8", "", "sm_80  sm_86"] {
        assert_eq!(architecture_list(other.as_bytes()), None, "{other}");
    }
}

/// Compiles a library with this text among its constants, which needs the libraries of these names.
fn library(folder: &Path, path: &str, constant: &str, needed: &[&str]) {
    let compile = |source: &str, out: &Path, more: &[&str]| {
        let source_file = folder.join("source.c");
        fs::write(&source_file, source).unwrap();
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let mut command = std::process::Command::new("cc");
        command
            .args(["-shared", "-fPIC", "-nostdlib", "-Wl,--no-as-needed", "-o"])
            .arg(out)
            .arg(source_file)
            .args(more);
        assert!(command.status().expect("cc runs").success());
    };
    let needed: Vec<String> = needed
        .iter()
        .map(|soname| {
            let stub = folder.join("stubs").join(soname);
            compile("int stub;", &stub, &[&format!("-Wl,-soname,{soname}")]);
            stub.display().to_string()
        })
        .collect();
    let source = format!("const char *text(void) {{ return \"{constant}\"; }}");
    let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
    compile(&source, &folder.join(path), &needed);
}

#[test]
fn torchs_architectures_are_read_from_its_library() {
    let cuda = "__version__ = '2.7.0+cu128'\ncuda: Optional[str] = '12.8'\n";
    let site = Site::with(&[("torch", "2.7.0")], &[("torch/version.py", cuda)]);
    library(site.folder.path(), "torch/lib/libtorch_python.so", "sm_75 sm_80 sm_90a compute_120", &[]);
    let build = &site.builds()[0];
    let expected = ["sm_75", "sm_80", "sm_90a", "compute_120"].map(str::to_owned).to_vec();
    assert_eq!((&build.cuda_architectures, build.version.as_str()), (&Fact::Known(expected), "2.7.0+cu128"));
    library(site.folder.path(), "torch/lib/libtorch_python.so", "sm_count", &[]);
    assert_eq!(site.builds()[0].cuda_architectures.reason().unwrap().why, Why::Absent);
}

#[test]
fn llama_cpp_and_ctranslate2_tell_by_what_they_need_or_open() {
    let site = Site::with(&[("llama-cpp-python", "0.3.16"), ("ctranslate2", "4.5.0"), ("vllm", "0.10.0")], &[]);
    let build = |name: &str| site.builds().into_iter().find(|build| build.distribution == name).unwrap();
    assert!(["llama-cpp-python", "ctranslate2", "vllm"].iter().all(|name| build(name).cuda.known().is_none()));
    library(site.folder.path(), "llama_cpp/lib/libllama.so", "", &[]);
    assert_eq!(build("llama-cpp-python").cuda, Fact::Known(false));
    library(site.folder.path(), "llama_cpp/lib/libggml-cuda.so", "", &["libcublas.so.11", "libcudart.so.12"]);
    assert_eq!(build("llama-cpp-python").cuda_version, Fact::Known("12".into()), "the runtime counts first");
    library(site.folder.path(), "ctranslate2.libs/libctranslate2-1.so.4.5.0", "libcublas is meant", &[]);
    assert_eq!(build("ctranslate2").cuda, Fact::Known(false));
    library(site.folder.path(), "ctranslate2.libs/libctranslate2-1.so.4.5.0", "libcublas.so.12", &[]);
    assert_eq!(build("ctranslate2").cuda_version, Fact::Known("12".into()));
    library(site.folder.path(), "vllm/_C.abi3.so", "", &["libcudart.so.13"]);
    assert_eq!(build("vllm").cuda_version, Fact::Known("13".into()));
}

#[test]
fn a_gpu_wheel_of_sherpa_onnx_has_the_provider() {
    let site = Site::with(&[("sherpa-onnx", "1.12.26+cuda12.cudnn9")], &[]);
    library(site.folder.path(), "sherpa_onnx/lib/libonnxruntime_providers_cuda.so", "", &["libcublasLt.so.12"]);
    assert_eq!(site.builds()[0].cuda_version, Fact::Known("12".into()));
}

proptest! {
    #[test]
    fn any_file_is_read(text in "(cuda|hip|__version__)?(: ?.{0,12})? ?=? ?('.{0,8}'|None|.{0,8})?\n?.{0,20}") {
        for name in ["cuda", "hip", "__version__"] {
            if let Some(Some(value)) = setting(&text, name) {
                prop_assert!(text.contains(&value));
            }
            if let Some(value) = entry(&text, name) {
                prop_assert!(text.contains(value));
            }
        }
        let _ = architecture_list(text.as_bytes());
    }
}
