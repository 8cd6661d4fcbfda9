//! Files of models' weights that a process has mapped or open.
//!
//! What is mapped may be the model itself: safetensors leaves tensors of the CPU in the mapping, and lets go of it once all
//! of them were copied to a GPU. Files that are read and closed (`.pt`, `.onnx`) do not show.

use super::{libraries, unknown};
use crate::snapshot::{ModelFile, Unknown, Why};
use procfs::process::{FDTarget, Process};
use std::path::PathBuf;

/// Ends of names of models' files.
const ENDINGS: &[&str] = &["onnx", "onnx_data", "safetensors", "gguf", "ggml", "engine", "plan", "pt", "pth", "tflite"];
/// Starts of names that are models where they end in `.bin`: transformers' and CTranslate2's, llama.cpp's old ones.
const BIN_NAMES: &[&str] = &["pytorch_model", "model", "ggml-"];
/// Most files told of one server.
const FILES_MAX: usize = 64;

/// Whether the path's name is that of a model's file.
pub fn is_model(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    ENDINGS.contains(&ending) || (ending == "bin" && BIN_NAMES.iter().any(|start| stem.starts_with(start)))
}

/// Adds a file, once; a mapping says more than a descriptor. `place` is where its size is read.
pub fn note(files: &mut Vec<ModelFile>, path: &str, held: &str, pid: i32, place: impl FnOnce() -> PathBuf) {
    if let Some(known) = files.iter_mut().find(|known| known.path == path) {
        if held == "mapped" {
            known.held = held.into();
        }
        return;
    }
    if files.len() < FILES_MAX {
        let pid = pid.unsigned_abs().into();
        files.push(ModelFile { path: path.into(), bytes: size(place(), path).into(), held: held.into(), pid });
    }
}

fn size(place: PathBuf, path: &str) -> Result<u64, Unknown> {
    let metadata = std::fs::metadata(&place).map_err(|error| Unknown::from_io(&error, path))?;
    match metadata.is_file() {
        true => Ok(metadata.len()),
        false => Err(Unknown::new(Why::Malformed, format!("{path} is no regular file any more"))),
    }
}

/// Adds the files that the process has open.
pub fn open(process: &Process, files: &mut Vec<ModelFile>) -> Result<(), Unknown> {
    let descriptors = process.fd().map_err(|error| unknown(&error, process.pid, "fd"))?;
    for descriptor in descriptors.flatten() {
        let FDTarget::Path(path) = descriptor.target else { continue };
        let shown = path.to_string_lossy();
        let plain = libraries::without_mark(&shown);
        if is_model(plain) {
            // The descriptor itself: the path may lead elsewhere by now.
            note(files, plain, "open", process.pid, || format!("/proc/{}/fd/{}", process.pid, descriptor.fd).into());
        }
    }
    Ok(())
}

/// The files of several processes, each once.
pub fn union<'a>(all: impl IntoIterator<Item = &'a [ModelFile]>) -> Vec<ModelFile> {
    let mut union: Vec<ModelFile> = Vec::new();
    for file in all.into_iter().flatten() {
        let Some(known) = union.iter_mut().find(|known| known.path == file.path) else {
            if union.len() < FILES_MAX {
                union.push(file.clone());
            }
            continue;
        };
        if file.held == "mapped" {
            known.held.clone_from(&file.held);
        }
        if known.bytes.known().is_none() {
            known.bytes.clone_from(&file.bytes);
        }
    }
    union
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Fact;

    #[test]
    fn models_are_told_by_their_names() {
        assert!(is_model("/srv/m/model.safetensors") && is_model("/m.gguf") && is_model("/x/vad.onnx"));
        assert!(is_model("/hub/pytorch_model-00001-of-00002.bin") && is_model("/ct2/model.bin"));
        assert!(!is_model("/srv/m/data.arrow") && !is_model("/dev/zero") && !is_model("onnx"));
        assert!(!is_model("/srv/data.bin") && !is_model("/models.safetensors/x") && !is_model("/srv/.bin"));
    }

    #[test]
    fn what_this_process_has_open_is_told_with_its_size_and_a_mapping_counts_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(12_345).unwrap();
        let mut files = Vec::new();
        open(&Process::myself().unwrap(), &mut files).unwrap();
        let path = path.canonicalize().unwrap().display().to_string();
        let own = files.iter().find(|file| file.path == path).unwrap();
        assert_eq!((own.bytes.known(), own.held.as_str()), (Some(&12_345), "open"));
        note(&mut files, &path, "mapped", 1, || unreachable!("its size is known"));
        assert_eq!(
            files.iter().filter(|file| file.path == path).map(|file| &file.held[..]).collect::<Vec<_>>(),
            ["mapped"]
        );
        let gone = ModelFile { bytes: Fact::unknown(Why::Absent, "gone"), held: "open".into(), ..files[0].clone() };
        let union = union([&[gone][..], &files]);
        assert_eq!(union.len(), files.len());
        drop(file);
    }

    #[test]
    fn a_pipe_or_a_folder_of_that_name_has_no_size() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(size(folder.path().into(), "x").unwrap_err().why, Why::Malformed);
        assert_eq!(size(folder.path().join("none"), "x").unwrap_err().why, Why::Absent);
        let mut files = Vec::new();
        (0..200).for_each(|n| note(&mut files, &format!("/m/{n}.gguf"), "open", 1, || folder.path().into()));
        assert_eq!(files.len(), FILES_MAX);
    }
}
