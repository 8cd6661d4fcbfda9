//! The model's file: structure and sizes, read without loading its tensors.

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
mod port;
mod safetensors;
mod shards;
mod split;
mod structure;
mod sums;
mod tensor;
#[cfg(test)]
mod tests;
mod wire;

pub use structure::{NamedTensor, Node, Scope, Structure};

use super::{Context, Probe, Ran};
use crate::snapshot::{Fact, Facts, ModelFacts, Room, Stage, Unknown, Why};
use formats::Foreign;
use std::fs::File;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use sums::TensorSums;
use wire::{Fault, ReadAt, Reader};

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

/// A file that is open, and its size.
struct Opened {
    file: File,
    file_bytes: u64,
}

/// What a file is to be read as.
enum Kind {
    Onnx,
    Safetensors,
    /// The index of sharded safetensors.
    Index,
    Gguf,
    Foreign(Foreign),
}

/// The facts about the model at `named`, and how reading it went.
fn examine(named: &Path) -> (ModelFacts, Ran) {
    let failed = |path: &Path, file_bytes: Option<u64>, unknown: Unknown| {
        let mut facts = ModelFacts::all_unknown(&unknown);
        facts.path = Fact::Known(path.display().to_string());
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
        Kind::Safetensors => safetensors_facts(opened, &path),
        Kind::Index => index_facts(opened, &path),
        Kind::Gguf => gguf_facts(opened, &path),
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
        // No file that is read here names other files for this one, so none can be missing.
        facts.external_files = Fact::unknown(Why::NotAsked, format!("{} is not read", foreign.what));
        ran = Ran::skipped(ran.detail);
    }
    (facts, ran)
}

fn safetensors_facts(opened: Opened, path: &Path) -> Result<ModelFacts, Refusal> {
    let header = safetensors::read(&opened.file, opened.file_bytes)
        .map_err(|fault| told(fault, path, "a sound safetensors file"))?;
    let mut facts = tensors_only(path, opened.file_bytes, "safetensors");
    facts.architecture = metadata::architecture_beside(folder_of(path));
    facts.metadata = Fact::Known(header.metadata.into_entries());
    header.sums.fill(&mut facts);
    Ok(facts)
}

fn index_facts(opened: Opened, path: &Path) -> Result<ModelFacts, Refusal> {
    let map = shards::read(&opened.file, opened.file_bytes)
        .map_err(|fault| told(fault, path, "an index of safetensors files"))?;
    if map.0.keys().any(|file| file.ends_with(".bin") || file.ends_with(".pt")) {
        return Err(Refusal::Foreign(formats::PYTORCH_SHARDS));
    }
    let folder = folder_of(path);
    let mut facts = tensors_only(path, opened.file_bytes, "safetensors");
    facts.architecture = metadata::architecture_beside(folder);
    let (files, sums) = shards::check(&map, folder);
    several(&mut facts, files, sums);
    facts.tensors = Fact::Known(map.tensors());
    Ok(facts)
}

fn gguf_facts(opened: Opened, path: &Path) -> Result<ModelFacts, Refusal> {
    let file_bytes = opened.file_bytes;
    let header = gguf::read(&mut Reader::new(opened.file, file_bytes))
        .map_err(|fault| told(fault, path, "a sound GGUF model"))?;
    let mut facts = tensors_only(path, file_bytes, "gguf");
    let order = if header.big_endian { ", big-endian" } else { "" };
    facts.format_version = Fact::Known(format!("{}{order}", header.version));
    facts.architecture = match header.metadata.get("general.architecture") {
        Some(name) => Fact::Known(name.into()),
        None => Fact::unknown(Why::Absent, format!("{} has no general.architecture", path.display())),
    };
    if header.parts > 1 {
        let (files, sums) = split::parts(path, folder_of(path), &header)
            .map_err(|why| Unknown::new(Why::Malformed, format!("{}: {why}", path.display())))?;
        several(&mut facts, files, sums);
    } else {
        header.sums.fill(&mut facts);
    }
    facts.metadata = Fact::Known(header.metadata.into_entries());
    Ok(facts)
}

/// Facts of a format that holds tensors and no graph.
fn tensors_only(path: &Path, file_bytes: u64, format: &str) -> ModelFacts {
    let detail = format!("a file of format {format} holds tensors and no graph, and does not say this");
    let mut facts = ModelFacts::all_unknown(&Unknown::new(Why::Unsupported, detail));
    facts.path = Fact::Known(path.display().to_string());
    facts.file_bytes = Fact::Known(file_bytes);
    facts.format = Fact::Known(format.into());
    facts.external_files = Fact::Known(Vec::new());
    facts
}

/// Sets the facts of a model in several files. Where one is not sound, what the others hold is not the model.
fn several(facts: &mut ModelFacts, files: Vec<crate::snapshot::ExternalFile>, sums: TensorSums) {
    match files.iter().find(|file| !file.sound) {
        None => sums.fill(facts),
        Some(unsound) => {
            let unknown = Unknown::new(Why::Malformed, format!("{}: {}", unsound.location, unsound.fault));
            facts.tensors = Fact::Unknown(unknown.clone());
            facts.parameters = Fact::Unknown(unknown.clone());
            facts.parameter_bytes = Fact::Unknown(unknown.clone());
            facts.parameter_bytes_by_type = Fact::Unknown(unknown);
        }
    }
    facts.external_files = Fact::Known(files);
}

/// The file at `named`, or the model's in the folder there.
fn file_of(named: &Path) -> Result<PathBuf, Unknown> {
    if named.is_dir() { folder::model_in(named) } else { Ok(named.to_path_buf()) }
}

/// The folder in which a file lies.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
        return Err(Unknown::new(Why::Malformed, format!("{} is not a model: it is empty", path.display())));
    }
    Ok(Opened { file, file_bytes: metadata.len() })
}

/// The first and last bytes of a file.
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
}

fn open_and_look(path: &Path) -> Result<(Opened, Ends), Unknown> {
    let opened = open(path)?;
    let read = |at: u64, bytes: u64| {
        let mut buffer = vec![0; bytes.min(opened.file_bytes) as usize];
        let count = opened.file.read_at(&mut buffer, at).map_err(|error| Unknown::from_io(&error, path.display()))?;
        buffer.truncate(count);
        Ok(buffer)
    };
    let head = read(0, formats::HEAD_BYTES)?;
    // Only zip archives say at their end what they are.
    let tail = match head.starts_with(b"PK") {
        true => read(opened.file_bytes.saturating_sub(formats::TAIL_BYTES), formats::TAIL_BYTES)?,
        false => Vec::new(),
    };
    Ok((opened, Ends { head, tail }))
}

/// What a file is to be read as, by its bytes, else by its name.
fn kind(path: &Path, ends: &Ends) -> Kind {
    let ends_in = |ending: &str| path.to_str().is_some_and(|path| path.to_ascii_lowercase().ends_with(ending));
    // The length of a safetensors header may look like the start of anything, so this comes first.
    if safetensors::starts(&ends.head) {
        Kind::Safetensors
    } else if ends.head.starts_with(gguf::MAGIC) {
        Kind::Gguf
    } else if ends_in(".index.json") && ends.head.first() == Some(&b'{') {
        Kind::Index
    } else if let Some(foreign) = formats::by_content(path, &ends.head, &ends.tail) {
        Kind::Foreign(foreign)
    } else if ends_in(".safetensors") {
        Kind::Safetensors
    } else if ends_in(".gguf") {
        Kind::Gguf
    } else {
        Kind::Onnx
    }
}

/// Why a file is not read as a model.
enum Refusal {
    /// It is of a format that is only told apart.
    Foreign(Foreign),
    /// Something is wrong with it.
    Unknown(Unknown),
}

impl From<Unknown> for Refusal {
    fn from(unknown: Unknown) -> Self {
        Refusal::Unknown(unknown)
    }
}

impl Refusal {
    /// The refusal of the file at `path` in words.
    fn told(&self, path: &Path) -> Unknown {
        match self {
            Refusal::Unknown(unknown) => unknown.clone(),
            Refusal::Foreign(Foreign { format, what, instead }) => {
                let place = path.display();
                match *format {
                    "" => {
                        let detail = format!("{place} is not a model: it looks like {what}; {instead}");
                        Unknown::new(Why::Malformed, detail)
                    }
                    _ => {
                        let detail = format!("{place} looks like {what}, which is not read here: {instead}");
                        Unknown::new(Why::Unsupported, detail)
                    }
                }
            }
        }
    }
}

/// What is wrong with the file at `path`, that should be `what`.
fn told(fault: Fault, path: &Path, what: &str) -> Unknown {
    let place = path.display();
    match fault {
        Fault::CutShort { at, inside, wants } => {
            let missing = wants.map_or_else(String::new, |end| format!(", which reaches to byte {end}"));
            let detail = format!("{place} is cut short: it ends at byte {at} inside {inside}{missing}");
            Unknown::new(Why::Malformed, detail)
        }
        Fault::Malformed { at, what: seen } => {
            Unknown::new(Why::Malformed, format!("{place} is not {what}: at byte {at}, {seen}"))
        }
        Fault::TooLarge(what) => {
            Unknown::new(Why::Unsupported, format!("{place} is beyond what is read of a model: {what}"))
        }
        Fault::Io(error) => Unknown::from_io(&error, &place),
    }
}
