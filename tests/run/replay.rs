//! A live run and the replay of its snapshot give the same report, byte for byte.

use crate::setup::asr;
use crate::setup::doctor::{Said, gpu_doctor};
use crate::setup::venv::{site_packages, venv};
use crate::setup::{driver_variables, scenario};
use std::path::PathBuf;

/// Runs with `--save`, then replays what was saved, elsewhere and without the variables of the run.
fn replays(arguments: &[&str], variables: &[(&str, PathBuf)]) {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("snapshot.json");
    for format in ["json", "text"] {
        let live: Vec<&str> =
            arguments.iter().chain(&["--format", format, "--save", saved.to_str().unwrap()]).copied().collect();
        let live: Said = gpu_doctor(&live, variables);
        let replay = gpu_doctor(&["diagnose", saved.to_str().unwrap(), "--format", format], &[]);
        assert!(!live.out.is_empty(), "{}", live.err);
        assert_eq!(live.out, replay.out);
        assert_eq!(live.code, replay.code);
    }
}

#[test]
fn of_the_demo() {
    replays(&["demo"], &[]);
}

#[test]
fn of_driver_faults() {
    for fault in ["nvml-hang", "nvml-crash", "nvml-mismatch"] {
        replays(&["run"], &driver_variables(&scenario(fault)));
    }
}

#[test]
fn of_the_gpu_wheel() {
    let Some(venv) = venv("gpu") else { return };
    let library = site_packages(&venv).join("onnxruntime/capi/libonnxruntime.so.1.23.2");
    replays(&["run", "--onnxruntime", library.to_str().unwrap()], &[]);
}

#[test]
fn of_the_speech_server() {
    let variables = driver_variables(&scenario("healthy-idle"));
    let Some(server) = asr::start("cpu", &variables) else { return };
    let url = server.url();
    for fields in ["-F audio=@speech.wav", "-F audio=@speech.wav -F lang=en"] {
        let request = server.client_request("/asr", fields);
        replays(&["run", "--server", &url, "--client-request", request.to_str().unwrap()], &variables);
    }
}

#[test]
fn a_hang_comes_before_what_may_not_be_read() {
    let hang = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/snapshots/nvml-hang.json");
    let mut snapshot: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(hang).unwrap()).unwrap();
    let denied = serde_json::json!({"unknown": {"why": "denied", "detail": "the kernel's ring buffer: not permitted"}});
    snapshot["facts"]["kernel_log"] = serde_json::json!({"source": denied, "xids": denied, "lines": denied});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot.json");
    std::fs::write(&file, snapshot.to_string()).unwrap();
    let said = gpu_doctor(&["diagnose", file.to_str().unwrap()], &[]);
    let start = "Undecided: the state of the GPU (NVML) could not be known (timed out: no answer in nvmlInit_v2";
    assert!(said.out.starts_with(start), "{}\n{}", said.out, said.err);
}

#[test]
fn of_a_machine_with_names_says_what_the_tokens_are() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, masked) = (folder.path().join("plain.json"), folder.path().join("masked.json"));
    let base = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/snapshots/cpu-package.json");
    let text = std::fs::read_to_string(base).unwrap();
    let named = text.replace("/srv/asr", "/home/kimberley/asr");
    std::fs::write(&plain, named).unwrap();
    let live = gpu_doctor(&["diagnose", plain.to_str().unwrap(), "--save", masked.to_str().unwrap()], &[]);
    let replay = gpu_doctor(&["diagnose", masked.to_str().unwrap()], &[]);
    assert!(!live.out.contains("kimberley") && live.out.contains("Tokens such as host-"), "{}", live.out);
    assert_eq!(live.out, replay.out);
}
