//! What is named and wrong is said, with its place; the stages that do not depend on it still run.

use crate::setup::doctor::{Said, causes, diagnosis, gpu_doctor, outcome};
use crate::setup::{driver_variables, scenario};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Runs on a machine with a fake healthy GPU, so that nothing but the input is wrong.
fn run(arguments: &[&str]) -> Said {
    let arguments: Vec<&str> = ["run", "--format", "json"].iter().chain(arguments).copied().collect();
    gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle")))
}

fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    (folder, file)
}

/// The input is named among the unknown, and the rest is examined.
fn is_named(said: &Said, words: &[&str]) -> Value {
    let report = said.report();
    let unknown = report["unknown"].to_string();
    for word in words {
        assert!(unknown.contains(word), "\"{word}\" is not in {unknown}");
    }
    assert_eq!(outcome(&report, "nvml"), "ok");
    report
}

/// And the answer is undecided.
fn is_said(said: &Said, words: &[&str]) {
    let report = is_named(said, words);
    assert_eq!(report["verdict"], "undecided");
    assert_eq!(said.code, 2);
}

/// And the answer is that the model's file is at fault.
fn is_a_fault(said: &Said, words: &[&str]) {
    let report = is_named(said, words);
    assert_eq!((causes(&report), said.code), (vec!["model-file-damaged"], 1), "{}", report["headline"]);
    let because = diagnosis(&report, "model-file-damaged")["because"].as_str().unwrap();
    for word in words {
        assert!(because.contains(word), "\"{word}\" is not in {because}");
    }
}

#[test]
fn a_model_that_is_not_onnx() {
    let (_folder, file) = write("model.onnx", b"<!doctype html><html><body>404</body></html>");
    is_a_fault(
        &run(&["--model", file.to_str().unwrap()]),
        &["model.onnx", "is not a model: it looks like an HTML page"],
    );
}

#[test]
fn a_model_that_is_missing_or_a_folder() {
    is_said(&run(&["--model", "/does/not/exist.onnx"]), &["/does/not/exist.onnx"]);
    is_said(&run(&["--model", "/tmp"]), &["/tmp", "folder"]);
    is_said(&run(&["--model", "/dev/null"]), &["/dev/null is a device or socket"]);
}

#[test]
fn a_model_cut_short() {
    let Some(venv) = crate::setup::venv::venv("cpu") else { return };
    let whole = crate::setup::venv::site_packages(&venv).join("silero_vad/data/silero_vad.onnx");
    let (_folder, file) = write("cut.onnx", &std::fs::read(whole).unwrap()[..100_000]);
    is_a_fault(&run(&["--model", file.to_str().unwrap()]), &["cut.onnx", "ends at byte 100000"]);
}

#[test]
fn a_library_that_is_not_onnxruntime() {
    let (_folder, file) = write("libonnxruntime.so", b"this is text");
    is_said(&run(&["--onnxruntime", file.to_str().unwrap()]), &["libonnxruntime.so"]);
    is_said(&run(&["--onnxruntime", "libc.so.6"]), &["libc.so.6"]);
}

#[test]
fn a_config_with_an_unknown_key() {
    let (_folder, file) = write("gpu-doctor.yaml", b"server: http://127.0.0.1:1\nmodle: x.onnx\n");
    let said = run(&["--config", file.to_str().unwrap()]);
    assert_eq!(said.code, 64);
    for word in ["gpu-doctor.yaml:2:1: ", "unknown key `modle`; did you mean `model`?"] {
        assert!(said.err.contains(word), "\"{word}\" is not in {}", said.err);
    }
    assert_eq!(said.out, "");
}

/// No secret is told, and no message is taken for one and masked.
#[test]
fn a_config_whose_secret_cannot_be_had() {
    let (folder, gone) = write("empty", b"");
    let gone = format!("{}/authorization", gone.parent().unwrap().display());
    let unset = "the environment variable NO_SUCH_TOKEN is not set";
    for (text, told) in [
        ("headers: {authorization: {env: NO_SUCH_TOKEN, prefix: 'Bearer '}}", format!("headers: the value of \"authorization\" cannot be had: {unset}")),
        ("headers: {Cookie: {env: NO_SUCH_TOKEN}}", format!("headers: the value of \"Cookie\" cannot be had: {unset}")),
        ("headers: {cookie: {file: authorization}}", format!("headers: the value of \"cookie\" cannot be had: the file {gone} cannot be read: No such file")),
        ("headers: {authorization: {file: a, env: NO_SUCH_TOKEN}}", "headers: the value of \"authorization\" cannot be had: give either \"env\" (a variable's name) or \"file\" (a path)".into()),
        ("headers: {authorization: Bearer S3CRET}", "headers: for \"authorization\" expected a mapping with env: VARIABLE or file: PATH, found a text".into()),
        ("headers: {authorization: {env: A}, authorization: {env: B}}", "the key `authorization` stands twice in `headers`; the first is in line 2".into()),
        ("auth: {bearer_env: NO_SUCH_TOKEN}", format!("gpu-doctor.yaml: what \"auth\" names cannot be had: {unset}")),
        ("auth: {bearer_file: authorization}", format!("what \"auth\" names cannot be had: the file {gone} cannot be read: No such file")),
        ("auth: {bearer_file: empty}", "what \"auth\" names cannot be had: it is empty".into()),
        ("auth: {bearer_env: A, basic_env: B}", "what \"auth\" names cannot be had: give one of bearer_env, bearer_file and basic_env".into()),
    ] {
        let file = folder.path().join("gpu-doctor.yaml");
        std::fs::write(&file, format!("server: http://127.0.0.1:1\n{text}\n")).unwrap();
        let said = run(&["--config", file.to_str().unwrap()]);
        assert_eq!(said.code, 64, "{text}");
        assert!(said.err.contains(&told) && said.err.contains("gpu-doctor.yaml"), "{text}\n{told}\n{}", said.err);
        assert!(!said.err.contains("S3CRET") && !said.err.contains("***"), "{}", said.err);
    }
}

#[test]
fn a_config_whose_selectors_fit_nothing_is_named() {
    let (_folder, file) = write("gpu-doctor.yaml", b"only: [hardwre]\n");
    let file = file.to_str().unwrap();
    let said = run(&["--config", file]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains(&format!("config {file}: only hardwre: this is neither a stage")), "{}", said.err);
    // The flag's own are told as the flag's.
    let said = run(&["--config", file, "--only", "hardwer"]);
    assert!(said.code == 64 && said.err.contains(" --only hardwer: this is neither"), "{}", said.err);
}

#[test]
fn a_snapshot_that_is_none() {
    let (_folder, file) = write("snapshot.json", br#"{"schema": "gpu-doctor/snapshot/v9"}"#);
    let said = gpu_doctor(&["diagnose", file.to_str().unwrap()], &[]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("v9") && said.err.contains("gpu-doctor/snapshot/v1"), "{}", said.err);
    let said = gpu_doctor(&["diagnose", "/does/not/exist.json"], &[]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("/does/not/exist.json"), "{}", said.err);
}

#[test]
fn a_fifo_blocks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("model.onnx");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    is_said(&run(&["--model", fifo.to_str().unwrap()]), &["model.onnx"]);
    for option in ["--config", "--client-request"] {
        let said = run(&[option, fifo.to_str().unwrap(), "--server", "http://127.0.0.1:1"]);
        assert_eq!(said.code, 64, "{option}");
        assert!(said.err.contains("not a regular file"), "{}", said.err);
    }
    assert!(Path::new(&fifo).exists());
}
