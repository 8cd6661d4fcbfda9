//! ollama, whose answer to a request without a prompt is a 200 that holds nothing.

use crate::asked::{ask, ask_client, each};
use crate::recorded_server::recorded;

#[test]
fn the_recorded_ollama() {
    let server = recorded("ollama");
    let client = |body: &str| ask_client(&server.url(), &format!("/api/generate --json '{body}'"));
    each(&[
        ("recognized", &|| ask(&server.url()).assert_server("ollama", "0.12.3", &["llama3.2:1b"])),
        ("a URL suffices", &|| {
            let asked = ask(&server.url());
            let good = asked.assert_good();
            assert!(good["answer"].as_str().unwrap().contains("Hello"), "{good}");
            assert_eq!(asked.sent("model"), "llama3.2:1b");
        }),
        ("a missing model", &|| client(r#"{"prompt": "hi", "stream": false}"#).assert_missing(&["model"])),
        ("another model", &|| {
            let asked = client(r#"{"model": "llama4", "prompt": "hi", "stream": false}"#);
            asked.assert_cause(&["wrong-model-name", "model-not-loaded"]);
            asked.assert_blamed("llama3.2:1b");
        }),
        ("no prompt", &|| {
            let asked = client(r#"{"model": "llama3.2:1b", "stream": false}"#);
            assert_eq!(asked.known("client")["status"]["known"], 200);
            assert_eq!(asked.known("soft_failures")[0]["kind"], "no_result", "{}", asked.known("soft_failures"));
        }),
        ("a good request", &|| {
            client(r#"{"model": "llama3.2:1b", "prompt": "hi", "stream": false}"#).assert_nothing_wrong()
        }),
    ]);
}
