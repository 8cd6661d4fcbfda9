//! `gpu-doctor collect` on real onnxruntime wheels and a real model: the rooms `ort`, `model` and `placement`.

mod setup;

use serde_json::{Value, json};
use setup::venv::{site_packages, venv};
use std::path::Path;
use std::process::Command;

/// Libraries that the CUDA provider of onnxruntime-gpu 1.23.2 needs beside the C library (readelf -d), and the packages
/// that bring them.
const NEEDED: &[(&str, &str)] = &[
    ("libcublasLt.so.12", "nvidia-cublas-cu12"),
    ("libcublas.so.12", "nvidia-cublas-cu12"),
    ("libcurand.so.10", "nvidia-curand-cu12"),
    ("libcufft.so.11", "nvidia-cufft-cu12"),
    ("libcudart.so.12", "nvidia-cuda-runtime-cu12"),
    ("libcudnn.so.9", "nvidia-cudnn-cu12"),
];

/// A check that reads the rooms, so that they are filled.
const CHECK: &str = r#"
id: reads-the-placement
stage: model
title: Reads the rooms that this test is about
severity: fail
confidence: likely
when: placement.cpu_parameter_bytes > 0 && model.nodes > 0 && ort.missing_libraries.exists(l, l.soname != "")
brief: nothing
because: nothing
evidence: [placement.cpu_parameter_bytes, model.nodes, ort.missing_libraries]
fix:
  - say: Nothing.
verify:
  - gpu-doctor run
means: Nothing.
told_apart: Nothing.
docs:
  - https://onnxruntime.ai/
"#;

/// The facts of a snapshot, and how each probe went.
fn collect(onnxruntime: &Path, model: Option<&Path>, library_path: Option<&Path>) -> (Value, Value) {
    let checks = tempfile::tempdir().unwrap();
    std::fs::create_dir(checks.path().join("model")).unwrap();
    std::fs::write(checks.path().join("model/reads-the-placement.yaml"), CHECK).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-doctor"));
    command.arg("collect").arg("--checks").arg(checks.path()).args(["--only", "reads-the-placement"]);
    command.arg("--onnxruntime").arg(onnxruntime).env_remove("LD_LIBRARY_PATH");
    if let Some(model) = model {
        command.arg("--model").arg(model);
    }
    if let Some(folder) = library_path {
        command.env("LD_LIBRARY_PATH", folder);
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    let mut snapshot: Value = serde_json::from_slice(&output.stdout).unwrap();
    let outcomes = snapshot["probes"].as_array().unwrap().iter();
    let outcomes = outcomes.map(|probe| (probe["id"].as_str().unwrap().to_string(), probe["outcome"].clone()));
    let outcomes = outcomes.collect();
    (snapshot["facts"].take(), outcomes)
}

fn known<'f>(facts: &'f Value, path: &str) -> &'f Value {
    let fact = facts.pointer(&format!("/{path}")).unwrap_or_else(|| panic!("no fact {path}"));
    fact.get("known").unwrap_or_else(|| panic!("{path} is {fact}"))
}

fn missing(facts: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let missing = known(facts, "ort/missing_libraries").as_array().unwrap().iter();
    missing.map(|library| (text(&library["soname"]), text(&library["package"]))).collect()
}

/// A stand-in for a CUDA library: any library of this machine's kind.
fn stand_in(venv: &Path, folder: &Path, soname: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let small = site_packages(venv).join("onnxruntime/capi/libonnxruntime_providers_shared.so");
    std::fs::copy(small, folder.join(soname)).unwrap();
}

#[test]
fn silero_vad_lies_on_the_cpu_to_the_last_byte() {
    let Some(venv) = venv("cpu") else { return };
    let site = site_packages(&venv);
    let (facts, outcomes) = collect(&site, Some(&site.join("silero_vad/data/silero_vad.onnx")), None);
    for probe in ["model", "onnxruntime", "placement"] {
        assert_eq!(outcomes[probe], "ok", "{outcomes}");
    }
    assert_eq!(known(&facts, "ort/version"), "1.23.2");
    assert_eq!(known(&facts, "ort/found_by"), "--onnxruntime");
    assert_eq!(known(&facts, "ort/compiled_providers"), &json!(["AzureExecutionProvider", "CPUExecutionProvider"]));
    assert_eq!(known(&facts, "ort/cuda_compiled_in"), false);
    assert_eq!(known(&facts, "ort/cuda_registers"), false);
    assert_eq!(known(&facts, "ort/cuda_error"), "CUDA execution provider is not enabled in this build.");
    assert_eq!(known(&facts, "ort/cuda_failure")["kind"], "cpu_build");
    assert_eq!(known(&facts, "ort/package"), "onnxruntime");
    assert_eq!(facts["ort"]["cuda_version"]["unknown"]["why"], "unsupported");
    assert_eq!(facts["ort"]["missing_libraries"]["unknown"]["why"], "unsupported");
    assert_eq!(facts["ort"]["cuda_provider_library"]["unknown"]["why"], "absent");

    assert_eq!(known(&facts, "placement/session_providers"), &json!(["CPUExecutionProvider"]));
    assert_eq!(known(&facts, "placement/nodes_by_provider"), &json!({ "CPUExecutionProvider": 212 }));
    assert_eq!((known(&facts, "placement/nodes"), known(&facts, "placement/memcpy_nodes")), (&json!(212), &json!(0)));
    assert_eq!(known(&facts, "placement/cpu_parameter_bytes"), 2_183_632);
    assert_eq!(known(&facts, "placement/cpu_parameter_bytes"), known(&facts, "model/parameter_bytes"));
    assert_eq!(known(&facts, "placement/gpu_parameter_bytes"), 0);
    assert_eq!(known(&facts, "placement/unplaced_parameter_bytes"), 0);
    assert_eq!(known(&facts, "placement/cpu_parameters"), known(&facts, "model/tensors"));
    assert_eq!(known(&facts, "placement/runtime"), "onnxruntime 1.23.2");
    assert_eq!(
        (known(&facts, "placement/session"), known(&facts, "placement/listed_nodes")),
        (&json!("whole"), &json!([]))
    );
    assert_eq!(facts["placement"]["run_ms_by_provider"]["unknown"]["why"], "not_asked");
    assert!(known(&facts, "placement/session_ms").as_f64().unwrap() > 0.0);
}

#[test]
fn every_library_that_the_gpu_wheel_misses_is_named() {
    let Some(venv) = venv("gpu") else { return };
    let (facts, outcomes) = collect(&site_packages(&venv), None, None);
    assert_eq!((&outcomes["onnxruntime"], &outcomes["placement"]), (&json!("ok"), &json!("skipped")));
    let expected: Vec<_> = NEEDED.iter().map(|(soname, package)| (soname.to_string(), package.to_string())).collect();
    // A machine with CUDA installed misses fewer.
    let found = missing(&facts);
    if !Path::new("/usr/local/cuda").exists() {
        assert_eq!(found, expected);
    }
    assert!(found.iter().all(|library| expected.contains(library)), "{found:?}");
    let first = &known(&facts, "ort/missing_libraries")[0];
    assert_eq!(first["needed_by"], json!(["libonnxruntime_providers_cuda.so"]));
    assert_eq!(known(&facts, "ort/cuda_compiled_in"), true);
    assert_eq!(known(&facts, "ort/cuda_registers"), false);
    let error = known(&facts, "ort/cuda_error").as_str().unwrap();
    let own_word = format!("with error: {}: cannot open shared object file", first["soname"].as_str().unwrap());
    assert!(error.contains(&own_word), "{error}");
    let failure = known(&facts, "ort/cuda_failure");
    assert_eq!((&failure["kind"], &failure["library"]), (&json!("library_missing"), &first["soname"]));
    assert_eq!(
        (known(&facts, "ort/package"), known(&facts, "ort/cuda_version")),
        (&json!("onnxruntime-gpu"), &json!("12.2"))
    );
    assert_eq!(facts["placement"]["nodes"]["unknown"]["why"], "not_asked");
}

#[test]
fn a_library_on_the_search_path_is_not_missing_and_the_next_one_is_named() {
    let Some(venv) = venv("gpu") else { return };
    let folder = tempfile::tempdir().unwrap();
    stand_in(&venv, folder.path(), "libcublasLt.so.12");
    let (facts, _) = collect(&site_packages(&venv), None, Some(folder.path()));
    assert!(!missing(&facts).iter().any(|(soname, _)| soname == "libcublasLt.so.12"));
    let error = known(&facts, "ort/cuda_error").as_str().unwrap();
    assert!(error.contains("with error: ") && !error.contains("libcublasLt.so.12: cannot open"), "{error}");
}

#[test]
fn a_library_off_the_search_path_is_told_where_it_lies() {
    let Some(venv) = venv("gpu") else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site-packages");
    let cublas = site.join("nvidia/cublas/lib");
    stand_in(&venv, &cublas, "libcublasLt.so.12");
    std::os::unix::fs::symlink(site_packages(&venv).join("onnxruntime"), site.join("onnxruntime")).unwrap();
    let (facts, _) = collect(&site, None, None);
    let lies_at = |soname: &str| {
        let missing = known(&facts, "ort/missing_libraries").as_array().unwrap();
        missing.iter().find(|library| library["soname"] == soname).map(|library| library["lies_at"].clone())
    };
    let expected = cublas.join("libcublasLt.so.12").display().to_string();
    assert_eq!(lies_at("libcublasLt.so.12"), Some(json!(expected)));
    assert_eq!(lies_at("libcudnn.so.9"), Some(json!("")));
}

#[test]
fn another_major_version_of_what_is_missing_is_told() {
    let Some(venv) = venv("gpu") else { return };
    let folder = tempfile::tempdir().unwrap();
    stand_in(&venv, folder.path(), "libcublasLt.so.11");
    let (facts, _) = collect(&site_packages(&venv), None, Some(folder.path()));
    let failure = known(&facts, "ort/cuda_failure");
    assert_eq!(
        (&failure["kind"], &failure["library"]),
        (&json!("wrong_major"), &json!("libcublasLt.so.12")),
        "{failure}"
    );
}

#[test]
fn a_lost_library_of_the_providers_is_told() {
    let Some(venv) = venv("gpu") else { return };
    let folder = tempfile::tempdir().unwrap();
    let capi = site_packages(&venv).join("onnxruntime/capi");
    for name in ["libonnxruntime.so.1.23.2", "libonnxruntime_providers_cuda.so"] {
        std::os::unix::fs::symlink(capi.join(name), folder.path().join(name)).unwrap();
    }
    let library = folder.path().join("libonnxruntime.so.1.23.2");
    let (facts, _) = collect(&library, None, None);
    let kind = &known(&facts, "ort/cuda_failure")["kind"];
    assert_eq!(kind, "providers_shared_missing", "{}", known(&facts, "ort/cuda_error"));
}

#[test]
fn a_model_that_is_none_leaves_the_placement_unknown_for_its_reason() {
    let Some(venv) = venv("cpu") else { return };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("model.onnx");
    std::fs::write(&page, "<!DOCTYPE html><html><body>Not Found</body></html>").unwrap();
    let (facts, outcomes) = collect(&site_packages(&venv), Some(&page), None);
    assert_eq!((&outcomes["model"], &outcomes["placement"]), (&json!("failed"), &json!("failed")));
    let detail = facts["placement"]["nodes"]["unknown"]["detail"].as_str().unwrap();
    assert!(detail.contains("is not a model: it looks like an HTML page, such as an error page that a download saved"));
}
