//! llama.cpp's real server over a tiny model.

use crate::asked::{ask, ask_client, each};
use crate::setup::real_server::program;

/// Greedy, and not past an end: the weights are random, and a draw may say nothing at all.
const HI: &str =
    r#""messages": [{"role": "user", "content": "hi"}], "max_tokens": 8, "temperature": 0, "ignore_eos": true"#;

#[test]
fn the_server_of_llama_cpp() {
    let Some(server) = program("llama", "llama", &[], "/health") else { return };
    let client = |path: &str, body: &str| ask_client(&server.url, &format!("{path} --json '{body}'"));
    let chat = |body: &str| client("/v1/chat/completions", body);
    each(&[
        ("recognized", &|| ask(&server.url).assert_kind("llama.cpp")),
        ("a URL suffices", &|| {
            let asked = ask(&server.url);
            let good = asked.assert_good();
            assert!(good["path"].as_str().unwrap().contains("completion"), "{good}");
            assert_eq!(asked.causes(), Vec::<&str>::new());
        }),
        ("missing messages", &|| chat(r#"{"max_tokens": 4}"#).assert_missing(&["messages"])),
        ("a missing prompt", &|| client("/v1/completions", r#"{"max_tokens": 4}"#).assert_missing(&["prompt"])),
        ("a wrong type", &|| chat(r#"{"messages": "hi", "max_tokens": 4}"#).assert_wrong("messages")),
        ("what it was not started for", &|| {
            let asked = client("/v1/embeddings", r#"{"input": "hi"}"#);
            assert_eq!(asked.known("client")["status"]["known"], 501);
            asked.assert_blamed("embeddings");
        }),
        ("a good request", &|| chat(&format!("{{{HI}}}")).assert_nothing_wrong()),
        ("a stream of tokens", &|| {
            let asked = chat(&format!("{{{HI}, \"stream\": true}}"));
            asked.assert_nothing_wrong();
            let stream = &asked.known("client")["stream"]["known"];
            assert_eq!((&stream["kind"], &stream["ended"]), (&"server-sent events".into(), &true.into()), "{stream}");
            assert!(stream["first_piece_ms"]["known"].as_f64().unwrap() > 0.0, "{stream}");
        }),
    ]);
}
