//! The audit of real models: predicted and real placement side by side, on the rig, and to the byte.

use crate::setup::doctor::gpu_doctor;
use crate::setup::onnx_writer::{model, node};
use crate::setup::venv::{site_packages, venv};
use crate::setup::{rig, scenario};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type Variables = Vec<(&'static str, PathBuf)>;

/// Models that are told in full, and other exports of one of them.
const TOLD: &[&str] = &["silero_vad", "magika", "ocr_det", "ocr_rec", "ocr_cls", "conformer"];
const FURTHER: &[&str] = &[
    "silero_vad_16k_op15",
    "silero_vad_16k_sequence",
    "silero_vad_half",
    "silero_vad_op18_ifless",
    "silero_vad_openvino_16k",
];

fn path(name: &str) -> Option<PathBuf> {
    let folder = match name.starts_with("silero") {
        true => site_packages(&venv("cpu")?).join("silero_vad/data"),
        false => venv("models")?,
    };
    let path = folder.join(format!("{name}.onnx"));
    assert!(path.is_file(), "{}", path.display());
    Some(path)
}

/// The GPU wheel's library, and the variables under which its provider registers.
fn wheel() -> Option<(PathBuf, Variables)> {
    let variables = rig::variables(&scenario("healthy-idle"))?;
    Some((site_packages(&venv("gpu")?).join("onnxruntime/capi/libonnxruntime.so.1.23.2"), variables))
}

fn audit(model: &Path, library: &Path, further: &[&str], variables: &Variables) -> Value {
    let arguments = ["model", model.to_str().unwrap(), "--onnxruntime", library.to_str().unwrap(), "--format", "json"];
    let said = gpu_doctor(&[&arguments, further].concat(), variables);
    assert_eq!(said.code, 0, "{}", said.err);
    said.report()
}

/// Bytes that the rig was given for the device.
fn to_device(log: &Path) -> u64 {
    let log = std::fs::read_to_string(log).unwrap();
    let copied = log.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [call, bytes, kind] = words[..] else { panic!("{line}") };
        (call.starts_with("cudaMemcpy") && kind == "1").then(|| bytes.parse::<u64>().unwrap())
    });
    copied.sum()
}

/// Nodes by operator and name, each with its provider.
fn places(placement: &Value) -> BTreeMap<(&str, &str), Vec<&str>> {
    let mut places: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for node in placement["nodes"].as_array().unwrap_or_else(|| panic!("{placement}")) {
        let text = |key: &str| node[key].as_str().unwrap();
        places.entry((text("op"), text("name"))).or_default().push(text("provider"));
    }
    places.values_mut().for_each(|providers| providers.sort_unstable());
    places
}

/// Whether a real node that the prediction lacks is one that onnxruntime made or kept in place of predicted ones.
fn is_fused(op: &str, name: &str, predicted: &BTreeMap<(&str, &str), Vec<&str>>) -> bool {
    let has_twin = || predicted.keys().any(|(other, _)| *other == op);
    name.contains("Fusion") || op.starts_with("com.microsoft.") || has_twin()
}

#[test]
fn every_node_is_where_it_was_predicted_and_every_byte() {
    let Some((library, variables)) = wheel() else { return };
    for name in TOLD.iter().chain(FURTHER) {
        let Some(model) = path(name) else { return };
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("moved");
        let variables = [&variables[..], &[("GPU_DOCTOR_RIG_LOG", log.clone())]].concat();
        let audit = audit(&model, &library, &["--whole-session"], &variables);
        let (predicted, real) = (&audit["placement"]["predicted"], &audit["placement"]["real"]);
        let agreement = &audit["placement"]["agreement"];
        assert_eq!((&real["session"], &real["method"]), (&json!("whole"), &json!("optimized model")), "{name}");
        assert_eq!(predicted["tables_version"], "1.23.2");

        // Node by node, by this test's own count.
        assert_eq!((&agreement["different"], &agreement["same"]), (&json!([]), &agreement["compared"]), "{name}");
        let (ours, theirs) = (places(predicted), places(real));
        let (mut compared, mut fused) = (0, 0);
        for ((op, node), providers) in theirs.iter().filter(|((op, _), _)| !op.starts_with("Memcpy")) {
            match ours.get(&(op, node)) {
                Some(expected) if expected.len() == providers.len() => {
                    assert_eq!(expected, providers, "{name}: {op} {node}");
                    compared += providers.len();
                }
                Some(expected) => {
                    assert!(providers.iter().all(|provider| expected.contains(provider)), "{name}: {op} {node}");
                    compared += providers.len().min(expected.len());
                    fused += providers.len().saturating_sub(expected.len());
                }
                None => {
                    assert!(is_fused(op, node, &ours), "{name}: {op} {node} is not predicted");
                    fused += providers.len();
                }
            }
        }
        assert_eq!(
            (agreement["compared"].as_u64(), agreement["not_predicted"].as_u64()),
            (Some(compared as u64), Some(fused as u64)),
            "{name}"
        );
        assert!(compared > 20 && fused * 100 <= compared * 15, "{name}: {fused} beside {compared}");
        let counted: u64 =
            agreement["not_predicted_operators"].as_object().unwrap().values().flat_map(Value::as_u64).sum();
        assert_eq!(counted, fused as u64, "{name}");

        // Copies, islands, bytes.
        assert_eq!(predicted["memcpy_nodes"], real["memcpy_nodes"], "{name}");
        assert_eq!(predicted["cpu_islands"], real["cpu_islands"], "{name}");
        let bytes = |placement: &Value| placement["parameter_bytes_by_device"]["gpu"].as_u64().unwrap();
        let moved = to_device(&log);
        assert_eq!(bytes(real), moved, "{name}");
        assert!(
            bytes(predicted).abs_diff(moved) * 1000 <= moved,
            "{name}: {} predicted, {moved} moved",
            bytes(predicted)
        );
        assert!(moved > 400_000, "{name}: {moved}");
    }
}

#[test]
fn the_report_of_each_model() {
    let Some((library, variables)) = wheel() else { return };
    for name in TOLD {
        let Some(model) = path(name) else { return };
        let arguments = ["model", model.to_str().unwrap(), "--onnxruntime", library.to_str().unwrap()];
        let said = gpu_doctor(&arguments, &variables);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{name}");
        let told = said.out.replace(model.parent().unwrap().to_str().unwrap(), "MODELS");
        insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("audit__{name}"), told);
        });
    }
}

/// Three islands: two nodes between CUDA's, one behind another, and one that reads an input of the model.
fn cut() -> Vec<u8> {
    model(
        17,
        &[
            node("relu", "Relu", &["x"], "a"),
            node("tan", "Tan", &["a"], "b"),
            node("asin", "Asin", &["b"], "c"),
            node("sin", "Sin", &["c"], "d"),
            node("acos", "Acos", &["d"], "e"),
            node("add", "Add", &["a", "e"], "f"),
            node("", "Sinh", &["x"], "g"),
            node("mul", "Mul", &["f", "g"], "y"),
        ],
        &[],
    )
}

fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn islands_are_predicted_as_they_are() {
    let Some((library, variables)) = wheel() else { return };
    let (_folder, model) = written("cut.onnx", &cut());
    let audit = audit(&model, &library, &[], &variables);
    let (predicted, real) = (&audit["placement"]["predicted"], &audit["placement"]["real"]);
    let islands: Vec<_> = real["cpu_islands"]
        .as_array()
        .unwrap()
        .iter()
        .map(|island| (island["first"].clone(), island["tensors_in"].as_u64(), island["tensors_out"].as_u64()))
        .collect();
    let expected = [
        (json!(["tan", "asin"]), Some(1), Some(1)),
        (json!(["acos"]), Some(1), Some(1)),
        (json!(["\"g\""]), Some(0), Some(1)),
    ];
    assert_eq!(islands, expected, "{real}");
    assert_eq!(predicted["cpu_islands"], real["cpu_islands"]);
    assert_eq!((&predicted["memcpy_nodes"], &real["memcpy_nodes"]), (&json!(6), &json!(6)), "{real}");
    let agreement = &audit["placement"]["agreement"];
    assert_eq!((&agreement["compared"], &agreement["same"]), (&json!(8), &json!(8)), "a node without a name too");
    let told = gpu_doctor(&["model", model.to_str().unwrap(), "--onnxruntime", library.to_str().unwrap()], &variables);
    for words in [
        "\n3 nodes on the CPU cut the graph in 3: tan, acos\n",
        "  1. tan, asin (1 Asin, 1 Tan), 1 tensor from the GPU, 1 back to it\n     tan: no CUDA kernel for Tan\n",
        "     asin: no CUDA kernel for Asin\n",
        "Prediction and real placement agree on 8 of 8 nodes.",
    ] {
        assert!(told.out.contains(words), "{words}\n{}", told.out);
    }
}

#[test]
fn without_a_runtime_there_is_the_prediction_and_what_would_change_it() {
    let nodes = [
        node("relu", "Relu", &["x"], "a"),
        node("norm", "LpNormalization", &["a"], "b"),
        node("last", "Exp", &["b"], "y"),
    ];
    let (_folder, model) = written("norm.onnx", &model(17, &nodes, &[]));
    let told = |version: &str| gpu_doctor(&["model", model.to_str().unwrap(), "--for-onnxruntime", version], &[]).out;
    for (version, words) in [
        (
            "1.23",
            &[
                "1.23, by the tables of 1.23.2",
                "By the prediction, 1 node on the CPU cuts the graph in 2: norm",
                "norm: no CUDA kernel for LpNormalization; onnxruntime 1.27.0 has one for it",
                "real placement      not asked for: --onnxruntime or --python names",
            ][..],
        ),
        ("1.19", &["1.19, by the tables of 1.19.2", "onnxruntime 1.27.0 has one for it"][..]),
        ("1.27.0", &["  onnxruntime         1.27.0\n", "By the prediction, every node is on the GPU."][..]),
        ("9.99", &["9.99, by the tables of 1.31.1", "every node is on the GPU"][..]),
    ] {
        let told = told(version);
        for word in words {
            assert!(told.contains(word), "{version}: {word}\n{told}");
        }
        assert!(!told.contains("agree"), "{told}");
    }
}

#[test]
fn names_in_a_model_do_not_steer_the_terminal() {
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}";
    let nodes = [
        node("relu", "Relu", &["x"], &format!("{evil}a")),
        node(&format!("{evil}tan\r\n"), "Tan", &[&format!("{evil}a")], "b"),
        node("", &format!("{evil}Odd"), &["b"], "y"),
    ];
    let (_folder, model) = written("evil\u{1b}[31m.onnx", &model(17, &nodes, &[]));
    for further in [&[][..], &["--verbose"][..]] {
        let said = gpu_doctor(&[&["model", model.to_str().unwrap()], further].concat(), &[]);
        assert_eq!(said.code, 0, "{}", said.err);
        let steers = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!said.out.contains(steers), "{:?}", said.out);
        assert!(said.out.contains("tan"), "{}", said.out);
    }
    let said = gpu_doctor(&["model", model.to_str().unwrap(), "--format", "json"], &[]);
    let nodes = said.report()["placement"]["predicted"]["nodes"].clone();
    assert_eq!(nodes[1]["name"], format!("{evil}tan\r\n"), "programs get the name as it is");
}

#[test]
fn every_node_on_the_cpu_is_listed_on_request() {
    let Some(model) = path("silero_vad_16k_op15") else { return };
    let told = gpu_doctor(&["model", model.to_str().unwrap(), "--verbose"], &[]).out;
    let nodes = gpu_doctor(&["model", model.to_str().unwrap(), "--format", "json"], &[]).report();
    let nodes = nodes["placement"]["predicted"]["nodes"].as_array().unwrap();
    let on_cpu: Vec<&Value> = nodes.iter().filter(|node| node["provider"] == "CPUExecutionProvider").collect();
    assert_eq!(on_cpu.len(), 24);
    for node in on_cpu {
        let line = format!("    {} ({})\n", node["name"].as_str().unwrap(), node["op"].as_str().unwrap());
        assert!(told.contains(&line), "{line}{told}");
    }
}

#[test]
fn a_cpu_build_is_timed_and_told_to_be_one() {
    let Some(venv) = venv("cpu") else { return };
    let library = site_packages(&venv).join("onnxruntime/capi/libonnxruntime.so.1.23.2");
    let Some(model) = path("silero_vad_16k_op15") else { return };
    let arguments = ["model", model.to_str().unwrap(), "--onnxruntime", library.to_str().unwrap(), "--profile"];
    let told = gpu_doctor(&arguments, &[]).out;
    for words in [
        "1.23.2, whole session",
        "90 nodes             0 nodes",
        " ms on CPU\n",
        "\nCUDA does not register in this onnxruntime, so the real session is on the CPU whole.\n",
        "onnxruntime says: CUDA execution provider is not enabled in this build.\n",
        "  to do: ",
        "\nBy the prediction, no part of the graph goes from the GPU to the CPU and back.\n",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    let audit = gpu_doctor(&[&arguments[..], &["--format", "json"]].concat(), &[]).report();
    assert_eq!(audit["onnxruntime"]["cuda_registers"], false);
    assert!(audit["placement"]["real"]["run_ms_by_provider"]["CPUExecutionProvider"].as_f64().unwrap() > 0.0);
    assert_eq!(audit["placement"]["agreement"], Value::Null, "the session says nothing about the prediction");
}

#[test]
fn what_is_not_known_is_null_with_its_reason() {
    let (_folder, model) = written("cut.onnx", &cut());
    let audit = gpu_doctor(&["model", model.to_str().unwrap(), "--format", "json"], &[]).report();
    assert_eq!(audit["schema"], "gpu-doctor/model/v1");
    let real = &audit["placement"]["real"];
    assert_eq!((&real["nodes"], &real["parameter_bytes_by_device"]["gpu"]), (&Value::Null, &Value::Null));
    let unknown = audit["unknown"].as_array().unwrap();
    for path in ["placement.real.nodes", "placement.real.parameter_bytes_by_device.gpu", "placement.real.memcpy_nodes"]
    {
        let missing = unknown.iter().find(|missing| missing["path"] == path).unwrap_or_else(|| panic!("{unknown:?}"));
        assert_eq!(missing["why"], "not_asked");
        assert!(missing["detail"].as_str().unwrap().contains("no onnxruntime was named"), "{missing}");
    }
    assert!(!unknown.iter().any(|missing| missing["path"].as_str().unwrap().starts_with("placement.predicted")));
}

#[test]
fn tensors_of_other_formats_are_told_and_nothing_is_placed() {
    let header = r#"{"w":{"dtype":"F16","shape":[600,1000],"data_offsets":[0,1200000]}}"#;
    let safetensors = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; 1_200_000]].concat();
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    // Version 3, one tensor, no metadata; the tensor: two dimensions, float32, at the start of the data, which is aligned.
    let mut gguf = [&b"GGUF"[..], &3u32.to_le_bytes(), &1u64.to_le_bytes(), &0u64.to_le_bytes(), &text("w")].concat();
    gguf.extend([&2u32.to_le_bytes()[..], &4u64.to_le_bytes(), &3u64.to_le_bytes()].concat());
    gguf.extend([&0u32.to_le_bytes()[..], &0u64.to_le_bytes()].concat());
    gguf.resize(gguf.len().next_multiple_of(32) + 48, 0);
    for (name, bytes, parameters, format) in [
        ("m.safetensors", &safetensors, "600,000 in 1 tensor, 1.2 MB (float16 1.2 MB)", "safetensors"),
        ("m.gguf", &gguf, "12 in 1 tensor, 48 B (float32 48 B)", "GGUF"),
    ] {
        let (_folder, path) = written(name, bytes);
        let told = gpu_doctor(&["model", path.to_str().unwrap()], &[]).out;
        let words = format!("a {format} file holds tensors and no nodes, so there is nothing for onnxruntime to place");
        assert!(told.contains(&format!("  parameters          {parameters}\n")), "{told}");
        assert!(told.split_whitespace().collect::<Vec<_>>().join(" ").contains(&words), "{told}");
        assert!(told.contains("  needs               about 50"), "{told}");
        assert_eq!(told.matches("nothing for").count(), 1, "{told}");
    }
}

#[test]
fn a_file_that_is_no_model_is_refused_with_its_place() {
    let whole = cut();
    for (name, bytes, words) in [
        ("empty.onnx", &b""[..], "is empty"),
        ("page.onnx", b"<!doctype html><html></html>", "looks like an HTML page"),
        ("noise.onnx", &[0xff; 64], "is not an ONNX model"),
        ("cut.onnx", &whole[..whole.len() - 9], "is cut short"),
        ("cut.safetensors", b"\x40\0\0\0\0\0\0\0{\"w\":", "cut.safetensors"),
        ("cut.gguf", b"GGUF\x03\0\0\0\x01", "cut.gguf"),
    ] {
        let (_folder, path) = written(name, bytes);
        let said = gpu_doctor(&["model", path.to_str().unwrap()], &[]);
        assert_eq!((said.code, said.out.as_str()), (64, ""), "{name}: {}", said.err);
        assert!(said.err.contains(words) && said.err.contains(name), "{name}: {}", said.err);
    }
    let said = gpu_doctor(&["model", "/does/not/exist.onnx"], &[]);
    assert!(said.code == 64 && said.err.contains("/does/not/exist.onnx"), "{}", said.err);
}
