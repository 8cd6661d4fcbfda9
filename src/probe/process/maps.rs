//! What a process has mapped: libraries of GPU runtimes, programs, and files that are no longer at their paths.

use super::{libraries, sources, unknown, weights};
use crate::snapshot::{DeletedFile, ModelFile, Unknown};
use procfs::process::{FDTarget, MMPermissions, MMapPath, Process};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Folders where programs unlink on purpose what they have just mapped, as Java's bindings do.
const TEMPORARY: &[&str] = &["/tmp/", "/var/tmp/", "/dev/shm/", "/run/"];
/// Most removed files told of one process.
const DELETED_MAX: usize = 50;

/// What the maps of a process tell.
#[derive(Default)]
pub struct Mapped {
    /// Libraries of GPU runtimes, by kind.
    pub libraries: BTreeMap<String, String>,
    /// Whether a Python library is among them.
    pub python: bool,
    /// Change of the newest executable file that is still the mapped one, seconds after 1970.
    pub newest_program: Option<f64>,
    /// Libraries of GPU runtimes and models' files that were removed or replaced.
    pub deleted: Vec<DeletedFile>,
    /// Files of models' weights.
    pub models: Vec<ModelFile>,
}

/// Reads the maps of a process.
pub fn mapped(process: &Process) -> Result<Mapped, Unknown> {
    let maps = process.maps().map_err(|error| unknown(&error, process.pid, "maps"))?;
    let mut mapped = Mapped::default();
    let mut seen = BTreeSet::new();
    for map in maps {
        let MMapPath::Path(path) = map.pathname else { continue };
        let shown = path.to_string_lossy();
        let plain = libraries::without_mark(&shown);
        mapped.python |= libraries::is_python(plain);
        let kind = libraries::kind(plain);
        if let Some(kind) = kind {
            mapped.libraries.entry(kind.to_owned()).or_insert_with(|| plain.to_owned());
        }
        if kind.is_none() && weights::is_model(plain) {
            weights::note(&mut mapped.models, plain, "mapped", process.pid, || process_path(process.pid, plain));
        }
        if plain != shown {
            let kind = kind.or_else(|| weights::is_model(plain).then_some("model"));
            if let Some(kind) = kind.filter(|_| mapped.deleted.len() < DELETED_MAX && seen.insert(path.clone())) {
                mapped.deleted.extend(deleted(process.pid, plain, kind));
            }
            // A replaced file says nothing of when the old one was loaded.
        } else if map.perms.contains(MMPermissions::EXECUTE) && seen.insert(path.clone()) {
            let metadata = std::fs::metadata(process_path(process.pid, plain));
            let changed = metadata.ok().as_ref().map(sources::changed);
            mapped.newest_program = mapped.newest_program.into_iter().chain(changed).reduce(f64::max);
        }
    }
    Ok(mapped)
}

/// Files of models' weights that the process has mapped, as `mapped` tells, or open.
pub fn models(process: &Process, mapped: &Mapped) -> Result<Vec<ModelFile>, Unknown> {
    let mut files = mapped.models.clone();
    weights::open(process, &mut files)?;
    Ok(files)
}

/// The file behind a mapping marked as deleted; `None` if it was a temporary one.
fn deleted(pid: i32, path: &str, kind: &str) -> Option<DeletedFile> {
    let replaced = std::fs::metadata(process_path(pid, path)).is_ok();
    let temporary = TEMPORARY.iter().any(|folder| path.starts_with(folder));
    (replaced || !temporary).then(|| DeletedFile {
        path: path.to_owned(),
        kind: kind.to_owned(),
        pid: pid.unsigned_abs().into(),
        replaced,
    })
}

/// A path as the process sees it, through its root.
fn process_path(pid: i32, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root{path}"))
}

/// Open device nodes of NVIDIA's driver, and WSL's GPU device.
pub fn nodes(process: &Process) -> Result<BTreeSet<String>, Unknown> {
    let descriptors = process.fd().map_err(|error| unknown(&error, process.pid, "fd"))?;
    let paths = descriptors.flatten().filter_map(|descriptor| match descriptor.target {
        FDTarget::Path(path) => Some(path.to_string_lossy().into_owned()),
        _ => None,
    });
    Ok(paths.filter(|path| path.starts_with("/dev/nvidia") || path == "/dev/dxg").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_unlinked_on_purpose_is_no_news() {
        let pid = std::process::id() as i32;
        assert_eq!(deleted(pid, "/tmp/jna-123/libonnxruntime.so", "onnxruntime"), None);
        let gone = deleted(pid, "/opt/none/libonnxruntime.so.1.23.2", "onnxruntime").unwrap();
        assert!(!gone.replaced);
        assert!(deleted(pid, "/proc/self/exe", "model").unwrap().replaced);
    }
}
