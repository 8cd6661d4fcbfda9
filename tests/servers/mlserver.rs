//! MLServer, which speaks KServe v2 and does not hold requests against what its models declare.

use crate::asked::{ask, ask_client};
use crate::setup::real_server::{Server, program};

const AUDIO: &str = r#"{"name": "audio", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}"#;
const LANG: &str = r#"{"name": "lang", "datatype": "BYTES", "shape": [1], "data": ["en"]}"#;

fn mlserver(switches: &[&str]) -> Option<Server> {
    program("mlserver", "mlserver", switches, "/v2/models/vad/ready")
}

fn infer(inputs: &[&str]) -> String {
    format!("/v2/models/vad/infer --json '{{\"inputs\": [{}]}}'", inputs.join(", "))
}

#[test]
fn a_url_suffices() {
    let Some(server) = mlserver(&[]) else { return };
    let asked = ask(&server.url);
    asked.assert_kind("mlserver");
    let good = asked.assert_good();
    assert_eq!(good["path"], "/v2/models/vad/infer");
    assert!(good["answer"].as_str().unwrap().contains("loudness"), "{good}");
    assert_eq!(asked.causes(), Vec::<&str>::new());
}

#[test]
fn a_missing_input_as_a_bare_500_and_as_a_traceback() {
    for switches in [&[][..], &["--debug"]] {
        let Some(server) = mlserver(switches) else { return };
        let asked = ask_client(&server.url, &infer(&[AUDIO]));
        assert_eq!(asked.known("client")["status"]["known"], 500);
        asked.assert_missing(&["lang"]);
        if !switches.is_empty() {
            assert_eq!(asked.known("missing_fields")[0]["found_by"], "the answer names it");
        }
    }
}

#[test]
fn what_clients_send() {
    let Some(server) = mlserver(&[]) else { return };
    let client = |request: &str| ask_client(&server.url, request);
    let asked = client(&infer(&[r#"{"name": "audio", "datatype": "FP32", "data": [1, 2, 3]}"#, LANG]));
    asked.assert_blamed("shape");
    asked.assert_good();
    let asked = client(&infer(&[AUDIO, LANG]).replace("models/vad", "models/vda"));
    asked.assert_cause(&["wrong-model-name"]);
    asked.assert_blamed("vad");
    client(&infer(&[AUDIO, LANG])).assert_nothing_wrong();
}
