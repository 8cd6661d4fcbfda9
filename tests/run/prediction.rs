//! Predicted placements against the real partitioner of onnxruntime, in the same run, on the rig.

use crate::setup::doctor::gpu_doctor;
use crate::setup::venv::{site_packages, venv};
use crate::setup::{rig, scenario};
use serde_json::Value;
use std::collections::BTreeMap;

/// Both rooms for a model of silero-vad, or nothing where the wheels are not at hand.
fn both(file: &str) -> Option<(Value, Value)> {
    let variables = rig::variables(&scenario("healthy-idle"))?;
    let library = site_packages(&venv("gpu")?).join("onnxruntime/capi/libonnxruntime.so.1.23.2");
    let model = site_packages(&venv("cpu")?).join("silero_vad/data").join(file);
    let said =
        gpu_doctor(&["model", model.to_str()?, "--onnxruntime", library.to_str()?, "--format", "json"], &variables);
    let report = said.report();
    Some((report["placement"]["predicted"].clone(), report["placement"]["real"].clone()))
}

fn on(room: &Value, provider: &str) -> u64 {
    room["nodes_by_provider"][provider].as_u64().unwrap_or(0)
}

/// Providers by name, of names that occur once.
fn by_name(room: &Value) -> BTreeMap<String, String> {
    let text = |node: &Value, key: &str| node[key].as_str().unwrap_or_default().to_string();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in room["nodes"].as_array().into_iter().flatten() {
        found.entry(text(node, "name")).or_default().push(text(node, "provider"));
    }
    found
        .into_iter()
        .filter(|(_, providers)| providers.len() == 1)
        .map(|(name, mut one)| (name, one.remove(0)))
        .collect()
}

#[test]
fn predictions_are_what_the_real_partitioner_does() {
    for (file, nodes_on_cpu) in
        [("silero_vad_half.onnx", 24), ("silero_vad_16k_op15.onnx", 24), ("silero_vad_op18_ifless.onnx", 0)]
    {
        let Some((predicted, real)) = both(file) else { return };
        assert_eq!(predicted["version_from"], "the deployment's onnxruntime", "{predicted}");
        assert_eq!(predicted["tables_version"], "1.23.2");
        assert_eq!(on(&predicted, "CPUExecutionProvider"), nodes_on_cpu, "{file}: {}", predicted["nodes_by_provider"]);
        assert_eq!(on(&real, "CPUExecutionProvider"), nodes_on_cpu, "{file}: {}", real["nodes_by_provider"]);
        // What follows the placement joins a few nodes of one provider.
        let (here, there) = (on(&predicted, "CUDAExecutionProvider"), on(&real, "CUDAExecutionProvider"));
        assert!(here.abs_diff(there) <= 3, "{file}: {here} predicted, {there} real");
        if let Some(copies) = real["memcpy_nodes"].as_u64() {
            assert_eq!(predicted["memcpy_nodes"].as_u64(), Some(copies), "{file}");
        }
        let (ours, theirs) = (by_name(&predicted), by_name(&real));
        let mut compared = 0;
        for (name, provider) in &ours {
            if let Some(real) = theirs.get(name) {
                assert_eq!(provider, real, "{file}: {name}");
                compared += 1;
            }
        }
        // Where the real nodes are listed at all, most of them have their names still.
        assert!(theirs.is_empty() || compared * 10 >= ours.len() * 8, "{file}: {compared} of {}", ours.len());
    }
}

#[test]
fn every_node_on_the_cpu_says_why() {
    let Some((predicted, _)) = both("silero_vad_16k_op15.onnx") else { return };
    let listed = predicted["nodes"].as_array().expect("nodes are listed").clone();
    let silent: Vec<&Value> = listed
        .iter()
        .filter(|node| {
            node["provider"] == "CPUExecutionProvider" && node["why"].as_str().unwrap_or_default().is_empty()
        })
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
    assert!(listed.iter().any(|node| node["why"].as_str().is_some_and(|why| why.contains("computation with shapes"))));
}
