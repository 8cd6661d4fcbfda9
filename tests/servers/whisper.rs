//! faster-whisper with the real weights of tiny.en: what it hears in the doctor's sample is the sample's text.

use crate::asked::{Asked, ask, ask_client, ask_with, each};
use crate::setup::real_server::program;

/// What `fixtures/samples/speech.wav` says.
const SAID: &str = "the quick brown fox jumps over the lazy dog the gpu is busy today";

/// The words of the transcript in the good answer.
fn heard(asked: &Asked) -> String {
    let answer = asked.assert_good()["answer"].as_str().unwrap().to_owned();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let letters = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let text: String = answer["text"].as_str().unwrap().chars().map(letters).collect();
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

#[test]
fn real_weights_behind_fastapi() {
    let Some(server) = program("whisper", "whisper", &[], "/health") else { return };
    let client = |request: &str| ask_client(&server.url, request);
    each(&[
        ("a URL suffices, and the transcript is the sample's text", &|| {
            let asked = ask(&server.url);
            assert_eq!(heard(&asked), SAID);
            assert_eq!(asked.known("soft_failures"), serde_json::json!([]));
        }),
        ("OpenAI's operation gets the model that the server lists", &|| {
            let asked = ask_with(&server.url, "request: {path: /v1/audio/transcriptions}", None);
            assert_eq!(heard(&asked), SAID);
            assert_eq!(asked.sent("model"), "tiny.en");
        }),
        ("a missing field that the schema calls optional", &|| {
            let asked = client("/asr -F audio=@speech.wav");
            asked.assert_missing(&["lang"]);
            assert_eq!(asked.known("missing_fields")[0]["schema_says"], "optional");
        }),
        ("an unknown language", &|| client("/asr -F audio=@speech.wav -F lang=xx").assert_wrong("lang")),
        ("no sound", &|| client("/asr -F audio=@image.png -F lang=en").assert_wrong("audio")),
        ("another model", &|| {
            let asked = client("/v1/audio/transcriptions -F file=@speech.wav -F model=whisper-1");
            asked.assert_cause(&["wrong-model-name"]);
            asked.assert_wrong("model");
            asked.assert_blamed("tiny.en");
        }),
        ("a good request", &|| client("/asr -F audio=@speech.wav -F lang=en").assert_nothing_wrong()),
    ]);
}

#[test]
fn a_voice_detector_lets_the_doctors_sample_through_and_drops_silence() {
    let Some(server) = program("whisper", "whisper", &["--vad"], "/health") else { return };
    each(&[
        ("the sample", &|| assert_eq!(heard(&ask(&server.url)), SAID)),
        ("silence of the client's", &|| {
            let asked = ask_client(&server.url, "/asr -F audio=@silence.wav -F lang=en");
            let told = asked.report["diagnoses"].to_string();
            assert!(told.contains("vad-or-filter-drops-input"), "{}", asked.report["headline"]);
        }),
    ]);
}
