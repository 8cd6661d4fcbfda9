//! The doctor's own kernel, on the fake CUDA that really adds, and its faults.

use crate::setup::doctor::{causes, diagnosis, gpu_doctor, verdict};
use crate::setup::{driver_variables, scenario, scenario_with_faults};
use serde_json::Value;
use std::time::Duration;

fn smoke_run(folder_and_scenario: &std::path::Path) -> Value {
    let said = gpu_doctor(&["collect", "--smoke"], &driver_variables(folder_and_scenario));
    let snapshot = said.report();
    snapshot["facts"]["smoke"]["runs"]["known"].clone()
}

#[test]
fn the_kernel_runs_only_when_asked_for() {
    let said = gpu_doctor(&["run", "--format", "json"], &driver_variables(&scenario("healthy-idle")));
    assert_eq!(verdict(&said.report(), "smoke-kernel-fails"), "not_applicable");
}

#[test]
fn the_sum_is_verified_and_timed() {
    let runs = smoke_run(&scenario("healthy-idle"));
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
    assert_eq!(runs[0]["verified"]["known"], true, "{runs}");
    assert_eq!(runs[0]["code"]["known"], 0);
    assert!(runs[0]["kernel_ms"]["known"].as_f64().unwrap() > 0.0, "{runs}");
    assert!(runs[0]["total_ms"]["known"].as_f64().unwrap() > runs[0]["kernel_ms"]["known"].as_f64().unwrap());
    let said = gpu_doctor(&["run", "--smoke", "--format", "json"], &driver_variables(&scenario("healthy-idle")));
    assert_eq!((said.report()["verdict"].as_str(), said.code), (Some("healthy"), 0));
}

#[test]
fn a_wrong_sum_is_a_failure() {
    let (folder, _) = scenario_with_faults("healthy-idle", &[]);
    let text = std::fs::read_to_string(scenario("healthy-idle")).unwrap();
    let wrong = folder.path().join("wrong.yaml");
    std::fs::write(&wrong, format!("{text}\nwrong_sums: true\n")).unwrap();
    let said = gpu_doctor(&["run", "--smoke", "--format", "json"], &driver_variables(&wrong));
    let report = said.report();
    assert_eq!(causes(&report), ["smoke-kernel-fails"]);
    let because = diagnosis(&report, "smoke-kernel-fails")["because"].as_str().unwrap();
    assert!(because.contains("device 0: the sum of two vectors came back wrong"), "{because}");
    assert_eq!(said.code, 1);
}

#[test]
fn a_call_that_fails_is_named_with_its_code() {
    for (call, code, name) in [
        ("cuMemAlloc_v2", 2, "CUDA_ERROR_OUT_OF_MEMORY"),
        ("cuDevicePrimaryCtxRetain", 46, "CUDA_ERROR_DEVICE_UNAVAILABLE"),
        ("cuModuleLoadData", 221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND"),
        ("cuLaunchKernel", 209, "CUDA_ERROR_NO_BINARY_FOR_GPU"),
        // A code that this program has never heard of is a number, and no crash.
        ("cuLaunchKernel", 12345, "CUDA result 12345"),
    ] {
        let fault = format!("{{call: {call}, returns: {code}}}");
        let (_folder, scenario) = scenario_with_faults("healthy-idle", &[&fault]);
        let runs = smoke_run(&scenario);
        assert_eq!(runs[0]["code"]["known"], code, "{call}: {runs}");
        let error = runs[0]["error"]["known"].as_str().unwrap();
        assert!(error.starts_with(call) && error.contains(name), "{error}");
        assert!(runs[0]["verified"]["unknown"].is_object(), "{runs}");
    }
}

#[test]
fn a_device_that_hangs_or_crashes_does_not_hide_the_other() {
    let base = std::fs::read_to_string(scenario("two-gpus-one-lost")).unwrap();
    let text = base.replace("faults:\n", "faults:\n  - {call: cuDeviceGet, gpu: 0, does: segfault}\n");
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    std::fs::write(&scenario, text).unwrap();
    let said = gpu_doctor(&["collect", "--smoke", "--timeout", "30s"], &driver_variables(&scenario));
    assert!(said.took < Duration::from_secs(40), "{:?}", said.took);
    let runs = said.report()["facts"]["smoke"]["runs"]["known"].clone();
    assert_eq!(runs.as_array().unwrap().len(), 2, "{runs}");
    assert_eq!(runs[0]["verified"]["unknown"]["why"], "crashed", "{runs}");
    // In this scenario the second one is lost, and says so.
    assert_eq!(runs[1]["code"]["known"], 101, "{runs}");
}
