//! Real onnxruntime wheels and a real model, through the binary's child and through the library.

mod setup;

use gpu_doctor::probe::{Ask, Context, Ran, model};
use gpu_doctor::snapshot::{Fact, Facts, Outcome, Unknown, Why};
use serde_json::{Value, json};
use setup::venv::{site_packages, venv};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What the Python package onnx 1.23.2 says of silero_vad.onnx (silero-vad 6.2.3), all graphs together.
const SILERO_TENSORS: u64 = 341;
const SILERO_ELEMENTS: u64 = 545_597;
const SILERO_BYTES: u64 = 2_183_632;

fn silero(venv: &Path) -> PathBuf {
    site_packages(venv).join("silero_vad/data/silero_vad.onnx")
}

fn library(venv: &Path) -> PathBuf {
    site_packages(venv).join("onnxruntime/capi/libonnxruntime.so.1.23.2")
}

/// Runs a job in a child of this test; returns its parts and its result.
fn child(job: &str, argument: &Value) -> (Vec<Value>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_gpu-doctor"))
        .args(["__child", job, &std::process::id().to_string(), &argument.to_string()])
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).expect("the child speaks JSON lines"))
        .collect();
    let parts = lines.iter().filter_map(|line| line.get("part").cloned()).collect();
    let result = lines.iter().find_map(|line| line.get("result").cloned());
    (parts, result.unwrap_or_else(|| panic!("no result: {lines:?} {}", String::from_utf8_lossy(&output.stderr))))
}

fn merged(parts: &[Value]) -> Value {
    parts.iter().filter_map(Value::as_object).flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn run(probe: &gpu_doctor::probe::Probe, ask: Ask, facts: &mut Facts) -> Ran {
    (probe.run)(&Context { ask, deadline: Instant::now() + Duration::from_secs(60) }, facts)
}

fn nothing_known() -> Facts {
    Facts::all_unknown(&Unknown::new(Why::NotAsked, ""))
}

fn model_facts(path: &Path) -> (gpu_doctor::snapshot::ModelFacts, Ran) {
    let mut facts = nothing_known();
    let ran = run(&model::PROBE, Ask { model: Some(path.into()), ..Ask::default() }, &mut facts);
    (facts.model, ran)
}

#[test]
fn the_cpu_wheel_says_that_cuda_is_not_compiled_in() {
    let Some(venv) = venv("cpu") else { return };
    let (parts, result) = child("onnxruntime", &json!({ "library": library(&venv) }));
    assert_eq!(result, json!({}));
    let expected = json!({
        "version": "1.23.2",
        "providers": ["AzureExecutionProvider", "CPUExecutionProvider"],
        "cuda": { "registers": false, "error": "CUDA execution provider is not enabled in this build." },
    });
    let mut heard = merged(&parts);
    let build = heard.as_object_mut().and_then(|parts| parts.remove("build")).expect("the library tells its build");
    assert!(build.as_str().unwrap().contains("git-commit-id="), "{build}");
    assert_eq!(heard, expected);
}

#[test]
fn the_gpu_wheel_without_cuda_libraries_names_the_first_that_is_missing() {
    let Some(venv) = venv("gpu") else { return };
    let (parts, result) = child("onnxruntime", &json!({ "library": library(&venv) }));
    assert_eq!(result, json!({}));
    let heard = merged(&parts);
    assert_eq!(heard["version"], "1.23.2");
    assert!(heard["providers"].as_array().unwrap().contains(&json!("CUDAExecutionProvider")));
    assert_eq!(heard["cuda"]["registers"], false);
    let error = heard["cuda"]["error"].as_str().unwrap();
    assert!(error.contains("libonnxruntime_providers_cuda.so with error: lib"), "{error}");
    assert!(error.contains("cannot open shared object file"), "{error}");
}

#[test]
fn what_is_not_onnxruntime_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libonnxruntime.so");
    std::fs::write(&text, "not a library").unwrap();
    let libc = "/lib/x86_64-linux-gnu/libc.so.6";
    let detail = |library: &Path| {
        let (parts, result) = child("onnxruntime", &json!({ "library": library }));
        assert_eq!(parts, Vec::<Value>::new());
        result["obstacle"]["detail"].as_str().unwrap().to_string()
    };
    let expected = format!("{} could not be loaded: {}: file too short", text.display(), text.display());
    assert_eq!(detail(&text), expected);
    assert!(detail(&folder.path().join("absent.so")).contains("No such file"));
    if Path::new(libc).exists() {
        assert_eq!(detail(Path::new(libc)), format!("{libc} is not onnxruntime: it has no symbol OrtGetApiBase"));
    }
}

#[test]
fn a_model_is_placed_on_the_cpu() {
    let Some(venv) = venv("cpu") else { return };
    let argument = json!({ "library": library(&venv), "model": silero(&venv), "cuda": false });
    let (_, result) = child("placement", &argument);
    assert_eq!(result["error"], Value::Null);
    let log = &result["placement"];
    assert_eq!(log["nodes_by_provider"], json!({ "CPUExecutionProvider": 212 }));
    assert_eq!((&log["seen"], &log["memcpy_nodes"]), (&json!(true), &json!(0)));
    assert!(result["session_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn every_node_of_the_execution_graph_is_told() {
    let Some(venv) = venv("cpu") else { return };
    let argument = json!({
        "library": library(&venv), "model": silero(&venv), "cuda": false, "execution_graph": true, "every_node": true,
    });
    let (_, result) = child("placement", &argument);
    let nodes = result["execution"]["nodes"].as_array().unwrap_or_else(|| panic!("{}", result["no_execution"]));
    assert_eq!(nodes.len(), 212);
    assert!(nodes.iter().all(|node| node["provider"] == "CPUExecutionProvider"), "{nodes:?}");
    // A fusion of onnxruntime's, in its own operator set.
    assert!(nodes.iter().any(|node| node["op"] == "com.microsoft.FusedConv"), "{nodes:?}");
    assert_eq!((&result["dry"], &result["execution"]["islands"]), (&json!(false), &json!([])));
}

#[test]
fn a_run_tells_its_time_by_provider() {
    let Some(venv) = venv("cpu") else { return };
    let model = site_packages(&venv).join("silero_vad/data/silero_vad_16k_op15.onnx");
    let argument = json!({ "library": library(&venv), "model": model, "cuda": false, "profile": true });
    let (parts, result) = child("placement", &argument);
    assert_eq!(result["run_error"], "");
    let run_ms = result["run_ms"]["CPUExecutionProvider"].as_f64().unwrap();
    assert!(run_ms > 0.0 && run_ms < 10_000.0, "{run_ms}");
    // What was known before the run is there even if the run never ends.
    assert_eq!(parts.last().unwrap()["placed"]["placement"], result["placement"]);
}

#[test]
fn a_model_that_onnxruntime_refuses_is_refused_in_its_words() {
    let Some(venv) = venv("cpu") else { return };
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.onnx");
    std::fs::write(&cut, &std::fs::read(silero(&venv)).unwrap()[..1_000_000]).unwrap();
    let (_, result) = child("placement", &json!({ "library": library(&venv), "model": cut, "cuda": false }));
    let error = result["error"].as_str().unwrap();
    assert!(error.contains("Protobuf parsing failed"), "{error}");
    assert_eq!(result["placement"]["seen"], false);
}

#[test]
fn silero_vad_is_read_as_python_reads_it() {
    let Some(venv) = venv("cpu") else { return };
    let (facts, ran) = model_facts(&silero(&venv));
    assert_eq!(ran, Ran::ok());
    assert_eq!(facts.file_bytes, Fact::Known(2_327_524));
    assert_eq!((facts.ir_version, facts.producer), (Fact::Known(8), Fact::Known("spox".into())));
    assert_eq!(facts.opsets, Fact::Known(BTreeMap::from([("ai.onnx".to_string(), 16)])));
    // Nearly everything lies in branches of If.
    assert_eq!((facts.nodes, facts.subgraph_nodes), (Fact::Known(5), Fact::Known(684)));
    assert_eq!((facts.tensors, facts.parameters), (Fact::Known(SILERO_TENSORS), Fact::Known(SILERO_ELEMENTS)));
    assert_eq!(facts.parameter_bytes, Fact::Known(SILERO_BYTES));
    let by_type = BTreeMap::from([("float32".to_string(), 2_181_144), ("int64".to_string(), 2488)]);
    assert_eq!(facts.parameter_bytes_by_type, Fact::Known(by_type));
    let operators = facts.operators.known().unwrap();
    assert_eq!((operators["If"], operators["Conv"], operators["LSTM"], operators["Constant"]), (25, 12, 4, 341));
    assert_eq!(operators.len(), 25);
    let inputs = facts.inputs.known().unwrap();
    let told: Vec<_> = inputs.iter().map(|input| (input.name.as_str(), input.element_type.as_str())).collect();
    assert_eq!(told, [("input", "float32"), ("state", "float32"), ("sr", "int64")]);
    assert_eq!(inputs[1].shape, ["2", "?", "128"]);
    assert_eq!(facts.external_files, Fact::Known(vec![]));
}

#[test]
fn other_exports_are_read_as_python_reads_them() {
    let Some(venv) = venv("cpu") else { return };
    for (file, nodes, tensors, bytes) in [
        ("silero_vad_16k_op15.onnx", 121 + 229, 175, 1_239_820),
        ("silero_vad_16k_sequence.onnx", 63, 43, 1_238_772),
        ("silero_vad_half.onnx", 96 + 229, 170, 1_239_780),
        ("silero_vad_op18_ifless.onnx", 4 + 86, 45, 2_182_828),
        ("silero_vad_openvino_16k.onnx", 167, 98, 1_239_204),
    ] {
        let (facts, _) = model_facts(&site_packages(&venv).join("silero_vad/data").join(file));
        let all = facts.nodes.known().unwrap() + facts.subgraph_nodes.known().unwrap();
        let read = (all, *facts.tensors.known().unwrap(), *facts.parameter_bytes.known().unwrap());
        assert_eq!(read, (nodes, tensors, bytes), "{file}");
    }
}

#[test]
fn a_model_cut_short_anywhere_is_told_so() {
    let Some(venv) = venv("cpu") else { return };
    let whole = std::fs::read(silero(&venv)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.onnx");
    std::fs::write(&path, &whole).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    // From the end towards the start, since that only shortens the file.
    for length in (0..whole.len()).rev().step_by(97) {
        file.set_len(length as u64).unwrap();
        let (facts, ran) = model_facts(&path);
        assert_ne!(ran.outcome, Outcome::Ok, "{length} bytes");
        let unknown = facts.parameter_bytes.reason().unwrap();
        assert_eq!(unknown.why, Why::Malformed, "{length} bytes: {unknown}");
        if length > 100 {
            assert!(unknown.detail.contains(&format!("is cut short: it ends at byte {length} inside")), "{unknown}");
        }
    }
}
