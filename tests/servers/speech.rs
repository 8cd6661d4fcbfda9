//! OpenAI's speech API on a server without a schema.

use crate::asked::{ask, ask_client};
use crate::recorded_server::recorded;

#[test]
fn a_url_suffices() {
    let server = recorded("speech");
    let asked = ask(&server.url());
    asked.assert_kind("openai");
    assert_eq!(asked.assert_good()["path"], "/v1/audio/transcriptions");
    assert_eq!(asked.sent("model"), "Systran/faster-whisper-tiny.en");
}

#[test]
fn what_clients_send() {
    let server = recorded("speech");
    let client = |request: &str| ask_client(&server.url(), &format!("/v1/audio/transcriptions {request}"));
    client("-F file=@speech.wav").assert_missing(&["model"]);
    client("-F model=Systran/faster-whisper-tiny.en").assert_missing(&["file"]);
    let asked = client("-F file=@speech.wav -F model=whisper-1");
    asked.assert_cause(&["wrong-model-name"]);
    asked.assert_blamed("Systran/faster-whisper-tiny.en");
    client("-F file=@speech.wav -F model=Systran/faster-whisper-tiny.en").assert_nothing_wrong();
}
