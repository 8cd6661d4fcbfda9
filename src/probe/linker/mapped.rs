//! What the server's processes have loaded, by their maps.

use super::elf;
use crate::probe::tree::Tree;
use crate::snapshot::{MappedLibrary, Unknown, Why};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Longest `/proc/PID/maps` that is read, bytes; a server with torch has about 1 MB.
const MAPS_LIMIT_BYTES: usize = 32 << 20;
/// Most libraries of one process that are kept.
const LIBRARIES_LIMIT: usize = 10_000;
/// Most processes whose maps are read; workers of one server load alike.
const PROCESSES_LIMIT: usize = 64;
/// Most libraries that are told.
const TOLD_LIMIT: usize = 2000;
/// Suffix of a mapped path whose file was deleted or replaced (proc_pid_maps(5)).
const DELETED: &str = " (deleted)";
/// Begins of the names of libraries that are told.
const TOLD: &[&str] =
    &["libcuda.so", "libcudart", "libcublas", "libcudnn", "libcufft", "libcurand", "libnvrtc", "libnvinfer"];

/// Shared libraries of the server's processes, one entry a file and process: process id and path.
#[derive(Debug, Default, Clone)]
pub struct Mapped(pub Vec<(u64, PathBuf)>);

/// Reads the maps of these processes. Those that have ended meanwhile are passed over.
///
/// # Errors
/// If any may not be read, since it may have what the others lack; or if all have ended.
pub fn read(pids: &[u64]) -> Result<Mapped, Unknown> {
    let proc = Tree::new("/proc");
    let (mut all, mut ended) = (Vec::new(), None);
    for pid in pids.iter().take(PROCESSES_LIMIT) {
        match proc.read(format!("{pid}/maps"), MAPS_LIMIT_BYTES) {
            Ok(text) => all.extend(libraries(&text).into_iter().map(|path| (*pid, path))),
            // A process that ends while it is read gives ESRCH, which no other obstacle does.
            Err(unknown) if unknown.why == Why::Absent || !Path::new("/proc").join(pid.to_string()).exists() => {
                ended = Some(Unknown::new(Why::Absent, format!("/proc/{pid}/maps: the process has ended")));
            }
            Err(unknown) => return Err(unknown),
        }
    }
    match ended {
        Some(unknown) if all.is_empty() => Err(unknown),
        _ => Ok(Mapped(all)),
    }
}

/// Paths of the shared libraries in the text of a `maps` file, each once.
fn libraries(maps: &str) -> BTreeSet<PathBuf> {
    // Address, permissions, offset, device and inode hold no slash, so that the path starts at the first one.
    let paths = maps.lines().filter_map(|line| line.find('/').and_then(|at| line.get(at..)));
    let plain = paths.map(|path| path.strip_suffix(DELETED).unwrap_or(path));
    let libraries = plain.filter(|path| path.rsplit('/').next().is_some_and(|name| name.contains(".so")));
    libraries
        .map(PathBuf::from)
        .take(LIBRARIES_LIMIT * 16)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .take(LIBRARIES_LIMIT)
        .collect()
}

impl Mapped {
    /// The libraries of CUDA, cuDNN and the driver among them.
    pub fn told(&self) -> Vec<MappedLibrary> {
        let one = |(pid, path): &(u64, PathBuf)| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            let folder = path.parent()?.display().to_string();
            TOLD.iter().any(|begin| name.starts_with(begin)).then_some(MappedLibrary { pid: *pid, name, folder })
        };
        self.0.iter().filter_map(one).take(TOLD_LIMIT).collect()
    }
}

/// Which names the dynamic linker knows as loaded.
#[derive(Debug, Default, Clone)]
pub struct Loaded {
    /// Paths by the part of their name before `.so`.
    by_stem: BTreeMap<String, Vec<PathBuf>>,
}

impl Loaded {
    /// All that any of the processes has mapped.
    pub fn of(mapped: &Mapped) -> Self {
        let mut by_stem: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for (_, path) in &mapped.0 {
            let paths =
                by_stem.entry(stem(&path.file_name().unwrap_or_default().to_string_lossy()).into()).or_default();
            if !paths.contains(path) {
                paths.push(path.clone());
            }
        }
        Self { by_stem }
    }

    /// Whether a library is loaded under this name: its file's, or the one in its DT_SONAME.
    pub fn has(&self, tree: &Tree, soname: &str) -> bool {
        let named = |path: &PathBuf| path.file_name().is_some_and(|name| name == soname);
        let paths = self.by_stem.get(stem(soname)).map(Vec::as_slice).unwrap_or_default();
        paths.iter().any(|path| named(path) || elf::dynamic(tree, path).is_ok_and(|library| library.soname == soname))
    }

    /// Whether this very file is loaded.
    pub fn has_file(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.by_stem.get(stem(&name)).is_some_and(|paths| paths.iter().any(|loaded| loaded == path))
    }
}

fn stem(name: &str) -> &str {
    name.split_once(".so").map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAPS: &str = "\
7f0000000000-7f0000001000 r--p 00000000 08:01 123 /opt/my models/lib dir/libcudnn.so.9
7f0000001000-7f0000002000 r-xp 00001000 08:01 123 /opt/my models/lib dir/libcudnn.so.9
7f0000002000-7f0000003000 r-xp 00000000 08:01 124                        /usr/lib/libcudart.so.12.4.127 (deleted)
7f0000003000-7f0000004000 rw-p 00000000 00:00 0                          [heap]
7f0000004000-7f0000005000 rw-p 00000000 00:00 0
7f0000005000-7f0000006000 r--p 00000000 08:01 125                        /usr/share/locale/C.utf8/LC_CTYPE
";

    #[test]
    fn libraries_are_told_once_with_spaces_and_without_marks() {
        let paths: Vec<_> = libraries(MAPS).into_iter().collect();
        let expected = ["/opt/my models/lib dir/libcudnn.so.9", "/usr/lib/libcudart.so.12.4.127"];
        assert_eq!(paths, expected.map(PathBuf::from));
        let mapped = Mapped(paths.into_iter().map(|path| (7, path)).collect());
        let told = mapped.told();
        let expected = ("libcudnn.so.9", "/opt/my models/lib dir");
        assert_eq!((told[0].name.as_str(), told[0].folder.as_str()), expected);
        let loaded = Loaded::of(&mapped);
        assert!(loaded.has(&Tree::new("/"), "libcudnn.so.9") && !loaded.has(&Tree::new("/"), "libcudnn.so.8"));
        assert!(loaded.has_file(Path::new("/usr/lib/libcudart.so.12.4.127")));
    }

    #[test]
    fn this_process_has_the_c_library_loaded() {
        let mapped = read(&[std::process::id().into()]).unwrap();
        assert!(Loaded::of(&mapped).has(&Tree::new("/"), "libc.so.6"));
        let ended = read(&[u64::MAX]).unwrap_err();
        assert_eq!(ended.why, Why::Absent, "{ended}");
    }

    proptest! {
        #[test]
        fn any_maps_are_survived(text in "(?s).{0,400}") {
            for path in libraries(&text) {
                prop_assert!(path.is_absolute());
            }
        }
    }
}
