//! A real fault, mended: what `diff` says of the snapshots from before and after.

use crate::setup::asr;
use crate::setup::doctor::{Said, gpu_doctor};
use crate::setup::venv::venv;
use crate::setup::{driver_variables, scenario};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Runs the doctor and keeps the snapshot.
fn saved(file: &Path, arguments: &[&str], variables: &[(&str, PathBuf)]) -> String {
    let file = file.to_str().unwrap();
    let said = gpu_doctor(&[&["run", "--save", file], arguments].concat(), variables);
    assert!(Path::new(file).is_file(), "{}{}", said.out, said.err);
    file.to_owned()
}

fn diff(before: &str, after: &str) -> (Said, Value) {
    let text = gpu_doctor(&["diff", before, after], &[]);
    let json = gpu_doctor(&["diff", before, after, "--format", "json"], &[]);
    assert_eq!(text.code, json.code);
    let told: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        text.out.lines().next().unwrap().split(';').next(),
        told["headline"].as_str().unwrap().split(';').next()
    );
    (text, told)
}

fn moved<'a>(told: &'a Value, moved: &str) -> Vec<&'a str> {
    let causes = told["causes"].as_array().unwrap();
    causes.iter().filter(|cause| cause["moved"] == moved).map(|cause| cause["cause"].as_str().unwrap()).collect()
}

#[test]
fn a_client_that_sends_the_missing_field() {
    let variables = driver_variables(&scenario("healthy-idle"));
    let Some(server) = asr::start("cpu", &variables) else { return };
    let (folder, url) = (tempfile::tempdir().unwrap(), server.url());
    let run = |name: &str, fields: &str| {
        let request = server.client_request("/asr", fields);
        let arguments = ["--server", &url, "--client-request", request.to_str().unwrap()];
        saved(&folder.path().join(name), &arguments, &variables)
    };
    let before = run("before.json", "-F audio=@speech.wav");
    let after = run("after.json", "-F audio=@speech.wav -F lang=en");
    let (text, told) = diff(&before, &after);
    // The package is another matter, which was there all the time.
    assert_eq!(moved(&told, "gone"), ["required-field-missing"], "{}", text.out);
    assert_eq!(moved(&told, "still"), ["ort-cpu-package-only"], "{}", text.out);
    assert_eq!((text.code, told["outcome"].as_str()), (0, Some("better")), "{}", text.out);
    assert!(text.out.starts_with("better: the cause required-field-missing is gone;"), "{}", text.out);
    let changes = told["changes"].as_array().unwrap();
    let change = |path: &str| {
        changes.iter().find(|change| change["path"] == path).unwrap_or_else(|| panic!("{path}: {}", text.out))
    };
    assert_eq!(
        (&change("request.client.status")["before"], &change("request.client.status")["after"]),
        (&400.into(), &200.into())
    );
    // The same server, not started anew.
    assert!(changes.iter().all(|change| change["kind"] != "server"), "{}", text.out);
    assert!(told["asked"].as_array().unwrap().is_empty(), "{}", text.out);

    let (back, told) = diff(&after, &before);
    assert_eq!((back.code, moved(&told, "new")), (1, vec!["required-field-missing"]), "{}", back.out);
}

#[test]
fn a_package_that_was_put_right() {
    let (Some(wrong), Some(right)) = (venv("cpu-last"), venv("gpu-last")) else { return };
    let variables = driver_variables(&scenario("healthy-idle"));
    let folder = tempfile::tempdir().unwrap();
    let run =
        |name: &str, venv: &Path| saved(&folder.path().join(name), &["--python", venv.to_str().unwrap()], &variables);
    let (text, told) = diff(&run("before.json", &wrong), &run("after.json", &right));
    assert_eq!(moved(&told, "gone"), ["ort-both-packages-clobbered"], "{}", text.out);
    let owner =
        told["changes"].as_array().unwrap().iter().find(|change| change["path"] == "packages.onnxruntime_owner");
    assert_eq!(owner.unwrap()["after"], "onnxruntime-gpu", "{}", text.out);
    // Only with the right package can be seen what else it lacks.
    let seen = [moved(&told, "new"), moved(&told, "now_known")].concat();
    assert_eq!(seen, ["ort-cuda-libs-missing-or-wrong-major"], "{}", text.out);
    assert_ne!(text.code, 0, "{}", text.out);
}
