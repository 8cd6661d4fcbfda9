//! vLLM, as it was recorded on a CPU.

use crate::asked::{ask, ask_client, each};
use crate::recorded_server::recorded;

const MESSAGES: &str = r#""messages": [{"role": "user", "content": "hi"}]"#;

#[test]
fn the_recorded_vllm() {
    let server = recorded("vllm");
    let client = |path: &str, body: &str| ask_client(&server.url(), &format!("{path} --json '{{{body}}}'"));
    let chat = |body: &str| client("/v1/chat/completions", body);
    each(&[
        ("recognized", &|| ask(&server.url()).assert_server("vllm", "0.32.0", &["tiny"])),
        ("a URL suffices", &|| {
            let asked = ask(&server.url());
            assert_eq!(asked.assert_good()["path"], "/v1/chat/completions");
            assert_eq!(asked.sent("model"), "tiny");
            assert_eq!(asked.causes(), Vec::<&str>::new());
        }),
        ("missing messages", &|| chat(r#""model": "tiny""#).assert_missing(&["messages"])),
        ("a wrong type", &|| chat(r#""model": "tiny", "messages": "hi""#).assert_wrong("messages")),
        ("another model", &|| {
            let asked = chat(&format!(r#""model": "gpt-4", {MESSAGES}"#));
            asked.assert_cause(&["wrong-model-name"]);
            asked.assert_blamed("tiny");
            asked.assert_wrong("model");
        }),
        ("too many tokens", &|| {
            let asked = chat(&format!(r#""model": "tiny", "max_tokens": 8000, {MESSAGES}"#));
            asked.assert_cause(&["context-length-exceeded"]);
            asked.assert_blamed("max_tokens");
        }),
        ("another path", &|| {
            let asked = client("/chat/completions", &format!(r#""model": "tiny", {MESSAGES}"#));
            asked.assert_cause(&["wrong-path-or-method"]);
            asked.assert_blamed("/v1/chat/completions");
        }),
        ("a good request", &|| chat(&format!(r#""model": "tiny", {MESSAGES}"#)).assert_nothing_wrong()),
    ]);
}
