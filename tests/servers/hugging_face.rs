//! text-embeddings-inference and text-generation-inference: axum tells in plain text what JSON lacks.

use crate::asked::{ask, ask_client};
use crate::recorded_server::recorded;

#[test]
fn a_url_suffices() {
    for (name, path) in [("tei", "/embed"), ("tgi", "/generate")] {
        let server = recorded(name);
        let asked = ask(&server.url());
        asked.assert_kind(name);
        assert_eq!(asked.assert_good()["path"], path);
        assert_eq!(asked.causes(), Vec::<&str>::new());
    }
}

#[test]
fn what_clients_send() {
    for (name, path) in [("tei", "/embed"), ("tgi", "/generate")] {
        let server = recorded(name);
        let client = |body: &str| ask_client(&server.url(), &format!("{path} --json '{body}'"));
        client(r#"{"text": "hello"}"#).assert_missing(&["inputs"]);
        for wrong in [r#"{"inputs": 5}"#, r#"{"inputs": ""}"#] {
            let asked = client(wrong);
            asked.assert_blamed("inputs");
            asked.assert_good();
        }
        client(r#"{"inputs": "hello"}"#).assert_nothing_wrong();
    }
}
