//! Credentials from the environment and from files: sent, never shown; and what is said where they lack.

use crate::scripted_server::{Received, ScriptedServer};
use crate::setup::doctor::{Said, causes, diagnosis, gpu_doctor, seen, verdict};
use std::path::{Path, PathBuf};

const SCHEMA: &str = r#"{"openapi":"3.1.0","paths":{"/p":{"post":{"requestBody":{"content":{"application/json":
    {"schema":{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}}}}}}}"#;

/// A server that wants this authorization for everything, and echoes what it got.
fn closed(wanted: &'static str, says: &'static str) -> ScriptedServer {
    ScriptedServer::start(move |request: &Received, stream| {
        use std::io::Write;
        let given = request.head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
        let (status, body) = match (given == wanted, request.target.as_str()) {
            (true, "/openapi.json") => ("200 OK", SCHEMA.to_owned()),
            (true, _) => ("200 OK", format!(r#"{{"echo":"{given}"}}"#)),
            (false, _) => ("401 Unauthorized", format!(r#"{{"detail":"not you: {given}"}}"#)),
        };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{says}content-length: {length}\r\n");
        let _ = stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes());
    })
}

/// Runs the doctor, and makes sure that no secret shows anywhere.
fn run(folder: &Path, server: &ScriptedServer, arguments: &[&str], variables: &[(&str, PathBuf)]) -> Said {
    let saved = folder.join("saved.json");
    let url = server.url();
    let common = ["run", "--only", "request", "-v", "--server", &url, "--save", saved.to_str().unwrap()];
    let text = gpu_doctor(&[&common[..], arguments].concat(), variables);
    let said = gpu_doctor(&[&common[..], &["--format", "json"], arguments].concat(), variables);
    let snapshot = std::fs::read_to_string(&saved).unwrap_or_default();
    for shown in [&text.out, &text.err, &said.out, &said.err, &snapshot] {
        assert!(!shown.contains("S3CRET") && !shown.contains("UzNDUkVU"), "{shown}");
    }
    said
}

#[test]
fn tokens_and_logins_come_from_the_environment_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "S3CRET-token\n").unwrap();
    let config = folder.path().join("gpu-doctor.yaml");
    std::fs::write(&config, "auth: {bearer_file: token}\n").unwrap();
    let bearer = closed("Bearer S3CRET-token", "");
    let basic = closed("Basic UzNDUkVUOndvcmQ=", "");
    let variables = [("TOKEN", PathBuf::from("S3CRET-token")), ("LOGIN", PathBuf::from("S3CRET:word"))];
    for (server, arguments) in [
        (&bearer, ["--bearer-env", "TOKEN"]),
        (&bearer, ["--bearer-file", token.to_str().unwrap()]),
        (&bearer, ["--config", config.to_str().unwrap()]),
        (&basic, ["--basic-env", "LOGIN"]),
    ] {
        let report = run(folder.path(), server, &arguments, &variables).report();
        assert!(
            seen(&report, "request").contains("known-good POST /p 200"),
            "{arguments:?}: {}",
            seen(&report, "request")
        );
        assert_eq!(verdict(&report, "auth-rejected"), "clear");
    }
}

#[test]
fn a_secret_that_cannot_be_had_is_a_usage_error_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = closed("", "");
    let variables = [("LOGIN", PathBuf::from("S3CRET-without-colon")), ("EMPTY", PathBuf::from(" "))];
    for (arguments, words) in [
        (["--bearer-env", "GPU_DOCTOR_TEST_UNSET"], "GPU_DOCTOR_TEST_UNSET is not set"),
        (["--bearer-file", "/nonexistent"], "/nonexistent"),
        (["--basic-env", "LOGIN"], "user:password"),
        (["--bearer-env", "EMPTY"], "empty"),
    ] {
        let said = run(folder.path(), &server, &arguments, &variables);
        assert!(said.code == 64 && said.err.contains(words), "{}", said.err);
    }
    assert!(server.received().is_empty());
}

#[test]
fn a_closed_server_is_said_to_want_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let server = closed("Bearer S3CRET-token", "www-authenticate: Bearer realm=\"asr\"\r\n");
    let request = folder.path().join("request.txt");
    std::fs::write(&request, format!("curl {}/p --json '{{\"text\":\"hi\"}}'\n", server.url())).unwrap();
    let client = ["--client-request", request.to_str().unwrap()];
    let said = run(folder.path(), &server, &client, &[]);
    let report = said.report();
    assert_eq!((causes(&report), said.code), (vec!["auth-rejected"], 1));
    let told = diagnosis(&report, "auth-rejected");
    assert!(told["because"].as_str().unwrap().contains("No credentials were sent"), "{told}");
    assert!(told["because"].as_str().unwrap().contains("Bearer realm=\"asr\" (WWW-Authenticate)"), "{told}");
    assert!(told["fix"].to_string().contains("--bearer-env"), "{told}");

    std::fs::write(&request, format!("curl {}/p -H 'Authorization: Bearer S3CRET-old' -d text=hi\n", server.url()))
        .unwrap();
    let report = run(folder.path(), &server, &client, &[]).report();
    let told = diagnosis(&report, "auth-rejected");
    assert!(told["because"].as_str().unwrap().contains("Credentials were sent, and refused"), "{told}");

    // The doctor's own lack of credentials is no fault of the deployment.
    let said = run(folder.path(), &server, &[], &[]);
    let report = said.report();
    assert_eq!(verdict(&report, "auth-rejected"), "holds");
    assert_ne!(report["verdict"], "unhealthy", "{}", report["headline"]);
}

#[test]
fn a_proxy_of_the_environment_and_another_host_of_the_client_are_said() {
    let server = ScriptedServer::answering(|_| (200, "application/json", "{\"ok\":true}".into()));
    let folder = tempfile::tempdir().unwrap();
    let request = folder.path().join("request.txt");
    std::fs::write(&request, "curl https://asr.example/p -d text=hi\n").unwrap();
    let variables =
        [("HTTP_PROXY", PathBuf::from("http://bob:S3CRET@proxy.invalid:3128")), ("NO_PROXY", PathBuf::new())];
    let options = ["--client-request", request.to_str().unwrap(), "--include-identifiers"];
    let said = run(folder.path(), &server, &options, &variables);
    let report = said.report();
    let words = seen(&report, "request");
    assert!(words.contains("not through HTTP_PROXY=http://proxy.invalid:3128 (--proxy env)"), "{words}");
    assert!(words.contains("the client's request names https://asr.example and was sent here"), "{words}");
    assert!(words.contains("client's POST /p 200"), "{words}");
    let report = run(folder.path(), &server, &["--proxy", "env", "--include-identifiers"], &variables).report();
    let unknown = report["unknown"].to_string();
    assert!(unknown.contains("the proxy http://proxy.invalid:3128 (HTTP_PROXY)"), "{unknown}");
}
