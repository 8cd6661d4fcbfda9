//! `init`: what it finds, what it writes, and that a run reads it at once.

use crate::scripted_server::ScriptedServer;
use crate::setup::doctor::{causes, gpu_doctor};
use crate::setup::real_server::free_port;
use crate::setup::{asr, driver_variables, scenario};
use gpu_doctor::config::Config;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A file's place in a folder of its own.
fn place() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gpu-doctor.yaml").display().to_string();
    (folder, file)
}

fn read(file: &str) -> (Config, String) {
    let text = std::fs::read_to_string(file).unwrap();
    (Config::read(Path::new(file)).unwrap_or_else(|problem| panic!("{problem}\n{text}")), text)
}

#[test]
fn a_real_server_is_found_and_the_file_runs() {
    let Some(server) = asr::start("cpu", &[]) else { return };
    let (_folder, file) = place();
    let said =
        gpu_doctor(&["init", "-o", &file, "--server", &server.url()], &driver_variables(&scenario("healthy-idle")));
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (config, text) = read(&file);
    assert_eq!(config.server.as_deref(), Some(format!("{}/", server.url()).as_str()));
    assert!(config.python.unwrap().ends_with("venv-cpu/bin/python"), "{text}");
    assert!(config.request.path.is_some(), "{text}");
    assert!(text.contains("kind fastapi") && text.contains("Required: "), "{text}");
    assert_eq!(config.expect.gpus, Some(1), "{text}");
    assert!(config.expect.driver.is_some() && config.expect.gpu_memory_gib.is_some(), "{text}");
    let said =
        gpu_doctor(&["run", "--config", &file, "--format", "json"], &driver_variables(&scenario("healthy-idle")));
    let report = said.report();
    assert_eq!(said.code, 1, "the CPU package is found: {}", report["headline"]);
    assert!(!causes(&report).contains(&"expectation-not-met"), "{}", report["headline"]);
    // The same file on a machine without that GPU.
    let elsewhere = gpu_doctor(&["run", "--config", &file, "--format", "json"], &[]).report();
    assert!(
        causes(&elsewhere).contains(&"expectation-not-met")
            || elsewhere["findings"].to_string().contains("expectation")
    );
}

#[test]
fn without_a_name_the_servers_of_this_machine_are_found_and_of_two_none_is_picked() {
    let (Some(one), Some(two)) = (asr::start("cpu", &[]), asr::start("cpu", &[])) else { return };
    let (_folder, file) = place();
    let said = gpu_doctor(&["init", "-o", &file], &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    let (config, text) = read(&file);
    assert_eq!(config.server, None, "{text}");
    for server in [&one, &two] {
        assert!(text.contains(&format!("{}/", server.url())), "{text}");
        assert!(said.err.contains(&server.url()), "{}", said.err);
    }
    assert!(text.contains("onnxruntime"), "{text}");
}

#[test]
fn a_machine_with_nothing_gets_a_file_with_everything_off() {
    let (_folder, file) = place();
    // Nothing listens in an empty process namespace of a tree that is none; servers of other tests are not asked.
    let url = format!("http://127.0.0.1:{}", free_port());
    let said = gpu_doctor(&["init", "-o", &file, "--server", &url], &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    let (config, text) = read(&file);
    assert_eq!(config.server.as_deref(), Some(format!("{url}/").as_str()));
    assert!(config.expect.is_empty() && config.python.is_none() && config.request.path.is_none(), "{text}");
    assert!(
        text.contains("It told nothing of itself when this was written") && text.contains("No GPU was found"),
        "{text}"
    );
    let run = gpu_doctor(&["run", "--config", &file, "--only", "request", "--format", "json"], &[]);
    assert_eq!((causes(&run.report()), run.code), (vec!["backend-down-or-wrong-port"], 1));
}

#[test]
fn nothing_is_written_over_and_no_link_is_followed() {
    let (folder, file) = place();
    std::fs::write(&file, "mine").unwrap();
    let url = format!("http://127.0.0.1:{}", free_port());
    let said = gpu_doctor(&["init", "-o", &file, "--server", &url], &[]);
    assert!(said.code == 64 && said.err.contains("--force"), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(gpu_doctor(&["init", "-o", &file, "--server", &url, "--force"], &[]).code, 0);
    assert!(std::fs::read_to_string(&file).unwrap().contains("server: "));
    let (victim, link) = (folder.path().join("victim"), folder.path().join("link.yaml"));
    std::fs::write(&victim, "mine").unwrap();
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    let said = gpu_doctor(&["init", "-o", link.to_str().unwrap(), "--server", &url, "--force"], &[]);
    assert_eq!(said.code, 64, "{}", said.err);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
    let said = gpu_doctor(&["init", "-o", "/nonexistent/x.yaml", "--server", &url], &[]);
    assert!(said.code == 64 && said.err.contains("/nonexistent"), "{}", said.err);
}

#[test]
fn no_secret_stands_in_it() {
    let schema = r##"{"openapi":"3.1.0","components":{"securitySchemes":{"b":{"type":"http","scheme":"bearer"}}},"paths":{
        "/asr":{"post":{"security":[{"b":[]}],"requestBody":{"content":{"application/json":{"schema":{"type":"object",
            "properties":{"text":{"type":"string"},"lang":{"type":"string","enum":["hi"]}},"required":["text","lang"]}}}}}}}}"##;
    let server = ScriptedServer::answering(move |request| match request.target.as_str() {
        "/openapi.json" => (200, "application/json", schema.into()),
        _ => (404, "application/json", "{}".into()),
    });
    let (_folder, file) = place();
    let url = server.url().replace("http://", "http://somebody:S3CRET@");
    let said = gpu_doctor(&["init", "-o", &file, "--server", &format!("{url}/?token=S3CRET")], &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    let (config, text) = read(&file);
    assert!(!text.contains("S3CRET") && !text.contains("somebody") && !said.err.contains("S3CRET"), "{text}");
    assert_eq!(config.request.path.as_deref(), Some("/asr"));
    assert!(
        text.contains("auth.basic_env") && text.contains("#  fields: {text: ") && text.contains("lang: \"hi\""),
        "{text}"
    );
    let bare = gpu_doctor(&["init", "-o", "-", "--server", &server.url()], &[]);
    assert!(bare.out.contains("The server wants ") && bare.out.contains("name here the variable"), "{}", bare.out);
    let with = gpu_doctor(
        &["init", "-o", "-", "--server", &server.url(), "--bearer-env", "DOCTOR_TEST_TOKEN"],
        &[("DOCTOR_TEST_TOKEN", "S3CRET".into())],
    );
    assert!(with.out.contains("\n  bearer_env: DOCTOR_TEST_TOKEN\n") && !with.out.contains("S3CRET"), "{}", with.out);
}
