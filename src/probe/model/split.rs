//! A GGUF model split into several files: `NAME-00001-of-00003.gguf` and so on.
//!
//! Source: `llama_split_path` and the loading of splits in llama.cpp (`src/llama-model-loader.cpp`).

use super::external::open_inside;
use super::gguf::{self, Header};
use super::opened::Opened;
use super::refusal::told;
use super::sums::TensorSums;
use super::wire::Reader;
use crate::snapshot::ExternalFile;
use std::path::Path;

/// Most parts.
const PART_LIMIT: u64 = 10_000;

/// The other parts of the split model whose part `header` is that of `path`, and the tensors of all.
///
/// # Errors
/// In words, if the file's name does not tell what the others are called.
pub fn parts(path: &Path, folder: &Path, header: &Header) -> Result<(Vec<ExternalFile>, TensorSums), String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (own, count) = (header.part.saturating_add(1), header.parts);
    let ending = format!("-{own:05}-of-{count:05}.gguf");
    let Some(stem) = name.strip_suffix(&ending) else {
        return Err(format!(
            "it is part {own} of {count}, but its name does not end in {ending}, as the parts' names must"
        ));
    };
    if count > PART_LIMIT || own > count {
        return Err(format!("it claims to be part {own} of {count}"));
    }
    let mut sums = header.sums.clone();
    let mut others = Vec::new();
    for number in (1..=count).filter(|number| *number != own) {
        let location = format!("{stem}-{number:05}-of-{count:05}.gguf");
        let fault = match part(folder, &location, number, count) {
            Ok(part) => {
                sums.merge(part);
                String::new()
            }
            Err(fault) => fault,
        };
        others.push(ExternalFile { location, sound: fault.is_empty(), fault });
    }
    if let Some(stated) = header.tensors_of_all
        && stated != sums.tensors
        && let Some(last) = others.last_mut()
        && last.sound
        && sums.without_size.is_none()
    {
        last.fault = format!("with it the parts hold {} tensors, where the model states {stated}", sums.tensors);
        last.sound = false;
    }
    Ok((others, sums))
}

/// The tensors of one part.
fn part(folder: &Path, location: &str, number: u64, count: u64) -> Result<TensorSums, String> {
    let Opened { file, file_bytes } = open_inside(folder, location)?;
    let place = folder.join(location);
    let header =
        gguf::read(&mut Reader::new(file, file_bytes)).map_err(|fault| told(fault, &place, "a GGUF model").detail)?;
    if (header.part, header.parts) != (number - 1, count) {
        let (part, parts) = (header.part.saturating_add(1), header.parts);
        return Err(format!("{} says of itself that it is part {part} of {parts}", place.display()));
    }
    Ok(header.sums)
}
