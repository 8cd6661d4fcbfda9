//! The doctor's own kernel, on the fake CUDA that really adds, and its faults.

use crate::plain_server;
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

/// A run of `collect --smoke` under a scenario whose values follow the kernels; `change` may alter its text.
fn controlled(base: &str, change: impl Fn(&str) -> String) -> (Value, Duration, String) {
    let folder = tempfile::tempdir().unwrap();
    let (path, log) = (folder.path().join("scenario.yaml"), folder.path().join("calls"));
    let text = change(&std::fs::read_to_string(scenario(base)).unwrap());
    std::fs::write(&path, format!("call_log: {}\n{text}", log.display())).unwrap();
    let mut variables = driver_variables(&path).to_vec();
    variables.push(("GPU_DOCTOR_FAKE_ACTIVITY", folder.path().join("activity")));
    variables.push(("GPU_DOCTOR_FAKE_SERVER_PID", folder.path().join("pid")));
    let said = gpu_doctor(&["collect", "--smoke", "--only", "cuda", "--include-identifiers"], &variables);
    let runs = said.report()["facts"]["smoke"]["runs"]["known"].clone();
    assert_eq!(runs[0]["verified"]["known"], true, "{runs}");
    assert!(!folder.path().join("activity").exists(), "the context was given back");
    (runs, said.took, std::fs::read_to_string(log).unwrap())
}

fn launches(log: &str) -> usize {
    log.matches(" cuLaunchKernel").count()
}

#[test]
fn counters_that_follow_the_kernel_are_recorded_beside_it() {
    let (runs, took, log) = controlled("following-kernels", str::to_owned);
    let run = &runs[0];
    assert_eq!(run["uuid"]["known"], "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d");
    let busy_ms = run["busy_ms"]["known"].as_f64().unwrap();
    assert!((1500.0..4000.0).contains(&busy_ms), "{busy_ms}");
    assert!(launches(&log) > 3, "{log}");
    let counters = &run["counters"]["known"];
    for (counter, rest, work) in [
        ("utilization_percent", 0.0, 97.0),
        ("process_utilization_percent", 0.0, 99.0),
        ("sm_activity_percent", 0.0, 62.0),
        ("power_milliwatts", 68e3, 320e3),
        ("sm_clock_mhz", 345.0, 1980.0),
    ] {
        let phases = &counters[counter]["known"];
        assert!(
            phases["before"]["samples"].as_u64().unwrap() >= 3 || counter == "process_utilization_percent",
            "{counter}: {phases}"
        );
        assert_eq!((&phases["before"]["max"], &phases["during"]["max"]), (&rest.into(), &work.into()), "{counter}");
        assert!(phases["during"]["samples"].as_u64().unwrap() >= 3, "{counter}: {phases}");
    }
    let rates = &counters["energy_milliwatts"]["known"];
    assert!(rates["during"]["known"].as_f64() > rates["before"]["known"].as_f64(), "{rates}");
    assert_eq!(counters["timeline"]["unknown"]["why"], "not_asked");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn counters_that_stay_flat_are_recorded_as_flat() {
    let (runs, ..) = controlled("following-kernels", |text| {
        text.replace("busy: 97}", "busy: 0}").replace("busy: 62}", "busy: 0}").replace("busy: 1980,", "busy: 345,")
    });
    let counters = &runs[0]["counters"]["known"];
    let flat = &counters["utilization_percent"]["known"];
    assert_eq!((&flat["during"]["max"], &flat["before"]["max"]), (&0.0.into(), &0.0.into()), "{counters}");
    assert_eq!(counters["sm_clock_mhz"]["known"]["during"]["max"], 345.0);
    assert_eq!(counters["process_utilization_percent"]["known"]["during"]["max"], 99.0, "{counters}");
}

#[test]
fn counters_that_are_not_told_stay_unknown_beside_a_kernel_that_runs() {
    let (runs, ..) = controlled("mig-two-instances", str::to_owned);
    let counters = &runs[0]["counters"]["known"];
    assert_eq!(counters["utilization_percent"]["unknown"]["why"], "unsupported", "{}", runs[0]);
    assert_eq!(counters["process_utilization_percent"]["unknown"]["why"], "unsupported");
    assert!(runs[0]["busy_ms"]["known"].as_f64().unwrap() >= 1500.0);
}

#[test]
fn a_gpu_that_has_work_is_not_kept_busy() {
    let (runs, _, log) = controlled("healthy-busy", |text| format!("{text}\n"));
    let unknown = &runs[0]["busy_ms"]["unknown"];
    assert_eq!(unknown["why"], "not_asked", "{runs}");
    assert!(unknown["detail"].as_str().unwrap().contains("GPU 0 has work already (utilization "), "{unknown}");
    assert_eq!(runs[0]["counters"]["unknown"], *unknown);
    assert_eq!(launches(&log), 1, "once, for the sum: {log}");
}

#[test]
fn nvml_that_cannot_be_sampled_leaves_the_kernel_verified() {
    let (runs, _, log) =
        controlled("healthy-idle", |text| format!("{text}faults:\n  - {{call: nvmlInit_v2, returns: 9}}\n"));
    assert_eq!(runs[0]["counters"]["unknown"]["detail"], "nvmlInit_v2: the driver is not loaded (NVML 9)", "{runs}");
    assert!(runs[0]["uuid"]["known"].is_string(), "CUDA tells it: {runs}");
    assert_eq!(launches(&log), 1);
}

/// A server that answers and computes nothing on the GPU, examined under a scenario: the report and what `--smoke` adds.
fn served(arguments: &[&str], change: impl Fn(&str) -> String) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario.yaml");
    std::fs::write(&path, change(&std::fs::read_to_string(scenario("following-kernels")).unwrap())).unwrap();
    let mut variables = driver_variables(&path).to_vec();
    variables.push(("GPU_DOCTOR_FAKE_ACTIVITY", folder.path().join("activity")));
    variables.push(("GPU_DOCTOR_FAKE_SERVER_PID", folder.path().join("pid")));
    // libcuda is loaded with the server's variables.
    let server = plain_server::start_with(folder.path(), &["--spin", "0.01"], &variables);
    let request = server.client_request(folder.path(), "/infer");
    let url = server.url();
    let given = ["run", "--format", "json", "--server", &url, "--client-request", request.to_str().unwrap()];
    gpu_doctor(&[&given[..], arguments].concat(), &variables).report()
}

#[test]
fn idleness_that_the_control_confirms_is_proven_and_without_it_likely() {
    for (arguments, confidence) in [(&["--smoke"][..], "proven"), (&[][..], "likely")] {
        let report = served(arguments, str::to_owned);
        let cause = diagnosis(&report, "gpu-idle-while-serving");
        assert_eq!(cause["confidence"], confidence, "{report}");
        let because = cause["because"].as_str().unwrap();
        assert_eq!(
            because.contains("rose while the doctor's own kernel ran there"),
            confidence == "proven",
            "{because}"
        );
    }
}

#[test]
fn idleness_by_counters_that_are_blind_is_not_told() {
    let blind = |text: &str| {
        let busy = [("97", "0"), ("62", "0"), ("320000", "68000"), ("1980", "345"), ("99", "0")];
        busy.iter().fold(text.to_owned(), |text, (busy, rest)| {
            text.replace(&format!("busy: {busy}"), &format!("busy: {rest}"))
        })
    };
    let report = served(&["--smoke"], blind);
    assert_eq!(verdict(&report, "gpu-idle-while-serving"), "unknown", "{}", report["headline"]);
    assert!(report["headline"].as_str().unwrap().contains("the doctor's own kernel did not move it either"));
    assert_eq!(verdict(&served(&[], blind), "gpu-idle-while-serving"), "holds", "without the control nobody knows");
}
