//! External tensor data: files beside the model that hold its payloads.

use super::opened::Opened;
use super::tensor::ExternalData;
use crate::snapshot::ExternalFile;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

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
        // onnxruntime takes a length of 0 for one that is left out, and refuses any other that is not the tensor's.
        let length = external.length.filter(|length| *length > 0);
        if let (Some(length), Some(bytes)) = (length, bytes)
            && length != bytes
        {
            file.blame(|| format!("tensor '{name}' has {bytes} bytes, but the model declares {length} there"));
        }
        // Places may overlap (tied weights are stored once), and need not be aligned: the format only advises it.
        let end = offset.saturating_add(length.or(bytes).unwrap_or(0));
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
        // Nothing is read: opening tells whether it could be.
        match open_inside(folder, location) {
            Err(fault) => fault,
            Ok(opened) if opened.file_bytes < self.end => format!(
                "{} has {} bytes; tensor '{}' ends at byte {}",
                folder.join(location).display(),
                opened.file_bytes,
                self.furthest,
                self.end
            ),
            Ok(_) => String::new(),
        }
    }
}

/// Opens the regular file that a model names by `location`, relative to its `folder`. Never blocks, and never goes where
/// the words of `location` lead out of the folder. Symbolic links are followed: model caches link every file into a store
/// elsewhere.
///
/// # Errors
/// What is wrong, in words.
pub fn open_inside(folder: &Path, location: &str) -> Result<Opened, String> {
    if location.is_empty() {
        return Err("the model names no file".into());
    }
    let path = folder.join(inside(location).ok_or("the path leads out of the model's folder")?);
    let from_io = |error: std::io::Error| format!("{}: {error}", path.display());
    let kind = std::fs::metadata(&path).map_err(from_io)?;
    if !kind.is_file() {
        return Err(format!("{} is not a regular file", path.display()));
    }
    let file = crate::regular_file::open(&path).map_err(from_io)?;
    let file_bytes = file.metadata().map_err(from_io)?.len();
    Ok(Opened { file, file_bytes })
}

/// The location without `.` and `..`, by its words alone; `None` if it is absolute or climbs out.
fn inside(location: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in Path::new(location).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
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
        // Tied weights lie in one place, and a way that comes back does not lead out.
        uses.add("tied", &at("whole.bin", 0, Some(40)), Some(40));
        uses.add("a", &at("folder/../whole.bin", 4, None), Some(40));
        uses.add("a", &at("folder/../../whole.bin", 4, None), Some(40));
        uses.add("past", &at("past.bin", u64::MAX, Some(u64::MAX)), Some(u64::MAX));
        std::fs::write(folder.path().join("past.bin"), "x").unwrap();
        uses.add("longer", &at("longer.bin", 0, Some(41)), Some(40));
        uses.add("c", &at("contradiction.bin", 0, Some(3)), Some(4));
        uses.add("d", &ExternalData { location: "words.bin".into(), offset: None, length: None }, Some(4));
        let told: BTreeMap<String, ExternalFile> =
            uses.check(folder.path()).into_iter().map(|file| (file.location.clone(), file)).collect();
        assert!(told["whole.bin"].sound && told["folder/../whole.bin"].sound);
        let fault = |location: &str| {
            assert!(!told[location].sound, "{location}");
            told[location].fault.as_str()
        };
        assert!(fault("short.bin").ends_with("short.bin has 99 bytes; tensor 'b' ends at byte 100"));
        assert!(fault("folder").ends_with("is not a regular file"));
        assert!(fault("absent.bin").contains("No such file"));
        assert_eq!(fault("../whole.bin"), "the path leads out of the model's folder");
        assert_eq!(fault("folder/../../whole.bin"), "the path leads out of the model's folder");
        assert!(fault("past.bin").contains("has 1 bytes; tensor 'past' ends at byte 18446744073709551615"));
        assert!(fault("longer.bin").contains("has 40 bytes, but the model declares 41 there"));
        assert_eq!(fault("/etc/passwd"), "the path leads out of the model's folder");
        assert_eq!(fault(""), "the model names no file");
        assert!(fault("contradiction.bin").contains("has 4 bytes, but the model declares 3 there"));
        assert!(fault("words.bin").contains("not a number"));
    }
}
