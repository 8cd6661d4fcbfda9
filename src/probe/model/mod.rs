//! The model's file: structure and sizes, read without loading its tensors.

mod attribute;
mod external;
mod formats;
mod graph;
mod port;
mod structure;
mod tensor;
#[cfg(test)]
mod tests;
mod wire;

pub use structure::{Attribute, Container, Function, NamedTensor, Node, Scope, Structure, TypedName};

use super::{Context, Probe, Ran};
use crate::snapshot::{Fact, Facts, ModelFacts, Room, Stage, Unknown, Why};
use graph::Contents;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;
use wire::{Fault, Reader};

/// Reads the model that the user named.
pub const PROBE: Probe = Probe {
    id: "model",
    stage: Stage::Model,
    rooms: &["model"],
    needs: &[],
    this_machine: false,
    budget: Duration::from_secs(10),
    run,
};

/// Key of `ModelProto.ir_version`: field 1, wire type 0.
const IR_VERSION_KEY: u8 = 8;

/// Why nothing is known of a model that nobody named.
pub const NOT_NAMED: &str = "no model was named (--model)";

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let Some(path) = &context.ask.model else {
        facts.model = ModelFacts::all_unknown(&Unknown::new(Why::NotAsked, NOT_NAMED));
        return Ran::skipped(NOT_NAMED);
    };
    match open(path).map(|opened| (opened.file_bytes, read(opened, path, false))) {
        Ok((file_bytes, Ok(contents))) => {
            facts.model = facts_of(path, file_bytes, contents);
            Ran::ok()
        }
        Ok((file_bytes, Err(unknown))) => {
            facts.model = ModelFacts::all_unknown(&unknown);
            facts.model.path = Fact::Known(path.display().to_string());
            facts.model.file_bytes = Fact::Known(file_bytes);
            Ran::from(&unknown)
        }
        Err(unknown) => {
            facts.model = ModelFacts::all_unknown(&unknown);
            facts.model.path = Fact::Known(path.display().to_string());
            Ran::from(&unknown)
        }
    }
}

/// Graphs, nodes and tensors of a model, for joining with a placement. Bytes of element types without a known width
/// count as 0; [`ModelFacts`] then says that they are not known.
///
/// # Errors
/// The same as the facts of the model have.
pub fn structure(path: &Path) -> Result<Structure, Unknown> {
    read(open(path)?, path, true).map(|contents| contents.structure.unwrap_or_default())
}

struct Opened {
    file: File,
    file_bytes: u64,
}

/// Opens a regular file. Never blocks, whatever lies at `path`.
fn open(path: &Path) -> Result<Opened, Unknown> {
    let from_io = |error: std::io::Error| Unknown::from_io(&error, path.display());
    let kind = std::fs::metadata(path).map_err(from_io)?.file_type();
    let other = |what: &str| Unknown::new(Why::Malformed, format!("{} is {what}, not a file", path.display()));
    if kind.is_dir() {
        return Err(other("a folder"));
    }
    if kind.is_fifo() {
        return Err(other("a FIFO"));
    }
    if !kind.is_file() {
        return Err(other("a device or socket"));
    }
    // The file may have been replaced since it was looked at: O_NONBLOCK keeps a FIFO from blocking.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(from_io)?;
    let metadata = file.metadata().map_err(from_io)?;
    if !metadata.is_file() {
        return Err(other("no longer a regular file"));
    }
    if metadata.len() == 0 {
        return Err(Unknown::new(Why::Malformed, format!("{} is not an ONNX model: it is empty", path.display())));
    }
    Ok(Opened { file, file_bytes: metadata.len() })
}

fn read(opened: Opened, path: &Path, keep_structure: bool) -> Result<Contents, Unknown> {
    let place = path.display();
    let mut head = Vec::new();
    (&opened.file).take(64).read_to_end(&mut head).map_err(|error| Unknown::from_io(&error, &place))?;
    let not_onnx = |reason: &str| Unknown::new(Why::Malformed, format!("{place} is not an ONNX model: {reason}"));
    if let Some(format) = formats::looks_like(&head) {
        return Err(not_onnx(&format!("it looks like {format}")));
    }
    let mut reader = Reader::new(opened.file, opened.file_bytes);
    let contents = match graph::model(&mut reader, keep_structure) {
        Ok(contents) => contents,
        // Writers put the IR version first; what starts otherwise and breaks off is more likely no model at all.
        Err(Fault::CutShort { .. }) if head.first() != Some(&IR_VERSION_KEY) => {
            return Err(not_onnx("it does not start with an IR version and does not parse as a protocol buffer"));
        }
        Err(Fault::CutShort { at, inside, wants }) => {
            let missing = match wants {
                Some(end) => format!(", which reaches to byte {end}"),
                None => String::new(),
            };
            let detail = format!("{place} is cut short: it ends at byte {at} inside {inside}{missing}");
            return Err(Unknown::new(Why::Malformed, detail));
        }
        Err(Fault::Malformed { at, what }) => return Err(not_onnx(&format!("at byte {at}, {what}"))),
        Err(Fault::TooLarge(what)) => {
            return Err(Unknown::new(Why::Unsupported, format!("{place} is beyond what is read of a model: {what}")));
        }
        Err(Fault::Io(error)) => return Err(Unknown::from_io(&error, &place)),
    };
    // Unknown fields are legal in a protocol buffer, so many short files of another kind would pass without this.
    match (contents.has_graph, contents.ir_version) {
        (false, _) => Err(not_onnx("it holds no graph")),
        (true, None) => Err(not_onnx("it states no IR version")),
        (true, Some(_)) => Ok(contents),
    }
}

fn facts_of(path: &Path, file_bytes: u64, mut contents: Contents) -> ModelFacts {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
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
    ModelFacts {
        path: Fact::Known(path.display().to_string()),
        file_bytes: Fact::Known(file_bytes),
        format: Fact::Known("onnx".into()),
        ir_version: Fact::Known(contents.ir_version.unwrap_or_default()),
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
