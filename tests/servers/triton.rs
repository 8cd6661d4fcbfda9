//! The real Triton with models of many shapes.

use crate::asked::{ask, ask_client, ask_with, each};
use crate::setup::real_server::{Server, free_port, triton_of};
use crate::setup::venv::venv;

const AUDIO: &str = r#"{"name": "audio", "datatype": "FP32", "shape": [1, 600], "data": SOUND}"#;
const RATE: &str = r#"{"name": "sample_rate", "datatype": "INT32", "shape": [1, 1], "data": [16000]}"#;
/// Only one model is there, though the repository has more.
const ONE_MODEL: [&str; 2] = ["--model-control-mode=explicit", "--load-model=vad"];

fn triton(options: &[&str]) -> Option<Server> {
    Some(triton_of("shapes", &venv("triton")?, "/v2/health/ready", options))
}

/// The client's request to the model `vad`.
fn vad(inputs: &[&str]) -> String {
    let sound = format!("[{}]", vec!["0.5"; 600].join(","));
    format!("/v2/models/vad/infer --json '{{\"inputs\": [{}]}}'", inputs.join(", ").replace("SOUND", &sound))
}

#[test]
fn one_loaded_model_of_a_repository() {
    let port = free_port();
    let option = format!("--grpc-port={port}");
    let grpc = ["--allow-grpc=true", "--grpc-address=127.0.0.1", &option];
    let Some(server) = triton(&[&ONE_MODEL[..], &grpc].concat()) else { return };
    each(&[
        ("recognized", &|| {
            let asked = ask(&server.url);
            asked.assert_server("triton", "2.51.0", &["vad"]);
            ["live", "ready", "model_loaded"].iter().for_each(|state| asked.assert_ready(state));
        }),
        ("a URL suffices", &|| {
            let asked = ask(&server.url);
            let good = asked.assert_good();
            assert_eq!(good["path"], "/v2/models/vad/infer");
            assert!(good["answer"].as_str().unwrap().contains("loudness"), "{good}");
            assert_eq!(asked.causes(), Vec::<&str>::new());
        }),
        ("its gRPC port", &|| {
            let asked = ask(&format!("grpc://127.0.0.1:{port}"));
            asked.assert_good();
            asked.assert_kind("triton");
            assert_eq!(asked.known("transport")["protocol"]["known"], "gRPC");
            assert_eq!(asked.causes(), Vec::<&str>::new());
        }),
    ]);
}

#[test]
fn models_of_many_shapes() {
    let Some(server) = triton(&[]) else { return };
    let of_model = |model: &str, output: &str| {
        let asked = ask_with(&server.url, &format!("request: {{path: /v2/models/{model}/infer}}"), None);
        let good = asked.assert_good();
        assert!(good["answer"].as_str().unwrap().contains(output), "{good}");
        assert_eq!(asked.causes(), Vec::<&str>::new());
    };
    let client = |request: &str| ask_client(&server.url, request);
    let mismatch = |inputs: &[&str], named: &str| {
        let asked = client(&vad(inputs));
        asked.assert_cause(&["tensor-shape-dtype-mismatch"]);
        asked.assert_blamed(named);
        asked.assert_good();
    };
    each(&[
        ("dynamic sound, a batch, an optional input", &|| of_model("vad", "loudness")),
        ("a picture of one size", &|| of_model("image", "quality")),
        ("two inputs of one shape", &|| of_model("embed", "embedding")),
        ("half precision, which JSON cannot carry", &|| of_model("half", "\"y\"")),
        ("a missing input", &|| {
            let asked = client(&vad(&[AUDIO]));
            assert_eq!(asked.known("client")["status"]["known"], 400);
            asked.assert_missing(&["sample_rate"]);
            assert_eq!(asked.known("missing_fields")[0]["place"], "tensor");
        }),
        ("a value that the model refuses", &|| {
            let asked = client(&vad(&[AUDIO, &RATE.replace("16000", "8000")]));
            assert_eq!(asked.known("client")["status"]["known"], 500);
            asked.assert_blamed("sample_rate");
            asked.assert_good();
        }),
        ("no batch dimension", &|| mismatch(&[AUDIO, &RATE.replace("[1, 1]", "[1]")], "sample_rate")),
        ("a type", &|| mismatch(&[AUDIO, &RATE.replace("INT32", "INT64")], "sample_rate")),
        ("a batch too large", &|| {
            let wide = RATE.replace("[1, 1]", "[17, 1]").replace("[16000]", &format!("{:?}", [16000; 17]));
            let sound = AUDIO.replace("[1, 600]", "[17, 1]").replace("SOUND", &format!("{:?}", [1; 17]));
            mismatch(&[&sound, &wide], "16")
        }),
        ("another input's name", &|| {
            let asked = client(&vad(&[AUDIO, &RATE.replace("sample_rate", "rate")]));
            asked.assert_cause(&["required-field-missing", "tensor-shape-dtype-mismatch"]);
            asked.assert_blamed("sample_rate");
        }),
        ("another model's name", &|| {
            let asked = client(&vad(&[AUDIO, RATE]).replace("models/vad", "models/vda"));
            asked.assert_cause(&["wrong-model-name", "model-not-loaded"]);
            asked.assert_blamed("vad");
        }),
        ("a good request", &|| client(&vad(&[AUDIO, RATE])).assert_nothing_wrong()),
    ]);
}
