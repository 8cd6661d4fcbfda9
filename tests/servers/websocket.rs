//! Speech over a WebSocket, by WhisperLiveKit's protocol.

use crate::asked::ask;
use crate::setup::real_server::{Server, program};

fn speech(switches: &[&str]) -> Option<Server> {
    program("websocket", "websocket", switches, "/")
}

/// The address of its WebSocket.
fn at(server: &Server) -> String {
    format!("ws://127.0.0.1:{}/asr", server.port)
}

#[test]
fn a_url_suffices_with_either_scheme() {
    let Some(server) = speech(&[]) else { return };
    for url in [at(&server), server.url.clone()] {
        let asked = ask(&url);
        asked.assert_kind("whisper-websocket");
        let good = asked.assert_good();
        assert!(good["answer"].as_str().unwrap().contains("4.6 seconds of speech"), "{good}");
        assert_eq!(good["stream"]["known"]["ended"], true, "{good}");
        assert_eq!(asked.known("transport")["protocol"]["known"], "WebSocket");
        assert_eq!(asked.causes(), Vec::<&str>::new());
    }
}

#[test]
fn a_language_that_it_demands() {
    let Some(server) = speech(&["--demand-language"]) else { return };
    let asked = ask(&at(&server));
    asked.assert_good();
    asked.assert_missing(&["language"]);
}

#[test]
fn an_unknown_language() {
    let Some(server) = speech(&[]) else { return };
    let asked = ask(&format!("{}?language=xx", at(&server)));
    let told = asked.report["diagnoses"].to_string();
    assert!(told.contains("language"), "{told}");
}

#[test]
fn a_handshake_that_is_refused_is_told_from_an_unknown_path() {
    let Some(server) = speech(&["--refuse"]) else { return };
    let asked = ask(&at(&server));
    assert!(asked.known("good").is_null());
    assert!(!asked.causes().is_empty(), "{}", asked.report["headline"]);
    assert!(asked.report["diagnoses"].to_string().contains("403"), "{}", asked.report["diagnoses"]);
}

#[test]
fn a_connection_that_is_closed_with_a_reason() {
    let Some(server) = speech(&["--close", "No GPU available"]) else { return };
    let asked = ask(&at(&server));
    assert!(asked.known("good").is_null());
    let told = asked.report["diagnoses"].to_string();
    assert!(told.contains("1008") && told.contains("No GPU available"), "{told}");
}

#[test]
fn a_server_that_hears_nothing_in_speech() {
    let Some(server) = speech(&["--empty"]) else { return };
    let asked = ask(&at(&server));
    let soft = asked.known("soft_failures");
    assert_eq!(soft[0]["kind"], "empty_transcript", "{soft}");
}
