//! Whole runs: the parent's side of the same, and its time limits.

use crate::setup;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Takes a snapshot of the driver and CUDA rooms under a scenario.
fn collect(scenario: &Path) -> (Value, Duration) {
    let started = Instant::now();
    let output = Command::new(setup::GPU_DOCTOR)
        .args(["collect", "--include-identifiers", "--only", "driver,cuda"])
        .envs(setup::driver_variables(scenario))
        .env_remove("CUDA_VISIBLE_DEVICES")
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let snapshot = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {output:?}"));
    (snapshot, started.elapsed())
}

fn outcome<'a>(snapshot: &'a Value, probe: &str) -> &'a Value {
    let probes = snapshot["probes"].as_array().expect("a list of probes");
    &probes.iter().find(|record| record["id"] == probe).expect("the probe ran")["outcome"]
}

#[test]
fn a_healthy_machine_has_no_unknown_driver_fact() {
    let (snapshot, _) = collect(&setup::scenario("healthy-idle"));
    for room in ["nvml", "cuda"] {
        let text = snapshot["facts"][room].to_string();
        let unknown = text.matches("\"unknown\"").count();
        // CUDA_VISIBLE_DEVICES is not set, and a card with remapped rows retires no pages.
        assert_eq!(unknown, 1, "{text}");
        assert_eq!(outcome(&snapshot, room), "ok");
    }
}

#[test]
fn a_hang_ends_in_time_and_the_rest_is_kept() {
    let (_folder, scenario) =
        setup::scenario_with_faults("healthy-idle", &["{call: nvmlDeviceGetTemperature, does: hang}"]);
    let (snapshot, took) = collect(&scenario);
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(outcome(&snapshot, "nvml"), "timed_out");
    let gpu = &snapshot["facts"]["nvml"]["gpus"]["known"][0];
    assert_eq!(gpu["name"]["known"], "NVIDIA H100 80GB HBM3");
    let hung = &gpu["temperature_celsius"]["unknown"];
    assert_eq!(hung["why"], "timed_out");
    assert!(hung["detail"].as_str().unwrap().contains("in nvmlDeviceGetTemperature of GPU 0"), "{hung}");
    assert_eq!(outcome(&snapshot, "cuda"), "ok");
}

#[test]
fn a_gpu_that_crashes_the_library_does_not_hide_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    let text = std::fs::read_to_string(setup::scenario("two-gpus-one-lost")).unwrap();
    let crash = "  - {call: nvmlDeviceGetTemperature, gpu: 0, does: segfault}";
    let text = text.replace("  - {call: nvmlDeviceGetHandleByIndex_v2, gpu: 1, returns: 15}", crash);
    std::fs::write(&scenario, text).unwrap();
    let (snapshot, _) = collect(&scenario);
    assert_eq!(outcome(&snapshot, "nvml"), "crashed");
    let gpus = &snapshot["facts"]["nvml"]["gpus"]["known"];
    assert_eq!(gpus[0]["uuid"]["known"], "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d");
    assert_eq!(gpus[0]["p_state"]["unknown"]["why"], "crashed");
    let detail = gpus[0]["temperature_celsius"]["unknown"]["detail"].as_str().unwrap();
    assert_eq!(detail, "segmentation fault in nvmlDeviceGetTemperature of GPU 0");
    assert_eq!(gpus[1]["temperature_celsius"]["known"], 34);
}

#[test]
fn gpus_that_are_slow_or_hang_do_not_hide_a_third() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    let text = std::fs::read_to_string(setup::scenario("healthy-idle")).unwrap();
    let (head, gpu) = text.split_at(text.find("  - name:").unwrap());
    let faults = "faults:\n  - {call: 'nvmlDevice*', gpu: 0, delay_ms: 400}\n  - {call: nvmlDeviceGetUUID, gpu: 1, does: hang}\n";
    std::fs::write(&scenario, format!("{faults}{head}{gpu}{gpu}{gpu}")).unwrap();
    let (snapshot, took) = collect(&scenario);
    assert!(took < Duration::from_secs(25), "{took:?}");
    let gpus = &snapshot["facts"]["nvml"]["gpus"]["known"];
    assert_eq!(gpus[0]["name"]["known"], "NVIDIA H100 80GB HBM3", "what the slow one told in time is kept");
    assert_eq!(gpus[0]["processes"]["known"], Value::Array(Vec::new()));
    assert_eq!(gpus[0]["recovery_action"]["unknown"]["why"], "timed_out");
    assert_eq!(gpus[1]["uuid"]["unknown"]["why"], "timed_out");
    assert_eq!(gpus[2]["recovery_action"]["known"], "none");
}

#[test]
fn floods_and_early_deaths_are_facts_too() {
    for (deed, why, words) in [
        ("flood", "crashed", "printed without end in nvmlInit_v2"),
        ("abort", "crashed", "abort in nvmlInit_v2"),
        ("exit", "crashed", "status 7 in nvmlInit_v2"),
        ("hang", "timed_out", "no answer in nvmlInit_v2"),
    ] {
        let fault = format!("{{call: nvmlInit_v2, does: {deed}}}");
        let (_folder, scenario) = setup::scenario_with_faults("healthy-idle", &[&fault]);
        let (snapshot, took) = collect(&scenario);
        let nvml = &snapshot["facts"]["nvml"];
        let unknown = &nvml["init_code"]["unknown"];
        assert_eq!(unknown["why"], why, "{deed}");
        assert!(unknown["detail"].as_str().unwrap().contains(words), "{deed}: {unknown}");
        assert!(nvml["library"]["known"].is_string(), "{deed}: the library was found before");
        assert!(nvml["control_node_open"]["known"].is_string(), "{deed}");
        assert!(took < Duration::from_secs(20), "{deed}: {took:?}");
    }
}

#[test]
fn hidden_devices_are_told_from_missing_ones() {
    for (value, code, count) in [("", 100, 0), ("-1", 100, 0), ("1", 0, 1), ("1,0", 0, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let scenario = folder.path().join("scenario.yaml");
        let text = std::fs::read_to_string(setup::scenario("two-gpus-one-lost")).unwrap();
        let without_faults: Vec<&str> = text.lines().filter(|line| !line.starts_with("  - {call")).collect();
        std::fs::write(&scenario, without_faults.join("\n").replace("faults:", "faults: []")).unwrap();
        let output = Command::new(setup::GPU_DOCTOR)
            .args(["collect", "--include-identifiers", "--only", "cuda"])
            .envs(setup::driver_variables(&scenario))
            .env("CUDA_VISIBLE_DEVICES", value)
            .output()
            .unwrap();
        let snapshot: Value = serde_json::from_slice(&output.stdout).unwrap();
        let cuda = &snapshot["facts"]["cuda"];
        assert_eq!(cuda["visible_devices"]["known"], value);
        assert_eq!(cuda["init_code"]["known"], code, "{value:?}");
        assert_eq!(cuda["device_count"]["known"], count, "{value:?}");
        assert_eq!(cuda["devices"]["known"].as_array().map(Vec::len), Some(count), "{value:?}");
        if count > 0 {
            let uuid = &cuda["devices"]["known"][0]["uuid"]["known"];
            assert_eq!(uuid, "GPU-0b9d7c66-51fa-4d0e-8a3e-2c4b5d6e7f80", "{value:?}");
        }
    }
}
