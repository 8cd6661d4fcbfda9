//! Speech over a WebSocket, by WhisperLiveKit's protocol.

use crate::asked::{Asked, ask, each};
use crate::setup::real_server::{Server, program};

fn speech(switches: &[&str]) -> Option<Server> {
    program("websocket", "websocket", switches, "/")
}

/// The address of its WebSocket.
fn at(server: &Server) -> String {
    format!("ws://127.0.0.1:{}/asr", server.port)
}

/// Every word that is told of the causes.
fn told(asked: &Asked) -> String {
    asked.report["diagnoses"].to_string()
}

#[test]
fn a_server_that_hears() {
    let Some(server) = speech(&[]) else { return };
    let hears = |url: &str| {
        let asked = ask(url);
        let good = asked.assert_good();
        assert!(good["answer"].as_str().unwrap().contains("4.6 seconds of speech"), "{good}");
        assert_eq!(good["stream"]["known"]["ended"], true, "{good}");
        asked.assert_kind("whisper-websocket");
        assert_eq!(asked.known("transport")["protocol"]["known"], "WebSocket");
        assert_eq!(asked.causes(), Vec::<&str>::new());
    };
    each(&[
        ("by its WebSocket", &|| hears(&at(&server))),
        ("by its HTTP address", &|| hears(&server.url)),
        ("an unknown language", &|| {
            let asked = ask(&format!("{}?language=xx", at(&server)));
            assert!(told(&asked).contains("language"), "{}", told(&asked));
        }),
        ("an unknown path", &|| {
            let asked = ask(&format!("ws://127.0.0.1:{}/transcribe", server.port));
            // A path that is not there and a session that is not wanted both look like this.
            asked.assert_cause(&["wrong-path-or-method", "websocket-session-refused"]);
            assert!(told(&asked).contains("path"), "{}", told(&asked));
        }),
    ]);
}

#[test]
fn a_language_that_it_demands() {
    let Some(server) = speech(&["--demand-language"]) else { return };
    let asked = ask(&at(&server));
    asked.assert_good();
    assert!(asked.known("good")["path"].as_str().unwrap().contains("language="), "{}", asked.known("good"));
}

#[test]
fn a_handshake_that_is_refused() {
    let Some(server) = speech(&["--refuse"]) else { return };
    let asked = ask(&at(&server));
    assert!(asked.known("good").is_null());
    assert!(!asked.causes().is_empty(), "{}", asked.report["headline"]);
    assert!(told(&asked).contains("403"), "{}", told(&asked));
}

#[test]
fn a_connection_that_is_closed_with_a_reason() {
    let Some(server) = speech(&["--close", "No GPU available"]) else { return };
    let asked = ask(&at(&server));
    assert!(asked.known("good").is_null());
    let told = told(&asked);
    assert!(told.contains("1008") && told.contains("No GPU available"), "{told}");
}

#[test]
fn a_server_that_hears_nothing_in_speech() {
    let Some(server) = speech(&["--empty"]) else { return };
    let soft = ask(&at(&server)).known("soft_failures");
    assert_eq!(soft[0]["kind"], "empty_transcript", "{soft}");
}
