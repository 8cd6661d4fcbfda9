//! Real onnxruntime wheels through the whole run.

use crate::setup::asr;
use crate::setup::doctor::{causes, diagnosis, gpu_doctor};
use crate::setup::venv::{site_packages, venv};
use crate::setup::{driver_variables, scenario};

#[test]
fn the_gpu_wheel_without_cuda_names_every_missing_library() {
    let Some(venv) = venv("gpu") else { return };
    let library = site_packages(&venv).join("onnxruntime/capi/libonnxruntime.so.1.23.2");
    let said = gpu_doctor(&["run", "--format", "json", "--onnxruntime", library.to_str().unwrap()], &[]);
    let report = said.report();
    let cause = diagnosis(&report, "ort-cuda-libs-missing-or-wrong-major");
    for soname in [
        "libcublasLt.so.12",
        "libcublas.so.12",
        "libcudart.so.12",
        "libcudnn.so.9",
        "libcufft.so.11",
        "libcurand.so.10",
    ] {
        assert!(cause["because"].as_str().unwrap().contains(soname), "{soname}: {}", cause["because"]);
        assert!(report["headline"].as_str().unwrap().contains(soname), "{soname}: {}", report["headline"]);
    }
    let install = cause["fix"][0]["run"].as_str().unwrap();
    assert!(install.starts_with("pip install ") && install.contains("nvidia-cudnn-cu12"), "{install}");
    assert_eq!(said.code, 1);
}

#[test]
fn the_gpu_wheel_is_found_through_its_python() {
    let Some(venv) = venv("gpu") else { return };
    let python = venv.join("bin/python");
    let variables = driver_variables(&scenario("healthy-idle"));
    let report = gpu_doctor(&["run", "--format", "json", "--python", python.to_str().unwrap()], &variables).report();
    assert_eq!(causes(&report), ["ort-cuda-libs-missing-or-wrong-major"]);
}

#[test]
fn the_cpu_wheel_is_a_fault_only_beside_a_gpu() {
    let Some(venv) = venv("cpu") else { return };
    let python = venv.join("bin/python");
    let arguments = ["run", "--format", "json", "--python", python.to_str().unwrap()];
    assert_eq!(causes(&gpu_doctor(&arguments, &[]).report()), ["no-nvidia-device"]);
    let variables = driver_variables(&scenario("healthy-idle"));
    assert_eq!(causes(&gpu_doctor(&arguments, &variables).report()), ["ort-cpu-package-only"]);
}

#[test]
fn a_server_on_the_gpu_wheel_without_cuda_leaves_the_gpu_idle() {
    let Some(gpu_wheel) = venv("gpu") else { return };
    let mut variables = driver_variables(&scenario("healthy-idle")).to_vec();
    // The server's own environment holds the CPU wheel too; what it has mapped is what counts.
    variables.push(("PYTHONPATH", site_packages(&gpu_wheel)));
    let Some(server) = asr::start("cpu", &variables) else { return };
    let request = server.client_request("/asr", "-F audio=@speech.wav -F lang=en");
    let arguments =
        ["run", "--format", "json", "--server", &server.url(), "--client-request", request.to_str().unwrap()];
    let report = gpu_doctor(&arguments, &variables).report();
    assert_eq!(causes(&report), ["ort-cuda-libs-missing-or-wrong-major"], "{}", report["headline"]);
    let cause = diagnosis(&report, "ort-cuda-libs-missing-or-wrong-major");
    assert_eq!(cause["explains"][0], "gpu-idle-while-serving");
    assert!(cause["because"].as_str().unwrap().contains("libcudnn.so.9"), "{}", cause["because"]);
}
