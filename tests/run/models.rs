//! A model of each format in a whole run: one that is read and sound leaves the verdict alone, and so does one that is of
//! another program. One whose files are missing is a cause.

use crate::setup::doctor::{Said, causes, gpu_doctor};
use crate::setup::venv::{site_packages, venv};
use crate::setup::{asr, driver_variables, rig, scenario};
use std::path::{Path, PathBuf};

fn run(model: &Path) -> Said {
    let arguments = ["run", "--format", "json", "--only", "model", "--model", model.to_str().unwrap()];
    gpu_doctor(&arguments, &[])
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(name)
}

#[test]
fn a_sound_model_of_each_format_is_healthy() {
    for name in ["tiny.onnx", "tiny.safetensors", "tiny.gguf", "split-00001-of-00002.gguf"] {
        let said = run(&fixture(name));
        assert_eq!((said.report()["verdict"].as_str(), said.code), (Some("healthy"), 0), "{name}: {}", said.report());
    }
}

/// Before a deployment: the model, and the interpreter that will load it.
#[test]
fn a_model_leaves_a_healthy_machine_healthy() {
    let tiny = fixture("tiny.onnx").display().to_string();
    let mut runs = vec![(vec!["--model", &tiny], driver_variables(&scenario("healthy-idle")).to_vec())];
    let python = venv("gpu").map(|folder| folder.display().to_string());
    let silero = venv("cpu").map(|folder| site_packages(&folder).join("silero_vad/data/silero_vad.onnx"));
    let silero = silero.map(|file| file.display().to_string());
    if let (Some(variables), Some(python), Some(silero)) = (rig::variables(&scenario("healthy-idle")), &python, &silero)
    {
        runs.push((vec!["--python", python], variables.clone()));
        runs.push((vec!["--python", python, "--model", silero], variables));
    }
    for (further, variables) in runs {
        let said = gpu_doctor(&[&["run", "--format", "json"], &further[..]].concat(), &variables);
        let report = said.report();
        assert_eq!(report["verdict"], "healthy", "{further:?}: {}\n{}", report["headline"], report["unknown"]);
        assert_eq!(report["unknown"].as_array().map(Vec::len), Some(0), "{further:?}: {}", report["unknown"]);
        assert_eq!(report["diagnoses"].as_array().map(Vec::len), Some(0), "{further:?}: {}", report["headline"]);
        assert_eq!(said.code, 0);
    }
}

/// The rig computes nothing, so that its GPU is idle; nothing else is wrong with the server, whatever is named besides.
#[test]
fn a_sound_server_is_blamed_for_nothing_with_its_model_and_interpreter_named() {
    let (Some(variables), Some(gpu), Some(cpu)) = (rig::variables(&scenario("healthy-idle")), venv("gpu"), venv("cpu"))
    else {
        return;
    };
    let of_server = [&variables[..], &[("PYTHONPATH", site_packages(&gpu))]].concat();
    let Some(server) = asr::start("cpu", &of_server) else { return };
    let request = server.client_request("/asr", "-F audio=@speech.wav -F lang=en").display().to_string();
    let (python, model) = (gpu.display().to_string(), site_packages(&cpu).join("silero_vad/data/silero_vad.onnx"));
    let (url, model) = (server.url(), model.display().to_string());
    let arguments = ["run", "--format", "json", "--server", &url, "--client-request", &request];
    for further in [&[][..], &["--model", &model], &["--python", &python, "--model", &model]] {
        let report = gpu_doctor(&[&arguments, further].concat(), &variables).report();
        assert_eq!(causes(&report), ["gpu-idle-while-serving"], "{further:?}: {}", report["headline"]);
        let unknown = report["findings"].as_array().unwrap().iter().filter(|finding| finding["verdict"] == "unknown");
        assert_eq!(unknown.collect::<Vec<_>>(), Vec::<&serde_json::Value>::new(), "{further:?}");
    }
}

/// a = Relu(x) of operator set 99, which no table of kernels knows.
const OF_TOMORROW: &[u8] = b"\x08\x08\x3a\x43\x0a\x12\x0a\x01x\x12\x01a\x1a\x04relu\x22\x04Relu\x12\x03new\x5a\x17\x0a\x01x\x12\x12\
\x0a\x10\x08\x01\x12\x0c\x0a\x02\x08\x02\x0a\x02\x08\x03\x0a\x02\x08\x03\x62\x0f\x0a\x01a\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x02\x42\
\x04\x0a\x00\x10\x63";

#[test]
fn a_model_that_is_too_new_to_predict_makes_nobody_ill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.onnx");
    std::fs::write(&path, OF_TOMORROW).unwrap();
    let arguments = ["run", "--format", "json", "--model", path.to_str().unwrap()];
    let said = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle")));
    let report = said.report();
    assert_eq!((report["verdict"].as_str(), said.code), (Some("healthy"), 0), "{}", report["headline"]);
    assert!(report["probes"].to_string().contains("the model uses opset 99"), "{}", report["probes"]);
}

#[test]
fn a_checkpoint_is_never_unpickled_and_makes_nobody_ill() {
    let folder = tempfile::tempdir().unwrap();
    let touched = folder.path().join("touched");
    // A pickle that runs a command when it is loaded.
    let command = format!("touch {}", touched.display());
    let length = (command.len() as u32).to_le_bytes();
    let pickle = [&b"\x80\x02cposix\nsystem\nX"[..], &length, command.as_bytes(), b"\x85R."].concat();
    let path = folder.path().join("model.pt");
    std::fs::write(&path, pickle).unwrap();
    let arguments = ["run", "--format", "json", "--model", path.to_str().unwrap()];
    let said = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle")));
    assert_eq!(said.code, 0, "{}", said.report()["headline"]);
    assert!(said.report().to_string().contains("never unpickled"));
    let audit = gpu_doctor(&["model", path.to_str().unwrap()], &[]);
    assert!(audit.code == 64 && audit.err.contains("never unpickled"), "{}", audit.err);
    assert!(!touched.exists());
}

#[test]
fn a_missing_part_is_the_cause_and_the_audit_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = "split-00001-of-00002.gguf";
    std::fs::copy(fixture(first), folder.path().join(first)).unwrap();
    let report = run(folder.path()).report();
    assert_eq!(report["verdict"], "unhealthy");
    assert!(report.to_string().contains("external-data-missing"), "{report}");
    let audit = gpu_doctor(&["model", folder.path().to_str().unwrap(), "--format", "json"], &[]);
    assert_eq!(audit.code, 0, "{}", audit.err);
    let model = &audit.report()["model"];
    assert_eq!(model["external_files"][0]["location"], "split-00002-of-00002.gguf");
    assert_eq!(model["external_files"][0]["sound"], false);
}
