//! Installed distributions that matter to inference, from their `.dist-info` folders (PEP 376, PEP 627).

use crate::probe::tree::Tree;
use crate::snapshot::{Distribution, Unknown, Why};
use crate::words::plain;
use std::path::{Path, PathBuf};

/// Bytes read of METADATA: name and version stand at its head.
const METADATA_BYTES: usize = 64 * 1024;

/// Bytes read of INSTALLER, which holds one word.
const INSTALLER_BYTES: usize = 100;

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
    "llama-cpp-python*",
    "pyannote*",
    "sentence-transformers",
    "silero-vad",
    "sherpa-onnx*",
    "openvino*",
    "rapidocr*",
    "chromadb",
    "fastembed",
    "rembg",
    "piper-tts",
    "ultralytics",
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
    /// Normalized name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Its `.dist-info` folder, from the tree's root.
    pub folder: PathBuf,
    /// Whether it asks for `onnxruntime` by name, whatever extras are wanted.
    pub requires_onnxruntime: bool,
}

impl Found {
    /// The distribution as it is recorded.
    pub fn told(&self, tree: &Tree) -> Distribution {
        let file = self.folder.join("INSTALLER");
        let installer = tree.head(&file, INSTALLER_BYTES).map(|text| plain(text.trim()));
        Distribution {
            name: self.name.clone(),
            version: self.version.clone(),
            path: tree.outside(&self.folder).display().to_string(),
            installed_at: changed_at(tree, &file).into(),
            installer: installer.into(),
        }
    }
}

/// When a file was last changed, RFC 3339.
fn changed_at(tree: &Tree, file: &Path) -> Result<String, Unknown> {
    let shown = tree.outside(file).display().to_string();
    let changed = tree.stat(file)?.modified().map_err(|error| Unknown::from_io(&error, &shown))?;
    let told = jiff::Timestamp::try_from(changed);
    told.map(|time| format!("{time:.3}")).map_err(|error| Unknown::new(Why::Malformed, format!("{shown}: {error}")))
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
            found.push(Found { name, version, folder, requires_onnxruntime: requires(&head, "onnxruntime") });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The distributions whose import package is `onnxruntime`: all of them write into the same folder.
pub fn providing_onnxruntime<'a>(tree: &Tree, found: &'a [Found]) -> Vec<&'a Found> {
    let provides = |one: &&Found| match tree.read(one.folder.join("top_level.txt"), METADATA_BYTES) {
        Ok(text) => text.lines().any(|line| line.trim() == "onnxruntime"),
        Err(_) => is_onnxruntime_name(&one.name),
    };
    let candidates = found.iter().filter(|one| one.name.starts_with("onnxruntime") || one.name.starts_with("ort-"));
    candidates.filter(provides).collect()
}

/// Names of the distributions that provide `onnxruntime`.
pub fn named_onnxruntime(tree: &Tree, found: &[Found]) -> Vec<String> {
    let mut names: Vec<String> = providing_onnxruntime(tree, found).iter().map(|one| one.name.clone()).collect();
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

/// Whether the header of METADATA asks for the distribution `wanted`, other than for an extra (PEP 508).
fn requires(metadata: &str, wanted: &str) -> bool {
    let header = metadata.lines().take_while(|line| !line.trim().is_empty());
    header.filter_map(|line| line.split_once(':')).any(|(key, value)| {
        let (requirement, marker) = value.split_once(';').unwrap_or((value, ""));
        let name = requirement.trim().split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).next();
        key.eq_ignore_ascii_case("Requires-Dist")
            && name.is_some_and(|name| normalized(name) == wanted)
            && !marker.contains("extra")
    })
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
    fn a_requirement_is_one_that_no_extra_asks_for() {
        let asks = |line: &str| {
            requires(&format!("Name: x\nRequires-Dist: {line}\n\nRequires-Dist: onnxruntime\n"), "onnxruntime")
        };
        assert!(asks("onnxruntime<2,>=1.14") && asks("OnnxRuntime ; python_version >= '3.8'"));
        assert!(!asks("onnxruntime-gpu>=1.14") && !asks("onnxruntime; extra == 'onnx'") && !asks("numpy"));
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
