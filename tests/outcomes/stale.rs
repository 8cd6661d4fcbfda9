//! The server runs what stood in its files when it was started.

use crate::setup::doctor::{causes, diagnosis, verdict};
use crate::staged::{Setting, Stage, WITH_LANG, WITHOUT_LANG, alone};
use std::time::{Duration, SystemTime};

/// Changes the code on disk, as a user does who mends it.
fn mend(stage: &Stage, old: &str, new: &str) {
    let code = stage.folder.path().join("app.py");
    let text = std::fs::read_to_string(&code).unwrap();
    assert!(text.contains(old));
    std::fs::write(&code, text.replace(old, new)).unwrap();
    let file = std::fs::File::options().append(true).open(&code).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(30)).unwrap();
}

#[test]
fn a_wrapper_that_was_mended_on_disk_still_runs() {
    let _alone = alone();
    let Some(stage) = (Setting { variables: &[("OUTCOMES_CPU_MS", "60")], ..Setting::default() }).start() else {
        return;
    };
    mend(&stage, "    work_on_cpu()\n", "");
    let (said, report) = stage.doctor(WITH_LANG, &[]);
    assert_eq!(said.code, 1);
    let told = causes(&report);
    assert!(told.contains(&"server-not-restarted"), "{told:?}");
    let cause = diagnosis(&report, "server-not-restarted");
    assert_eq!(cause["subjects"][0], format!("PID {}", stage.pid()));
    assert!(cause["because"].as_str().unwrap().contains("app.py"), "{}", cause["because"]);
    assert_eq!(cause["fix"][0]["run"], format!("kill {}", stage.pid()));
    assert!(report["headline"].as_str().unwrap().contains(&format!("PID {} started", stage.pid())));
}

#[test]
fn all_three_of_the_first_day_are_listed_and_the_rejection_comes_first() {
    let _alone = alone();
    let variables = [("OUTCOMES_LANG", "1"), ("OUTCOMES_CPU_MS", "60")];
    let Some(stage) = (Setting { variables: &variables, ..Setting::default() }).start() else { return };
    mend(&stage, "lang: Optional[str] = Form(None)", "lang: str = Form(\"en\")");
    let (said, report) = stage.doctor(WITHOUT_LANG, &[]);
    assert_eq!(said.code, 1);
    let told = causes(&report);
    assert_eq!(told[0], "required-field-missing", "{}", report["headline"]);
    let mut others = told[1..].to_vec();
    others.sort_unstable();
    assert_eq!(others, ["server-not-restarted", "wrapper-runs-onnx-or-cpu-internally"], "{}", report["headline"]);
    let headline = report["headline"].as_str().unwrap();
    for part in ["without the form field \"lang\"", "the work runs on the CPU", "the server still runs old code"] {
        assert!(headline.contains(part), "{headline}");
    }
    assert_eq!(verdict(&report, "gpu-idle-while-serving"), "holds");
    let owners =
        report["diagnoses"].as_array().unwrap().iter().filter(|one| one["explains"].to_string().contains("gpu-idle"));
    assert!(owners.count() >= 1);
}
