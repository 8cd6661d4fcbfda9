//! Flask, which has no schema and names nothing: its source beside the process does.

use crate::asked::{Asked, ask, ask_client, each};
use crate::setup::real_server::{Server, program};

const SCORE: &str = r#"{"text": "hello", "lang": "en"}"#;

fn flask(switches: &[&str]) -> Option<Server> {
    program("flask", "flask", switches, "/health")
}

fn status(asked: &Asked) -> serde_json::Value {
    asked.known("client")["status"]["known"].clone()
}

#[test]
fn a_url_suffices() {
    for (operation, path, answer) in [("asr", "/asr", "4.6 s of speech"), ("score", "/score", "score")] {
        let Some(server) = flask(&["--only", operation]) else { return };
        let asked = ask(&server.url);
        let good = asked.assert_good();
        assert_eq!(good["path"], path);
        assert!(good["answer"].as_str().unwrap().contains(answer), "{good}");
        assert_eq!(asked.sent("lang"), "en");
        assert_eq!(asked.causes(), Vec::<&str>::new());
    }
}

#[test]
fn what_clients_send() {
    let Some(server) = flask(&[]) else { return };
    let client = |request: &str| ask_client(&server.url, request);
    each(&[
        ("a missing field that the page does not name", &|| {
            let asked = client("/asr -F audio=@speech.wav");
            assert_eq!(status(&asked), 400);
            asked.assert_missing(&["lang"]);
            asked.assert_cause(&["field-name-lost-in-error", "required-field-missing"]);
        }),
        ("a missing file that the page does not name", &|| client("/asr -F lang=en").assert_missing(&["audio"])),
        ("a missing key that looks like a crash", &|| {
            let asked = client("/score --json '{\"text\": \"hello\"}'");
            assert_eq!(status(&asked), 500);
            asked.assert_missing(&["lang"]);
        }),
        ("an unknown language", &|| client("/asr -F audio=@speech.wav -F lang=fr").assert_wrong("lang")),
        ("no sound", &|| client("/asr -F audio=@image.png -F lang=en").assert_wrong("audio")),
        ("a form for JSON", &|| {
            let asked = client("/score -d text=hello -d lang=en");
            assert_eq!(status(&asked), 415);
            asked.assert_cause(&["wrong-content-type"]);
            asked.assert_blamed("application/json");
        }),
        ("another method", &|| {
            let asked = client("/asr -G -d lang=en");
            asked.assert_cause(&["wrong-path-or-method"]);
            asked.assert_blamed("POST");
        }),
        ("a good form", &|| client("/asr -F audio=@speech.wav -F lang=hi").assert_nothing_wrong()),
        ("good JSON", &|| client(&format!("/score --json '{SCORE}'")).assert_nothing_wrong()),
    ]);
}

#[test]
fn the_debuggers_page_names_the_key() {
    let Some(server) = flask(&["--debug"]) else { return };
    for request in ["/asr -F audio=@speech.wav", "/score --json '{\"text\": \"hello\"}'"] {
        let asked = ask_client(&server.url, request);
        asked.assert_missing(&["lang"]);
        assert_eq!(asked.known("missing_fields")[0]["found_by"], "the answer names it");
    }
}
