//! MLServer, which speaks KServe v2 and does not hold requests against what its models declare.

use crate::asked::{ask, ask_client, each};
use crate::setup::real_server::{Server, program, program_with_log};

const AUDIO: &str = r#"{"name": "audio", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}"#;
const SHAPELESS: &str = r#"{"name": "audio", "datatype": "FP32", "data": [1, 2, 3]}"#;
const LANG: &str = r#"{"name": "lang", "datatype": "BYTES", "shape": [1], "data": ["en"]}"#;

fn mlserver(switches: &[&str]) -> Option<Server> {
    program("mlserver", "mlserver", switches, "/v2/models/vad/ready")
}

fn infer(inputs: &[&str]) -> String {
    format!("/v2/models/vad/infer --json '{{\"inputs\": [{}]}}'", inputs.join(", "))
}

#[test]
fn a_server_whose_failures_are_a_bare_500() {
    let Some(server) = mlserver(&[]) else { return };
    let client = |request: &str| ask_client(&server.url, request);
    each(&[
        ("recognized", &|| {
            let asked = ask(&server.url);
            asked.assert_server("mlserver", "1.7.1", &["vad"]);
            ["live", "ready", "model_loaded"].iter().for_each(|state| asked.assert_ready(state));
        }),
        ("a URL suffices", &|| {
            let asked = ask(&server.url);
            let good = asked.assert_good();
            assert_eq!(good["path"], "/v2/models/vad/infer");
            assert!(good["answer"].as_str().unwrap().contains("loudness"), "{good}");
            assert_eq!(asked.causes(), Vec::<&str>::new());
        }),
        ("a missing input", &|| {
            let asked = client(&infer(&[AUDIO]));
            assert_eq!(asked.known("client")["status"]["known"], 500);
            asked.assert_missing(&["lang"]);
        }),
        ("an input without its shape", &|| {
            let asked = client(&infer(&[SHAPELESS, LANG]));
            asked.assert_blamed("shape");
            asked.assert_good();
        }),
        ("another model's name", &|| {
            let asked = client(&infer(&[AUDIO, LANG]).replace("models/vad", "models/vda"));
            asked.assert_cause(&["wrong-model-name", "model-not-loaded"]);
            asked.assert_blamed("vad");
        }),
        ("a good request", &|| client(&infer(&[AUDIO, LANG])).assert_nothing_wrong()),
    ]);
}

#[test]
fn a_server_whose_failures_are_tracebacks() {
    let Some(server) = mlserver(&["--debug"]) else { return };
    let asked = ask_client(&server.url, &infer(&[AUDIO]));
    asked.assert_missing(&["lang"]);
    assert_eq!(asked.known("missing_fields")[0]["found_by"], "the answer names it");
}

#[test]
fn a_server_whose_log_tells_what_the_answer_does_not() {
    let Some(server) = program_with_log("mlserver", "mlserver", &[], "/v2/models/vad/ready") else { return };
    let asked = ask_client(&server.url, &infer(&[AUDIO]));
    asked.assert_missing(&["lang"]);
    let told = asked.known("log_complaints");
    assert!(told.to_string().contains("KeyError: 'lang'"), "{told}");
}
