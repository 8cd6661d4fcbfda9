//! faster-whisper with the real weights of tiny.en: what it hears in the doctor's sample is the sample's text.

use crate::asked::{Asked, ask, ask_client, ask_with};
use crate::setup::real_server::{Server, program};

/// What `fixtures/samples/speech.wav` says. The synthesizer's "dog" is understood, its comma is the model's own.
const SAID: &str = "the quick brown fox jumps over the lazy dog the gpu is busy today";

fn whisper(switches: &[&str]) -> Option<Server> {
    program("whisper", "whisper", switches, "/health")
}

/// The words of the transcript in the good answer.
fn heard(asked: &Asked) -> String {
    let answer = asked.assert_good()["answer"].as_str().unwrap().to_owned();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let letters = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let text: String = answer["text"].as_str().unwrap().chars().map(letters).collect();
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

#[test]
fn a_url_suffices_and_the_transcript_is_the_samples_text() {
    for switches in [&[][..], &["--vad"]] {
        let Some(server) = whisper(switches) else { return };
        let asked = ask(&server.url);
        assert_eq!(heard(&asked), SAID);
        assert_eq!(asked.known("soft_failures"), serde_json::json!([]));
    }
}

#[test]
fn openais_operation_gets_the_model_that_the_server_lists() {
    let Some(server) = whisper(&[]) else { return };
    let asked = ask_with(&server.url, "request: {path: /v1/audio/transcriptions}", None);
    assert_eq!(heard(&asked), SAID);
    assert_eq!(asked.sent("model"), "tiny.en");
}

#[test]
fn what_clients_send() {
    let Some(server) = whisper(&[]) else { return };
    let client = |request: &str| ask_client(&server.url, request);
    let asked = client("/asr -F audio=@speech.wav");
    asked.assert_missing(&["lang"]);
    assert_eq!(asked.known("missing_fields")[0]["schema_says"], "optional");
    let asked = client("/asr -F audio=@speech.wav -F lang=xx");
    asked.assert_blamed("lang");
    asked.assert_good();
    let asked = client("/asr -F audio=@image.png -F lang=en");
    asked.assert_blamed("audio");
    asked.assert_good();
    let asked = client("/v1/audio/transcriptions -F file=@speech.wav -F model=whisper-1");
    asked.assert_cause(&["wrong-model-name"]);
    asked.assert_blamed("tiny.en");
    client("/asr -F audio=@speech.wav -F lang=en").assert_nothing_wrong();
}
