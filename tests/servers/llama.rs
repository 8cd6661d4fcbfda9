//! llama.cpp's real server over a tiny model.

use crate::asked::{ask, ask_client};
use crate::setup::real_server::{Server, program};

fn llama(switches: &[&str]) -> Option<Server> {
    program("llama", "llama", switches, "/health")
}

#[test]
fn a_url_suffices() {
    let Some(server) = llama(&[]) else { return };
    let asked = ask(&server.url);
    asked.assert_kind("llama.cpp");
    let good = asked.assert_good();
    assert!(good["path"].as_str().unwrap().contains("completion"), "{good}");
    assert_eq!(asked.causes(), Vec::<&str>::new());
}

#[test]
fn what_clients_send() {
    let Some(server) = llama(&[]) else { return };
    let client = |request: &str| ask_client(&server.url, request);
    client("/v1/chat/completions --json '{\"max_tokens\": 4}'").assert_missing(&["messages"]);
    client("/v1/completions --json '{\"max_tokens\": 4}'").assert_missing(&["prompt"]);
    let asked = client("/v1/chat/completions --json '{\"messages\": \"hi\", \"max_tokens\": 4}'");
    asked.assert_blamed("messages");
    asked.assert_good();
    let asked = client("/v1/embeddings --json '{\"input\": \"hi\"}'");
    assert_eq!(asked.known("client")["status"]["known"], 501);
    asked.assert_blamed("embeddings");
    let good = "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"max_tokens\": 4}";
    client(&format!("/v1/chat/completions --json '{good}'")).assert_nothing_wrong();
}

#[test]
fn a_stream_of_tokens() {
    let Some(server) = llama(&[]) else { return };
    let body = "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"max_tokens\": 8, \"stream\": true}";
    let asked = ask_client(&server.url, &format!("/v1/chat/completions --json '{body}'"));
    asked.assert_nothing_wrong();
    let stream = &asked.known("client")["stream"]["known"];
    assert_eq!((&stream["kind"], &stream["ended"]), (&"server-sent events".into(), &true.into()), "{stream}");
    assert!(stream["first_piece_ms"]["known"].as_f64().unwrap() > 0.0, "{stream}");
}
