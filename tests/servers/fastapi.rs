//! FastAPI with pydantic 1 and with pydantic 2, whose schema tells the truth.

use crate::asked::{Asked, ask, ask_client, ask_with};
use crate::setup::real_server::{Server, program};

/// The server in both environments, as far as they were made.
fn both() -> impl Iterator<Item = Server> {
    ["pydantic1", "cpu"].into_iter().filter_map(|venv| program(venv, "fastapi", &[], "/health"))
}

fn clients(request: &str) -> Vec<Asked> {
    both().map(|server| ask_client(&server.url, request)).collect()
}

#[test]
fn a_url_suffices() {
    for server in both() {
        let asked = ask(&server.url);
        asked.assert_kind("fastapi");
        let good = asked.assert_good();
        assert!(good["answer"].as_str().unwrap().contains("4.6 s of speech"), "{good}");
        assert_eq!(asked.known("attempts").as_array().unwrap().len(), 1, "the schema says all: {}", asked.attempts());
    }
}

#[test]
fn the_json_operation_by_its_path() {
    for server in both() {
        let asked = ask_with(&server.url, "request: {path: /score}", None);
        let good = asked.assert_good();
        assert_eq!(good["path"], "/score");
        assert!(["hi", "en"].contains(&asked.sent("lang").as_str().unwrap()), "{good}");
        assert_eq!(asked.causes(), Vec::<&str>::new());
    }
}

#[test]
fn a_missing_form_field() {
    clients("/asr -F audio=@speech.wav").iter().for_each(|asked| asked.assert_missing(&["lang"]));
}

#[test]
fn a_missing_file() {
    clients("/asr -F lang=en").iter().for_each(|asked| asked.assert_missing(&["audio"]));
}

#[test]
fn two_missing_keys() {
    clients("/score --json '{\"top_k\": 2}'").iter().for_each(|asked| asked.assert_missing(&["text", "lang"]));
}

#[test]
fn a_language_that_the_schema_does_not_know() {
    for asked in clients("/score --json '{\"text\": \"hello\", \"lang\": \"fr\"}'") {
        asked.assert_blamed("lang");
        asked.assert_good();
    }
}

#[test]
fn a_number_out_of_bounds_and_one_that_is_none() {
    for value in ["50", "\"many\""] {
        for asked in clients(&format!("/score --json '{{\"text\": \"hello\", \"lang\": \"en\", \"top_k\": {value}}}'"))
        {
            asked.assert_blamed("top_k");
            asked.assert_good();
        }
    }
}

#[test]
fn json_for_a_form() {
    for asked in clients("/asr --json '{\"audio\": \"x\", \"lang\": \"en\"}'") {
        asked.assert_cause(&["wrong-content-type"]);
        asked.assert_blamed("multipart/form-data");
        asked.assert_good();
    }
}

#[test]
fn a_file_sent_as_text() {
    for asked in clients("/asr -F audio=speech -F lang=en") {
        asked.assert_blamed("audio");
        asked.assert_good();
    }
}

#[test]
fn another_path_and_another_method() {
    for request in ["/transcribe -F audio=@speech.wav -F lang=en", "/asr -X PUT -F audio=@speech.wav -F lang=en"] {
        for asked in clients(request) {
            asked.assert_cause(&["wrong-path-or-method"]);
            asked.assert_good();
        }
    }
}

#[test]
fn a_good_request() {
    for request in [
        "/asr -F audio=@speech.wav -F lang=en",
        "/score --json '{\"text\": \"hello\", \"lang\": \"hi\", \"top_k\": 3}'",
    ] {
        clients(request).iter().for_each(Asked::assert_nothing_wrong);
    }
}
