//! What the dynamic linker would find, on real processes that load libraries and on wheels of one's own making.

use crate::setup::asr::free_port;
use crate::setup::doctor::{diagnosis, gpu_doctor, verdict};
use crate::setup::venv::{site_packages, venv};
use crate::setup::{driver_variables, scenario};
use serde_json::Value;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Makes a shared library at `path`, linked with the others.
fn library(path: &Path, source: &str, linked: &[&Path]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let code = path.with_extension("c");
    std::fs::write(&code, source).unwrap();
    let soname = format!("-Wl,-soname,{}", path.file_name().unwrap().to_string_lossy());
    let flags = ["-shared", "-fPIC", "-nostdlib", "-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined", &soname];
    let made = Command::new("cc").args(flags).arg("-o").arg(path).arg(&code).args(linked).output().expect("cc runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn plain(path: &Path) {
    library(path, "", &[]);
}

/// A server that loads libraries before it listens; it is killed when this is dropped.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn loading(libraries: &[&Path], variables: &[(&str, &Path)]) -> Self {
        const CODE: &str = "
import ctypes, http.server, sys
for path in sys.argv[2:]:
    ctypes.CDLL(path)
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
";
        let port = free_port();
        let mut python = Command::new("python3");
        python.args(["-c", CODE, &port.to_string()]).args(libraries).env_remove("LD_LIBRARY_PATH");
        python.envs(variables.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self { process: python.spawn().expect("python3 starts"), port };
        let patience = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.process.try_wait().unwrap().is_none(), "the server ended");
            assert!(Instant::now() < patience, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// The report on it, and the facts of the room.
    fn examined(&self) -> (Value, Value) {
        self.examined_by(&["--only", "cuda"])
    }

    fn examined_by(&self, only: &[&str]) -> (Value, Value) {
        examined(&[only, &["--server", &format!("http://127.0.0.1:{}", self.port)]].concat())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn examined(arguments: &[&str]) -> (Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("snapshot.json").display().to_string();
    let arguments = [&["run", "--format", "json", "--save", &saved], arguments].concat();
    let report = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle"))).report();
    let snapshot: Value = serde_json::from_str(&std::fs::read_to_string(&saved).unwrap()).unwrap();
    (report, snapshot["facts"]["linker"].clone())
}

#[test]
fn a_server_on_the_toolkit_s_stub_and_on_two_copies_of_cudnn() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let stub = root.join("cuda/lib64/stubs/libcuda.so.1");
    let (main, part) = (root.join("venv/nvidia/cudnn/lib/libcudnn.so.9"), root.join("system/libcudnn_ops.so.9"));
    [&stub, &main, &part].into_iter().for_each(|path| plain(path));
    let server = Server::loading(&[&stub, &main, &part], &[]);
    let (report, facts) = server.examined();
    let cause = diagnosis(&report, "libcuda-stub-loaded");
    let expected = format!("The server has {} mapped", stub.display());
    assert!(cause["because"].as_str().unwrap().starts_with(&expected), "{}", cause["because"]);
    let cause = diagnosis(&report, "cudnn-split-brain");
    for folder in [main.parent().unwrap(), part.parent().unwrap()] {
        assert!(cause["because"].as_str().unwrap().contains(&folder.display().to_string()), "{}", cause["because"]);
    }
    let driver = &facts["cuda_driver"]["known"];
    assert_eq!((driver["kind"].as_str(), driver["seen_loaded"].as_bool()), (Some("stub"), Some(true)));
    let mapped = facts["mapped"]["known"].as_array().unwrap();
    assert!(mapped.iter().all(|library| library["pid"] == server.process.id()), "{mapped:?}");
    assert_eq!(mapped.len(), 3, "{mapped:?}");
}

#[test]
fn a_server_on_the_driver_s_library_and_one_cudnn() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let driver = root.join("lib/libcuda.so.550.163.01");
    let (main, part) = (root.join("lib/libcudnn.so.9"), root.join("lib/libcudnn_ops.so.9"));
    [&driver, &main, &part].into_iter().for_each(|path| plain(path));
    let (report, facts) = Server::loading(&[&driver, &main, &part], &[]).examined();
    for check in ["libcuda-stub-loaded", "cudnn-split-brain", "cuda-compat-803"] {
        assert_ne!(verdict(&report, check), "holds", "{check}");
    }
    let driver = &facts["cuda_driver"]["known"];
    assert_eq!((driver["kind"].as_str(), driver["version"]["known"].as_str()), (Some("driver"), Some("550.163.01")));
}

#[test]
fn cublas_that_ctranslate2_opens_is_found_in_every_way_in_which_the_server_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().canonicalize().unwrap().join("venv/lib/python3.11/site-packages");
    let (ct2, cublas) = (
        site.join("ctranslate2.libs/libctranslate2-a7a60d30.so.4.8.5"),
        site.join("nvidia/cublas/lib/libcublas.so.12"),
    );
    library(&ct2, r#"const char *const name[] = {"libcublas.so.12"};"#, &[]);
    let (report, facts) = Server::loading(&[&ct2], &[]).examined();
    let cause = diagnosis(&report, "ct2-libcublas-missing");
    assert_eq!(cause["severity"], "fail");
    assert!(cause["because"].as_str().unwrap().contains("libcublas.so.12"), "{}", cause["because"]);
    assert!(cause["fix"][0]["run"].as_str().unwrap().contains("nvidia-cublas-cu12"), "{}", cause["fix"]);
    assert_eq!(facts["runtimes"]["known"][0]["version"]["known"], "4.8.5");
    // Only the Python is named: nobody was seen to use it.
    let prefix = site.ancestors().nth(3).unwrap().display().to_string();
    let (report, _) = examined(&["--only", "cuda", "--python", &prefix]);
    assert_eq!(diagnosis(&report, "ct2-libcublas-missing")["severity"], "warn");

    plain(&cublas);
    let found = |server: Server| verdict(&server.examined().0, "ct2-libcublas-missing") != "holds";
    assert!(!found(Server::loading(&[&ct2], &[])), "the Python package lies off the search path");
    assert!(found(Server::loading(&[&ct2], &[("LD_LIBRARY_PATH", cublas.parent().unwrap())])));
    assert!(found(Server::loading(&[&cublas, &ct2], &[])), "loaded before by its path");
    assert!(found(Server::loading(&[&cublas], &[])), "CTranslate2 merely lies there");
}

/// Names in DT_NEEDED of the CUDA provider of onnxruntime-gpu 1.18.1 from PyPI, less the C library's.
const NEEDED_1_18: &[&str] = &[
    "libcublasLt.so.11",
    "libcublas.so.11",
    "libcudnn.so.8",
    "libcurand.so.10",
    "libcufft.so.10",
    "libcudart.so.11.0",
];

#[test]
fn a_wheel_that_no_other_program_can_load_is_judged_by_its_provider() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().canonicalize().unwrap().join("lib/python3.11/site-packages");
    let capi = site.join("onnxruntime/capi");
    let libraries: Vec<PathBuf> = NEEDED_1_18.iter().map(|name| folder.path().join("cuda").join(name)).collect();
    libraries.iter().for_each(|path| plain(path));
    let linked: Vec<&Path> = libraries.iter().map(PathBuf::as_path).collect();
    library(&capi.join("libonnxruntime_providers_cuda.so"), "", &linked);
    std::fs::write(capi.join("onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so"), "").unwrap();
    let info = site.join("onnxruntime_gpu-1.18.1.dist-info");
    std::fs::create_dir(&info).unwrap();
    std::fs::write(info.join("METADATA"), "Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.18.1\n").unwrap();
    std::fs::write(
        info.join("RECORD"),
        "onnxruntime/capi/libonnxruntime_providers_cuda.so,,\nonnxruntime/__init__.py,,\n",
    )
    .unwrap();
    std::fs::write(site.join("onnxruntime/__init__.py"), "").unwrap();
    let prefix = folder.path().display().to_string();
    for arguments in
        [["--only", "cuda", "--python", &prefix], ["--only", "cuda", "--onnxruntime", capi.to_str().unwrap()]]
    {
        let (report, _) = examined(&arguments);
        let cause = diagnosis(&report, "ort-cuda-libs-missing-or-wrong-major");
        for soname in NEEDED_1_18 {
            assert!(cause["because"].as_str().unwrap().contains(soname), "{arguments:?}: {}", cause["because"]);
        }
        assert!(cause["fix"][0]["run"].as_str().unwrap().contains("nvidia-cublas-cu11"), "{}", cause["fix"]);
    }
    // With all but cuDNN found it is the other cause.
    std::fs::create_dir(site.join("nvidia")).unwrap();
    std::fs::remove_file(folder.path().join("cuda/libcudnn.so.8")).unwrap();
    let mut variables = driver_variables(&scenario("healthy-idle"));
    let paths = [folder.path().join("cuda"), variables[0].1.clone()];
    variables[0].1 = std::env::join_paths(paths).unwrap().into();
    let report = gpu_doctor(&["run", "--only", "cuda", "--format", "json", "--python", &prefix], &variables).report();
    assert_eq!(verdict(&report, "ort-cuda-libs-missing-or-wrong-major"), "clear");
    let cause = diagnosis(&report, "ort-cudnn-missing");
    assert_eq!(cause["fix"][0]["run"], "pip install \"nvidia-cudnn-cu11==8.*\"");
}

#[test]
fn a_runtime_of_cuda_13_on_a_driver_for_12_4() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().canonicalize().unwrap().join("lib/python3.11/site-packages");
    let runtime = site.join("nvidia/cu13/lib/libcudart.so.13");
    let provider = site.join("onnxruntime/capi/libonnxruntime_providers_cuda.so");
    plain(&runtime);
    library(&provider, "", &[&runtime]);
    let (report, facts) = Server::loading(&[&runtime, &provider], &[]).examined_by(&["--only", "driver"]);
    let cause = diagnosis(&report, "driver-too-old-for-runtime");
    assert_eq!(cause["severity"], "fail");
    assert!(
        cause["because"].as_str().unwrap().contains("was built for CUDA 13. The driver 550"),
        "{}",
        cause["because"]
    );
    assert_eq!(facts["runtimes"]["known"][0]["missing"]["known"], serde_json::json!([]), "it is loaded");
}

#[test]
fn the_real_gpu_wheel_is_walked_in_no_time() {
    let Some(venv) = venv("gpu") else { return };
    let python = venv.join("bin/python").display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("snapshot.json").display().to_string();
    let variables = driver_variables(&scenario("healthy-idle"));
    gpu_doctor(&["run", "--only", "cuda", "--python", &python, "--save", &saved], &variables);
    let snapshot: Value = serde_json::from_str(&std::fs::read_to_string(&saved).unwrap()).unwrap();
    let runtimes = snapshot["facts"]["linker"]["runtimes"]["known"].as_array().unwrap();
    let provider = site_packages(&venv).join("onnxruntime/capi/libonnxruntime_providers_cuda.so");
    let runtime = runtimes.iter().find(|one| one["library"] == provider.display().to_string()).expect("onnxruntime");
    assert_eq!((runtime["cuda_major"]["known"].as_u64(), &runtime["seen_loaded"]), (Some(12), &Value::Bool(false)));
    assert_eq!(runtime["version"]["known"], "1.23.2");
    let missing: Vec<_> = runtime["missing"]["known"].as_array().unwrap().iter().map(|l| l["soname"].clone()).collect();
    assert_eq!(missing.len(), 6, "{missing:?}");
    let probe = snapshot["probes"].as_array().unwrap().iter().find(|probe| probe["id"] == "linker").unwrap();
    // 3 to 7 ms where it was measured; the bound is for a reading of the whole file, of 300 MB.
    assert!(probe["duration_ms"].as_f64().unwrap() < 1000.0, "{probe}");
}
