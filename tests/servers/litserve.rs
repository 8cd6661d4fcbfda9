//! LitServe with a typed body and without, where its schema says nothing and a missing key looks like a crash.

use crate::asked::{ask, ask_client, each};
use crate::setup::real_server::{Server, program};

fn litserve(switches: &[&str]) -> Option<Server> {
    program("litserve", "litserve", switches, "/health")
}

fn url_suffices(server: &Server) {
    let asked = ask(&server.url);
    assert_eq!(asked.assert_good()["path"], "/predict");
    assert_eq!(asked.sent("lang"), "en");
    // That the schema does not tell what the code demands is worth a warning.
    let failures =
        asked.report["diagnoses"].as_array().unwrap().iter().filter(|diagnosis| diagnosis["severity"] == "fail");
    assert!(failures.filter(|diagnosis| diagnosis["stage"] == "request").count() == 0, "{:?}", asked.causes());
}

#[test]
fn an_untyped_body() {
    let Some(server) = litserve(&[]) else { return };
    let client = |body: &str| ask_client(&server.url, &format!("/predict --json '{body}'"));
    each(&[
        ("recognized", &|| ask(&server.url).assert_kind("litserve")),
        ("a URL suffices", &|| url_suffices(&server)),
        ("a missing key that looks like a crash", &|| {
            let asked = client(r#"{"text": "hello"}"#);
            assert_eq!(asked.known("client")["status"]["known"], 500);
            asked.assert_missing(&["lang"]);
        }),
        ("a good request", &|| client(r#"{"text": "hello", "lang": "hi"}"#).assert_nothing_wrong()),
    ]);
}

#[test]
fn a_typed_body() {
    let Some(server) = litserve(&["--typed"]) else { return };
    let client = |request: &str| ask_client(&server.url, &format!("/predict {request}"));
    each(&[
        ("recognized", &|| ask(&server.url).assert_kind("litserve")),
        ("a URL suffices", &|| url_suffices(&server)),
        ("a missing key", &|| {
            let asked = client(r#"--json '{"text": "hello"}'"#);
            asked.assert_missing(&["lang"]);
            assert_eq!(asked.known("missing_fields")[0]["found_by"], "the answer names it");
        }),
        ("a wrong type", &|| client(r#"--json '{"text": 5, "lang": "en"}'"#).assert_wrong("text")),
        ("a form for JSON", &|| {
            let asked = client("-d text=hello -d lang=en");
            asked.assert_cause(&["wrong-content-type"]);
            asked.assert_blamed("application/json");
        }),
        ("a good request", &|| client(r#"--json '{"text": "hello", "lang": "hi"}'"#).assert_nothing_wrong()),
    ]);
}
