//! OpenAI's speech API on a server without a schema.

use crate::asked::{ask, ask_client, each};
use crate::recorded_server::recorded;

#[test]
fn the_recorded_speech_server() {
    let server = recorded("speech");
    let client = |request: &str| ask_client(&server.url(), &format!("/v1/audio/transcriptions {request}"));
    let model = "-F model=Systran/faster-whisper-tiny.en";
    each(&[
        ("recognized", &|| ask(&server.url()).assert_kind("openai")),
        ("a URL suffices", &|| {
            let asked = ask(&server.url());
            assert_eq!(asked.assert_good()["path"], "/v1/audio/transcriptions");
            assert_eq!(asked.sent("model"), "Systran/faster-whisper-tiny.en");
        }),
        ("a missing model", &|| client("-F file=@speech.wav").assert_missing(&["model"])),
        ("a missing file", &|| client(model).assert_missing(&["file"])),
        ("another model", &|| {
            let asked = client("-F file=@speech.wav -F model=whisper-1");
            asked.assert_cause(&["wrong-model-name"]);
            asked.assert_wrong("model");
        }),
        ("a good request", &|| client(&format!("-F file=@speech.wav {model}")).assert_nothing_wrong()),
    ]);
}
