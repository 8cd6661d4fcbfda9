//! Requests succeed and the CPU computes: in a wrapper beside a loaded GPU, or in onnxruntime.

use crate::setup::doctor::{causes, diagnosis, verdict};
use crate::setup::venv::{site_packages, venv};
use crate::staged::{Setting, WITH_LANG, alone, holding};
use std::path::Path;

#[test]
fn a_wrapper_whose_code_cannot_be_read_is_told_by_what_is_seen() {
    let _alone = alone();
    let setting = Setting { variables: &[("OUTCOMES_CPU_MS", "60")], without_source: true, ..Setting::default() };
    let Some(stage) = setting.start() else { return };
    let (said, report) = stage.doctor(WITH_LANG, &[]);
    assert_eq!(said.code, 1, "{}", report["headline"]);
    assert_eq!(causes(&report), ["wrapper-runs-onnx-or-cpu-internally"], "{}", report["headline"]);
    let expected = "GPU is idle because the work runs on the CPU, inside the server's code or a wrapper that it calls, \
                    although its model lies on the GPU";
    assert_eq!(report["headline"], expected);
    let cause = diagnosis(&report, "wrapper-runs-onnx-or-cpu-internally");
    assert_eq!(cause["confidence"], "likely");
    assert!(cause["explains"].to_string().contains("gpu-idle-while-serving"), "{}", cause["explains"]);
    let because = cause["because"].as_str().unwrap();
    assert!(because.contains("the server holds 24,064 MiB of GPU memory"), "{because}");
    assert!(because.contains("busiest threads: python (TID "), "{because}");
    let look = cause["fix"][0]["run"].as_str().unwrap();
    assert!(look.ends_with(&format!("py-spy dump --native --pid {}", stage.pid())), "{look}");
    for ruled_out in ["model-never-moved", "required-field-missing", "server-not-restarted", "cpu-preprocessing-bound"]
    {
        assert_ne!(verdict(&report, ruled_out), "holds", "{ruled_out}");
    }
}

#[test]
fn a_wrapper_whose_code_can_be_read_is_told_by_its_line() {
    let _alone = alone();
    let home = tempfile::tempdir().unwrap();
    let code = home.path().join("modules/transformers_modules/ai4bharat/indic_hyphen_conformer/0f3c/model_onnx.py");
    std::fs::create_dir_all(code.parent().unwrap()).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/servers/remote_code/model_onnx.py");
    std::fs::copy(fixture, &code).unwrap();
    let variables = [("HF_HOME", home.path().to_str().unwrap())];
    let setting = Setting { variables: &variables, code: Some("remote_code"), ..Setting::default() };
    let Some(stage) = setting.start() else { return };
    let (said, report) = stage.doctor(WITH_LANG, &[]);
    assert_eq!(said.code, 1);
    assert_eq!(causes(&report), ["wrapper-runs-onnx-or-cpu-internally"], "{}", report["headline"]);
    let because = diagnosis(&report, "wrapper-runs-onnx-or-cpu-internally")["because"].as_str().unwrap();
    let line = std::fs::read_to_string(&code).unwrap();
    let line = line.lines().position(|line| line.contains("InferenceSession(")).unwrap() + 1;
    assert!(because.contains(&format!("{}, line {line}: ", code.display())), "{because}");
    assert!(because.contains("The installed onnxruntime has no CUDA at all"), "{because}");
    assert!(because.contains("the server holds 24,064 MiB of GPU memory"), "{because}");
}

#[test]
fn a_session_that_asks_for_no_provider_is_the_one_cause_where_cuda_registers() {
    let _alone = alone();
    let Some(model) = venv("cpu").map(|venv| site_packages(&venv).join("silero_vad/data/silero_vad.onnx")) else {
        return;
    };
    let variables =
        [("ASR_OMIT_PROVIDERS", "1"), ("SILERO_VAD_MODEL", model.to_str().unwrap()), ("ASR_ACTIVITY_FILE", "")];
    let setting =
        Setting { variables: &variables, code: Some("asr"), packages: Some("gpu"), rig: true, ..Setting::default() };
    let Some(stage) = setting.start() else { return };
    // A server that never went to the GPU holds none of its memory.
    std::fs::write(stage.folder.path().join("pid"), "").unwrap();
    let (said, report) = stage.doctor(WITH_LANG, &[]);
    assert_eq!(said.code, 1);
    assert_eq!(causes(&report), ["ort-provider-not-requested"], "{}", report["headline"]);
    let cause = diagnosis(&report, "ort-provider-not-requested");
    assert_eq!(cause["explains"][0], "gpu-idle-while-serving");
    assert!(cause["because"].as_str().unwrap().contains("app.py, line "), "{}", cause["because"]);
    assert!(report["headline"].as_str().unwrap().starts_with("GPU is idle because the server never asked onnxruntime"));
}

#[test]
fn a_session_on_the_cpu_inside_a_server_that_works_on_the_gpu_is_a_warning() {
    let Some(model) = venv("cpu").map(|venv| site_packages(&venv).join("silero_vad/data/silero_vad.onnx")) else {
        return;
    };
    let variables = [("OUTCOMES_ONNX", model.to_str().unwrap()), ("OUTCOMES_GPU_MS", "30")];
    let Some(stage) = (Setting { variables: &variables, ..Setting::default() }).start() else { return };
    let (said, report) = stage.doctor(WITH_LANG, &[]);
    assert_eq!(said.code, 0, "{}", report["headline"]);
    assert_eq!(holding(&report), ["ort-cpu-package-only"], "{}", report["headline"]);
    let cause = diagnosis(&report, "ort-cpu-package-only");
    assert_eq!(cause["severity"], "warn");
    assert!(cause["because"].as_str().unwrap().contains("The GPU works all the same"), "{}", cause["because"]);
}
