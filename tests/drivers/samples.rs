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

/// Values of one counter of GPU 0, in order.
fn series<'a>(heard: &'a Heard, counter: &'a str) -> Vec<&'a serde_json::Value> {
    let samples = heard.lines.iter().filter_map(|line| line.get("part"));
    samples.map(|sample| &sample["gpus"][0][counter]).collect()
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
    assert_eq!(utilization.first().unwrap()["known"], 0);
    assert_eq!(utilization.last().unwrap()["known"], 90);
    let process = series(&heard, "process_utilization_percent");
    // NVML is silent about an idle process that it lists: on this GPU that is a real zero.
    assert_eq!((&process[0]["known"], &process.last().unwrap()["known"]), (&0.into(), &80.into()));
    assert_eq!(series(&heard, "server_memory_bytes")[0]["known"], 4 << 20);
    assert_eq!(series(&heard, "uuid")[0]["known"], "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d");
    assert_eq!(series(&heard, "sm_clock_mhz")[0]["known"], 345);
    let energy: Vec<u64> =
        series(&heard, "energy_millijoules").iter().map(|fact| fact["known"].as_u64().unwrap()).collect();
    let gained = energy.last().unwrap() - energy[0];
    assert!((200_000..700_000).contains(&gained), "{gained} mJ in two seconds, of which one at 500 W");
}

#[test]
fn without_a_ring_the_current_value_stands_in_and_unknown_pids_are_no_zero() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    let text = std::fs::read_to_string(setup::scenario("healthy-busy")).unwrap();
    std::fs::write(&scenario, text + "    keeps_samples: false\n").unwrap();
    let heard = sample_for(Duration::from_secs(1), r#"{"server_pids": [77]}"#, &scenario);
    assert_eq!(series(&heard, "utilization_percent")[0]["known"], 97);
    assert_eq!(series(&heard, "process_utilization_percent")[0]["unknown"]["why"], "absent");
    assert_eq!(series(&heard, "server_memory_bytes")[0]["unknown"]["why"], "absent");
    let heard = sample_for(Duration::from_secs(1), r#"{"server_pids": []}"#, &scenario);
    assert_eq!(series(&heard, "process_utilization_percent")[0]["unknown"]["why"], "not_asked");
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
    let samples = series(&heard, "pcie_received_bytes_per_second");
    let read: Vec<_> = samples.iter().filter(|fact| !fact.is_null()).collect();
    assert!(samples.len() > 15 && (1..samples.len() / 2).contains(&read.len()), "{} of {}", read.len(), samples.len());
    // Both directions are asked for until the GPU says of one that it does not count it.
    assert!(read.iter().all(|fact| fact["known"] == 1_500_000), "{read:?}");
    let sent: Vec<_> =
        series(&heard, "pcie_sent_bytes_per_second").into_iter().filter(|fact| !fact.is_null()).collect();
    assert_eq!((sent.len(), &sent[0]["unknown"]["why"]), (1, &"unsupported".into()), "{sent:?}");
    let calls = std::fs::read_to_string(calls).unwrap();
    assert_eq!(calls.matches("nvmlDeviceGetPcieThroughput").count(), read.len() + 1, "one refusal");
}
