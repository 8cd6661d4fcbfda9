//! Causes that are accepted until a day: told, and not counted.

use crate::setup::doctor::{Said, gpu_doctor};
use std::path::{Path, PathBuf};

fn write(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("waivers.yaml");
    std::fs::write(&file, text).unwrap();
    let name = file.display().to_string();
    (folder, name)
}

fn snapshot(name: &str) -> String {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snapshots").join(format!("{name}.json"));
    file.display().to_string()
}

fn diagnose(base: &str, waivers: &str, format: &str) -> Said {
    let (_folder, file) = write(waivers);
    gpu_doctor(&["diagnose", &snapshot(base), "--waivers", &file, "--format", format], &[])
}

fn failing(base: &str) -> Vec<String> {
    let report = gpu_doctor(&["diagnose", &snapshot(base), "--format", "json"], &[]).report();
    let all = report["diagnoses"].as_array().unwrap().iter().filter(|one| one["severity"] == "fail");
    all.map(|one| one["cause"].as_str().unwrap().to_owned()).collect()
}

fn waivers(ids: &[String], until: &str) -> String {
    let each = ids.iter().map(|id| format!("  - {{id: {id}, reason: the image is on its way, until: {until}}}\n"));
    format!("waivers:\n{}", each.collect::<String>())
}

#[test]
fn a_waived_cause_is_shown_and_does_not_fail() {
    let ids = failing("cpu-package");
    let said = diagnose("cpu-package", &waivers(&ids, "2999-01-01"), "text");
    assert_ne!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("waived until 2999-01-01: the image is on its way"), "{}", said.out);
    assert!(said.out.contains(&ids[0]) && said.out.contains("fix"), "the cause is told whole: {}", said.out);
    let said = diagnose("cpu-package", &waivers(&ids, "2999-01-01"), "json");
    let report = said.report();
    assert_eq!(report["verdict"], "unhealthy", "the diagnosis is as it was");
    assert_ne!(report["verdict_apart_from_waived"], "unhealthy");
    assert_eq!(report["diagnoses"][0]["waived"]["until"], "2999-01-01");
    assert_eq!(report["waivers"][0]["standing"], "applied");
    assert_eq!(gpu_doctor(&["diagnose", &snapshot("cpu-package")], &[]).code, 1);
}

#[test]
fn one_that_has_expired_fails_and_is_told() {
    let ids = failing("cpu-package");
    let said = diagnose("cpu-package", &waivers(&ids, "2020-01-01"), "text");
    assert_eq!(said.code, 1);
    assert!(said.out.contains("expired on 2020-01-01, so that it counts again"), "{}", said.out);
    let report = diagnose("cpu-package", &waivers(&ids, "2020-01-01"), "json").report();
    assert!(report["diagnoses"][0].get("waived").is_none());
    assert!(report["headline"].as_str().unwrap().contains("waiver expired"));
}

#[test]
fn one_of_several_causes_leaves_the_others() {
    let ids = failing("a1");
    let said = diagnose("a1", &waivers(&ids[..1], "2999-01-01"), "json");
    assert_eq!(said.code, 1);
    assert_eq!(said.report()["verdict_apart_from_waived"], "unhealthy");
}

#[test]
fn one_that_matches_nothing_is_told() {
    let ids = ["ort-cpu-package-only".to_owned()];
    let said = diagnose("healthy-server", &waivers(&ids, "2999-01-01"), "text");
    assert_eq!(said.code, 0, "{}", said.out);
    assert!(said.out.contains("the waiver of ort-cpu-package-only is not used"), "{}", said.out);
}

#[test]
fn a_wrong_one_is_refused_before_anything_runs() {
    let with = |line: &str| format!("waivers:\n  - {line}\n");
    for (line, told) in [
        (
            "{id: ort-cpu-package-olny, reason: x, until: 2999-01-01}",
            ":2:10: waivers[0]: no check has the id \"ort-cpu-package-olny\"; did you mean ort-cpu-package-only",
        ),
        ("{id: ort-cpu-package-only, until: 2999-01-01}", ":2:5: waivers[0]: missing key `reason`"),
        ("{id: ort-cpu-package-only, reason: x}", "missing key `until`"),
        (
            "{id: ort-cpu-package-only, reason: ' ', until: 2999-01-01}",
            "waivers: the reason for ort-cpu-package-only is empty",
        ),
        ("{id: ort-cpu-package-only, reason: x, until: soon}", "expected a day, such as 2027-01-31"),
        ("{id: ort-cpu-package-only, reason: x, until: 2027-02-30}", "expected a day, such as 2027-01-31"),
        ("{id: ort-cpu-package-only, reason: x, until: 2999-01-01, by: me}", "unknown key `by` in `waivers[0]`"),
        // Nothing is proposed that is not like it.
        (
            "{id: a, reason: x, until: 2999-01-01}",
            ":2:10: waivers[0]: no check has the id \"a\"; \"gpu-doctor checks list\" shows all",
        ),
        (
            "{id: slow-crane, reason: x, until: 2999-01-01}",
            "no check has the id \"slow-crane\"; \"gpu-doctor checks list\" shows all",
        ),
    ] {
        let said = diagnose("healthy-server", &with(line), "text");
        assert_eq!((said.code, said.out.as_str()), (64, ""), "{line}: {}", said.err);
        assert!(said.err.contains(told), "{line}: {}", said.err);
        let (_folder, file) = write(&with(line));
        let run = gpu_doctor(&["run", "--only", "hardware", "--config", &file], &[]);
        assert!(run.code == 64 && run.err.contains(told), "{line}: {}", run.err);
    }
    let twice = waivers(&["no-nvidia-device".into(), "no-nvidia-device".into()], "2999-01-01");
    let said = diagnose("healthy-server", &twice, "text").err;
    assert!(said.contains("waivers[1]: no-nvidia-device is waived twice; the first is at config "), "{said}");
}

#[test]
fn those_of_the_config_count_in_a_run() {
    let (_folder, file) = write(&waivers(&["no-nvidia-device".into()], "2999-01-01"));
    let arguments = ["run", "--only", "hardware", "--format", "json", "--config", &file];
    let plain = gpu_doctor(&arguments[..5], &[]);
    let said = gpu_doctor(&arguments, &[]);
    assert_eq!(plain.code, 1, "{}", plain.out);
    assert_ne!(said.code, 1, "{}", said.out);
    // The same file named for both is no waiver twice.
    let both = gpu_doctor(&[&arguments[..], &["--waivers", &file]].concat(), &[]);
    assert_eq!(both.code, said.code, "{}", both.err);
}

#[test]
fn a_file_of_waivers_that_cannot_be_read_is_told_with_the_reason() {
    let said = gpu_doctor(&["diagnose", &snapshot("cpu-package"), "--waivers", "/nowhere/waivers.yaml"], &[]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("/nowhere/waivers.yaml: No such file"), "{}", said.err);
}
