//! Every request is rejected: the GPU has nothing to do, and is not to blame.

use crate::setup::doctor::{diagnosis, verdict};
use crate::staged::{Setting, WITHOUT_LANG, holding};

#[test]
fn the_missing_field_is_the_one_cause_on_a_deployment_that_works_with_it() {
    let setting = Setting { variables: &[("OUTCOMES_LANG", "1"), ("OUTCOMES_GPU_MS", "20")], ..Setting::default() };
    let Some(stage) = setting.start() else { return };
    let (said, report) = stage.doctor(WITHOUT_LANG, &[]);
    assert_eq!(said.code, 1, "{}", report["headline"]);
    assert_eq!(holding(&report), ["required-field-missing"], "{}", report["headline"]);
    let expected = "GPU is idle because every request is rejected: POST /asr answers 400 without the form field \"lang\" \
                    (200 with lang=en)";
    assert_eq!(report["headline"], expected);
    let cause = diagnosis(&report, "required-field-missing");
    assert_eq!((&cause["confidence"], &cause["severity"]), (&"proven".into(), &"fail".into()));
    assert!(cause["because"].as_str().unwrap().contains("lang parameter is required"), "{}", cause["because"]);
    assert!(cause["fix"][0]["run"].as_str().unwrap().contains("lang=en"), "{}", cause["fix"]);
    // With the field the GPU works, so that its idleness is the rejection's doing alone.
    assert_eq!(verdict(&report, "gpu-idle-while-serving"), "clear");
    assert_eq!(verdict(&report, "wrapper-runs-onnx-or-cpu-internally"), "clear");
    assert_eq!(verdict(&report, "server-not-restarted"), "clear");
}
