//! Real wheels that lie over one another, and real runtimes that were built without CUDA, through the whole run.

use crate::setup::asr;
use crate::setup::doctor::{causes, diagnosis, gpu_doctor, outcome, verdict};
use crate::setup::venv::{site_packages, venv};
use crate::setup::{driver_variables, scenario};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The report on an interpreter, beside a GPU.
fn report_on(python: &Path, more: &[&str]) -> Value {
    let python = python.to_str().unwrap();
    let arguments = [&["run", "--format", "json", "--python", python], more].concat();
    gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle"))).report()
}

fn python(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// The facts of one room.
fn room(python: &Path, room: &str, more: &[&str]) -> Value {
    let arguments = [&["collect", "--python", python.to_str().unwrap()], more].concat();
    let snapshot: Value = serde_json::from_str(&gpu_doctor(&arguments, &[]).out).unwrap();
    snapshot["facts"][room].clone()
}

#[test]
fn the_cpu_package_installed_last_is_found_by_its_hash() {
    let Some(venv) = venv("cpu-last") else { return };
    let report = report_on(&python(&venv), &[]);
    assert_eq!(causes(&report), ["ort-both-packages-clobbered"], "{}", report["headline"]);
    let cause = diagnosis(&report, "ort-both-packages-clobbered");
    let because = cause["because"].as_str().unwrap();
    let module = "onnxruntime/capi/onnxruntime_pybind11_state.cpython-3";
    assert!(because.contains(module) && because.contains("has the SHA-256 that onnxruntime recorded"), "{because}");
    assert_eq!(cause["explains"][0], "ort-cpu-package-only");
    let fix = cause["fix"][0]["run"].as_str().unwrap();
    assert!(fix.starts_with("pip uninstall -y onnxruntime onnxruntime-gpu && pip install"), "{fix}");

    let packages = room(&python(&venv), "packages", &["--only", "packages"]);
    assert_eq!(packages["onnxruntime_owner"]["known"], "onnxruntime");
    let installed = |name: &str| {
        let all = packages["distributions"]["known"].as_array().unwrap();
        let one = all.iter().find(|one| one["name"] == name).unwrap();
        assert_eq!(one["installer"]["known"], "pip");
        one["installed_at"]["known"].as_str().unwrap().to_owned()
    };
    assert!(installed("onnxruntime") > installed("onnxruntime-gpu"), "which pip did last");
}

#[test]
fn the_gpu_package_installed_last_is_no_fault_of_packages() {
    let Some(venv) = venv("gpu-last") else { return };
    let report = report_on(&python(&venv), &[]);
    assert_eq!(causes(&report), ["ort-cuda-libs-missing-or-wrong-major"], "{}", report["headline"]);
    assert_eq!(verdict(&report, "ort-both-packages-clobbered"), "clear");
    assert_eq!(verdict(&report, "ort-namespace-package-after-uninstall"), "clear");
    assert_eq!(
        room(&python(&venv), "packages", &["--only", "packages"])["onnxruntime_owner"]["known"],
        "onnxruntime-gpu"
    );
}

#[test]
fn what_an_uninstall_leaves_is_named_as_that() {
    let Some(venv) = venv("gutted") else { return };
    let report = report_on(&python(&venv), &["--import", "onnxruntime"]);
    assert_eq!(causes(&report), ["ort-namespace-package-after-uninstall"], "{}", report["headline"]);
    let because = diagnosis(&report, "ort-namespace-package-after-uninstall")["because"].as_str().unwrap();
    assert!(because.contains("onnxruntime-gpu lists onnxruntime/__init__.py among its files"), "{because}");
    assert!(because.contains("module 'onnxruntime' has no attribute 'get_available_providers'"), "{because}");
}

#[test]
fn a_server_on_clobbered_packages_leaves_the_gpu_idle() {
    let Some(clobbered) = venv("cpu-last") else { return };
    let mut variables = driver_variables(&scenario("healthy-idle")).to_vec();
    variables.push(("PYTHONPATH", site_packages(&clobbered)));
    let Some(server) = asr::start("cpu", &variables) else { return };
    let request = server.client_request("/asr", "-F audio=@speech.wav -F lang=en");
    let arguments =
        ["run", "--format", "json", "--server", &server.url(), "--client-request", request.to_str().unwrap()];
    let report = gpu_doctor(&arguments, &variables).report();
    assert_eq!(causes(&report), ["ort-both-packages-clobbered"], "{}", report["headline"]);
    let explained = diagnosis(&report, "ort-both-packages-clobbered")["explains"].as_array().unwrap();
    assert!(explained.iter().any(|id| id == "gpu-idle-while-serving"), "{explained:?}");
}

#[test]
fn runtimes_built_without_cuda_are_named() {
    let Some(venv) = venv("built-for-cpu") else { return };
    let report = report_on(&venv, &[]);
    let mut found = causes(&report);
    found.sort_unstable();
    let expected =
        ["ct2-built-without-cuda", "llama-cpp-built-without-cuda", "sherpa-onnx-built-without-gpu", "torch-cpu-wheel"];
    assert_eq!(found, expected, "{}", report["headline"]);
    for (cause, words) in [
        ("ct2-built-without-cuda", "names no libcublas"),
        ("llama-cpp-built-without-cuda", "no libggml-cuda.so beside"),
        ("sherpa-onnx-built-without-gpu", "the version 1.12.26 has no +cuda"),
        ("torch-cpu-wheel", "torch/version.py: __version__ = '2.6.0+cpu', cuda = None"),
    ] {
        let because = diagnosis(&report, cause)["because"].as_str().unwrap();
        assert!(because.contains(words), "{because}");
    }
    // Without a GPU they are right.
    let arguments = ["run", "--format", "json", "--python", venv.to_str().unwrap()];
    assert_eq!(causes(&gpu_doctor(&arguments, &[]).report()), ["no-nvidia-device"]);
}

#[test]
fn a_runtime_built_for_cuda_lacks_its_libraries_and_tells_its_version() {
    let Some(venv) = venv("built-for-cuda") else { return };
    let report = report_on(&python(&venv), &[]);
    assert_eq!(causes(&report), ["ct2-libcublas-missing"]);
    assert_eq!(diagnosis(&report, "ct2-libcublas-missing")["severity"], "warn", "no server was seen to load it");
    let packages = room(&python(&venv), "packages", &["--only", "packages"]);
    let build = &packages["cuda_builds"]["known"][0];
    assert_eq!((build["distribution"].as_str(), build["cuda_version"].as_str()), (Some("ctranslate2"), Some("12")));
}

#[test]
fn the_deployments_own_python_tells_what_a_module_says() {
    let Some(venv) = venv("cpu") else { return };
    let imports = room(&python(&venv), "imports", &["--import", "onnxruntime", "--import", "torch"]);
    let [onnxruntime, torch] = imports["modules"]["known"].as_array().unwrap().as_slice() else { panic!("{imports}") };
    assert_eq!(onnxruntime["version"]["known"], "1.23.2");
    let providers = &onnxruntime["says"]["known"]["onnxruntime.get_available_providers()"];
    assert_eq!(providers, "['AzureExecutionProvider', 'CPUExecutionProvider']");
    assert_eq!(torch["error"]["known"], "ModuleNotFoundError: No module named 'torch'");
    let report = report_on(&python(&venv), &["--import", "torch"]);
    let cause = diagnosis(&report, "python-import-fails");
    assert!(cause["because"].as_str().unwrap().contains("No module named 'torch'"), "{}", cause["because"]);
}

#[test]
fn a_program_that_is_no_python_is_told_in_words() {
    let report = report_on(Path::new("/bin/ls"), &["--import", "torch"]);
    assert_eq!(outcome(&report, "imports"), "failed");
    assert_eq!(verdict(&report, "python-import-fails"), "unknown");
    let probes = report["probes"].as_array().unwrap();
    for (id, words) in
        [("imports", "/bin/ls is no Python interpreter: it ended with status 2"), ("packages", "/bin/ls is no Python")]
    {
        let detail = probes.iter().find(|probe| probe["id"] == id).unwrap()["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
    }
}

#[test]
fn a_cpu_package_that_is_newer_than_the_server_is_told_with_both_times() {
    let Some(venv) = venv("cpu") else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site-packages");
    std::fs::create_dir(&site).unwrap();
    for name in ["onnxruntime", "onnxruntime-1.23.2.dist-info"] {
        let from = site_packages(&venv).join(name);
        let copied = Command::new("cp").arg("--archive").args([&from, &site]).status().unwrap();
        assert!(copied.success(), "{}", from.display());
    }
    let mut variables = driver_variables(&scenario("healthy-idle")).to_vec();
    variables.push(("PYTHONPATH", site.clone()));
    let Some(server) = asr::start("cpu", &variables) else { return };
    let request = server.client_request("/asr", "-F audio=@speech.wav -F lang=en");
    let arguments =
        ["run", "--format", "json", "--server", &server.url(), "--client-request", request.to_str().unwrap()];
    let before = gpu_doctor(&arguments, &variables).report();
    assert_eq!(causes(&before), ["ort-cpu-package-only"], "{}", before["headline"]);
    // What pip leaves when it installs the package anew while the server runs.
    std::thread::sleep(Duration::from_secs(2));
    std::fs::write(site.join("onnxruntime-1.23.2.dist-info/INSTALLER"), "pip\n").unwrap();
    let report = gpu_doctor(&arguments, &variables).report();
    assert_eq!(causes(&report), ["runtime-autoinstall-of-cpu-package"], "{}", report["headline"]);
    let cause = diagnosis(&report, "runtime-autoinstall-of-cpu-package");
    let because = cause["because"].as_str().unwrap();
    assert!(because.contains("was installed at") && because.contains("by pip, and process"), "{because}");
    let explained = cause["explains"].as_array().unwrap();
    assert!(explained.iter().any(|id| id == "ort-cpu-package-only"), "{explained:?}");
}
