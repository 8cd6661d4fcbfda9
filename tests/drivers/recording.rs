//! The script that records a machine with a GPU, run on the fake driver.

use crate::setup;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/recorded/record-gpu.sh");

fn record(into: &Path, path: &str, load: &str) -> std::process::Output {
    let (activity, pid) = (into.join("activity"), into.join("pid"));
    Command::new("bash")
        .args([SCRIPT, "fake", "--doctor", setup::GPU_DOCTOR, "--seconds", "2"])
        .args(["--collect", "--only=driver,cuda", "--into", into.to_str().unwrap(), "--", "sh", "-c", load])
        .envs(setup::driver_variables(&setup::scenario("following-activity")))
        .env("GPU_DOCTOR_FAKE_ACTIVITY", activity)
        .env("GPU_DOCTOR_FAKE_SERVER_PID", pid)
        .env("PATH", path)
        .env_remove("CUDA_VISIBLE_DEVICES")
        .output()
        .expect("bash runs")
}

fn json(path: PathBuf) -> Value {
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The values of one counter of GPU 0 along a trace.
fn trace(path: PathBuf, counter: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let samples = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    samples.map(|sample| sample["gpus"][0][counter].clone()).filter(|value| !value.is_null()).collect()
}

#[test]
fn idle_and_busy_are_recorded_and_the_load_is_stopped() {
    let into = tempfile::tempdir().unwrap();
    let tools = tempfile::tempdir().unwrap();
    let smi = tools.path().join("nvidia-smi");
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/nvidia-smi/h200-healthy.xml");
    std::fs::write(
        &smi,
        format!("#!/bin/sh\n[ \"$*\" = \"-q -x\" ] && sed 's/<serial>0</<serial>1650924001122</' {fixture}\n"),
    )
    .unwrap();
    std::fs::set_permissions(&smi, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let load = "echo $$ >$GPU_DOCTOR_FAKE_SERVER_PID; while :; do touch $GPU_DOCTOR_FAKE_ACTIVITY; sleep 0.1; done";
    let output = record(into.path(), &path, load);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");

    let folder = into.path().join("fake");
    let gpu = |file: &str| json(folder.join(file))["facts"]["nvml"]["gpus"]["known"][0].clone();
    assert_eq!(gpu("idle.json")["utilization_percent"]["known"], 0);
    assert_eq!(gpu("busy.json")["utilization_percent"]["known"], 97);
    assert_eq!(gpu("busy.json")["throttle_reasons"]["known"], serde_json::json!([]));
    assert_eq!(gpu("idle.json")["pcie_link_width_max"]["known"], 16);
    assert!(json(folder.join("idle.json"))["facts"]["cuda"]["device_count"]["known"] == 1);

    let idle = trace(folder.join("idle.jsonl"), "power_milliwatts");
    let busy = trace(folder.join("busy.jsonl"), "power_milliwatts");
    assert!(idle.len() >= 10 && busy.len() >= 10, "{} and {} samples", idle.len(), busy.len());
    assert!(idle.iter().all(|power| power == 68_000), "{idle:?}");
    assert_eq!(busy.last().unwrap(), 520_000);
    assert_eq!(trace(folder.join("busy.jsonl"), "throttle_reasons_bits").last().unwrap(), 0);
    let server = trace(folder.join("busy.jsonl"), "server_memory_bytes");
    assert_eq!(server.last().unwrap(), &Value::from(24064u64 << 20), "the load's process counts as the server");

    let smi = std::fs::read_to_string(folder.join("nvidia-smi-busy.xml")).unwrap();
    assert!(
        smi.contains("<product_name>NVIDIA H200") && !smi.contains("1650924001122"),
        "serial numbers are taken out"
    );
    assert!(folder.join("nvidia-smi-idle.xml").is_file());
    let notes = std::fs::read_to_string(folder.join("recording.txt")).unwrap();
    assert!(notes.contains("gpu-doctor") && notes.contains("load: sh"), "{notes}");
    let pid = std::fs::read_to_string(into.path().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "the load was stopped");
}

#[test]
fn what_could_not_be_recorded_is_noted() {
    let into = tempfile::tempdir().unwrap();
    let output = record(into.path(), "/usr/bin:/bin", "exit 3");
    assert!(!output.status.success());
    let notes = std::fs::read_to_string(into.path().join("fake/recording.txt")).unwrap();
    assert!(notes.contains("the load ended by itself"), "{notes}");
    let wrong = Command::new("bash").args([SCRIPT, "../up", "--", "true"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("no name for a folder"));
}
