//! What no signal ends: a child in uninterruptible sleep, and a process that a driver left behind.

use crate::setup;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn start(scenario: &Path) -> Child {
    Command::new(setup::GPU_DOCTOR)
        .args(["collect", "--only", "driver,cuda"])
        .envs(setup::driver_variables(scenario))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs")
}

fn facts(doctor: Child) -> Value {
    let output = doctor.wait_with_output().expect("it ends");
    let snapshot: Value = serde_json::from_slice(&output.stdout).expect("a snapshot");
    snapshot["facts"].clone()
}

/// The doctor's child that runs the job.
fn child_of(doctor: u32, job: &str) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{doctor}/task/{doctor}/children")).unwrap_or_default();
    // The probe's thread starts it, so the child may stand under any thread.
    let threads = std::fs::read_dir(format!("/proc/{doctor}/task")).into_iter().flatten().flatten();
    let of_threads = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let all: String = of_threads.chain([children]).collect::<Vec<_>>().join(" ");
    all.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == job.as_bytes())
    })
}

/// A control group of the freezer (version 1), whose processes no signal reaches while it is frozen.
struct Freezer(PathBuf);

impl Freezer {
    fn new() -> Option<Self> {
        let folder = PathBuf::from(format!("/sys/fs/cgroup/freezer/gpu-doctor-test-{}", std::process::id()));
        std::fs::create_dir(&folder).ok()?;
        folder.join("freezer.state").exists().then_some(Self(folder))
    }

    fn freeze(&self, pid: u32) -> std::io::Result<()> {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string())?;
        std::fs::write(self.0.join("freezer.state"), "FROZEN")
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("freezer.state"), "THAWED");
        let patience = Instant::now() + Duration::from_secs(5);
        while std::fs::remove_dir(&self.0).is_err() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_child_in_uninterruptible_sleep_is_left_and_told() {
    let Some(freezer) = Freezer::new() else {
        setup::left_out::not_allowed("a control group of the freezer");
        return;
    };
    let started = Instant::now();
    let doctor = start(&setup::scenario("nvml-hang"));
    let pid = doctor.id();
    let child = loop {
        // It must have reached its hang, or it would not have told anything yet.
        if let Some(child) = child_of(pid, "nvml") {
            break child;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "no child was seen");
        std::thread::sleep(Duration::from_millis(5));
    };
    std::thread::sleep(Duration::from_millis(500));
    let frozen = freezer.freeze(child);
    let facts = facts(doctor);
    if let Err(error) = frozen {
        setup::left_out::not_allowed(&format!("to freeze a process: {error}"));
        return;
    }
    let took = started.elapsed();
    let unknown = &facts["nvml"]["init_code"]["unknown"];
    assert_eq!(unknown["why"], "timed_out", "{unknown}");
    let detail = unknown["detail"].as_str().unwrap();
    assert!(detail.contains("no answer in nvmlInit_v2") && detail.contains("state D"), "{detail}");
    assert_eq!(facts["cuda"]["device_count"]["known"], 1, "the other probes are intact");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_process_that_the_driver_leaves_behind_does_not_hold_up_the_run() {
    let fault = "{call: nvmlDeviceGetTemperature, does: leave_process}";
    let (_folder, scenario) = setup::scenario_with_faults("healthy-idle", &[fault]);
    let started = Instant::now();
    let facts = facts(start(&scenario));
    let took = started.elapsed();
    assert_eq!(facts["nvml"]["status"]["known"], "ok", "{}", facts["nvml"]);
    assert!(facts["nvml"]["gpus"]["known"][0]["temperature_celsius"]["known"].is_number(), "{}", facts["nvml"]);
    assert_eq!(facts["cuda"]["device_count"]["known"], 1);
    assert!(took < Duration::from_secs(15), "{took:?}: the process that was left lives for 20 s");
}
