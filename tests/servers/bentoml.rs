//! BentoML: its document stands at /docs.json and /schema.json, its answers name fields without "body".

use crate::asked::{Asked, ask, ask_client, ask_with};
use crate::setup::real_server::{Server, program};

fn bentoml() -> Option<Server> {
    program("bentoml", "bentoml", &[], "/readyz")
}

#[test]
fn a_url_suffices() {
    let Some(server) = bentoml() else { return };
    let asked = ask(&server.url);
    asked.assert_kind("bentoml");
    let good = asked.assert_good();
    assert_eq!(good["path"], "/transcribe", "sound before a list of texts");
    assert!(good["answer"].as_str().unwrap().contains("4.6 s of speech"), "{good}");
    let asked = ask_with(&server.url, "request: {path: /embed}", None);
    assert_eq!(asked.assert_good()["path"], "/embed");
}

#[test]
fn what_clients_send() {
    let Some(server) = bentoml() else { return };
    let client = |request: &str| -> Asked { ask_client(&server.url, request) };
    client("/transcribe -F audio=@speech.wav").assert_missing(&["lang"]);
    client("/transcribe -F lang=en").assert_missing(&["audio"]);
    client("/embed --json '{}'").assert_missing(&["texts"]);
    let asked = client("/embed --json '{\"texts\": 5}'");
    asked.assert_blamed("texts");
    asked.assert_good();
    let asked = client("/transcribe -F audio=@speech.wav -F lang=en -F sample_rate=fast");
    asked.assert_blamed("sample_rate");
    asked.assert_good();
    client("/transcribe -F audio=@speech.wav -F lang=en").assert_nothing_wrong();
    client("/embed --json '{\"texts\": [\"a\", \"bc\"]}'").assert_nothing_wrong();
    client("/predict -F audio=@speech.wav -F lang=en").assert_cause(&["wrong-path-or-method"]);
}
