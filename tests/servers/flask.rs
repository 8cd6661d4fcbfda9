//! Flask, which has no schema and names nothing: its source beside the process does.

use crate::asked::{Asked, ask, ask_client};
use crate::setup::real_server::{Server, program};

fn flask(switches: &[&str]) -> Option<Server> {
    program("flask", "flask", switches, "/health")
}

fn client(switches: &[&str], request: &str) -> Option<Asked> {
    Some(ask_client(&flask(switches)?.url, request))
}

#[test]
fn a_url_suffices_for_a_form() {
    let Some(server) = flask(&["--only", "asr"]) else { return };
    let asked = ask(&server.url);
    let good = asked.assert_good();
    assert!(good["answer"].as_str().unwrap().contains("4.6 s of speech"), "{good}");
    assert_eq!(asked.sent("lang"), "en");
    assert_eq!(asked.causes(), Vec::<&str>::new());
}

#[test]
fn a_url_suffices_for_json() {
    let Some(server) = flask(&["--only", "score"]) else { return };
    let asked = ask(&server.url);
    assert_eq!(asked.assert_good()["path"], "/score");
    assert_eq!(asked.sent("lang"), "en");
    assert_eq!(asked.causes(), Vec::<&str>::new());
}

#[test]
fn a_missing_form_field_that_the_page_does_not_name() {
    let Some(asked) = client(&[], "/asr -F audio=@speech.wav") else { return };
    assert_eq!(asked.known("client")["status"]["known"], 400);
    asked.assert_missing(&["lang"]);
}

#[test]
fn a_missing_file_that_the_page_does_not_name() {
    let Some(asked) = client(&[], "/asr -F lang=en") else { return };
    asked.assert_missing(&["audio"]);
}

#[test]
fn a_missing_key_that_looks_like_a_crash() {
    let Some(asked) = client(&[], "/score --json '{\"text\": \"hello\"}'") else { return };
    assert_eq!(asked.known("client")["status"]["known"], 500);
    asked.assert_missing(&["lang"]);
}

#[test]
fn the_debuggers_page_names_the_key() {
    let Some(server) = flask(&["--debug"]) else { return };
    for request in ["/asr -F audio=@speech.wav", "/score --json '{\"text\": \"hello\"}'"] {
        let asked = ask_client(&server.url, request);
        asked.assert_missing(&["lang"]);
        assert_eq!(asked.known("missing_fields")[0]["found_by"], "the answer names it");
    }
}

#[test]
fn an_unknown_language_whose_page_lists_the_known() {
    let Some(asked) = client(&[], "/asr -F audio=@speech.wav -F lang=fr") else { return };
    asked.assert_blamed("lang");
    asked.assert_good();
}

#[test]
fn a_form_for_json() {
    let Some(asked) = client(&[], "/score -d text=hello -d lang=en") else { return };
    assert_eq!(asked.known("client")["status"]["known"], 415);
    asked.assert_cause(&["wrong-content-type"]);
    asked.assert_blamed("application/json");
}

#[test]
fn another_method() {
    let Some(asked) = client(&[], "/asr -G -d lang=en") else { return };
    asked.assert_cause(&["wrong-path-or-method"]);
    asked.assert_blamed("POST");
}

#[test]
fn a_good_request() {
    for request in ["/asr -F audio=@speech.wav -F lang=hi", "/score --json '{\"text\": \"hello\", \"lang\": \"en\"}'"] {
        let Some(asked) = client(&[], request) else { return };
        asked.assert_nothing_wrong();
    }
}
