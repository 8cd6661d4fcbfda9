//! The probe on files that the formats' own libraries wrote (fixtures/models/make.py): whole, cut, in parts, in folders.

use super::tests::run_on;
use super::*;
use serde_json::json;
use std::time::Instant;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(name)
}

fn bytes_by_type(facts: &ModelFacts) -> Vec<(&str, u64)> {
    let known = facts.parameter_bytes_by_type.known().unwrap();
    known.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect()
}

fn faults(facts: &ModelFacts) -> Vec<(&str, &str)> {
    let files = facts.external_files.known().unwrap();
    files.iter().filter(|file| !file.sound).map(|file| (file.location.as_str(), file.fault.as_str())).collect()
}

/// Writes a safetensors file of one float32 tensor.
fn shard(folder: &Path, file: &str, tensor: &str, elements: u64) {
    let info = json!({ "dtype": "F32", "shape": [elements], "data_offsets": [0, elements * 4] });
    let header = json!({ tensor: info }).to_string();
    let data = vec![0; elements as usize * 4];
    std::fs::write(folder.join(file), [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat())
        .unwrap();
}

#[test]
fn an_onnx_model_of_onnxs_own_writer() {
    let (facts, ran) = run_on(&fixture("tiny.onnx"));
    assert_eq!(ran, Ran::ok());
    assert_eq!((facts.nodes, facts.subgraph_nodes), (Fact::Known(3), Fact::Known(5)));
    assert_eq!(facts.external_files.known().unwrap()[0].location, "tiny.onnx.data");
    assert_eq!(facts.metadata, Fact::Known([("author".into(), "nobody".into())].into()));
    assert_eq!(facts.format_version, Fact::Known("10".into()));
    assert!(facts.external_files.known().unwrap()[0].sound);
    assert_eq!(facts.parameters, Fact::Known(3 + 3 + 3 + 2 + 3 + 3));
}

#[test]
fn a_safetensors_file_of_its_own_writer() {
    let (facts, ran) = run_on(&fixture("tiny.safetensors"));
    assert_eq!(ran, Ran::ok());
    assert_eq!((&facts.tensors, &facts.parameters), (&Fact::Known(4), &Fact::Known(6 + 5 + 1)));
    assert_eq!(bytes_by_type(&facts), [("float16", 10), ("float32", 24), ("int64", 8), ("uint8", 0)]);
    assert_eq!((facts.parameter_bytes, facts.external_files), (Fact::Known(42), Fact::Known(vec![])));
    assert_eq!(facts.metadata.known().unwrap()["format"], "np");
    let nodes = facts.nodes.reason().unwrap();
    assert!(nodes.why == Why::Unsupported && nodes.detail.contains("holds tensors and no graph"), "{nodes}");
}

#[test]
fn gguf_models_of_ggufs_own_writer_in_both_byte_orders() {
    for (name, version) in [("tiny.gguf", "3"), ("tiny-big-endian.gguf", "3, big-endian")] {
        let (facts, ran) = run_on(&fixture(name));
        assert_eq!(ran, Ran::ok(), "{name}");
        assert_eq!(bytes_by_type(&facts), [("float16", 30), ("float32", 28), ("q4_K", 2 * 144)], "{name}");
        assert_eq!((facts.tensors, facts.parameters), (Fact::Known(3), Fact::Known(7 + 512 + 15)));
        assert_eq!(facts.format_version, Fact::Known(version.into()));
        assert_eq!(facts.architecture, Fact::Known("llama".into()));
        let metadata = facts.metadata.known().unwrap();
        assert_eq!(
            (metadata["general.name"].as_str(), metadata["general.quantization_version"].as_str()),
            ("tiny", "2")
        );
        assert!(!metadata.keys().any(|key| key.starts_with("tokenizer.")), "{metadata:?}");
    }
}

#[test]
fn each_prefix_of_each_model_gives_a_reason_or_less_and_no_panic() {
    // Behind the first operator set three more fields of an ONNX model may be missing, and what is left is a model: it has
    // one operator set, no metadata, no function. Of a GGUF model the padding behind the last tensor may.
    for (name, boundaries) in [
        ("tiny.onnx", 3),
        ("tiny.safetensors", 0),
        ("tiny.gguf", 2),
        ("tiny-big-endian.gguf", 2),
        ("split-00001-of-00002.gguf", 16),
    ] {
        let whole = std::fs::read(fixture(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let other = "split-00002-of-00002.gguf";
        std::fs::copy(fixture(other), folder.path().join(other)).unwrap();
        let mut taken_for_whole = 0;
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let (facts, ran) = run_on(&path);
            let Some(reason) = facts.parameters.reason() else {
                taken_for_whole += 1;
                continue;
            };
            assert_eq!(ran.detail, reason.detail);
            assert!(reason.why == Why::Malformed && reason.detail.contains(name), "{reason}");
        }
        assert_eq!(taken_for_whole, boundaries, "{name}");
    }
}

#[test]
fn shards_are_held_against_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    let map = json!({ "a": "one.safetensors", "b": "two.safetensors" });
    let write = |map: &serde_json::Value| {
        std::fs::write(&index, json!({ "metadata": { "total_size": 7 }, "weight_map": map }).to_string()).unwrap();
    };
    write(&map);
    shard(folder.path(), "one.safetensors", "a", 10);
    let (facts, _) = run_on(folder.path());
    assert_eq!(facts.path, Fact::Known(index.display().to_string()));
    let told = faults(&facts);
    assert!(told.len() == 1 && told[0].0 == "two.safetensors" && told[0].1.contains("No such file"), "{told:?}");
    assert!(facts.parameters.reason().unwrap().detail.starts_with("two.safetensors: "));

    shard(folder.path(), "two.safetensors", "b", 3);
    let (facts, ran) = run_on(&index);
    assert_eq!((ran, faults(&facts)), (Ran::ok(), vec![]));
    assert_eq!((&facts.tensors, &facts.parameter_bytes), (&Fact::Known(2), &Fact::Known(52)));

    shard(folder.path(), "two.safetensors", "c", 3);
    let lacking = run_on(&index).0;
    assert!(faults(&lacking)[0].1.ends_with("two.safetensors lacks tensor 'b', which the index places there"));
    std::fs::write(folder.path().join("two.safetensors"), "x").unwrap();
    assert!(faults(&run_on(&index).0)[0].1.contains("is cut short"));

    let outside = tempfile::tempdir().unwrap();
    shard(outside.path(), "x.safetensors", "b", 3);
    let absolute = outside.path().join("x.safetensors").display().to_string();
    for location in ["../x.safetensors", absolute.as_str(), "a/../../x.safetensors"] {
        write(&json!({ "a": "one.safetensors", "b": location }));
        assert_eq!(faults(&run_on(&index).0), [(location, "the path leads out of the model's folder")]);
    }
    write(&json!({ "a": "pytorch_model-00001-of-00002.bin" }));
    let (facts, _) = run_on(&index);
    assert_eq!(facts.format, Fact::Known("pytorch".into()));
    std::fs::write(&index, "{\"weight_map\": []}").unwrap();
    assert!(run_on(&index).1.detail.contains("is not an index of safetensors files"));
}

#[test]
fn the_parts_of_a_split_gguf_are_counted_together() {
    for name in ["split-00001-of-00002.gguf", "split-00002-of-00002.gguf"] {
        let (facts, ran) = run_on(&fixture(name));
        assert_eq!((ran, faults(&facts)), (Ran::ok(), vec![]), "{name}");
        assert_eq!((facts.tensors, facts.parameter_bytes), (Fact::Known(2), Fact::Known(48)), "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    let part = |name: &str| folder.path().join(name);
    std::fs::copy(fixture("split-00001-of-00002.gguf"), part("split-00001-of-00002.gguf")).unwrap();
    let (facts, _) = run_on(folder.path());
    assert_eq!(faults(&facts)[0].0, "split-00002-of-00002.gguf");
    assert_eq!(facts.architecture, Fact::Known("llama".into()), "what is known stays");
    assert!(facts.parameters.reason().is_some());
    // The wrong part under the right name.
    std::fs::copy(fixture("split-00001-of-00002.gguf"), part("split-00002-of-00002.gguf")).unwrap();
    let (facts, _) = run_on(&part("split-00001-of-00002.gguf"));
    assert!(faults(&facts)[0].1.ends_with("says of itself that it is part 1 of 2"), "{:?}", faults(&facts));
    std::fs::rename(part("split-00001-of-00002.gguf"), part("renamed.gguf")).unwrap();
    let (_, ran) = run_on(&part("renamed.gguf"));
    assert!(ran.detail.contains("its name does not end in -00001-of-00002.gguf"), "{}", ran.detail);
}

#[test]
fn a_gate_for_onnxruntime_lets_only_onnx_through() {
    let facts_for = |path: &Path| {
        let ask = crate::probe::Ask { model: Some(path.to_path_buf()), ..Default::default() };
        let context = Context { ask, deadline: Instant::now() + Duration::from_secs(10) };
        let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, ""));
        run(&context, &mut facts);
        onnx_file(&context, &facts)
    };
    assert_eq!(facts_for(&fixture("tiny.onnx")).unwrap(), fixture("tiny.onnx"));
    for name in ["tiny.gguf", "tiny.safetensors"] {
        assert_eq!(facts_for(&fixture(name)).unwrap_err().why, Why::NotAsked);
        assert_eq!(structure(&fixture(name)).unwrap_err().why, Why::NotAsked);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(fixture("tiny.onnx"), folder.path().join("model.onnx")).unwrap();
    assert_eq!(facts_for(folder.path()).unwrap(), folder.path().join("model.onnx"));
    assert_eq!(structure(folder.path()).unwrap().scopes.len(), 4);
}

#[test]
fn a_shard_that_is_a_fifo_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("one.safetensors");
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: the name is a NUL-terminated string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let index = folder.path().join("model.safetensors.index.json");
    std::fs::write(&index, json!({ "weight_map": { "a": "one.safetensors" } }).to_string()).unwrap();
    assert!(faults(&run_on(&index).0)[0].1.ends_with("is not a regular file"));
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.safetensors")).unwrap();
    std::fs::write(&index, json!({ "weight_map": { "a": "zero.safetensors" } }).to_string()).unwrap();
    assert!(faults(&run_on(&index).0)[0].1.ends_with("is not a regular file"));
}
