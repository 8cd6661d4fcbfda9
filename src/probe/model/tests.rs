//! The probe on files that tests write, down to the message that a user reads.

use super::wire::Reader;
use super::*;
use crate::probe::Ask;
use proptest::prelude::*;
use std::time::Instant;

/// A length-delimited field.
fn field(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut rest = payload.len();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.extend(payload);
    bytes
}

/// A `TensorProto` of float32 with one dimension.
fn tensor(name: &str, elements: u8) -> Vec<u8> {
    [vec![8, elements, 16, 1], field(8, name.as_bytes()), field(9, &vec![0; usize::from(elements) * 4])].concat()
}

fn node(op_type: &str, inputs: &[&str], output: &str, attributes: &[u8]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|input| field(1, input.as_bytes())).collect();
    [inputs, field(2, output.as_bytes()), field(4, op_type.as_bytes()), attributes.to_vec()].concat()
}

/// A model of one If whose branch holds a Constant, and an initializer that is also listed as an input.
fn model() -> Vec<u8> {
    let constant = node("Constant", &[], "c", &field(5, &[field(1, b"value"), field(5, &tensor("", 3))].concat()));
    let branch = [field(1, &constant), field(1, &node("Add", &["c", "w"], "y", &[]))].concat();
    let branches = field(5, &[field(1, b"then_branch"), field(6, &branch)].concat());
    let port = |name: &str| field(1, name.as_bytes());
    let graph = [
        field(1, &node("If", &["x"], "out", &branches)),
        field(5, &tensor("w", 10)),
        field(11, &port("x")),
        field(11, &port("w")),
        field(12, &port("out")),
    ]
    .concat();
    [vec![8, 8], field(2, b"test"), field(3, b"1.0"), field(7, &graph), field(8, &[10, 0, 16, 17])].concat()
}

pub fn run_on(path: &Path) -> (ModelFacts, Ran) {
    let ask = Ask { model: Some(path.to_path_buf()), ..Ask::default() };
    let context = Context { ask, deadline: Instant::now() + Duration::from_secs(10) };
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, ""));
    let ran = run(&context, &mut facts);
    (facts.model, ran)
}

fn run_on_bytes(bytes: &[u8]) -> (ModelFacts, Ran) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    std::fs::write(&path, bytes).unwrap();
    run_on(&path)
}

#[test]
fn subgraphs_and_constants_are_counted() {
    let (facts, ran) = run_on_bytes(&model());
    assert_eq!(ran, Ran::ok());
    assert_eq!((facts.nodes, facts.subgraph_nodes), (Fact::Known(1), Fact::Known(2)));
    assert_eq!((facts.tensors, facts.parameters), (Fact::Known(2), Fact::Known(13)));
    assert_eq!(facts.parameter_bytes, Fact::Known(52));
    assert_eq!(facts.producer, Fact::Known("test 1.0".into()));
    assert_eq!(facts.opsets.known().unwrap()["ai.onnx"], 17);
    let inputs: Vec<String> = facts.inputs.known().unwrap().iter().map(|port| port.name.clone()).collect();
    assert_eq!(inputs, ["x"]);
}

#[test]
fn the_structure_keeps_scopes_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    std::fs::write(&path, model()).unwrap();
    let structure = structure(&path).unwrap();
    let [main, branch] = structure.scopes.as_slice() else { panic!("{structure:?}") };
    assert_eq!((main.parent, branch.parent), (None, Some(0)));
    let sizes = |scope: &Scope| -> Vec<(String, u64)> {
        scope.tensors.iter().map(|tensor| (tensor.name.clone(), tensor.bytes)).collect()
    };
    assert_eq!(sizes(main), [("w".to_string(), 40)]);
    assert_eq!(sizes(branch), [("c".to_string(), 12)]);
    assert_eq!(main.nodes[0].attributes, [("then_branch".to_string(), Attribute::Graphs(vec![1]))]);
    assert_eq!(branch.nodes[0].inputs, ["c", "w"]);
}

#[test]
fn what_is_not_a_model_is_told_by_name() {
    let detail = |bytes: &[u8]| {
        let (facts, ran) = run_on_bytes(bytes);
        let unknown = facts.nodes.reason().unwrap().clone();
        assert_eq!(unknown.why, Why::Malformed);
        assert_eq!(ran.detail, unknown.detail);
        assert_eq!(facts.file_bytes.known().copied(), (!bytes.is_empty()).then_some(bytes.len() as u64));
        unknown.detail
    };
    assert!(detail(b"").ends_with("m.onnx is not a model: it is empty"));
    assert!(detail(b"<!DOCTYPE html><html><body>404").contains("is not a model: it looks like an HTML page"));
    assert!(detail(b"\x08\x08").ends_with("m.onnx is not an ONNX model: it holds no graph"));
    assert!(detail(b"\x08\x08\x3a\x00").contains("it imports no operator set, so it may be cut short"));
    assert!(detail(b"just some words, nothing else").contains("is not an ONNX model: it does not start with"));
    assert!(detail(b"\x08\x08\x0b\x00").contains("is not an ONNX model: at byte 2, wire type 3"));
    let whole = model();
    let cut = detail(&whole[..100]);
    assert!(cut.contains("is cut short: it ends at byte 100 inside the model, which reaches to byte"), "{cut}");
}

#[test]
fn a_model_of_another_program_is_named_and_no_file_of_it_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, format, word) in [
        ("m.pt", &b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."[..], "pytorch", "never unpickled"),
        ("m.bin", b"PK\x03\x04\0\0m/data.pkl", "pytorch", "never unpickled"),
        ("m.plan", b"\x01\x02\x03\x04 no magic that is known", "tensorrt", "TensorRT"),
        ("m.mlmodel", b"\x08\x05\x12\x02\x0a\x00", "coreml", "Core ML"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let (facts, ran) = run_on(&path);
        assert_eq!(facts.format, Fact::Known(format.into()), "{name}");
        assert_eq!(facts.external_files.reason().unwrap().why, Why::NotAsked);
        let unknown = facts.parameters.reason().unwrap();
        assert!(unknown.why == Why::Unsupported && unknown.detail.contains(word), "{unknown}");
        assert_eq!(ran, Ran::skipped(unknown.detail.clone()));
    }
}

#[test]
fn what_is_not_a_file_is_told_without_blocking() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: the name is a NUL-terminated string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let detail = |path: &Path| run_on(path).0.nodes.reason().unwrap().clone();
    assert!(detail(&fifo).detail.ends_with("is a FIFO, not a file"));
    assert!(detail(folder.path()).detail.contains("the folder "));
    assert_eq!(detail(&folder.path().join("absent")).why, Why::Absent);
    assert!(detail(Path::new("/dev/null")).detail.ends_with("is a device or socket, not a file"));
}

#[test]
fn without_a_model_nothing_is_claimed() {
    let context = Context { ask: Ask::default(), deadline: Instant::now() };
    let mut facts = Facts::all_unknown(&Unknown::new(Why::Crashed, "other"));
    assert_eq!(run(&context, &mut facts), Ran::skipped(NOT_NAMED));
    assert_eq!(facts.model.nodes.reason().unwrap().why, Why::NotAsked);
}

#[test]
fn graphs_nested_without_end_are_refused() {
    let mut graph = field(1, &node("Add", &["a"], "b", &[]));
    for _ in 0..40 {
        graph = field(1, &node("If", &[], "o", &field(5, &field(6, &graph))));
    }
    let (facts, _) = run_on_bytes(&[vec![8, 8], field(7, &graph)].concat());
    let unknown = facts.nodes.reason().unwrap();
    assert!(unknown.why == Why::Unsupported && unknown.detail.contains("nested"), "{unknown}");
}

#[test]
fn a_graph_that_makes_no_sense_is_described_as_it_is() {
    // A cycle; the same name and output twice; no names; a domain and an operator that nobody knows; bytes that are no text.
    let mut unknown = node("Frob", &["x"], "f", &field(7, b"com.nobody"));
    unknown.extend(field(3, b"\xff\xfe"));
    let graph = [
        field(1, &node("Add", &["b", "b"], "a", &[])),
        field(1, &node("Add", &["a", "a"], "b", &[])),
        field(1, &node("Add", &["a", "a"], "b", &field(3, b"twin"))),
        field(1, &node("Add", &["a", "a"], "b", &field(3, b"twin"))),
        field(1, &unknown),
        field(1, &[]),
        field(5, &tensor("w", 2)),
        field(5, &tensor("w", 2)),
    ]
    .concat();
    let bytes = [vec![8, 8], field(7, &graph), field(8, &[16, 17]), field(8, &[10, 2, 0xff, 0xfe, 16, 99])].concat();
    let (facts, ran) = run_on_bytes(&bytes);
    assert_eq!((ran, facts.nodes, facts.tensors), (Ran::ok(), Fact::Known(6), Fact::Known(2)));
    assert_eq!(facts.operators, Fact::Known([("".into(), 1), ("Add".into(), 4), ("Frob".into(), 1)].into()));
    assert_eq!(facts.opsets.known().unwrap()["\u{fffd}\u{fffd}"], 99);
}

#[test]
fn a_million_nodes_are_counted() {
    let one = field(1, &node("Add", &["a", "b"], "c", &[]));
    let graph = one.repeat(1_000_000);
    let (facts, ran) = run_on_bytes(&[vec![8, 8], field(7, &graph), field(8, &[16, 17])].concat());
    assert_eq!((ran, facts.nodes), (Ran::ok(), Fact::Known(1_000_000)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_damaged_model_gives_facts_or_a_reason(at in 0usize..200, byte in any::<u8>(), length in 0usize..250) {
        let mut bytes = model();
        let place = at % bytes.len();
        bytes[place] = byte;
        bytes.truncate(length.max(1));
        let mut reader = Reader::new(bytes.as_slice(), bytes.len() as u64);
        for keep_structure in [false, true] {
            if let Ok(contents) = graph::model(&mut reader, keep_structure) {
                prop_assert!(contents.nodes + contents.subgraph_nodes <= bytes.len() as u64);
            }
        }
    }
}
