//! Input that is not merely wrong: secrets in the wrong place, terminal control in names, servers that answer nonsense.

use crate::scripted_server::ScriptedServer;
use crate::setup::doctor::{Said, causes, gpu_doctor};
use crate::setup::{driver_variables, scenario};
use std::path::{Path, PathBuf};

fn write(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn on_a_gpu(arguments: &[&str]) -> Said {
    gpu_doctor(arguments, &driver_variables(&scenario("healthy-idle")))
}

fn standing(report: &serde_json::Value, stage: &str) -> String {
    let stages = report["stages"].as_array().unwrap();
    let found = stages.iter().find(|s| s["stage"] == stage).unwrap_or_else(|| panic!("no stage {stage}"));
    found["standing"].as_str().unwrap().to_string()
}

/// Echoes everything, as a debugging server does.
fn echo() -> ScriptedServer {
    let schema = r#"{"openapi":"3.1.0","paths":{"/p":{"post":{"requestBody":{"content":{"application/json":
        {"schema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}}}}}}}"#;
    ScriptedServer::answering(move |request| match request.target.as_str() {
        "/openapi.json" => (200, "application/json", schema.into()),
        _ => (422, "text/plain", format!("{} {} {}", request.target, request.head, request.body)),
    })
}

#[test]
fn a_secret_shows_nowhere_wherever_it_stands_in_the_clients_request() {
    let server = echo();
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("snapshot.json").display().to_string();
    for request in [
        "curl URL/p -H 'Authorization: Bearer S3CRETxx' -d '{}'",
        "curl URL/p -H 'Authorization Bearer S3CRETxx' -d '{}'",
        "curl URL/p -H 'Authorization: Token token=\"S3CRETxx\"' -d '{}'",
        "curl URL/p -u user:S3CRETxx -d '{}'",
        "curl URL/p -e 'http://u:S3CRETxx@h/?token=S3CRETyy' -d '{}'",
        "curl URL/p --json '{\"login\": {\"password\": \"S3CRETxx\"}}'",
        "curl URL/p --json '{\"accessToken\": \"S3CRETxx\", \"clientSecret\": \"S3CRETyy\"}'",
        "curl URL/p -H 'content-type: text/plain' -d 'password=S3CRETxx'",
        "curl 'URL/p?api%5Fkey=S3CRET%20xx&sig=S3CRETyy'",
        "curl URL/p http://user:S3CRETxx@h/",
        "curl http://user:S3CRETxx@h:99999/",
        "curl http://user:S3CRETxx@$HOST/",
        "curl ftp://user:S3CRETxx@h/",
        "curl URL/p --token=S3CRETxx",
        "curl URL/p -ES3CRETxx",
    ] {
        let file = write(folder.path(), "request.txt", &request.replace("URL", &server.url()));
        for format in ["json", "text"] {
            let arguments =
                ["run", "--only", "request", "--server", &server.url(), "--client-request", &file, "--save", &saved];
            let said = gpu_doctor(&[&arguments[..], &["-v", "--format", format]].concat(), &[]);
            let snapshot = std::fs::read_to_string(&saved).unwrap();
            for text in [&said.out, &said.err, &snapshot] {
                assert!(!text.contains("S3CRET"), "{request}: {text}");
            }
        }
    }
}

#[test]
fn a_snapshot_with_numbers_beyond_all_measure_is_judged() {
    let healthy = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snapshots/healthy-server.json");
    let mut snapshot: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(healthy).unwrap()).unwrap();
    for fact in ["nodes", "subgraph_nodes", "parameters", "parameter_bytes"] {
        snapshot["facts"]["model"][fact] = serde_json::json!({ "known": u64::MAX });
    }
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "snapshot.json", &snapshot.to_string());
    let said = gpu_doctor(&["diagnose", "-v", &file], &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("18446744073709551615 nodes"), "{}", said.out);
}

#[test]
fn a_secret_does_not_show_in_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    for config in [
        "headers: {Authorization: Bearer S3CRET}",
        "headers: 'Authorization: S3CRET'",
        "headers: ['Authorization: S3CRET']",
        "S3CRET",
        "server: http://u:S3CRET@h:99999",
    ] {
        let file = write(folder.path(), "gpu-doctor.yaml", config);
        let said = gpu_doctor(&["run", "--config", &file], &[]);
        assert_eq!(said.code, 64, "{config}");
        assert!(!said.err.contains("S3CRET"), "{config}: {}", said.err);
        assert_eq!(said.err.matches("gpu-doctor.yaml").count(), 1, "said twice: {}", said.err);
    }
    for server in ["http://u:S3CRET@h:99999", "ftp://u:S3CRET@h", "u:S3CRET@h:80"] {
        let said = gpu_doctor(&["run", "--server", server], &[]);
        assert_eq!(said.code, 64, "{server}");
        assert!(said.err.contains("--server") && !said.err.contains("S3CRET"), "{}", said.err);
    }
}

#[test]
fn a_header_that_cannot_be_sent_is_no_fault_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    for (header, value, words) in
        [("X-Token", "two\nlines", "the value of \"X-Token\""), ("Bad Name", "v", "not a header's name")]
    {
        let text = format!("server: http://127.0.0.1:1\nheaders: {{{header}: {{env: GPU_DOCTOR_TEST_TOKEN}}}}\n");
        let file = write(folder.path(), "gpu-doctor.yaml", &text);
        let said = gpu_doctor(&["run", "--config", &file], &[("GPU_DOCTOR_TEST_TOKEN", PathBuf::from(value))]);
        assert_eq!(said.code, 64);
        assert!(said.err.contains(words) && !said.err.contains("two"), "{}", said.err);
    }
}

#[test]
fn a_server_to_which_no_request_could_be_sent_is_not_healthy() {
    for (status, body) in [(200, "<html>hello</html>"), (404, "not found"), (500, "oops")] {
        let server = ScriptedServer::answering(move |_| (status, "text/html", body.into()));
        let said = on_a_gpu(&["run", "--format", "json", "--server", &server.url()]);
        let report = said.report();
        assert_eq!((standing(&report, "request").as_str(), said.code), ("warn", 2), "{}", report["headline"]);
        assert_eq!(report["verdict"], "undecided");
        assert_eq!(causes(&report), ["request-not-known"], "the user is asked for one");
    }
}

/// `cargo test > FILE`: the server of a test is the test's process, and FILE, in which other tests quote servers, its output.
#[test]
fn what_tests_print_to_a_file_is_not_the_log_of_their_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("printed");
    std::fs::write(&file, "Using device: cpu\nCUDA out of memory. Tried to allocate 2.00 GiB.\n").unwrap();
    let open = || std::fs::OpenOptions::new().append(true).open(&file).unwrap();
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::a_server_to_which_no_request_could_be_sent_is_not_healthy", "--nocapture"])
        .stdout(open())
        .stderr(open())
        .status()
        .unwrap();
    let printed = std::fs::read_to_string(&file).unwrap();
    assert!(status.success(), "{printed}");
    assert!(printed.contains("test result: ok. 1 passed"), "something was lost: {printed}");
}

#[test]
fn nothing_from_outside_steers_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let server = ScriptedServer::answering(|_| (200, "text/html", "\u{1b}[31mred\u{202e}".into()));
    let file = folder.path().join("model\u{1b}[2J\u{202e}.onnx").display().to_string();
    for arguments in [
        &["run", "-v", "--server", &server.url(), "--model", &file][..],
        &["run", "-v", "--skip", "request", "--model", &file],
        &["diagnose", &file],
        &["run", "--client-request", &file, "--server", "http://127.0.0.1:1"],
    ] {
        let said = on_a_gpu(arguments);
        let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(said.err.contains(".onnx") || said.out.contains(".onnx"), "{arguments:?}");
        assert!(!said.out.contains(steers) && !said.err.contains(steers), "{:?} {:?}", said.out, said.err);
    }
}

#[test]
fn an_interpreter_that_is_none_is_unknown_and_no_other_place_stands_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().display().to_string();
    for (python, words) in [
        (named.as_str(), "no site-packages below"),
        ("no-such-python", "not found in PATH"),
        ("/dev/null", "neither an interpreter nor a folder"),
    ] {
        let report = on_a_gpu(&["run", "--format", "json", "--python", python]).report();
        assert_eq!(report["verdict"], "undecided", "{python}");
        let unknown = report["unknown"].as_array().unwrap();
        let library = unknown.iter().find(|missing| missing["path"] == "ort.cuda_compiled_in").expect("unknown");
        assert!(library["detail"].as_str().unwrap().contains(words), "{library}");
    }
}

#[test]
fn a_check_that_cannot_be_read_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let lint = || gpu_doctor(&["checks", "lint", folder.path().to_str().unwrap()], &[]);
    let said = lint();
    assert_eq!(said.code, 64);
    assert!(said.err.contains("no check in it"), "{}", said.err);
    let link = folder.path().join("mine.yaml");
    // A mounted ConfigMap is made of links.
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("checks/driver/driver-not-loaded.yaml");
    std::os::unix::fs::symlink(real, &link).unwrap();
    let said = gpu_doctor(&["run", "--checks", folder.path().to_str().unwrap()], &[]);
    assert!(said.err.contains("\"driver-not-loaded\" is used twice"), "the link was not followed: {}", said.err);
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    let said = lint();
    assert_eq!(said.code, 64);
    assert!(said.err.contains("mine.yaml") && said.err.contains("not a regular file"), "{}", said.err);
}

#[test]
fn every_stage_of_the_report_may_be_skipped() {
    let said = gpu_doctor(&["run", "--format", "json", "--skip", "model,load"], &[]);
    assert_ne!(said.code, 64, "{}", said.err);
    let said = gpu_doctor(&["run", "--only", "load", "--skip", "load"], &[]);
    assert!(said.code == 64 && said.err.contains("leave no check"), "{}", said.err);
}
