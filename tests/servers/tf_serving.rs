//! TensorFlow Serving, which lists its models nowhere: it is asked for, then its metadata suffices.

use crate::asked::{ask, ask_client, ask_with};
use crate::recorded_server::recorded;

#[test]
fn the_models_name_is_asked_for() {
    let server = recorded("tf-serving");
    let asked = ask(&server.url());
    asked.assert_kind("tf-serving");
    assert!(asked.known("good").is_null());
    let told = asked.report.to_string();
    assert!(told.contains("/v1/models/") && told.contains(":predict"), "an example of what to name: {told}");
}

#[test]
fn a_path_suffices() {
    let server = recorded("tf-serving");
    let asked = ask_with(&server.url(), "request: {path: '/v1/models/m:predict'}", None);
    asked.assert_kind("tf-serving");
    let good = asked.assert_good();
    assert!(good["answer"].as_str().unwrap().contains("predictions"), "{good}");
    let sent = server.received().into_iter().rfind(|request| request.method == "POST").unwrap();
    assert!(sent.body.contains("audio") || sent.body.contains("[["), "{}", sent.body);
}

#[test]
fn what_clients_send() {
    let server = recorded("tf-serving");
    let client = |body: &str| ask_client(&server.url(), &format!("/v1/models/m:predict --json '{body}'"));
    let asked = client(r#"{"data": [[0, 0, 0, 0]]}"#);
    asked.assert_blamed("instances");
    asked.assert_good();
    // The answer names the client's key; the one that is wanted stands in the metadata.
    let asked = client(r#"{"instances": [{"image_bytes": [0, 0, 0, 0]}]}"#);
    asked.assert_blamed("audio");
    client(r#"{"instances": [{"audio": [0, 0, 0, 0]}]}"#).assert_nothing_wrong();
}
