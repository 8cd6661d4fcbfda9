//! An ONNX model's file, and the facts about it.

use super::graph::{self, Contents};
use super::opened::Opened;
use super::refusal::{Refusal, told};
use super::wire::{Fault, Reader};
use super::{formats, metadata};
use crate::snapshot::{Fact, ModelFacts, Unknown, Why};
use std::path::Path;

/// Key of `ModelProto.ir_version`: field 1, wire type 0.
const IR_VERSION_KEY: u8 = 8;

/// The IR version since which a model must import operator sets.
const OPSETS_SINCE: i64 = 3;

/// Reads the whole model, without payloads.
pub fn read(opened: Opened, path: &Path, head: &[u8], keep_structure: bool) -> Result<Contents, Refusal> {
    let place = path.display();
    // A name may tell more than bytes that make no sense.
    let not_onnx = |reason: &str| match formats::by_name(path) {
        Some(foreign) => Refusal::Foreign(foreign),
        None => Unknown::new(Why::Malformed, format!("{place} is not an ONNX model: {reason}")).into(),
    };
    let named_otherwise = formats::by_name(path).is_some();
    let mut reader = Reader::new(opened.file, opened.file_bytes);
    let contents = match graph::model(&mut reader, keep_structure) {
        Ok(contents) => contents,
        // Writers put the IR version first; what starts otherwise and breaks off is more likely no model at all.
        Err(Fault::CutShort { .. } | Fault::Malformed { .. })
            if named_otherwise || head.first() != Some(&IR_VERSION_KEY) =>
        {
            let reason = "it does not start with an IR version and does not parse as a protocol buffer";
            return Err(match path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
                true => not_onnx(reason),
                false => not_onnx(&format!("{reason}; nor is it safetensors or GGUF, which are read here too")),
            });
        }
        Err(fault) => return Err(told(fault, path, "an ONNX model").into()),
    };
    // Unknown fields are legal in a protocol buffer, so many short files of another kind would pass without this.
    match (contents.has_graph, contents.ir_version) {
        (false, _) => Err(not_onnx("it holds no graph")),
        (true, None) => Err(not_onnx("it states no IR version")),
        // Writers put the operator sets behind the graph: a file that is cut short there is still a protocol buffer.
        (true, Some(version)) if version >= OPSETS_SINCE && contents.opsets.is_empty() => {
            Err(not_onnx("it imports no operator set, so it may be cut short behind the graph"))
        }
        (true, Some(_)) => Ok(contents),
    }
}

/// The facts about a model in `folder`.
pub fn facts(path: &Path, folder: &Path, file_bytes: u64, mut contents: Contents) -> ModelFacts {
    let initializers = std::mem::take(&mut contents.initializers);
    let sizes = match &contents.unsized_type {
        None => Ok(()),
        Some((code, tensor)) => {
            let detail = format!("tensor '{tensor}' has element type {code}, whose width is not known here");
            Err(Unknown::new(Why::Unsupported, detail))
        }
    };
    let bytes_by_type = contents.bytes_by_type;
    let total = bytes_by_type.values().fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
    let producer = match contents.producer_version.as_str() {
        "" => contents.producer_name,
        version => format!("{} {version}", contents.producer_name),
    };
    let external_files = match contents.external.left_out {
        0 => Fact::Known(contents.external.check(folder)),
        more => Fact::unknown(Why::Unsupported, format!("the model refers to {more} files more than are checked")),
    };
    let ir_version = contents.ir_version.unwrap_or_default();
    ModelFacts {
        path: Fact::Known(path.display().to_string()),
        fault: Fact::Known(String::new()),
        file_bytes: Fact::Known(file_bytes),
        format: Fact::Known("onnx".into()),
        format_version: Fact::Known(ir_version.to_string()),
        architecture: metadata::architecture_beside(folder),
        metadata: Fact::Known(contents.metadata.into_entries()),
        ir_version: Fact::Known(ir_version),
        producer: Fact::Known(producer.trim().to_string()),
        opsets: Fact::Known(contents.opsets),
        functions: Fact::Known(contents.functions),
        inputs: Fact::Known(contents.inputs.into_iter().filter(|port| !initializers.contains(&port.name)).collect()),
        outputs: Fact::Known(contents.outputs),
        nodes: Fact::Known(contents.nodes),
        subgraph_nodes: Fact::Known(contents.subgraph_nodes),
        operators: Fact::Known(contents.operators),
        tensors: Fact::Known(contents.tensors),
        parameters: Fact::Known(contents.elements),
        parameter_bytes: sizes.clone().map(|()| total).into(),
        parameter_bytes_by_type: sizes
            .map(|()| bytes_by_type.into_iter().map(|(name, bytes)| (name.to_string(), bytes)).collect())
            .into(),
        external_files,
    }
}
