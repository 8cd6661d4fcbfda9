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
