//! A run that a config file describes.

use crate::scripted_server::ScriptedServer;
use crate::setup::asr::free_port;
use crate::setup::doctor::{causes, gpu_doctor};
use std::path::{Path, PathBuf};

/// A server that wants a token, and `lang` in its request.
fn guarded() -> ScriptedServer {
    let schema = r#"{"openapi":"3.1.0","paths":{
        "/other":{"post":{"requestBody":{"content":{"application/json":{"schema":{"type":"object"}}}}}},
        "/asr":{"post":{"requestBody":{"content":{"application/json":{"schema":{"type":"object",
            "properties":{"text":{"type":"string"},"lang":{"type":"string"}},"required":["text"]}}}}}}}}"#;
    ScriptedServer::answering(move |request| {
        let authorized = request.head.to_ascii_lowercase().contains("authorization: bearer s3cretxx");
        match request.target.as_str() {
            _ if !authorized => (401, "application/json", r#"{"detail":"no token"}"#.into()),
            "/openapi.json" => (200, "application/json", schema.into()),
            "/asr" if request.body.contains(r#""lang":"hi""#) => (200, "application/json", r#"{"text":"ok"}"#.into()),
            "/asr" => (400, "application/json", r#"{"detail":"lang is required"}"#.into()),
            _ => (404, "application/json", r#"{"detail":"Not Found"}"#.into()),
        }
    })
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn describes_the_whole_run_and_flags_win_over_it() {
    let server = guarded();
    let folder = tempfile::tempdir().unwrap();
    // Relative to the config's own folder, not to where the doctor runs.
    write(folder.path(), "request.txt", &format!("curl {}/asr --json '{{\"text\": \"hello\"}}'", server.url()));
    let config = format!(
        "server: {}\nclient_request: request.txt\nonly: [request]\ntimeout: 30s\n\
         headers: {{authorization: {{env: GPU_DOCTOR_TEST_TOKEN, prefix: 'Bearer '}}}}\n\
         request: {{path: /asr, fields: {{lang: hi}}}}\n",
        server.url()
    );
    let config = write(folder.path(), "gpu-doctor.yaml", &config);
    let token = [("GPU_DOCTOR_TEST_TOKEN", PathBuf::from("s3cretxx"))];
    let said = gpu_doctor(&["run", "--format", "json", "--config", &config], &token);
    let report = said.report();
    assert_eq!(causes(&report), ["required-field-missing"], "{}", report["headline"]);
    assert!(report["headline"].as_str().unwrap().contains("(200 with lang=hi)"), "{}", report["headline"]);
    assert!(!said.out.contains("s3cretxx"));
    assert!(report["findings"].as_array().unwrap().iter().all(|finding| finding["stage"] == "request"));

    let elsewhere = format!("http://127.0.0.1:{}", free_port());
    let said = gpu_doctor(&["run", "--format", "json", "--config", &config, "--server", &elsewhere], &token);
    assert_eq!(said.report()["target"]["server"], format!("{elsewhere}/"));
    assert_eq!(causes(&said.report()), ["backend-down-or-wrong-port"]);
}

#[test]
fn may_be_empty() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), "gpu-doctor.yaml", "# nothing yet\n");
    let report = gpu_doctor(&["run", "--format", "json", "--only", "hardware", "--config", &config], &[]).report();
    assert_eq!(causes(&report), ["no-nvidia-device"]);
}

#[test]
fn a_request_that_no_schema_tells_is_described_here() {
    let server = ScriptedServer::answering(|request| match request.target.as_str() {
        "/hear" if request.body.contains("some sound") && request.body.contains("\r\n\r\n3\r\n") => {
            (200, "application/json", r#"{"text":"ok"}"#.into())
        }
        "/hear" => (400, "application/json", r#"{"detail":"no"}"#.into()),
        _ => (404, "text/plain", "nothing here".into()),
    });
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "sound.raw", "some sound");
    let settings = |request: &str| {
        let text = format!("server: {}\nonly: [request]\nrequest: {request}\n", server.url());
        let config = write(folder.path(), "gpu-doctor.yaml", &text);
        gpu_doctor(&["run", "--format", "json", "--config", &config], &[])
    };
    let said = settings("{path: /hear, method: PUT, fields: {audio: '@sound.raw', beam: 3}}");
    let put = server.received().into_iter().find(|request| request.method == "PUT").unwrap();
    assert!(put.head.to_ascii_lowercase().contains("multipart/form-data"), "{put:?}");
    assert_eq!(causes(&said.report()), Vec::<&str>::new(), "{}", said.out);
    for (request, told) in [
        ("{path: /hear, fields: {audio: '@nowhere.raw'}}", "nowhere.raw"),
        ("{path: /hear, method: DELETE}", "request.method"),
        ("{path: a/b}", "request.path"),
        ("{path: /hear, content_type: \"a\\nb\"}", "request.content_type"),
    ] {
        let said = settings(request);
        assert_eq!(said.code, 64, "{request}: {}", said.err);
        assert!(said.err.contains(told), "{request}: {}", said.err);
    }
    let said = settings("{}");
    let report = said.report();
    assert_eq!(causes(&report), ["request-not-known"], "{}", report["headline"]);
    assert!(report.to_string().contains("path: /predict"), "an example of what to write");
}

#[test]
fn samples_are_taken_one_to_a_hundred_times_a_second() {
    let folder = tempfile::tempdir().unwrap();
    for rate in ["0", "101", "fast"] {
        let said = gpu_doctor(&["collect", "--only", "hardware", "--sample-rate", rate], &[]);
        assert_eq!(said.code, 64, "{}", said.err);
    }
    let config = |rate: u32| write(folder.path(), "rate.yaml", &format!("sample_rate: {rate}\nonly: [hardware]\n"));
    let said = gpu_doctor(&["collect", "--config", &config(500)], &[]);
    assert_eq!(said.code, 64);
    assert!(
        said.err.contains("rate.yaml:1:14: sample_rate: write how many samples a second, from 1 to 100"),
        "{}",
        said.err
    );
    let said = gpu_doctor(&["collect", "--config", &config(100)], &[]);
    assert_eq!(said.code, 0, "{}", said.err);
}
