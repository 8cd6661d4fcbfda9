//! FastAPI with pydantic 1 and with pydantic 2, whose schema tells the truth.

use crate::asked::{ask, ask_client, ask_with, each};
use crate::setup::real_server::{Server, program};

/// The server in both environments, as far as they were made.
fn both() -> impl Iterator<Item = Server> {
    ["pydantic1", "cpu"].into_iter().filter_map(|venv| program(venv, "fastapi", &[], "/health"))
}

#[test]
fn a_url_suffices() {
    for server in both() {
        let form = || {
            let asked = ask(&server.url);
            let good = asked.assert_good();
            assert!(good["answer"].as_str().unwrap().contains("4.6 s of speech"), "{good}");
            let attempts = asked.known("attempts");
            assert_eq!(attempts.as_array().unwrap().len(), 1, "the schema says all: {}", asked.attempts());
            asked.assert_kind("fastapi");
        };
        let json = || {
            let asked = ask_with(&server.url, "request: {path: /score}", None);
            let good = asked.assert_good();
            assert_eq!(good["path"], "/score");
            assert!(["hi", "en"].contains(&asked.sent("lang").as_str().unwrap()), "{good}");
            assert_eq!(asked.causes(), Vec::<&str>::new());
        };
        each(&[("the form", &form), ("the JSON operation by its path", &json)]);
    }
}

#[test]
fn what_clients_send() {
    for server in both() {
        let client = |request: &str| ask_client(&server.url, request);
        let score = |body: &str| client(&format!("/score --json '{body}'"));
        each(&[
            ("a missing form field", &|| client("/asr -F audio=@speech.wav").assert_missing(&["lang"])),
            ("a missing file", &|| client("/asr -F lang=en").assert_missing(&["audio"])),
            ("two missing keys", &|| score(r#"{"top_k": 2}"#).assert_missing(&["text", "lang"])),
            ("an unknown language", &|| score(r#"{"text": "hello", "lang": "fr"}"#).assert_wrong("lang")),
            ("out of bounds", &|| score(r#"{"text": "hello", "lang": "en", "top_k": 50}"#).assert_wrong("top_k")),
            ("no number", &|| score(r#"{"text": "hello", "lang": "en", "top_k": "many"}"#).assert_wrong("top_k")),
            ("an empty text", &|| score(r#"{"text": "", "lang": "en"}"#).assert_wrong("text")),
            ("a file as text", &|| client("/asr -F audio=speech -F lang=en").assert_wrong("audio")),
            ("JSON for a form", &|| {
                let asked = client(r#"/asr --json '{"audio": "x", "lang": "en"}'"#);
                asked.assert_cause(&["wrong-content-type"]);
                asked.assert_blamed("multipart/form-data");
                asked.assert_good();
            }),
            ("another path", &|| {
                let asked = client("/transcribe -F audio=@speech.wav -F lang=en");
                asked.assert_cause(&["wrong-path-or-method"]);
                asked.assert_blamed("/asr");
            }),
            ("another method", &|| {
                let asked = client("/asr -X PUT -F audio=@speech.wav -F lang=en");
                asked.assert_cause(&["wrong-path-or-method"]);
                asked.assert_blamed("POST");
            }),
            ("a good form", &|| client("/asr -F audio=@speech.wav -F lang=en").assert_nothing_wrong()),
            ("good JSON", &|| score(r#"{"text": "hello", "lang": "hi", "top_k": 3}"#).assert_nothing_wrong()),
        ]);
    }
}
