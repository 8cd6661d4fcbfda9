//! Gradio, whose calls have two steps.

use crate::asked::{ask, ask_client};
use crate::recorded_server::recorded;

#[test]
fn a_url_suffices() {
    let server = recorded("gradio");
    let asked = ask(&server.url());
    asked.assert_kind("gradio");
    let good = asked.assert_good();
    assert!(good["answer"].as_str().unwrap().contains("greeting"), "the second step holds the result: {good}");
    assert_eq!(asked.causes(), Vec::<&str>::new());
}

#[test]
fn what_clients_send() {
    let server = recorded("gradio");
    let client = |body: &str| ask_client(&server.url(), &format!("/gradio_api/call/predict --json '{body}'"));
    client(r#"{"inputs": ["hello", "en"]}"#).assert_missing(&["data"]);
    let asked = client(r#"{"data": ["hello"]}"#);
    asked.assert_blamed("lang");
    asked.assert_good();
    client(r#"{"data": ["hello", "en"]}"#).assert_nothing_wrong();
}
