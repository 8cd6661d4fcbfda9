//! Driver faults through the whole run: it ends in its budget and says so.

use crate::setup::doctor::{causes, diagnosis, gpu_doctor, outcome, verdict};
use crate::setup::{driver_variables, scenario, scenario_with_faults};
use std::time::Duration;

#[test]
fn nvml_hangs() {
    let said = gpu_doctor(&["run", "--format", "json"], &driver_variables(&scenario("nvml-hang")));
    let report = said.report();
    assert!(said.took < Duration::from_secs(20), "{:?}", said.took);
    assert_eq!(outcome(&report, "nvml"), "timed_out");
    let unknown = report["unknown"].to_string();
    assert!(unknown.contains("no answer in nvml"), "{unknown}");
    assert_eq!(outcome(&report, "host"), "ok", "the other probes are intact");
    assert_ne!(verdict(&report, "no-nvidia-device"), "holds", "a driver that hangs drives something");
    assert_eq!(said.code, 2);
}

#[test]
fn nvml_crashes() {
    let said = gpu_doctor(&["run", "--format", "json"], &driver_variables(&scenario("nvml-crash")));
    let report = said.report();
    assert_eq!(outcome(&report, "nvml"), "crashed");
    assert!(report["unknown"].to_string().contains("segmentation fault in nvml"), "{}", report["unknown"]);
    assert_eq!(said.code, 2);
}

#[test]
fn nvml_returns_18() {
    let said = gpu_doctor(&["run", "--format", "json"], &driver_variables(&scenario("nvml-mismatch")));
    let report = said.report();
    assert_eq!(causes(&report), ["driver-library-version-mismatch"]);
    assert!(
        diagnosis(&report, "driver-library-version-mismatch")["because"].as_str().unwrap().contains("NVML answers 18")
    );
    assert_eq!(said.code, 1);
}

#[test]
fn a_healthy_machine_has_no_cause() {
    let said = gpu_doctor(&["run", "--format", "json"], &driver_variables(&scenario("healthy-idle")));
    let report = said.report();
    assert_eq!(causes(&report), Vec::<&str>::new());
    assert_eq!(report["verdict"], "healthy", "{}", report["headline"]);
    assert_eq!(said.code, 0);
}

#[test]
fn the_whole_run_ends_at_its_timeout() {
    let (_folder, scenario) = scenario_with_faults("healthy-idle", &["{call: '*', does: hang}"]);
    let said = gpu_doctor(&["run", "--format", "json", "--timeout", "1s"], &driver_variables(&scenario));
    let report = said.report();
    assert!(said.took < Duration::from_secs(12), "{:?}", said.took);
    assert_eq!(outcome(&report, "nvml"), "timed_out");
    assert_eq!(outcome(&report, "cuda"), "timed_out");
}
