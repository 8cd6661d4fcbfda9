//! A file tree under some root: `/`, a fixture, a mounted disk or `/proc/PID/root`. No link leads out of it.

use crate::snapshot::{Unknown, Why};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// Most symbolic links followed for one path; the kernel's own cap.
const LINKS_MAX: usize = 40;
/// Most path components walked for one path, links included.
const STEPS_MAX: usize = 4096;
/// Most entries listed of one folder.
const ENTRIES_MAX: usize = 20_000;

/// Reads files below one root. Paths are meant from that root, with or without a leading slash.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The tree below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The file system as a process sees it; the doctor's own if it is the same.
    pub fn of_process(pid: u64) -> Self {
        let link = |path: String| std::fs::read_link(path).ok();
        let same_mounts =
            link(format!("/proc/{pid}/ns/mnt")).is_some_and(|of| link("/proc/self/ns/mnt".into()) == Some(of));
        let same_root = link(format!("/proc/{pid}/root")).is_some_and(|root| root == Path::new("/"));
        if same_mounts && same_root { Self::new("/") } else { Self::new(format!("/proc/{pid}/root")) }
    }

    /// Whether this is the whole file system of the doctor.
    pub fn is_whole(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where the doctor itself finds `path`, which is meant from the root.
    pub fn outside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Follows every link of `path` inside the root and returns the path from the root, `/`-led.
    ///
    /// Fails if anything on the way is missing or refused, or if the links do not end.
    pub fn resolve(&self, path: impl AsRef<Path>) -> Result<PathBuf, Unknown> {
        self.walk(path.as_ref(), true)
    }

    fn walk(&self, path: &Path, follow_last: bool) -> Result<PathBuf, Unknown> {
        let mut done = PathBuf::from("/");
        let mut todo = parts(path);
        let (mut links, mut steps) = (0, 0);
        while let Some(part) = todo.pop() {
            steps += 1;
            let Part::Name(name) = part else {
                match part {
                    Part::Root => done = PathBuf::from("/"),
                    // At the root, `..` stays where it is, as the kernel has it.
                    _ => drop(done.pop()),
                }
                continue;
            };
            let next = done.join(&name);
            let here = self.outside(&next);
            let metadata = here.symlink_metadata().map_err(|error| self.io(&error, path))?;
            if !metadata.is_symlink() || (!follow_last && todo.is_empty()) {
                done = next;
                continue;
            }
            links += 1;
            if links > LINKS_MAX || steps > STEPS_MAX {
                return Err(Unknown::new(Why::Malformed, format!("{}: links without end", self.shown(path))));
            }
            let target = here.read_link().map_err(|error| self.io(&error, path))?;
            todo.extend(parts(&target));
        }
        Ok(done)
    }

    /// Size, kind, owner and mode of what `path` leads to.
    pub fn stat(&self, path: impl AsRef<Path>) -> Result<Metadata, Unknown> {
        let path = path.as_ref();
        let resolved = self.resolve(path)?;
        self.outside(&resolved).symlink_metadata().map_err(|error| self.io(&error, path))
    }

    /// Whether `path` leads to something. Fails where that cannot be told.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool, Unknown> {
        match self.resolve(path) {
            Ok(_) => Ok(true),
            Err(unknown) if unknown.why == Why::Absent => Ok(false),
            Err(unknown) => Err(unknown),
        }
    }

    /// Last name in the target of the link `path`: `nvidia` for a driver link. The target need not exist.
    pub fn link_name(&self, path: impl AsRef<Path>) -> Result<String, Unknown> {
        let path = path.as_ref();
        let link = self.walk(path, false)?;
        let target = self.outside(&link).read_link().map_err(|error| self.io(&error, path))?;
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned());
        name.ok_or_else(|| Unknown::new(Why::Malformed, format!("{}: a link without a name", self.shown(path))))
    }

    /// The text of a regular file of at most `cap` bytes; bytes that are not UTF-8 become U+FFFD.
    pub fn read(&self, path: impl AsRef<Path>, cap: usize) -> Result<String, Unknown> {
        let path = path.as_ref();
        let (text, whole) = self.read_some(path, cap)?;
        if !whole {
            let detail = format!("{}: larger than {cap} bytes", self.shown(path));
            return Err(Unknown::new(Why::Malformed, detail));
        }
        Ok(text)
    }

    /// The first `cap` bytes of a regular file, like [`Tree::read`].
    pub fn head(&self, path: impl AsRef<Path>, cap: usize) -> Result<String, Unknown> {
        self.read_some(path.as_ref(), cap).map(|(text, _)| text)
    }

    fn read_some(&self, path: &Path, cap: usize) -> Result<(String, bool), Unknown> {
        let file = self.open(path)?;
        let mut bytes = Vec::new();
        file.take(cap as u64 + 1).read_to_end(&mut bytes).map_err(|error| self.io(&error, path))?;
        let whole = bytes.len() <= cap;
        bytes.truncate(cap);
        Ok((String::from_utf8_lossy(&bytes).into_owned(), whole))
    }

    /// Opens a regular file. A FIFO or a device is refused before and, should it be swapped in between, after opening.
    pub fn open(&self, path: &Path) -> Result<File, Unknown> {
        let irregular = || Unknown::new(Why::Malformed, format!("{}: not a regular file", self.shown(path)));
        let resolved = self.outside(&self.resolve(path)?);
        if !resolved.symlink_metadata().map_err(|error| self.io(&error, path))?.is_file() {
            return Err(irregular());
        }
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NOCTTY;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(&resolved);
        let file = opened.map_err(|error| self.io(&error, path))?;
        let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if regular { Ok(file) } else { Err(irregular()) }
    }

    /// Names in a folder, sorted. Names that are not UTF-8 are shown with U+FFFD.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<String>, Unknown> {
        let path = path.as_ref();
        let folder = self.outside(&self.resolve(path)?);
        let entries = folder.read_dir().map_err(|error| self.io(&error, path))?;
        let mut names = Vec::new();
        for entry in entries.take(ENTRIES_MAX) {
            let entry = entry.map_err(|error| self.io(&error, path))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The path as told to the user: from the root, with the root named if it is not `/`.
    fn shown(&self, path: &Path) -> String {
        self.outside(path).display().to_string()
    }

    fn io(&self, error: &std::io::Error, path: &Path) -> Unknown {
        match error.kind() {
            ErrorKind::NotADirectory => Unknown::new(Why::Absent, format!("{}: {error}", self.shown(path))),
            _ => Unknown::from_io(error, self.shown(path)),
        }
    }
}

/// A step of a path still to be taken.
enum Part {
    Root,
    Up,
    Name(PathBuf),
}

/// The steps of a path, last first.
fn parts(path: &Path) -> Vec<Part> {
    let mut parts: Vec<Part> = path
        .components()
        .filter_map(|component| match component {
            Component::RootDir => Some(Part::Root),
            Component::ParentDir => Some(Part::Up),
            Component::Normal(name) => Some(Part::Name(name.into())),
            Component::CurDir | Component::Prefix(_) => None,
        })
        .collect();
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::Instant;

    fn scene() -> (tempfile::TempDir, Tree) {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(outer.path().join("root/etc/deep")).unwrap();
        std::fs::write(outer.path().join("secret"), "outside").unwrap();
        std::fs::write(outer.path().join("root/etc/name"), "inside").unwrap();
        let tree = Tree::new(outer.path().join("root"));
        (outer, tree)
    }

    fn link(outer: &tempfile::TempDir, target: &str, at: &str) {
        symlink(target, outer.path().join("root").join(at)).unwrap();
    }

    #[test]
    fn links_stay_inside_the_root() {
        let (outer, tree) = scene();
        link(&outer, "../../../../../../etc/name", "etc/up");
        link(&outer, "/etc/name", "etc/absolute");
        link(&outer, &outer.path().join("secret").display().to_string(), "etc/out");
        link(&outer, "../secret", "beside");
        assert_eq!(tree.read("etc/up", 100).unwrap(), "inside");
        assert_eq!(tree.read("/etc/absolute", 100).unwrap(), "inside");
        assert_eq!(tree.read("etc/deep/../name", 100).unwrap(), "inside");
        assert_eq!(tree.read("etc/out", 100).unwrap_err().why, Why::Absent);
        assert_eq!(tree.read("beside", 100).unwrap_err().why, Why::Absent);
        assert_eq!(tree.read("../secret", 100).unwrap_err().why, Why::Absent);
        assert_eq!(tree.resolve("etc/absolute").unwrap(), Path::new("/etc/name"));
    }

    #[test]
    fn loops_end() {
        let (outer, tree) = scene();
        link(&outer, "b", "a");
        link(&outer, "a", "b");
        link(&outer, "self/self/self", "self");
        assert_eq!(tree.read("a", 100).unwrap_err().why, Why::Malformed);
        assert_eq!(tree.exists("self").unwrap_err().why, Why::Malformed);
        assert_eq!(tree.link_name("a").unwrap(), "b", "the link itself is still told");
    }

    #[test]
    fn a_fifo_does_not_block_and_a_huge_file_is_refused() {
        let (outer, tree) = scene();
        let fifo = std::ffi::CString::new(outer.path().join("root/fifo").display().to_string()).unwrap();
        // SAFETY: a valid C string; mkfifo makes a file and nothing else.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        let started = Instant::now();
        assert!(tree.read("fifo", 100).unwrap_err().detail.contains("not a regular file"));
        assert!(started.elapsed().as_millis() < 500);
        assert!(tree.read("etc", 100).is_err(), "a folder is not a file");
        let file = File::create(outer.path().join("root/huge")).unwrap();
        file.set_len(1 << 40).unwrap();
        assert_eq!(tree.read("huge", 1000).unwrap_err().why, Why::Malformed);
        assert_eq!(tree.head("huge", 1000).unwrap().len(), 1000);
    }

    #[test]
    fn missing_and_refused_are_told_apart() {
        let (outer, tree) = scene();
        assert!(!tree.exists("etc/none").unwrap());
        assert!(!tree.exists("etc/name/below-a-file").unwrap());
        std::fs::write(outer.path().join("root/latin1"), b"caf\xe9").unwrap();
        assert_eq!(tree.read("latin1", 100).unwrap(), "caf\u{fffd}");
        assert_eq!(tree.list("etc").unwrap(), ["deep", "name"]);
        assert_eq!(tree.list("nowhere").unwrap_err().why, Why::Absent);
    }
}
