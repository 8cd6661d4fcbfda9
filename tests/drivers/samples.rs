//! The sampling child.

use crate::jobs::{Heard, hear, start};
use crate::setup;
use std::path::Path;
use std::time::{Duration, Instant};

/// Lets the job sample for `length`, then closes its input.
fn sample_for(length: Duration, argument: &str, scenario: &Path) -> Heard {
    let mut child = start("nvml-samples", argument, setup::fake_driver(), scenario);
    let input = child.stdin.take();
    std::thread::spawn(move || {
        std::thread::sleep(length);
        drop(input);
    });
    hear(child, length + Duration::from_secs(20))
}

/// Values of one counter of GPU 0, in order; samples in which it was not read are left out.
fn series(heard: &Heard, counter: &str) -> Vec<f64> {
    let parts = || heard.lines.iter().filter_map(|line| line.get("part"));
    let sampled = parts().filter_map(|part| part["gpus"].get(0)?[counter].as_f64());
    let besides = parts().filter(|part| part["gpu"] == 0).filter_map(|part| part["read"][counter].as_f64());
    sampled.chain(besides).collect()
}

/// Why a counter of GPU 0 is not known, as it was told first.
fn why<'a>(heard: &'a Heard, counter: &str) -> &'a serde_json::Value {
    let mut parts = heard.lines.iter().filter_map(|line| line.get("part"));
    let told = parts.find(|part| part["gpu"] == 0 && part["unread"] == counter);
    told.map_or(&serde_json::Value::Null, |part| &part["unknown"]["why"])
}

#[test]
fn counters_follow_the_work_and_the_child_stops_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    let began = folder.path().join("began");
    std::fs::write(&began, "").unwrap();
    let text = std::fs::read_to_string(setup::scenario("healthy-idle")).unwrap();
    let text = text
        .replace("utilization_percent: 0", "utilization_percent: {steps: [[1, 90]]}")
        .replace("power_milliwatts: 68000", "power_milliwatts: {steps: [[0, 68000], [1, 500000]]}")
        + "    processes: [{pid: 77, used_mib: 4, utilization_percent: {steps: [[1, 80]]}}]\n";
    std::fs::write(&scenario, format!("clock_file: {}\n{text}", began.display())).unwrap();
    let argument = r#"{"server_pids": [77], "period_ms": 50}"#;
    let heard = sample_for(Duration::from_millis(2000), argument, &scenario);
    assert_eq!(heard.ended, "exit status: 0");
    assert!(heard.took < Duration::from_secs(8), "{:?}", heard.took);

    let utilization = series(&heard, "utilization_percent");
    assert!((8..=45).contains(&utilization.len()), "{}", utilization.len());
    assert_eq!((utilization.first(), utilization.last()), (Some(&0.0), Some(&90.0)));
    let process = series(&heard, "process_utilization_percent");
    // NVML is silent about an idle process that it lists: on this GPU that is a real zero.
    assert_eq!((process.first(), process.last()), (Some(&0.0), Some(&80.0)));
    assert_eq!(series(&heard, "server_memory_bytes")[0], f64::from(4 << 20));
    let uuid = heard.lines.iter().find(|line| line["part"]["gpu"] == 0).unwrap();
    assert_eq!(uuid["part"]["uuid"]["known"], "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d");
    assert_eq!(series(&heard, "sm_clock_mhz")[0], 345.0);
    let energy = series(&heard, "energy_millijoules");
    let gained = energy.last().unwrap() - energy[0];
    assert!((200_000.0..700_000.0).contains(&gained), "{gained} mJ in two seconds, of which one at 500 W");
}

#[test]
fn without_a_ring_the_current_value_stands_in_and_unknown_pids_are_no_zero() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    let text = std::fs::read_to_string(setup::scenario("healthy-busy")).unwrap();
    std::fs::write(&scenario, text + "    keeps_samples: false\n").unwrap();
    let heard = sample_for(Duration::from_secs(1), r#"{"server_pids": [77]}"#, &scenario);
    assert_eq!(series(&heard, "utilization_percent")[0], 97.0);
    assert_eq!(
        (why(&heard, "process_utilization_percent"), why(&heard, "server_memory_bytes")),
        (&"absent".into(), &"absent".into())
    );
    let heard = sample_for(Duration::from_secs(1), r#"{"server_pids": []}"#, &scenario);
    assert_eq!(why(&heard, "process_utilization_percent"), "not_asked");
}

#[test]
fn what_is_not_supported_is_asked_once_and_its_reason_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, calls) = (folder.path().join("scenario.yaml"), folder.path().join("calls"));
    let text = std::fs::read_to_string(setup::scenario("healthy-busy")).unwrap();
    let faults = "faults:\n  - {call: nvmlDeviceGetPowerUsage, returns: 3}\n  - {call: nvmlDeviceGetTemperature, returns: 999}\n";
    let text = text.replace("    sm_activity_percent: 62\n", "");
    std::fs::write(&scenario, format!("call_log: {}\n{text}{faults}", calls.display())).unwrap();
    let heard = sample_for(Duration::from_millis(1700), "{}", &scenario);
    let calls = std::fs::read_to_string(calls).unwrap();
    assert_eq!(calls.matches("nvmlDeviceGetPowerUsage").count(), 1, "refused for good");
    assert_eq!(calls.matches("nvmlDeviceGetTemperature").count(), 2, "a fault is asked for again, seldom");
    assert_eq!(calls.matches("nvmlGpmSampleGet").count(), 0);
    for (counter, reason) in [
        ("power_milliwatts", "unsupported"),
        ("sm_activity_percent", "unsupported"),
        ("temperature_celsius", "unsupported"),
    ] {
        assert_eq!(why(&heard, counter), reason, "{counter}");
        let told = heard.lines.iter().filter(|line| line["part"]["unread"] == counter).count();
        assert_eq!((told, series(&heard, counter).len()), (1, 0), "{counter}");
    }
    assert!(series(&heard, "utilization_percent").len() > 10);
}

#[test]
fn a_burst_between_two_readings_is_in_the_ring() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    let text = std::fs::read_to_string(setup::scenario("healthy-idle")).unwrap();
    // 60 ms of work, on a driver that takes a sample every 20 ms; it is read four times a second only.
    let burst = "utilization_percent: {steps: [[0, 0], [0.9, 100], [0.96, 0]]}\n    samples_per_second: 50";
    std::fs::write(&scenario, text.replace("utilization_percent: 0", burst)).unwrap();
    let heard = sample_for(Duration::from_millis(2200), r#"{"period_ms": 250}"#, &scenario);
    let utilization = series(&heard, "utilization_percent");
    assert!((5..=11).contains(&utilization.len()), "{utilization:?}");
    assert!(utilization.contains(&100.0), "{utilization:?}");
    assert_eq!(utilization[0], 0.0);
}

#[test]
fn older_drivers_lack_calls_and_are_sampled_all_the_same() {
    let missing = [
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetProcessesUtilizationInfo",
        "nvmlGpmQueryDeviceSupport",
        "nvmlGpmSampleFree",
    ];
    let driver = setup::driver_without(&missing);
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    let text = std::fs::read_to_string(setup::scenario("healthy-busy")).unwrap().replace("550.163.01", "470.256.02");
    std::fs::write(&scenario, text + "    processes: [{pid: 77, used_mib: 4, utilization_percent: 80}]\n").unwrap();
    let mut child = start("nvml-samples", r#"{"server_pids": [77]}"#, driver.path(), &scenario);
    let input = child.stdin.take();
    std::thread::sleep(Duration::from_millis(600));
    drop(input);
    let heard = hear(child, Duration::from_secs(20));
    assert_eq!(heard.ended, "exit status: 0");
    assert_eq!(series(&heard, "server_memory_bytes")[0], f64::from(4 << 20));
    assert_eq!(series(&heard, "process_utilization_percent")[0], 80.0);
    assert!(series(&heard, "memory_used_bytes")[0] > 0.0);
    assert_eq!(why(&heard, "sm_activity_percent"), "unsupported");
}

#[test]
fn samples_before_a_crash_are_kept() {
    let (_folder, scenario) = setup::scenario_with_faults(
        "healthy-busy",
        &["{call: nvmlDeviceGetPowerUsage, after_calls: 3, does: segfault}"],
    );
    let started = Instant::now();
    let heard = sample_for(Duration::from_secs(1), "{}", &scenario);
    assert!(heard.ended.starts_with("signal: 11"), "{}", heard.ended);
    assert_eq!(series(&heard, "power_milliwatts").len(), 3);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn pcie_is_read_now_and_then_and_no_more_where_it_is_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, calls) = (folder.path().join("scenario.yaml"), folder.path().join("calls"));
    let text = std::fs::read_to_string(setup::scenario("healthy-busy")).unwrap();
    let bus = "    health: {pcie_received_kb_per_s: 1500, pcie_sent_kb_per_s: null}\n";
    std::fs::write(&scenario, format!("call_log: {}\n{text}{bus}", calls.display())).unwrap();
    let heard = sample_for(Duration::from_millis(1600), "{}", &scenario);
    let (samples, read) = (series(&heard, "power_milliwatts").len(), series(&heard, "pcie_received_bytes_per_second"));
    assert!(samples > 15 && (1..samples / 2).contains(&read.len()), "{} of {samples}", read.len());
    // Both directions are asked for until the GPU says of one that it does not count it.
    assert!(read.iter().all(|bytes| *bytes == 1_500_000.0), "{read:?}");
    assert_eq!(series(&heard, "pcie_sent_bytes_per_second"), Vec::<f64>::new());
    assert_eq!(why(&heard, "pcie_sent_bytes_per_second"), "unsupported");
    let calls = std::fs::read_to_string(calls).unwrap();
    let calls = calls.matches("nvmlDeviceGetPcieThroughput").count();
    assert!((read.len() + 1..=read.len() + 2).contains(&calls), "{calls} calls, one of them a refusal");
}
