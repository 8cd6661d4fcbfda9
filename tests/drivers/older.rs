//! Older drivers: what they lack is unsupported, never zero, and costs nothing else.

use crate::jobs::{Heard, hear, start};
use crate::setup;
use std::path::Path;
use std::time::Duration;

/// Functions that came with driver 525, 535 and 550 (NVML's headers), of those that are asked for.
const SINCE_525: &[&str] = &["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetComputeRunningProcesses_v3"];
const SINCE_535: &[&str] = &["nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetGpuFabricInfo"];
const SINCE_550: &[&str] = &["nvmlDeviceGetGpuFabricInfoV"];
/// And those that driver 450 lacked still.
const SINCE_470: &[&str] =
    &["nvmlDeviceGetRemappedRows", "nvmlDeviceGetMigMode", "nvmlDeviceGetGridLicensableFeatures_v4"];

fn played(library_path: &Path, version: &str, processes: &str) -> (tempfile::TempDir, Heard) {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    let text = std::fs::read_to_string(setup::scenario("healthy-idle")).unwrap().replace("550.163.01", version);
    std::fs::write(&scenario, text + processes).unwrap();
    let heard = hear(start("nvml", "{}", library_path, &scenario), Duration::from_secs(30));
    (folder, heard)
}

fn unsupported(heard: &Heard, field: &str, words: &str) {
    let unknown = &heard.fact(&format!("/gpus/known/0/{field}"))["unknown"];
    assert_eq!(unknown["why"], "unsupported", "{field}: {unknown}");
    assert!(unknown["detail"].as_str().unwrap().contains(words), "{field}: {unknown}");
}

#[test]
fn driver_470_has_older_calls_for_memory_and_processes_and_none_for_the_fabric() {
    let missing = [SINCE_525, SINCE_535, SINCE_550].concat();
    let folder = setup::driver_without(&missing);
    let processes = "    processes: [{pid: 41, used_mib: 2}]\n";
    let (_scenario, nvml) = played(folder.path(), "470.256.02", processes);
    assert_eq!(nvml.ended, "exit status: 0");
    let known = |field: &str| nvml.known(&format!("/gpus/known/0/{field}")).clone();
    assert_eq!(known("memory_total_bytes"), 81559u64 << 20);
    // The older call counts what the driver keeps for itself as used.
    assert_eq!(known("memory_used_bytes"), 551u64 << 20);
    assert_eq!(known("processes")[0]["pid"], 41);
    assert_eq!(known("throttle_reasons"), serde_json::json!(["gpu_idle"]));
    assert_eq!(known("remapped_rows")["pending"], false);
    assert_eq!(known("handle_code"), 0);
    unsupported(&nvml, "fabric_state", "undefined symbol: nvmlDeviceGetGpuFabricInfo");
}

#[test]
fn driver_535_has_the_older_call_for_the_fabric() {
    let folder = setup::driver_without(SINCE_550);
    let (_scenario, nvml) = played(folder.path(), "535.183.06", "");
    assert_eq!(nvml.known("/gpus/known/0/fabric_state"), "completed");
}

#[test]
fn driver_450_knows_neither_mig_nor_rows_nor_licenses() {
    let missing = [SINCE_470, SINCE_525, SINCE_535, SINCE_550].concat();
    let folder = setup::driver_without(&missing);
    let (_scenario, nvml) = played(folder.path(), "450.80.02", "");
    for field in ["mig_enabled", "mig_devices", "remapped_rows", "license", "fabric_state"] {
        unsupported(&nvml, field, "undefined symbol");
    }
    assert_eq!(nvml.known("/gpus/known/0/temperature_celsius"), 34, "the rest is read");
    assert_eq!(nvml.known("/gpus/known/0/recovery_action"), "none");
}

#[test]
fn a_driver_that_renamed_the_reasons_is_read_all_the_same() {
    let folder = setup::driver_without(&["nvmlDeviceGetCurrentClocksThrottleReasons"]);
    let (_scenario, nvml) = played(folder.path(), "600.10", "");
    assert_eq!(nvml.known("/gpus/known/0/throttle_reasons_bits"), 1);
}

#[test]
fn every_function_left_out_costs_its_own_facts_only() {
    // One at a time: whatever is missing, the rest is read and the child ends by itself.
    for (function, fields) in [
        ("nvmlDeviceGetTemperature", &["temperature_celsius"][..]),
        ("nvmlDeviceGetMaxClockInfo", &["sm_clock_max_mhz"]),
        ("nvmlDeviceGetTemperatureThreshold", &["temperature_slowdown_celsius", "temperature_shutdown_celsius"]),
        ("nvmlDeviceGetEnforcedPowerLimit", &["power_limit_milliwatts"]),
        ("nvmlDeviceGetTotalEccErrors", &["ecc_uncorrected_volatile", "ecc_corrected_aggregate"]),
        ("nvmlDeviceGetPcieReplayCounter", &["pcie_replays"]),
        ("nvmlDeviceGetFieldValues", &["recovery_action"]),
        ("nvmlDeviceGetVirtualizationMode", &["virtualization"]),
        ("nvmlDeviceGetMigDeviceHandleByIndex", &[]),
    ] {
        let folder = setup::driver_without(&[function]);
        let (_scenario, nvml) = played(folder.path(), "550.163.01", "");
        assert_eq!(nvml.ended, "exit status: 0", "{function}");
        for field in fields {
            unsupported(&nvml, field, function);
        }
        let read = nvml.lines.iter().filter(|line| !line["part"]["fact"]["known"].is_null()).count();
        assert!(read >= 40 - fields.len(), "{function}: {read} facts were read");
    }
}
