//! The facts about models whose files hold tensors and no graph: safetensors and GGUF, in one file or in several.

use super::opened::Opened;
use super::refusal::{Refusal, told};
use super::sums::TensorSums;
use super::wire::Reader;
use super::{folder_of, formats, gguf, metadata, safetensors, shards, split};
use crate::snapshot::{ExternalFile, Fact, ModelFacts, Room, Unknown, Why};
use std::path::Path;

/// The facts about one safetensors file.
pub fn of_safetensors(opened: Opened, path: &Path) -> Result<ModelFacts, Refusal> {
    let header = safetensors::read(&opened.file, opened.file_bytes)
        .map_err(|fault| told(fault, path, "a sound safetensors file"))?;
    let mut facts = tensors_only(path, opened.file_bytes, "safetensors");
    facts.architecture = metadata::architecture_beside(folder_of(path));
    facts.metadata = Fact::Known(header.metadata.into_entries());
    header.sums.fill(&mut facts);
    Ok(facts)
}

/// The facts about sharded safetensors, by their index.
pub fn of_index(opened: Opened, path: &Path) -> Result<ModelFacts, Refusal> {
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

/// The facts about a GGUF model, whole or split.
pub fn of_gguf(opened: Opened, path: &Path) -> Result<ModelFacts, Refusal> {
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
    facts.fault = Fact::Known(String::new());
    facts.file_bytes = Fact::Known(file_bytes);
    facts.format = Fact::Known(format.into());
    facts.external_files = Fact::Known(Vec::new());
    facts
}

/// Sets the facts of a model in several files. Where one is not sound, what the others hold is not the model.
fn several(facts: &mut ModelFacts, files: Vec<ExternalFile>, sums: TensorSums) {
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
