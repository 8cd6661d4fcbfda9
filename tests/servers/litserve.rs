//! LitServe with a typed body and without, where its schema says nothing and a missing key looks like a crash.

use crate::asked::{Asked, ask, ask_client};
use crate::setup::real_server::{Server, program};

fn litserve(switches: &[&str]) -> Option<Server> {
    program("litserve", "litserve", switches, "/health")
}

fn client(switches: &[&str], request: &str) -> Option<Asked> {
    Some(ask_client(&litserve(switches)?.url, request))
}

#[test]
fn a_url_suffices() {
    for switches in [&[][..], &["--typed"]] {
        let Some(server) = litserve(switches) else { return };
        let asked = ask(&server.url);
        asked.assert_kind("litserve");
        assert_eq!(asked.assert_good()["path"], "/predict");
        assert_eq!(asked.sent("lang"), "en");
    }
}

#[test]
fn a_missing_key_that_looks_like_a_crash() {
    let Some(asked) = client(&[], "/predict --json '{\"text\": \"hello\"}'") else { return };
    assert_eq!(asked.known("client")["status"]["known"], 500);
    asked.assert_missing(&["lang"]);
}

#[test]
fn a_missing_key_of_a_typed_body() {
    let Some(asked) = client(&["--typed"], "/predict --json '{\"text\": \"hello\"}'") else { return };
    asked.assert_missing(&["lang"]);
    assert_eq!(asked.known("missing_fields")[0]["found_by"], "the answer names it");
}

#[test]
fn a_wrong_type_of_a_typed_body() {
    let Some(asked) = client(&["--typed"], "/predict --json '{\"text\": 5, \"lang\": \"en\"}'") else { return };
    asked.assert_blamed("text");
    asked.assert_good();
}

#[test]
fn a_form_for_json() {
    let Some(asked) = client(&["--typed"], "/predict -d text=hello -d lang=en") else { return };
    asked.assert_blamed("application/json");
    asked.assert_good();
}

#[test]
fn a_good_request() {
    for switches in [&[][..], &["--typed"]] {
        let Some(asked) = client(switches, "/predict --json '{\"text\": \"hello\", \"lang\": \"hi\"}'") else { return };
        asked.assert_nothing_wrong();
    }
}
