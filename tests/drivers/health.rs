//! The health of GPUs as the fake driver plays it, and as it is read.

use crate::jobs::{Heard, hear, play, start};
use crate::setup;
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

fn played(name: &str) -> Heard {
    play("nvml", &setup::scenario(name), LIMIT)
}

#[test]
fn a_sound_gpu_tells_its_health() {
    let nvml = played("healthy-idle");
    for (field, value) in [
        ("handle_code", json!(0)),
        ("temperature_slowdown_celsius", json!(90)),
        ("temperature_shutdown_celsius", json!(95)),
        ("power_limit_milliwatts", json!(700_000)),
        ("power_limit_default_milliwatts", json!(700_000)),
        ("power_limit_max_milliwatts", json!(700_000)),
        ("sm_clock_mhz", json!(345)),
        ("sm_clock_max_mhz", json!(1980)),
        ("throttle_reasons_bits", json!(1)),
        ("throttle_reasons", json!(["gpu_idle"])),
        ("persistence_mode", json!(true)),
        ("pcie_link_generation", json!(5)),
        ("pcie_link_generation_max", json!(5)),
        ("pcie_link_width", json!(16)),
        ("pcie_link_width_max", json!(16)),
        ("pcie_replays", json!(0)),
        ("ecc_enabled", json!(true)),
        ("ecc_corrected_volatile", json!(0)),
        ("ecc_uncorrected_volatile", json!(0)),
        ("ecc_corrected_aggregate", json!(0)),
        ("ecc_uncorrected_aggregate", json!(0)),
        ("remapped_rows", json!({"correctable": 0, "uncorrectable": 0, "pending": false, "failure": false})),
        ("mig_devices", json!([])),
        ("virtualization", json!("none")),
        ("license", json!("not_needed")),
        ("fabric_state", json!("completed")),
        ("recovery_action", json!("none")),
    ] {
        assert_eq!(nvml.known(&format!("/gpus/known/0/{field}")), &value, "{field}");
    }
    assert!(nvml.known("/gpus/known/0/energy_millijoules").as_u64() > Some(0));
    // A card with remapped rows has no retired pages.
    assert_eq!(nvml.fact("/gpus/known/0/retired_pages_pending")["unknown"]["why"], "unsupported");
    assert_eq!(nvml.known("/source"), "libnvidia-ml.so.1");
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let first = namespace.to_str() == Some("pid:[4026531836]");
    assert_eq!(nvml.known("/host_pid_namespace"), first);
}

#[test]
fn every_counter_has_its_own_place() {
    let text = std::fs::read_to_string(setup::scenario("healthy-idle")).unwrap();
    let health = "    health: {ecc: [1, 2, 3, 4], remapped_rows: [5, 6, 1, 0], power_limits_milliwatts: [1, 2, 3], \
                  temperature_shutdown_celsius: null, recovery_action: 4, fabric_state: 2, pcie_replays: 9, \
                  pcie_generation: 1, pcie_width: 8, persistence_mode: false, retired_pages_pending: true}\n";
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    std::fs::write(&scenario, text + health).unwrap();
    let nvml = play("nvml", &scenario, LIMIT);
    for (field, value) in [
        ("ecc_corrected_volatile", json!(1)),
        ("ecc_uncorrected_volatile", json!(2)),
        ("ecc_corrected_aggregate", json!(3)),
        ("ecc_uncorrected_aggregate", json!(4)),
        ("remapped_rows", json!({"correctable": 5, "uncorrectable": 6, "pending": true, "failure": false})),
        ("power_limit_milliwatts", json!(1)),
        ("power_limit_default_milliwatts", json!(2)),
        ("power_limit_max_milliwatts", json!(3)),
        ("recovery_action", json!("drain_and_reset")),
        ("fabric_state", json!("in_progress")),
        ("pcie_replays", json!(9)),
        ("pcie_link_generation", json!(1)),
        ("pcie_link_width", json!(8)),
        ("persistence_mode", json!(false)),
        ("retired_pages_pending", json!(true)),
    ] {
        assert_eq!(nvml.known(&format!("/gpus/known/0/{field}")), &value, "{field}");
    }
    let shutdown = nvml.fact("/gpus/known/0/temperature_shutdown_celsius");
    assert_eq!(shutdown["unknown"]["why"], "unsupported");
}

#[test]
fn a_lost_gpu_tells_its_code_and_so_does_one_that_is_lost_while_it_is_read() {
    let nvml = played("two-gpus-one-lost");
    assert_eq!(nvml.known("/gpus/known/0/handle_code"), 0);
    let lost = nvml.fact("/gpus/known/1");
    assert_eq!(lost["handle_code"]["known"], 15, "{lost}");
    assert_eq!(lost["recovery_action"]["unknown"]["why"], "absent");
    for (code, fault) in
        [(15, "{call: nvmlDeviceGetPowerUsage, returns: 15}"), (16, "{call: nvmlDeviceGetUUID, returns: 16}")]
    {
        let (_folder, scenario) = setup::scenario_with_faults("healthy-idle", &[fault]);
        let nvml = play("nvml", &scenario, LIMIT);
        assert_eq!(nvml.known("/gpus/known/0/handle_code"), code, "{fault}");
    }
}

#[test]
fn mig_devices_are_listed_by_name() {
    let nvml = played("mig-two-instances");
    assert_eq!(nvml.known("/gpus/known/0/mig_enabled"), true);
    let devices = nvml.known("/gpus/known/0/mig_devices");
    let uuids: Vec<&str> =
        devices.as_array().unwrap().iter().map(|device| device["uuid"]["known"].as_str().unwrap()).collect();
    assert_eq!(uuids.len(), 2);
    assert!(uuids.iter().all(|uuid| uuid.starts_with("MIG-")), "{uuids:?}");
    assert_eq!(nvml.fact("/gpus/known/0/utilization_percent")["unknown"]["why"], "unsupported");
    assert_eq!(played("mig-no-instance").known("/gpus/known/0/mig_devices"), &json!([]));
}

#[test]
fn the_samples_hold_what_slows_a_gpu_down() {
    let mut child =
        start("nvml-samples", r#"{"period_ms": 50}"#, setup::fake_driver(), &setup::scenario("thermal-slowdown"));
    let input = child.stdin.take();
    std::thread::sleep(Duration::from_millis(400));
    drop(input);
    let heard = hear(child, LIMIT);
    let samples: Vec<_> = heard.lines.iter().filter_map(|line| line["part"]["gpus"].get(0)).collect();
    let last = |counter: &str| samples.iter().rev().map(|gpu| &gpu[counter]).find(|value| !value.is_null()).unwrap();
    assert_eq!(last("throttle_reasons_bits"), 0x48);
    assert_eq!(last("temperature_celsius"), 93);
    assert_eq!(last("pcie_link_generation"), 5);
    assert_eq!(last("pcie_link_width"), 16);
    assert_eq!(last("pcie_replays"), 0);
}
