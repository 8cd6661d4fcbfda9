//! The GPU works with each request: nothing is blamed.

use crate::setup::doctor::{causes, diagnosis, seen, verdict};
use crate::staged::{Setting, WITH_LANG, alone, holding};

#[test]
fn a_server_that_works_has_no_cause() {
    let setting = Setting { variables: &[("OUTCOMES_LANG", "1"), ("OUTCOMES_GPU_MS", "20")], ..Setting::default() };
    let Some(stage) = setting.start() else { return };
    let (said, report) = stage.doctor(WITH_LANG, &[]);
    assert_eq!(holding(&report), Vec::<&str>::new(), "{}", report["headline"]);
    assert_eq!(report["verdict"], "healthy", "{}", report["headline"]);
    assert_eq!(said.code, 0);
    assert_eq!(verdict(&report, "gpu-idle-while-serving"), "clear", "{}", seen(&report, "execution"));
}

#[test]
fn a_fast_model_behind_slow_preparing_is_told_with_the_split() {
    let _alone = alone();
    let variables = [("OUTCOMES_CPU_MS", "90"), ("OUTCOMES_GPU_MS", "4"), ("OUTCOMES_REPORTS", "1")];
    let Some(stage) = (Setting { variables: &variables, ..Setting::default() }).start() else { return };
    // Kernels of 4 ms in 100: the driver's utilization is a mean over its own window.
    stage.scenario(|text| {
        text.replace("busy: 97", "busy: 6").replace("busy: 95", "busy: 5").replace("busy: 520000", "busy: 80000")
    });
    let (said, report) = stage.doctor(WITH_LANG, &[]);
    assert_eq!(said.code, 0, "{}", report["headline"]);
    assert_eq!(causes(&report)[0], "cpu-preprocessing-bound", "{}", report["headline"]);
    let cause = diagnosis(&report, "cpu-preprocessing-bound");
    assert_eq!(cause["severity"], "warn");
    let because = cause["because"].as_str().unwrap();
    assert!(because.contains("ms in the model (the answer's field inference_time_ms)"), "{because}");
    assert!(because.contains("CPU cores busy") && because.contains("Busiest threads: python"), "{because}");
    assert_eq!(verdict(&report, "gpu-idle-while-serving"), "clear");
}
