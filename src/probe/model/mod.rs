//! The model's file: structure and sizes, read without loading its tensors.

mod attribute;
mod external;
#[cfg(test)]
mod file_tests;
mod folder;
mod formats;
#[doc(hidden)]
pub mod fuzzing;
mod ggml_type;
mod gguf;
mod graph;
mod metadata;
mod onnx;
mod opened;
mod port;
mod refusal;
mod safetensors;
mod shards;
mod split;
mod structure;
mod sums;
mod tensor;
mod tensor_files;
#[cfg(test)]
mod tests;
mod wire;

pub use structure::{Attribute, Container, Function, NamedTensor, Node, Scope, Structure, TypedName};

use super::{Context, Probe, Ran};
use crate::snapshot::{Fact, Facts, ModelFacts, Room, Stage, Unknown, Why};
use opened::{Kind, kind, open_and_look};
use refusal::Refusal;
use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// Why nothing is known of a model that nobody named.
pub const NOT_NAMED: &str = "no model was named (--model)";

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let Some(path) = &context.ask.model else {
        facts.model = ModelFacts::all_unknown(&Unknown::new(Why::NotAsked, NOT_NAMED));
        return Ran::skipped(NOT_NAMED);
    };
    let (model, ran) = examine(path);
    facts.model = model;
    ran
}

/// The file of the ONNX model that the user named, also where a folder was.
///
/// # Errors
/// [`Why::NotAsked`] if none was named, or one of another format: nothing is asked of onnxruntime then.
pub fn onnx_file(context: &Context, facts: &Facts) -> Result<PathBuf, Unknown> {
    let Some(named) = &context.ask.model else { return Err(Unknown::new(Why::NotAsked, NOT_NAMED)) };
    match facts.model.format.known().map(String::as_str) {
        None | Some("onnx") => file_of(named),
        Some(format) => Err(no_graph(named, format)),
    }
}

/// Graphs, nodes and tensors of a model, for joining with a placement. Bytes of element types without a known width
/// count as 0; [`ModelFacts`] then says that they are not known.
///
/// # Errors
/// The same as the facts of the model have; [`Why::NotAsked`] if it is of a format that holds tensors and no graph.
pub fn structure(path: &Path) -> Result<Structure, Unknown> {
    let path = &file_of(path)?;
    let (opened, ends) = open_and_look(path)?;
    match kind(path, &ends) {
        Kind::Onnx => match onnx::read(opened, path, &ends.head, true) {
            Ok(contents) => Ok(contents.structure.unwrap_or_default()),
            Err(refusal) => Err(refusal.told(path)),
        },
        Kind::Foreign(foreign) => Err(Refusal::Foreign(foreign).told(path)),
        Kind::Safetensors | Kind::Index => Err(no_graph(path, "safetensors")),
        Kind::Gguf => Err(no_graph(path, "gguf")),
    }
}

fn no_graph(path: &Path, format: &str) -> Unknown {
    let detail = format!("{} is no ONNX model ({format}), so it has no nodes for onnxruntime to place", path.display());
    Unknown::new(Why::NotAsked, detail)
}

/// The facts about the model at `named`, and how reading it went.
fn examine(named: &Path) -> (ModelFacts, Ran) {
    let failed = |path: &Path, file_bytes: Option<u64>, unknown: Unknown| {
        let mut facts = ModelFacts::all_unknown(&unknown);
        facts.path = Fact::Known(path.display().to_string());
        if unknown.why == Why::Malformed && path.is_file() {
            facts.fault = Fact::Known(unknown.detail.clone());
        }
        if let Some(file_bytes) = file_bytes {
            facts.file_bytes = Fact::Known(file_bytes);
        }
        (facts, Ran::from(&unknown))
    };
    let path = match file_of(named) {
        Ok(path) => path,
        Err(unknown) => return failed(named, None, unknown),
    };
    let (opened, ends) = match open_and_look(&path) {
        Ok(looked) => looked,
        Err(unknown) => return failed(&path, None, unknown),
    };
    let file_bytes = opened.file_bytes;
    let read = match kind(&path, &ends) {
        Kind::Onnx => onnx::read(opened, &path, &ends.head, false)
            .map(|contents| onnx::facts(&path, folder_of(&path), file_bytes, contents)),
        Kind::Safetensors => tensor_files::of_safetensors(opened, &path),
        Kind::Index => tensor_files::of_index(opened, &path),
        Kind::Gguf => tensor_files::of_gguf(opened, &path),
        Kind::Foreign(foreign) => Err(Refusal::Foreign(foreign)),
    };
    let refusal = match read {
        Ok(facts) => return (facts, Ran::ok()),
        Err(refusal) => refusal,
    };
    let (mut facts, mut ran) = failed(&path, Some(file_bytes), refusal.told(&path));
    if let Refusal::Foreign(foreign) = refusal
        && !foreign.format.is_empty()
    {
        facts.format = Fact::Known(foreign.format.into());
        facts.fault = Fact::unknown(Why::NotAsked, format!("{} is not read", foreign.what));
        // No file that is read here names other files for this one, so none can be missing.
        facts.external_files = Fact::unknown(Why::NotAsked, format!("{} is not read", foreign.what));
        ran = Ran::skipped(ran.detail);
    }
    (facts, ran)
}

/// The file at `named`, or the model's in the folder there.
fn file_of(named: &Path) -> Result<PathBuf, Unknown> {
    if named.is_dir() { folder::model_in(named) } else { Ok(named.to_path_buf()) }
}

/// The folder in which a file lies.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
