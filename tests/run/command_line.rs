//! Options, exit codes, streams.

use crate::setup::GPU_DOCTOR;
use crate::setup::doctor::{causes, gpu_doctor};
use crate::setup::{driver_variables, scenario};
use std::process::{Command, Stdio};

#[test]
fn usage_errors_exit_with_64_and_say_what_is_expected() {
    let cases: &[(&[&str], &str)] = &[
        (&["run", "--server", "ftp://x"], "http"),
        (&["run", "--server", "127.0.0.1:8000"], "http://HOST:PORT"),
        (&["run", "--server", "grpc://127.0.0.1"], "it names no port; write it as grpc://HOST:PORT, for Triton 8001"),
        (&["run", "--server", "grpcs://"], "it names no host"),
        (&["run", "--timeout", "soon"], "60s"),
        (&["run", "--only", "nonsense"], "neither a stage"),
        (&["run", "--only", "hardware", "--skip", "hardware"], "leave no check"),
        (&["run", "--root", "/does/not/exist"], "no such folder"),
        (&["run", "--client-request", "x"], "x"),
        (&["model", "m.onnx", "--profile"], "--onnxruntime"),
        (&["model", "m.onnx", "--for-onnxruntime", "newest"], "1.23"),
        (&["model", "m.onnx", "--onnxruntime", "/does/not/exist"], "no such file"),
        (&["explain", "no-nvidia"], "did you mean no-nvidia-device"),
        (&["frobnicate"], "frobnicate"),
    ];
    for (arguments, words) in cases {
        let said = gpu_doctor(arguments, &[]);
        assert_eq!(said.code, 64, "{arguments:?}: {}", said.err);
        assert!(said.err.contains(words), "{arguments:?}: \"{words}\" is not in {}", said.err);
        assert_eq!(said.out, "", "{arguments:?}");
    }
}

#[test]
fn the_client_request_names_the_server_if_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("request.txt");
    let port = crate::setup::asr::free_port();
    std::fs::write(&file, format!("curl -u user:secret http://127.0.0.1:{port}/asr?x=1 -d x=y")).unwrap();
    let said =
        gpu_doctor(&["run", "--format", "json", "--only", "request", "--client-request", file.to_str().unwrap()], &[]);
    assert_eq!(said.report()["target"]["server"], format!("http://127.0.0.1:{port}/"));
    assert!(!said.out.contains("secret"), "{}", said.out);
    std::fs::write(&file, "wget http://127.0.0.1/").unwrap();
    let said = gpu_doctor(&["run", "--client-request", file.to_str().unwrap()], &[]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("request.txt") && said.err.contains("curl"), "{}", said.err);
}

#[test]
fn json_stands_alone_on_standard_output() {
    let said = gpu_doctor(&["run", "--format", "json", "--only", "hardware"], &[]);
    let report = said.report();
    assert_eq!(said.err, "", "no progress in a pipe");
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    for key in
        ["schema", "tool", "taken_at", "target", "verdict", "headline", "diagnoses", "findings", "unknown", "probes"]
    {
        assert!(keys.iter().any(|found| *found == key), "{key} is not in {keys:?}");
    }
    assert_eq!(report["schema"], "gpu-doctor/report/v1");
}

#[test]
fn text_in_a_pipe_has_no_colour_and_no_escape() {
    let said = gpu_doctor(&["run", "--only", "hardware"], &[]);
    assert!(said.out.starts_with("The GPU cannot be used because this machine has no NVIDIA GPU\n"), "{}", said.out);
    assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'));
}

#[test]
fn a_closed_pipe_is_no_panic_and_keeps_the_exit_code() {
    let mut child = Command::new(GPU_DOCTOR)
        .args(["run", "--only", "hardware", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn only_and_skip_choose_by_stage_and_by_id() {
    let report = gpu_doctor(&["run", "--format", "json", "--only", "driver,no-nv"], &[]).report();
    let checks: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|f| f["check"].as_str().unwrap()).collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("checks/driver");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut of_driver: Vec<String> =
        files.map(|file| file.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    of_driver.sort_unstable();
    assert_eq!(checks[0], "no-nvidia-device");
    assert_eq!(checks[1..], of_driver);
    let report = gpu_doctor(&["run", "--format", "json", "--skip", "hardware"], &[]).report();
    assert_eq!(causes(&report), Vec::<&str>::new());
    // This machine may lack a driver; who asks about another stage is not told that it is undecided because of that.
    let said =
        gpu_doctor(&["run", "--format", "json", "--only", "hardware"], &driver_variables(&scenario("healthy-idle")));
    let report = said.report();
    assert_eq!((said.code, causes(&report)), (0, Vec::new()));
    assert!(report["headline"].as_str().unwrap().ends_with("; only judged: hardware"), "{}", report["headline"]);
}

#[test]
fn fail_on_decides_the_exit_code() {
    let hang = driver_variables(&scenario("nvml-crash"));
    assert_eq!(gpu_doctor(&["run", "--only", "driver"], &hang).code, 2);
    assert_eq!(gpu_doctor(&["run", "--only", "driver", "--fail-on", "unknown"], &hang).code, 1);
}

#[test]
fn the_checks_are_counted_against_the_catalogue() {
    let said = gpu_doctor(&["checks", "list", "--coverage"], &[]);
    let of = |section: &str| said.out.lines().find(|line| line.starts_with(section)).unwrap_or_default().to_string();
    assert!(of("Host / driver ").ends_with("13 of 13"), "{}", said.out);
    assert!(of("Container runtime").ends_with("21 of 21"), "{}", said.out);
    assert!(of("Runtime provider").ends_with("12 of 12"), "{}", said.out);
    assert!(of("Model placement").ends_with("15 of 15"), "{}", said.out);
    assert!(of("all ").ends_with("of 142"), "{}", said.out);
    let json: serde_json::Value =
        serde_json::from_str(&gpu_doctor(&["checks", "list", "--coverage", "--format", "json"], &[]).out).unwrap();
    assert_eq!(json[0]["covered"].as_array().unwrap().len(), 13, "{json}");
    // Of a selection only what is in it counts.
    let part = gpu_doctor(&["checks", "list", "--coverage", "--only", "driver-not-loaded"], &[]);
    assert!(part.out.contains("1 of 13") && part.out.contains("missing: "), "{}", part.out);
}

#[test]
fn checks_are_listed_and_explained() {
    let list: serde_json::Value =
        serde_json::from_str(&gpu_doctor(&["checks", "list", "--format", "json"], &[]).out).unwrap();
    let ids: Vec<&str> = list.as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
    for id in [
        "no-nvidia-device",
        "driver-not-loaded",
        "driver-library-version-mismatch",
        "ort-cpu-package-only",
        "ort-cuda-libs-missing-or-wrong-major",
        "ort-provider-not-requested",
        "required-field-missing",
        "all-requests-rejected",
        "server-not-restarted",
        "gpu-idle-while-serving",
    ] {
        assert!(ids.contains(&id), "{id}");
        let said = gpu_doctor(&["explain", id], &[]);
        assert_eq!(said.code, 0);
        for title in ["What it means", "How it is told from its neighbours", "What to do"] {
            assert!(said.out.contains(title), "{id} lacks \"{title}\"");
        }
        assert!(!said.out.contains("{%") && !said.out.contains("{{"), "{}", said.out);
    }
}

#[test]
fn the_demo_finds_its_own_fault() {
    let said = gpu_doctor(&["demo", "--format", "json"], &[]);
    let report = said.report();
    assert_eq!(causes(&report)[0], "required-field-missing", "{}", report["headline"]);
    assert_eq!(said.code, 1);
}

#[test]
fn a_snapshot_is_saved_for_its_owner_alone_or_refused_before_the_run() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot.json");
    std::fs::write(&file, "an older one").unwrap();
    let said = gpu_doctor(&["run", "--only", "hardware", "--save", file.to_str().unwrap()], &[]);
    assert_eq!((said.code, said.err.as_str()), (1, ""));
    assert!(std::fs::read_to_string(&file).unwrap().contains("gpu-doctor/snapshot/v1"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no partial file is left");
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for place in [folder.path().to_path_buf(), fifo, folder.path().join("missing/snapshot.json")] {
        let said = gpu_doctor(&["run", "--only", "hardware", "--save", place.to_str().unwrap()], &[]);
        assert_eq!((said.code, said.out.as_str()), (64, ""), "{}", said.err);
        assert!(said.err.contains("--save") && said.err.contains(place.to_str().unwrap()), "{}", said.err);
    }
}
