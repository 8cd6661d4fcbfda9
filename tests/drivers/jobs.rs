//! The driver's jobs against the fake driver: what is learned, and what is kept when the libraries misbehave.
//!
//! A job is run as a probe runs it: the built program with its hidden subcommand, JSON lines on standard output.

use crate::setup;
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a job reported.
pub struct Heard {
    pub lines: Vec<Value>,
    /// Signal or exit status; the signal is 9 if it had to be killed.
    pub ended: String,
    pub took: Duration,
}

impl Heard {
    /// The last fact that was reported at a place.
    pub fn fact(&self, at: &str) -> &Value {
        let parts = self.lines.iter().rev().filter_map(|line| line.get("part"));
        parts.clone().find(|part| part["at"] == at).map_or(&Value::Null, |part| &part["fact"])
    }

    pub fn known(&self, at: &str) -> &Value {
        &self.fact(at)["known"]
    }

    pub fn last_stage(&self) -> &str {
        self.lines.iter().rev().find_map(|line| line.get("stage")?.as_str()).unwrap_or_default()
    }

    pub fn unreported(&self) -> &Value {
        self.lines.iter().rev().find_map(|line| line.get("result")).map_or(&Value::Null, |result| &result["unreported"])
    }
}

pub fn start(job: &str, argument: &str, library_path: &Path, scenario: &Path) -> Child {
    Command::new(setup::GPU_DOCTOR)
        .args(["__child", job, &std::process::id().to_string(), argument])
        .env("LD_LIBRARY_PATH", library_path)
        .env("GPU_DOCTOR_FAKE_DRIVER", scenario)
        .env_remove("CUDA_VISIBLE_DEVICES")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

/// Hears a job out; after `limit` it is killed.
pub fn hear(mut child: Child, limit: Duration) -> Heard {
    let started = Instant::now();
    let mut pipe = child.stdout.take().expect("the output is piped");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes)
    });
    while started.elapsed() < limit && child.try_wait().expect("the child is ours").is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let took = started.elapsed();
    let _ = child.kill();
    let ended = child.wait().expect("the child is ours").to_string();
    let bytes = reader.join().expect("the reader does not panic").expect("the pipe can be read");
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    Heard { lines: lines.collect(), ended, took }
}

pub fn play(job: &str, scenario: &Path, limit: Duration) -> Heard {
    hear(start(job, "{}", setup::fake_driver(), scenario), limit)
}

/// Plays a ready scenario, which ends by itself.
fn play_ready(job: &str, scenario: &str) -> Heard {
    play(job, &setup::scenario(scenario), Duration::from_secs(30))
}

#[test]
fn a_healthy_gpu_is_read_whole() {
    let nvml = play_ready("nvml", "healthy-idle");
    let library = nvml.known("/library").as_str().unwrap();
    assert!(library.ends_with("fake-driver/libnvidia-ml.so.1"), "{library}");
    for (at, value) in [
        ("/status", Value::from("ok")),
        ("/init_code", 0.into()),
        ("/driver_version", "550.163.01".into()),
        ("/cuda_version", "12.4".into()),
        ("/gpus/known/0/name", "NVIDIA H100 80GB HBM3".into()),
        ("/gpus/known/0/uuid", "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d".into()),
        ("/gpus/known/0/pci_address", "00000000:01:00.0".into()),
        ("/gpus/known/0/compute_capability", "9.0".into()),
        ("/gpus/known/0/memory_total_bytes", (81559u64 << 20).into()),
        ("/gpus/known/0/memory_used_bytes", 0.into()),
        ("/gpus/known/0/utilization_percent", 0.into()),
        ("/gpus/known/0/temperature_celsius", 34.into()),
        ("/gpus/known/0/power_milliwatts", 68000.into()),
        ("/gpus/known/0/p_state", 0.into()),
        ("/gpus/known/0/mig_enabled", false.into()),
        ("/gpus/known/0/compute_mode", "default".into()),
        ("/gpus/known/0/processes", Value::Array(Vec::new())),
    ] {
        assert_eq!(nvml.known(at), &value, "{at}");
    }
    assert_eq!(nvml.ended, "exit status: 0");
    let cuda = play_ready("cuda", "healthy-idle");
    for (at, value) in [
        ("/status", Value::from("ok")),
        ("/driver_cuda_version", "12.4".into()),
        ("/device_count", 1.into()),
        ("/devices/known/0/name", "NVIDIA H100 80GB HBM3".into()),
        ("/devices/known/0/uuid", "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d".into()),
        ("/devices/known/0/compute_capability", "9.0".into()),
        ("/devices/known/0/memory_total_bytes", (81559u64 << 20).into()),
    ] {
        assert_eq!(cuda.known(at), &value, "{at}");
    }
}

#[test]
fn codes_of_a_failed_start_come_through() {
    for (scenario, code, words) in [("nvml-mismatch", 18, "version mismatch"), ("nvml-not-loaded", 9, "not loaded")] {
        let nvml = play_ready("nvml", scenario);
        assert_eq!(nvml.known("/status"), "init_failed", "{scenario}");
        assert_eq!(nvml.known("/init_code"), code, "{scenario}");
        assert!(nvml.known("/init_error").as_str().unwrap().contains(words), "{scenario}");
        assert!(nvml.unreported()["detail"].as_str().unwrap().contains("nvmlInit_v2"), "{scenario}");
    }
    for (scenario, code, words) in
        [("nvml-mismatch", 803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"), ("cuda-no-device", 100, "CUDA_ERROR_NO_DEVICE")]
    {
        let cuda = play_ready("cuda", scenario);
        assert_eq!(cuda.known("/init_code"), code, "{scenario}");
        assert!(cuda.known("/init_error").as_str().unwrap().contains(words), "{scenario}");
        assert_eq!(cuda.known("/driver_cuda_version"), "12.4", "{scenario}");
    }
}

#[test]
fn codes_that_the_wrappers_do_not_know_come_through() {
    for (code, why) in [(4, "denied"), (999, "unsupported"), (29, "unsupported"), (77, "unsupported")] {
        let fault = format!("{{call: nvmlInit_v2, returns: {code}}}");
        let (_folder, scenario) = setup::scenario_with_faults("healthy-idle", &[&fault]);
        let nvml = play("nvml", &scenario, Duration::from_secs(30));
        assert_eq!(nvml.known("/init_code"), code);
        assert_eq!(nvml.unreported()["why"], why, "{code}");
    }
    for code in [36, 919, 12345] {
        let fault = format!("{{call: cuInit, returns: {code}}}");
        let (_folder, scenario) = setup::scenario_with_faults("healthy-idle", &[&fault]);
        let cuda = play("cuda", &scenario, Duration::from_secs(30));
        assert_eq!(cuda.known("/init_code"), code);
        let fault = format!("{{call: cuDeviceGetName, returns: {code}}}");
        let (_folder, scenario) = setup::scenario_with_faults("healthy-idle", &[&fault]);
        let cuda = play("cuda", &scenario, Duration::from_secs(30));
        let detail = cuda.fact("/devices/known/0/name")["unknown"]["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("CUDA result {code}")), "{detail}");
        assert_eq!(cuda.known("/devices/known/0/compute_capability"), "9.0", "{code}");
    }
}

#[test]
fn a_lost_gpu_does_not_hide_the_other() {
    let nvml = play_ready("nvml", "two-gpus-one-lost");
    assert_eq!(nvml.known("/gpus/known/0/temperature_celsius"), 34);
    let lost = nvml.fact("/gpus/known/1");
    assert_eq!(lost["index"], 1);
    assert_eq!(lost["name"]["unknown"]["why"], "absent");
    assert!(lost["name"]["unknown"]["detail"].as_str().unwrap().contains("NVML 15"), "{lost}");
    let cuda = play_ready("cuda", "two-gpus-one-lost");
    assert_eq!(cuda.known("/device_count"), 2);
    assert_eq!(cuda.known("/devices/known/0/name"), "NVIDIA H100 80GB HBM3");
    let detail = &cuda.fact("/devices/known/1/name")["unknown"]["detail"];
    assert!(detail.as_str().unwrap().contains("CUDA_ERROR_INVALID_DEVICE (101)"), "{detail}");
}

#[test]
fn a_single_failing_call_costs_a_single_fact() {
    let (_folder, scenario) =
        setup::scenario_with_faults("healthy-idle", &["{call: nvmlDeviceGetPowerUsage, returns: 27}"]);
    let nvml = play("nvml", &scenario, Duration::from_secs(30));
    let power = &nvml.fact("/gpus/known/0/power_milliwatts")["unknown"];
    assert_eq!(power["detail"], "nvmlDeviceGetPowerUsage of GPU 0: not ready (NVML 27)");
    assert_eq!(nvml.known("/gpus/known/0/temperature_celsius"), 34);
}

#[test]
fn process_lists_are_read_under_either_layout() {
    let folder = tempfile::tempdir().unwrap();
    for (version, stride) in [("550.163.01", 24), ("535.86.10", 32)] {
        let scenario = folder.path().join("scenario.yaml");
        let text = std::fs::read_to_string(setup::scenario("healthy-idle")).unwrap().replace("550.163.01", version);
        let processes = "    processes: [{pid: 41, used_mib: 2}, {pid: 42}, {pid: 43, used_mib: 3}]\n";
        std::fs::write(&scenario, format!("process_stride_bytes: {stride}\n{text}{processes}")).unwrap();
        let nvml = play("nvml", &scenario, Duration::from_secs(30));
        let list = nvml.known("/gpus/known/0/processes");
        let pids: Vec<u64> = list.as_array().unwrap().iter().map(|entry| entry["pid"].as_u64().unwrap()).collect();
        assert_eq!(pids, [41, 42, 43], "{version}");
        assert_eq!(list[0]["used_bytes"]["known"], 2 << 20, "{version}");
        assert_eq!(list[1]["used_bytes"]["unknown"]["why"], "unsupported", "{version}");
    }
}
