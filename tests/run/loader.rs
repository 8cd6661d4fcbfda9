//! `--loader`: the deployment's own code, run beside a machine whose GPU works.

use crate::setup::doctor::{Said, causes, diagnosis, gpu_doctor, outcome, seen, verdict};
use crate::setup::venv::{site_packages, venv};
use crate::setup::{driver_variables, scenario};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn deployment() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/loader")
}

/// Runs `gpu-doctor` on the machine of a healthy GPU, whose Python finds the deployment.
fn doctor(arguments: &[&str], python_path: &Path) -> Said {
    let mut variables = driver_variables(&scenario("healthy-idle")).to_vec();
    variables.push(("PYTHONPATH", python_path.to_owned()));
    gpu_doctor(arguments, &variables)
}

/// This machine's own Python, by the path of its interpreter.
fn python() -> String {
    let says = ["-c", "import sys; print(sys.executable)"];
    let output = std::process::Command::new("python3").args(says).output().expect("python3 is installed");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn run(more: &[&str]) -> Said {
    let python = python();
    let arguments = [&["run", "--format", "json", "--only", "model", "--python", &python], more].concat();
    doctor(&arguments, &deployment())
}

fn log(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn tells_the_parameters_by_fact_beside_the_servers_own_line() {
    let agreeing = log("Using device: cuda\n[DIAGNOSTIC] Model parameters - GPU: 603, CPU: 4\n");
    let agreeing = agreeing.path().display().to_string();
    let said = run(&["--loader", "deployment:mostly_on_gpu", "--log", &agreeing]);
    let report = said.report();
    let words = seen(&report, "model");
    assert!(words.contains("parameters: 603 on GPU (2.3 GB), 4 on CPU (12.0 kB)"), "{words}");
    assert!(words.contains(&format!("so says {agreeing} too")), "{words}");
    assert_eq!((causes(&report).len(), said.code), (0, 0), "{}", report["headline"]);
    for check in ["parameters-on-cpu", "loader-fails", "device-map-cpu-offload", "pyannote-or-submodel-default-cpu"] {
        assert_eq!(verdict(&report, check), "clear", "{check}");
    }
    let other = log("[DIAGNOSTIC] Model parameters - GPU: 607, CPU: 0\n");
    let other = other.path().display().to_string();
    let report = run(&["--loader", "deployment:mostly_on_gpu", "--log", &other]).report();
    let words = seen(&report, "model");
    let expected = format!(
        "{other} says otherwise (\"[DIAGNOSTIC] Model parameters - GPU: 607, CPU: 0\", counted: 603 tensors on GPU, 4 on CPU)"
    );
    assert!(words.contains(&expected), "{words}");
}

#[test]
fn names_what_the_code_leaves_on_the_cpu() {
    let said = run(&["--loader", "deployment:on_cpu"]);
    let report = said.report();
    assert_eq!((causes(&report), said.code), (vec!["parameters-on-cpu"], 1), "{}", report["headline"]);
    let because = diagnosis(&report, "parameters-on-cpu")["because"].as_str().unwrap();
    assert!(because.contains("returned (Recognizer) has 607 of its 607 parameters on the CPU (2.3 GB)"), "{because}");
    let text = doctor(
        &["run", "-v", "--only", "model", "--python", "python3", "--loader", "deployment:on_cpu"],
        &deployment(),
    );
    let words = text.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("parameters: none on GPU, 607 on CPU (2.3 GB)"), "{}", text.out);

    let report = run(&["--loader", "deployment:offloaded"]).report();
    assert_eq!(causes(&report), ["device-map-cpu-offload"], "{}", report["headline"]);
    let because = diagnosis(&report, "device-map-cpu-offload")["because"].as_str().unwrap();
    assert!(because.contains("1 of 3 blocks on cpu (decoder) and 1 of 3 blocks on disk (head)"), "{because}");
}

#[test]
fn watches_one_inference() {
    let report = run(&["--loader", "deployment:mostly_on_gpu", "--forward", "deployment:transcribe_from_cpu"]).report();
    assert_eq!(causes(&report), ["inputs-on-cpu"], "{}", report["headline"]);
    let cause = diagnosis(&report, "inputs-on-cpu");
    assert_eq!(cause["explains"], serde_json::json!(["loader-fails"]));
    let because = cause["because"].as_str().unwrap();
    assert!(because.contains("returned has its parameters on cuda:0 and was given audio on cpu"), "{because}");
    let report = run(&["--loader", "deployment:mostly_on_gpu", "--forward", "deployment:transcribe"]).report();
    assert!(seen(&report, "model").contains("inputs: audio on cuda:0"), "{}", seen(&report, "model"));
    assert_eq!(verdict(&report, "inputs-on-cpu"), "clear");
}

#[test]
fn tells_what_kept_the_code_from_loading() {
    let said = run(&["--loader", "deployment:raises"]);
    let report = said.report();
    assert_eq!(causes(&report), ["loader-fails"], "{}", report["headline"]);
    let because = diagnosis(&report, "loader-fails")["because"].as_str().unwrap();
    assert!(
        because.contains("deployment:raises(): ValueError: 401 Client Error") && because.contains("in raises"),
        "{because}"
    );
    assert!(!said.out.contains("hf_abcdef"), "{}", said.out);

    let said = run(&["--loader", "deployment:hangs", "--loader-timeout", "2s"]);
    let report = said.report();
    assert_eq!((outcome(&report, "loader"), causes(&report)), ("timed_out", vec!["loader-fails"]));
    assert!(said.took.as_secs() < 20, "{:?}", said.took);
    assert_eq!(verdict(&report, "parameters-on-cpu"), "unknown");
}

#[test]
fn is_asked_for_or_does_not_run() {
    for (arguments, problem) in [
        (&["--loader", "app:load"][..], "--loader needs --python"),
        (&["--python", "python3", "--forward", "app:run"], "--forward needs --loader"),
        (&["--python", "python3", "--loader", "app"], "write it as module:callable"),
        (&["--python", "python3", "--loader", "app:load; import os"], "write it as module:callable"),
    ] {
        let said = gpu_doctor(&[&["run"], arguments].concat(), &[]);
        assert!(said.code == 64 && said.err.contains(problem), "{} {}", said.code, said.err);
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gpu-doctor.yaml");
    std::fs::write(&config, "loader: deployment:on_cpu\nloader_timeout: 20s\nonly: [model]\n").unwrap();
    let config = config.display().to_string();
    let arguments = ["run", "--format", "json", "--python", "python3", "--config", &config];
    assert_eq!(causes(&doctor(&arguments, &deployment()).report()), ["parameters-on-cpu"]);
    let report = run(&[]).report();
    assert_eq!((outcome(&report, "loader"), verdict(&report, "parameters-on-cpu")), ("skipped", "not_applicable"));
}

/// The objects that `runtimes.py` loads with real wheels.
fn objects(venv: &Path, loader: &str, forward: &[&str], variables: &[(&str, PathBuf)]) -> Value {
    let python = venv.join("bin/python").display().to_string();
    let arguments = [&["collect", "--only", "model", "--python", &python, "--loader", loader], forward].concat();
    let variables = [&driver_variables(&scenario("healthy-idle")), variables].concat();
    let snapshot: Value = serde_json::from_str(&gpu_doctor(&arguments, &variables).out).unwrap();
    snapshot["facts"]["loaded"].clone()
}

#[test]
fn asks_a_real_onnxruntime_session() {
    let Some(venv) = venv("cpu") else { return };
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("encoder.onnx");
    std::fs::copy(site_packages(&venv).join("silero_vad/data/silero_vad.onnx"), &model).unwrap();
    let variables = [("PYTHONPATH", deployment()), ("MODEL", model.clone())];
    let forward = ["--forward", "runtimes:recognize"];
    let loaded = objects(&venv, "runtimes:session", &forward, &variables);
    let session = &loaded["objects"]["known"][0];
    assert_eq!(session["path"], "returned['recognizer']", "{loaded}");
    assert_eq!(
        (&session["kind"], &session["providers"][0]),
        (&"onnxruntime session".into(), &"CPUExecutionProvider".into())
    );
    assert_eq!(session["model_path"], model.display().to_string());
    assert_eq!(loaded["frameworks"]["known"]["onnxruntime"], "1.23.2");
    assert_eq!((&loaded["forward_error"]["known"], &loaded["watched"]["known"][0]["calls"]), (&"".into(), &1.into()));
}

#[test]
fn a_session_that_registers_cuda_is_on_the_gpu() {
    let (Some(venv), Some(cpu)) = (venv("gpu"), venv("cpu")) else { return };
    let Some(mut variables) = crate::setup::rig::variables(&scenario("healthy-idle")) else { return };
    let model = site_packages(&cpu).join("silero_vad/data/silero_vad.onnx");
    variables.extend([("PYTHONPATH", deployment()), ("MODEL", model)]);
    let python = venv.join("bin/python").display().to_string();
    let arguments = ["run", "--format", "json", "--only", "model", "--python", &python];
    let report = gpu_doctor(&[&arguments[..], &["--loader", "runtimes:session_on_gpu"]].concat(), &variables).report();
    assert!(seen(&report, "model").contains("onnxruntime session on CUDA, CPU"), "{}", seen(&report, "model"));
    assert_eq!(verdict(&report, "parameters-on-cpu"), "clear", "{}", report["headline"]);
}

#[test]
fn asks_a_real_ctranslate2_model() {
    let (Some(venv), Some(ctranslate2)) = (venv("cpu"), venv("built-for-cuda")) else { return };
    // The wheel for CUDA, which works on the CPU too, beside the numpy of another environment.
    let path = format!("{}:{}", deployment().display(), site_packages(&ctranslate2).display());
    let loaded = objects(&venv, "runtimes:generator", &[], &[("PYTHONPATH", path.into())]);
    let model = &loaded["objects"]["known"][0];
    assert_eq!(
        (&model["kind"], &model["class"]),
        (&"ctranslate2 model".into(), &"ctranslate2._ext.Generator".into()),
        "{loaded}"
    );
    assert_eq!((&model["device"], &model["compute_type"]), (&"cpu".into(), &"int8_float32".into()));
}
