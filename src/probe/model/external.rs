//! External tensor data: files beside the model that hold its payloads.

use super::tensor::ExternalData;
use crate::snapshot::ExternalFile;
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// Most files that are told about.
const FILE_LIMIT: usize = 10_000;

/// What a model asks of its external files.
#[derive(Debug, Default)]
pub struct ExternalUses {
    files: BTreeMap<String, Use>,
    /// Locations beyond the limit.
    pub left_out: u64,
}

#[derive(Debug, Default)]
struct Use {
    /// End of the furthest tensor, bytes.
    end: u64,
    /// Name of that tensor.
    furthest: String,
    /// The first contradiction in what the model says.
    fault: String,
}

impl ExternalUses {
    /// Notes that the tensor `name` of `bytes` bytes lies in `external`.
    pub fn add(&mut self, name: &str, external: &ExternalData, bytes: Option<u64>) {
        if self.files.len() >= FILE_LIMIT && !self.files.contains_key(&external.location) {
            self.left_out += 1;
            return;
        }
        let file = self.files.entry(external.location.clone()).or_default();
        let Some(offset) = external.offset else {
            file.blame(|| format!("the offset of tensor '{name}' is not a number"));
            return;
        };
        if let (Some(length), Some(bytes)) = (external.length, bytes)
            && length < bytes
        {
            file.blame(|| format!("tensor '{name}' has {bytes} bytes, of which the model declares {length} there"));
        }
        let end = offset.saturating_add(external.length.or(bytes).unwrap_or(0));
        if end >= file.end {
            file.end = end;
            file.furthest = name.to_string();
        }
    }

    /// Compares the uses with the files in `folder`, the model's own.
    pub fn check(&self, folder: &Path) -> Vec<ExternalFile> {
        self.files
            .iter()
            .map(|(location, file)| {
                let fault = match file.fault.as_str() {
                    "" => file.fault_of(folder, location),
                    fault => fault.to_string(),
                };
                ExternalFile { location: location.clone(), sound: fault.is_empty(), fault }
            })
            .collect()
    }
}

impl Use {
    fn blame(&mut self, fault: impl FnOnce() -> String) {
        if self.fault.is_empty() {
            self.fault = fault();
        }
    }

    /// What is wrong with the file; empty if nothing.
    fn fault_of(&self, folder: &Path, location: &str) -> String {
        if location.is_empty() {
            return "the model names no file".into();
        }
        let relative = Path::new(location);
        // Symbolic links are followed: model caches link every file into a store elsewhere.
        if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return "the path leads out of the model's folder".into();
        }
        let path = folder.join(relative);
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => return format!("{}: {error}", path.display()),
        };
        if !metadata.is_file() {
            return format!("{} is not a regular file", path.display());
        }
        if metadata.len() < self.end {
            return format!(
                "{} has {} bytes; tensor '{}' ends at byte {}",
                path.display(),
                metadata.len(),
                self.furthest,
                self.end
            );
        }
        // Nothing is read: opening tells whether it could be.
        match std::fs::File::open(&path) {
            Ok(_) => String::new(),
            Err(error) => format!("{}: {error}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(location: &str, offset: u64, length: Option<u64>) -> ExternalData {
        ExternalData { location: location.into(), offset: Some(offset), length }
    }

    #[test]
    fn each_kind_of_fault_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("whole.bin"), [0; 100]).unwrap();
        std::fs::write(folder.path().join("short.bin"), [0; 99]).unwrap();
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        let mut uses = ExternalUses::default();
        for location in ["whole.bin", "short.bin", "folder", "absent.bin", "../whole.bin", "/etc/passwd", ""] {
            uses.add("a", &at(location, 0, Some(40)), Some(40));
            uses.add("b", &at(location, 40, None), Some(60));
        }
        uses.add("c", &at("contradiction.bin", 0, Some(3)), Some(4));
        uses.add("d", &ExternalData { location: "words.bin".into(), offset: None, length: None }, Some(4));
        let told: BTreeMap<String, ExternalFile> =
            uses.check(folder.path()).into_iter().map(|file| (file.location.clone(), file)).collect();
        assert!(told["whole.bin"].sound);
        let fault = |location: &str| {
            assert!(!told[location].sound, "{location}");
            told[location].fault.as_str()
        };
        assert!(fault("short.bin").ends_with("short.bin has 99 bytes; tensor 'b' ends at byte 100"));
        assert!(fault("folder").ends_with("is not a regular file"));
        assert!(fault("absent.bin").contains("No such file"));
        assert_eq!(fault("../whole.bin"), "the path leads out of the model's folder");
        assert_eq!(fault("/etc/passwd"), "the path leads out of the model's folder");
        assert_eq!(fault(""), "the model names no file");
        assert!(fault("contradiction.bin").contains("has 4 bytes, of which the model declares 3"));
        assert!(fault("words.bin").contains("not a number"));
    }
}
