//! Ray Serve with a FastAPI ingress, as it was recorded.

use crate::asked::{ask, ask_client};
use crate::recorded_server::recorded;

#[test]
fn a_url_suffices() {
    let server = recorded("ray-serve");
    let asked = ask(&server.url());
    asked.assert_kind("ray-serve");
    assert_eq!(asked.assert_good()["path"], "/asr");
    assert_eq!(asked.causes(), Vec::<&str>::new());
}

#[test]
fn what_clients_send() {
    let server = recorded("ray-serve");
    let client = |request: &str| ask_client(&server.url(), request);
    client("/asr -F audio=@speech.wav").assert_missing(&["lang"]);
    client("/asr -F lang=en").assert_missing(&["audio"]);
    let asked = client("/asr --json '{\"audio\": \"x\", \"lang\": \"en\"}'");
    assert_eq!(asked.known("client")["status"]["known"], 200, "the recording does not look at the content type");
    client("/asr -F audio=@speech.wav -F lang=en").assert_nothing_wrong();
    client("/transcribe -F audio=@speech.wav").assert_cause(&["wrong-path-or-method"]);
}
