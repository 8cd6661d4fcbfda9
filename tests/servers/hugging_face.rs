//! text-embeddings-inference and text-generation-inference: axum tells in plain text what JSON lacks.

use crate::asked::{ask, ask_client, each};
use crate::recorded_server::recorded;

fn both_ways(name: &str, path: &str, version: &str, model: &str) {
    let server = recorded(name);
    let client = |body: &str| ask_client(&server.url(), &format!("{path} --json '{body}'"));
    each(&[
        ("recognized", &|| ask(&server.url()).assert_server(name, version, &[model])),
        ("a URL suffices", &|| {
            let asked = ask(&server.url());
            assert_eq!(asked.assert_good()["path"], path);
            assert_eq!(asked.causes(), Vec::<&str>::new());
        }),
        ("a missing key", &|| client(r#"{"text": "hello"}"#).assert_missing(&["inputs"])),
        ("a wrong type", &|| client(r#"{"inputs": 5}"#).assert_wrong("inputs")),
        ("an empty text", &|| client(r#"{"inputs": ""}"#).assert_wrong("inputs")),
        ("a good request", &|| client(r#"{"inputs": "hello"}"#).assert_nothing_wrong()),
    ]);
}

#[test]
fn the_server_of_embeddings() {
    both_ways("tei", "/embed", "1.7.0", "BAAI/bge-small-en-v1.5");
}

#[test]
fn the_server_of_text() {
    both_ways("tgi", "/generate", "2.4.0", "bigscience/bloom-560m");
}
