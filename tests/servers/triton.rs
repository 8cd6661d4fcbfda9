//! The real Triton with models of many shapes.

use crate::asked::{Asked, ask, ask_client, ask_with};
use crate::setup::real_server::{Server, free_port, triton_of};
use crate::setup::venv::venv;

const AUDIO: &str = r#"{"name": "audio", "datatype": "FP32", "shape": [1, 600], "data": AUDIO}"#;
const RATE: &str = r#"{"name": "sample_rate", "datatype": "INT32", "shape": [1, 1], "data": [16000]}"#;

fn triton(options: &[&str]) -> Option<Server> {
    Some(triton_of("shapes", &venv("triton")?, "/v2/health/ready", options))
}

fn vad(inputs: &[&str]) -> String {
    let silence = format!("[{}]", vec!["0.5"; 600].join(","));
    format!("/v2/models/vad/infer --json '{{\"inputs\": [{}]}}'", inputs.join(", ").replace("AUDIO", &silence))
}

fn of_model(server: &Server, model: &str) -> Asked {
    ask_with(&server.url, &format!("request: {{path: /v2/models/{model}/infer}}"), None)
}

#[test]
fn a_url_suffices_for_sound_with_a_batch_dimension_and_an_optional_input() {
    let Some(server) = triton(&["--model-control-mode=explicit", "--load-model=vad"]) else { return };
    let asked = ask(&server.url);
    asked.assert_kind("triton");
    let good = asked.assert_good();
    assert_eq!(good["path"], "/v2/models/vad/infer");
    assert!(good["answer"].as_str().unwrap().contains("loudness"), "{good}");
    assert_eq!(asked.causes(), Vec::<&str>::new());
}

#[test]
fn every_shape_by_its_model() {
    let Some(server) = triton(&[]) else { return };
    for (model, output) in [("vad", "loudness"), ("image", "quality"), ("embed", "embedding"), ("half", "\"y\"")] {
        let asked = of_model(&server, model);
        let good = asked.assert_good();
        assert!(good["answer"].as_str().unwrap().contains(output), "{model}: {good}");
        assert_eq!(asked.causes(), Vec::<&str>::new(), "{model}");
    }
}

#[test]
fn what_clients_send() {
    let Some(server) = triton(&[]) else { return };
    let client = |request: &str| ask_client(&server.url, request);
    let asked = client(&vad(&[AUDIO]));
    assert_eq!(asked.known("client")["status"]["known"], 400);
    asked.assert_missing(&["sample_rate"]);
    assert_eq!(asked.known("missing_fields")[0]["place"], "tensor");

    // The model's own words, with a 500.
    let asked = client(&vad(&[AUDIO, &RATE.replace("16000", "8000")]));
    asked.assert_blamed("sample_rate");
    asked.assert_good();
    for (wrong, named) in [
        (vad(&[AUDIO, &RATE.replace("[1, 1]", "[1]")]), "sample_rate"),
        (vad(&[AUDIO, &RATE.replace("INT32", "INT64")]), "sample_rate"),
        (vad(&[AUDIO, &RATE.replace("sample_rate", "rate")]), "sample_rate"),
        (vad(&[&AUDIO.replace("[1, 600]", "[600]"), RATE]), "audio"),
    ] {
        let asked = client(&wrong);
        asked.assert_cause(&["tensor-shape-dtype-mismatch", "required-field-missing"]);
        asked.assert_blamed(named);
        asked.assert_good();
    }
    let asked = client(&vad(&[AUDIO, RATE]).replace("models/vad", "models/vda"));
    asked.assert_cause(&["wrong-model-name", "model-not-loaded"]);
    client(&vad(&[AUDIO, RATE])).assert_nothing_wrong();
}

#[test]
fn its_grpc_port() {
    let port = free_port();
    let option = format!("--grpc-port={port}");
    let options =
        ["--allow-grpc=true", "--grpc-address=127.0.0.1", &option, "--model-control-mode=explicit", "--load-model=vad"];
    let Some(_server) = triton(&options) else { return };
    let asked = ask(&format!("grpc://127.0.0.1:{port}"));
    asked.assert_kind("triton");
    asked.assert_good();
    assert_eq!(asked.known("transport")["protocol"]["known"], "gRPC");
}
