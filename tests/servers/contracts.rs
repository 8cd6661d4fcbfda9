//! Demands that no schema tells: exactly one of two fields, a bearer token, a picture's kind, a size.

use crate::asked::{Asked, ask_with, each};
use crate::setup::real_server::program;

const TOKEN: &str = "not-a-secret-0123456789";

#[test]
fn demands_beyond_the_schema() {
    let Some(server) = program("cpu", "contracts", &[], "/health") else { return };
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, format!("{TOKEN}\n")).unwrap();
    let header = format!("headers: {{authorization: {{file: {token:?}, prefix: 'Bearer '}}}}");
    let authorized = |path: &str, client: Option<&str>| -> Asked {
        let asked = ask_with(&server.url, &format!("{header}\nrequest: {{path: {path}}}"), client);
        assert!(!asked.report.to_string().contains(TOKEN), "a secret in the report");
        asked
    };
    let open = |path: &str, client: Option<&str>| ask_with(&server.url, &format!("request: {{path: {path}}}"), client);
    each(&[
        ("no token", &|| {
            let asked = open("/predict", None);
            asked.assert_cause(&["auth-rejected"]);
            assert!(asked.report["diagnoses"].to_string().contains("401"), "{}", asked.report["diagnoses"]);
        }),
        ("the client's lacks the token", &|| {
            open("/predict", Some("/predict --json '{\"audio_file\": \"x\"}'")).assert_cause(&["auth-rejected"])
        }),
        ("exactly one of two optional fields", &|| {
            let asked = authorized("/predict", None);
            let good = asked.assert_good();
            assert!(good["answer"].as_str().unwrap().contains("146124 bytes of speech"), "{good}");
            let names: Vec<&str> =
                good["fields"].as_array().unwrap().iter().filter_map(|field| field["name"].as_str()).collect();
            assert!(names.contains(&"audio_file") && !names.contains(&"url"), "{good}");
        }),
        ("a client that sends neither gets 200 with an error inside", &|| {
            let asked = authorized("/predict", Some("/predict --json '{\"language\": \"en\"}'"));
            assert_eq!(asked.known("client")["status"]["known"], 200);
            asked.assert_missing(&["audio_file"]);
            asked.assert_cause(&["soft-error-200", "required-field-missing"]);
        }),
        ("a client that sends a URL", &|| {
            let asked = authorized("/predict", Some("/predict --json '{\"url\": \"http://127.0.0.1:9/a.wav\"}'"));
            assert_eq!(asked.known("client")["accepted"], false, "{}", asked.known("client"));
            asked.assert_cause(&["soft-error-200", "remote-fetch-in-request"]);
            asked.assert_good();
        }),
        ("a picture", &|| {
            let good = open("/image", None).assert_good();
            assert!(good["answer"].as_str().unwrap().contains("quality"), "{good}");
        }),
        ("a picture of another kind", &|| {
            let asked = open("/image", Some("/image -F image=@image.png"));
            assert_eq!(asked.known("client")["status"]["known"], 415);
            asked.assert_blamed("image/jpeg");
            asked.assert_good();
        }),
        ("more than the server takes", &|| {
            let asked = open("/small", Some("/small -F audio=@speech.wav"));
            assert_eq!(asked.known("client")["status"]["known"], 413);
            asked.assert_cause(&["payload-too-large"]);
        }),
        ("as much as it takes", &|| open("/small", Some("/small -F audio=@silence.wav")).assert_nothing_wrong()),
    ]);
}
