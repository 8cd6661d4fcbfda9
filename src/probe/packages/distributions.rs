//! Installed distributions that matter to inference, from their `.dist-info` folders (PEP 376, PEP 627).

use crate::probe::tree::Tree;
use crate::snapshot::{Distribution, Unknown};
use std::path::PathBuf;

/// Bytes read of METADATA: name and version stand at its head.
const METADATA_BYTES: usize = 64 * 1024;

/// Names that matter; one that ends in `*` stands for all that begin so.
const WANTED: &[&str] = &[
    "onnxruntime*",
    "ort-*",
    "torch*",
    "ctranslate2",
    "faster-whisper",
    "openai-whisper",
    "whisperx",
    "nvidia-*",
    "tensorrt*",
    "tensorflow*",
    "jax*",
    "transformers",
    "optimum*",
    "accelerate",
    "vllm",
    "sglang",
    "llama-cpp-python",
    "silero-vad",
    "sherpa-onnx*",
    "openvino*",
    "nemo*",
    "insightface",
    "tritonclient",
    "triton",
    "fastapi",
    "uvicorn",
    "gunicorn",
];

/// A distribution found on disk.
pub struct Found {
    name: String,
    version: String,
    /// Its `.dist-info` folder, from the tree's root.
    folder: PathBuf,
}

impl Found {
    /// The distribution as it is recorded.
    pub fn told(self, tree: &Tree) -> Distribution {
        Distribution { name: self.name, version: self.version, path: tree.outside(&self.folder).display().to_string() }
    }
}

/// The distributions that matter, sorted by name, those of earlier folders first.
pub fn of(tree: &Tree, folders: &[PathBuf]) -> Result<Vec<Found>, Unknown> {
    let mut found = Vec::new();
    for folder in folders {
        for entry in tree.list(folder)? {
            let Some(stem) = entry.strip_suffix(".dist-info") else { continue };
            let Some((name, version)) = stem.rsplit_once('-') else { continue };
            if !is_wanted(&normalized(name)) {
                continue;
            }
            let folder = folder.join(&entry);
            let head = tree.head(folder.join("METADATA"), METADATA_BYTES).unwrap_or_default();
            let (true_name, true_version) = parse_metadata(&head);
            let name = normalized(true_name.as_deref().unwrap_or(name));
            let version = true_version.unwrap_or_else(|| version.to_owned());
            found.push(Found { name, version, folder });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Names of the distributions whose import package is `onnxruntime`: all of them write into the same folder.
pub fn named_onnxruntime(tree: &Tree, found: &[Found]) -> Vec<String> {
    let provides = |one: &&Found| match tree.read(one.folder.join("top_level.txt"), METADATA_BYTES) {
        Ok(text) => text.lines().any(|line| line.trim() == "onnxruntime"),
        Err(_) => is_onnxruntime_name(&one.name),
    };
    let candidates = found.iter().filter(|one| one.name.starts_with("onnxruntime") || one.name.starts_with("ort-"));
    let mut names: Vec<String> = candidates.filter(provides).map(|one| one.name.clone()).collect();
    names.dedup();
    names
}

/// Judged by name where the wheel does not say what it provides.
fn is_onnxruntime_name(name: &str) -> bool {
    let others = ["onnxruntime-genai", "onnxruntime-extensions", "onnxruntime-tools", "ort-model", "ort-moe"];
    !others.iter().any(|other| name.starts_with(other))
}

fn is_wanted(name: &str) -> bool {
    WANTED.iter().any(|wanted| match wanted.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => name == *wanted,
    })
}

/// PEP 503: lower case, runs of `-`, `_` and `.` as one dash.
fn normalized(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// Name and version in the header of METADATA, which ends at the first empty line.
fn parse_metadata(text: &str) -> (Option<String>, Option<String>) {
    let header = |name: &str| {
        let lines = text.lines().take_while(|line| !line.trim().is_empty());
        let mut values =
            lines.filter_map(|line| line.split_once(':')).filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    (header("Name"), header("Version"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_normalized_and_chosen() {
        assert_eq!(normalized("NVIDIA_cudnn.cu12"), "nvidia-cudnn-cu12");
        for name in ["onnxruntime-gpu", "nvidia-cublas-cu12", "torchaudio", "nemo-toolkit", "fastapi"] {
            assert!(is_wanted(name), "{name}");
        }
        assert!(!is_wanted("numpy") && !is_wanted("fastapi-cli"));
        assert!(is_onnxruntime_name("onnxruntime-directml") && !is_onnxruntime_name("onnxruntime-genai-cuda"));
    }

    #[test]
    fn the_description_is_not_the_header() {
        let text = "Metadata-Version: 2.4\nName: onnxruntime\nVersion: 1.23.2\n\nName: other\nVersion: 9\n";
        assert_eq!(parse_metadata(text), (Some("onnxruntime".into()), Some("1.23.2".into())));
        assert_eq!(parse_metadata("\nName: other\n"), (None, None));
    }

    proptest! {
        #[test]
        fn any_metadata_is_read(text in "((Name|Version|.{0,8}): ?.{0,20}\n|\n|.{0,10}){0,12}") {
            let (name, version) = parse_metadata(&text);
            for value in [name, version].into_iter().flatten() {
                prop_assert!(!value.is_empty() && text.contains(&value));
            }
        }

        #[test]
        fn normalizing_twice_changes_nothing(name in ".{0,30}") {
            let once = normalized(&name);
            prop_assert_eq!(normalized(&once), once);
        }
    }
}
