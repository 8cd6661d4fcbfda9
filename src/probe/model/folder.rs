//! The model in a folder that the user named.

use super::formats;
use crate::snapshot::{Unknown, Why};
use std::path::{Path, PathBuf};

/// Most entries that are looked at.
const ENTRY_LIMIT: usize = 100_000;
/// Most candidates that are listed.
const TOLD: usize = 8;

/// The one model in `folder`: a safetensors index, an ONNX, safetensors or GGUF file; else the same in its subfolder `onnx`
/// (Optimum) or in those whose names are numbers (Triton's versions, of which the highest counts).
///
/// # Errors
/// Several candidates, which are listed; none, and what else lies there.
pub fn model_in(folder: &Path) -> Result<PathBuf, Unknown> {
    let names = entries(folder)?;
    let candidates = candidates(&names);
    if candidates.is_empty()
        && let Some(below) = below(folder, &names)?
    {
        return Ok(below);
    }
    let place = folder.display();
    match candidates.as_slice() {
        [one] => return Ok(folder.join(one)),
        [] => {}
        several => {
            let (count, told) = (several.len(), several.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", "));
            let more = if count > TOLD { ", ..." } else { "" };
            let detail = format!("the folder {place} holds {count} models: name one of them ({told}{more})");
            return Err(Unknown::new(Why::Unsupported, detail));
        }
    }
    Err(match formats::by_entries(&names) {
        Some(foreign) => {
            let (what, instead) = (foreign.what, foreign.instead);
            Unknown::new(
                Why::Unsupported,
                format!("the folder {place} holds {what}, which is not read here: {instead}"),
            )
        }
        None => {
            let detail = format!("the folder {place} holds no model: no .onnx, .safetensors or .gguf file is there");
            Unknown::new(Why::Absent, detail)
        }
    })
}

/// The names in a folder, sorted. What is not UTF-8 has no name by which a model would be found.
fn entries(folder: &Path) -> Result<Vec<String>, Unknown> {
    let from_io = |error: std::io::Error| Unknown::from_io(&error, folder.display());
    let mut names = Vec::new();
    for (count, entry) in std::fs::read_dir(folder).map_err(from_io)?.enumerate() {
        if count >= ENTRY_LIMIT {
            let detail =
                format!("the folder {} has more than {ENTRY_LIMIT} entries: name the model's file", folder.display());
            return Err(Unknown::new(Why::Unsupported, detail));
        }
        names.extend(entry.map_err(from_io)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// What can be read of the names. Shards and parts count once: as their index, or as the first part.
fn candidates(names: &[String]) -> Vec<String> {
    let ends = |name: &String, ending: &str| name.to_ascii_lowercase().ends_with(ending);
    let all = |wanted: &dyn Fn(&String) -> bool| names.iter().filter(|name| wanted(name)).cloned().collect::<Vec<_>>();
    let mut found = all(&|name| ends(name, ".onnx"));
    // What transformers and its like load is called so; what lies beside it under other names is for others.
    let usual = ["model.safetensors", "model.safetensors.index.json"]
        .into_iter()
        .find(|usual| names.iter().any(|name| name == usual));
    let indexes = all(&|name| ends(name, ".safetensors.index.json"));
    found.extend(match usual {
        Some(usual) => vec![usual.to_string()],
        None if !indexes.is_empty() => indexes,
        None => all(&|name| ends(name, ".safetensors")),
    });
    found.extend(all(&|name| {
        // Beside a model lies what looks at pictures or guesses ahead for it.
        let beside = name.starts_with("mmproj") || name.starts_with("mtp-");
        ends(name, ".gguf") && !beside && part_number(name).is_none_or(|number| number == 1)
    }));
    found
}

/// The number of a part whose name ends like `-00002-of-00003.gguf`.
fn part_number(name: &str) -> Option<u64> {
    let (rest, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    count.parse::<u64>().ok()?;
    rest.rsplit_once('-')?.1.parse().ok()
}

/// The one model in a subfolder in which models are known to lie.
fn below(folder: &Path, names: &[String]) -> Result<Option<PathBuf>, Unknown> {
    let versions = names.iter().filter_map(|name| Some((name.parse::<u64>().ok()?, name)));
    let highest = versions.max().map(|(_, name)| name);
    for name in names.iter().find(|name| *name == "onnx").into_iter().chain(highest) {
        let folder = folder.join(name);
        if folder.is_dir()
            && let [one] = candidates(&entries(&folder)?).as_slice()
        {
            return Ok(Some(folder.join(one)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        folder
    }

    fn found(files: &[&str]) -> Result<String, Unknown> {
        let folder = folder(files);
        model_in(folder.path()).map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string())
    }

    #[test]
    fn the_one_model_is_found() {
        for (files, expected) in [
            (&["README.md", "config.json", "model.onnx", "model.onnx_data"][..], "model.onnx"),
            (&["config.json", "model.safetensors", "pytorch_model.bin"], "model.safetensors"),
            (
                &[
                    "model-00001-of-00002.safetensors",
                    "model-00002-of-00002.safetensors",
                    "model.safetensors.index.json",
                ],
                "model.safetensors.index.json",
            ),
            (
                &["consolidated.safetensors", "model-00001-of-00001.safetensors", "model.safetensors.index.json"],
                "model.safetensors.index.json",
            ),
            (&["q-00001-of-00002.gguf", "q-00002-of-00002.gguf", "mmproj-q-f16.gguf"], "q-00001-of-00002.gguf"),
            (&["config.pbtxt", "1/model.onnx", "10/model.onnx", "9/model.onnx"], "10/model.onnx"),
            (&["config.json", "onnx/model.onnx"], "onnx/model.onnx"),
        ] {
            assert_eq!(found(files).unwrap(), expected);
        }
    }

    #[test]
    fn several_and_none_are_told() {
        let several = found(&["a.onnx", "b.onnx", "model.safetensors"]).unwrap_err().detail;
        assert!(several.ends_with("holds 3 models: name one of them (a.onnx, b.onnx, model.safetensors)"), "{several}");
        let pickle = found(&["config.json", "pytorch_model.bin"]).unwrap_err();
        assert!(pickle.why == Why::Unsupported && pickle.detail.contains("never unpickled"), "{pickle}");
        let none = found(&["README.md"]).unwrap_err();
        assert!(none.why == Why::Absent && none.detail.contains("holds no model"), "{none}");
        assert!(found(&["1/a.onnx", "1/b.onnx"]).is_err(), "two in the subfolder are not one");
    }
}
