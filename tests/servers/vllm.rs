//! vLLM, as it was recorded on a CPU.

use crate::asked::{ask, ask_client};
use crate::recorded_server::recorded;

const MESSAGES: &str = r#""messages": [{"role": "user", "content": "hi"}]"#;

#[test]
fn a_url_suffices() {
    let server = recorded("vllm");
    let asked = ask(&server.url());
    asked.assert_kind("vllm");
    let good = asked.assert_good();
    assert_eq!(good["path"], "/v1/chat/completions");
    assert_eq!(asked.sent("model"), "tiny");
    assert_eq!(asked.causes(), Vec::<&str>::new());
}

#[test]
fn what_clients_send() {
    let server = recorded("vllm");
    let client = |body: &str| ask_client(&server.url(), &format!("/v1/chat/completions --json '{{{body}}}'"));
    client(r#""model": "tiny""#).assert_missing(&["messages"]);
    let asked = client(r#""model": "tiny", "messages": "hi""#);
    asked.assert_blamed("messages");
    asked.assert_good();
    let asked = client(&format!(r#""model": "gpt-4", {MESSAGES}"#));
    asked.assert_cause(&["wrong-model-name"]);
    asked.assert_blamed("tiny");
    let asked = client(&format!(r#""model": "tiny", "max_tokens": 8000, {MESSAGES}"#));
    asked.assert_cause(&["context-length-exceeded"]);
    asked.assert_blamed("max_tokens");
    client(&format!(r#""model": "tiny", {MESSAGES}"#)).assert_nothing_wrong();
    let asked = ask_client(&server.url(), &format!("/chat/completions --json '{{\"model\": \"tiny\", {MESSAGES}}}'"));
    asked.assert_cause(&["wrong-path-or-method"]);
    asked.assert_blamed("/v1/chat/completions");
}
