//! What fuzzers call: the readers of outside bytes, with what must hold of anything that they accept.
//!
//! `fuzz/` runs them under libFuzzer, `tests/fuzz_briefly.rs` with mutations of a fixed seed.

use super::wire::Reader;
use super::{gguf, graph, safetensors, shards};

/// Reads `bytes` as an ONNX model, with and without its structure.
///
/// # Panics
/// If what was read cannot be in so many bytes.
pub fn onnx(bytes: &[u8]) {
    for keep_structure in [false, true] {
        let Ok(contents) = graph::model(&mut Reader::new(bytes, bytes.len() as u64), keep_structure) else { continue };
        let nodes = contents.nodes.saturating_add(contents.subgraph_nodes);
        assert!(nodes.saturating_add(contents.tensors) <= bytes.len() as u64, "each takes a byte at least");
        assert!(contents.operators.values().sum::<u64>() == nodes, "each node has an operator");
        assert_eq!(contents.structure.is_some(), keep_structure);
    }
}

/// Reads `bytes` as a safetensors file, and as an index of several.
///
/// # Panics
/// If what was read cannot be in so many bytes.
pub fn safetensors(bytes: &[u8]) {
    let length = bytes.len() as u64;
    if let Ok(header) = safetensors::read(&bytes, length) {
        let sum: u64 = header.sums.bytes_by_type.values().sum();
        assert!(sum < length, "tensors do not overlap, and the header lies before them");
        assert_eq!(header.sums.tensors, header.names.len() as u64);
    }
    if let Ok(map) = shards::read(&bytes, length) {
        assert!(map.tensors() <= length);
    }
}

/// Reads `bytes` as a GGUF model.
///
/// # Panics
/// If what was read cannot be in so many bytes.
pub fn gguf(bytes: &[u8]) {
    let length = bytes.len() as u64;
    if let Ok(header) = gguf::read(&mut Reader::new(bytes, length)) {
        let sum = header.sums.bytes_by_type.values().fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
        assert!(header.sums.without_size.is_some() || sum <= length, "tensors do not overlap");
        assert!(header.sums.tensors <= length);
        assert!((1..=3).contains(&header.version));
    }
}
