//! Gradio, whose calls have two steps.

use crate::asked::{ask, ask_client, each};
use crate::recorded_server::recorded;

#[test]
fn the_recorded_gradio() {
    let server = recorded("gradio");
    let client = |body: &str| ask_client(&server.url(), &format!("/gradio_api/call/predict --json '{body}'"));
    each(&[
        ("recognized", &|| ask(&server.url()).assert_kind("gradio")),
        ("a URL suffices", &|| {
            let asked = ask(&server.url());
            let good = asked.assert_good();
            assert!(good["answer"].as_str().unwrap().contains("greeting"), "the second step holds the result: {good}");
            assert_eq!(asked.causes(), Vec::<&str>::new());
        }),
        ("a missing key", &|| client(r#"{"inputs": ["hello", "en"]}"#).assert_missing(&["data"])),
        ("an input too few, accepted and then failed", &|| {
            let asked = client(r#"{"data": ["hello"]}"#);
            assert!(!asked.causes().is_empty(), "{}", asked.known("client"));
            asked.assert_good();
        }),
        ("a good request", &|| client(r#"{"data": ["hello", "en"]}"#).assert_nothing_wrong()),
    ]);
}
