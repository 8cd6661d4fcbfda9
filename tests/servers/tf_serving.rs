//! TensorFlow Serving, which lists its models nowhere: the name is asked for, then its metadata suffices.

use crate::asked::{ask, ask_client, ask_with, each};
use crate::recorded_server::recorded;

#[test]
fn the_recorded_tf_serving() {
    let server = recorded("tf-serving");
    let client = |body: &str| ask_client(&server.url(), &format!("/v1/models/m:predict --json '{body}'"));
    each(&[
        ("recognized", &|| ask(&server.url()).assert_kind("tf-serving")),
        ("the model's name is asked for", &|| {
            let asked = ask(&server.url());
            assert!(asked.known("good").is_null());
            let told = asked.report.to_string();
            assert!(told.contains("/v1/models/") && told.contains(":predict"), "an example of what to name: {told}");
        }),
        ("a path suffices", &|| {
            let asked = ask_with(&server.url(), "request: {path: '/v1/models/m:predict'}", None);
            let good = asked.assert_good();
            assert!(good["answer"].as_str().unwrap().contains("predictions"), "{good}");
            let sent = server.received().into_iter().rfind(|request| request.method == "POST").unwrap();
            let body: serde_json::Value = serde_json::from_str(&sent.body).unwrap();
            let first = &body["instances"][0];
            let row = first.get("audio").unwrap_or(first).as_array().map_or(0, Vec::len);
            assert_eq!(row, 4, "as the metadata says: {body}");
        }),
        ("a missing key", &|| {
            let asked = client(r#"{"data": [[0, 0, 0, 0]]}"#);
            asked.assert_blamed("instances");
            asked.assert_good();
        }),
        // The answer names the client's key; the one that is wanted stands in the metadata.
        ("another input's name", &|| {
            client(r#"{"instances": [{"image_bytes": [0, 0, 0, 0]}]}"#).assert_blamed("audio")
        }),
        ("a good request", &|| client(r#"{"instances": [{"audio": [0, 0, 0, 0]}]}"#).assert_nothing_wrong()),
    ]);
}
