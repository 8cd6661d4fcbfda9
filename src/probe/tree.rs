//! A file tree under some root: `/`, a fixture, a mounted disk or `/proc/PID/root`. No link leads out of it.

use crate::snapshot::{Unknown, Why};
use std::ffi::CString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// Most symbolic links followed for one path; the kernel's own cap.
const LINKS_MAX: usize = 40;
/// Most path components walked for one path, links included.
const STEPS_MAX: usize = 4096;
/// Most entries of a folder that is listed; a longer one is refused, since a part would say that the rest is not there.
const ENTRIES_MAX: usize = 100_000;

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

    /// The tree in which a path of the doctor's own lies, and the path from that tree's root. `/proc/PID/root/x` lies in
    /// the process's own, whose links lead to places in it; every other path lies in the whole.
    pub fn holding(outside: &Path) -> (Self, PathBuf) {
        let mut names = outside.iter().skip(1).map(|name| name.to_str().unwrap_or_default());
        if outside.is_absolute()
            && let (Some("proc"), Some(pid), Some("root")) = (names.next(), names.next(), names.next())
            && let Ok(pid) = pid.parse()
        {
            return (Self::of_process(pid), Path::new("/").join(outside.iter().skip(4).collect::<PathBuf>()));
        }
        (Self::new("/"), outside.to_owned())
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
            if steps > STEPS_MAX {
                return Err(Unknown::new(Why::Malformed, format!("{}: a path without end", self.shown(path))));
            }
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
            if links > LINKS_MAX {
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

    /// The last `cap` bytes of a regular file.
    pub fn tail(&self, path: impl AsRef<Path>, cap: usize) -> Result<Vec<u8>, Unknown> {
        let path = path.as_ref();
        let mut file = self.open(path)?;
        let mut bytes = Vec::new();
        let length = file.metadata().map_err(|error| self.io(&error, path))?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(cap as u64))).map_err(|error| self.io(&error, path))?;
        file.take(cap as u64).read_to_end(&mut bytes).map_err(|error| self.io(&error, path))?;
        Ok(bytes)
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
        let resolved = self.resolve(path)?;
        if !self.outside(&resolved).symlink_metadata().map_err(|error| self.io(&error, path))?.is_file() {
            return Err(irregular());
        }
        let file = self.open_resolved(&resolved, libc::O_NONBLOCK | libc::O_NOCTTY);
        let file = file.map_err(|error| self.io(&error, path))?;
        let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if regular { Ok(file) } else { Err(irregular()) }
    }

    /// Opens what [`Tree::resolve`] gave. A link that was put into the path since is refused by the kernel itself, so
    /// that a container cannot lead the doctor out of its root; kernels before 5.6 (openat2(2)) check the last name only.
    fn open_resolved(&self, resolved: &Path, flags: libc::c_int) -> std::io::Result<File> {
        let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let root = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC)
            .open(&self.root)?;
        let inside = resolved.strip_prefix("/").unwrap_or(resolved);
        let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
        let name = CString::new(inside.as_os_str().as_bytes())?;
        // SAFETY: all of it are plain numbers, for which zero is a value.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        how.flags = flags as u64;
        how.resolve = libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_BENEATH;
        // SAFETY: an open folder, a C string, and a structure with its own size.
        let opened = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                root.as_raw_fd(),
                name.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        match i32::try_from(opened) {
            // SAFETY: a descriptor that was just opened and that nothing else owns.
            Ok(descriptor) if descriptor >= 0 => Ok(unsafe { File::from_raw_fd(descriptor) }),
            _ => {
                let error = std::io::Error::last_os_error();
                // Unknown to the kernel, or withheld by the seccomp filter of an older container engine.
                match error.raw_os_error() {
                    Some(libc::ENOSYS | libc::EPERM) => {
                        OpenOptions::new().read(true).custom_flags(flags).open(self.outside(resolved))
                    }
                    _ => Err(error),
                }
            }
        }
    }

    /// Names in a folder, sorted. Names that are not UTF-8 are shown with U+FFFD.
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<String>, Unknown> {
        let path = path.as_ref();
        let resolved = self.resolve(path)?;
        let folder = self.open_resolved(&resolved, libc::O_DIRECTORY).map_err(|error| self.io(&error, path))?;
        let entries = std::fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()))
            .or_else(|_| self.outside(&resolved).read_dir())
            .map_err(|error| self.io(&error, path))?;
        let mut names = Vec::new();
        for entry in entries {
            if names.len() >= ENTRIES_MAX {
                let detail = format!("{}: more than {ENTRIES_MAX} entries", self.shown(path));
                return Err(Unknown::new(Why::Malformed, detail));
            }
            let entry = entry.map_err(|error| self.io(&error, path))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The file system mounted at the folder `path`. Fails if none is: then it is only a folder of the one around it.
    pub fn mounted(&self, path: impl AsRef<Path>) -> Result<FileSystem, Unknown> {
        let path = path.as_ref();
        let resolved = self.resolve(path)?;
        let folder = self.open_resolved(&resolved, libc::O_DIRECTORY).map_err(|error| self.io(&error, path))?;
        let own = folder.metadata().map_err(|error| self.io(&error, path))?.dev();
        let around = self.stat(resolved.parent().unwrap_or(Path::new("/")))?.dev();
        if own == around {
            let detail = format!("{}: no file system is mounted there", self.shown(path));
            return Err(Unknown::new(Why::Absent, detail));
        }
        // SAFETY: all of it are plain numbers, for which zero is a value.
        let mut said: libc::statfs64 = unsafe { std::mem::zeroed() };
        // SAFETY: an open folder and a structure of its own to write to.
        if unsafe { libc::fstatfs64(folder.as_raw_fd(), &raw mut said) } != 0 {
            return Err(self.io(&std::io::Error::last_os_error(), path));
        }
        let bytes = |blocks: u64| blocks.saturating_mul(u64::try_from(said.f_bsize).unwrap_or(0));
        Ok(FileSystem {
            in_memory: said.f_type == libc::TMPFS_MAGIC,
            size_bytes: bytes(said.f_blocks),
            used_bytes: bytes(said.f_blocks.saturating_sub(said.f_bfree)),
        })
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

/// What statfs(2) says of a mounted file system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FileSystem {
    /// Whether it is a tmpfs.
    pub in_memory: bool,
    /// Its size; 0 if it has no limit.
    pub size_bytes: u64,
    /// What is in use.
    pub used_bytes: u64,
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
    fn a_path_of_another_process_lies_in_its_tree() {
        let (tree, path) = Tree::holding(Path::new("/proc/4294967295/root/srv/lib.so"));
        assert!(!tree.is_whole());
        assert_eq!(path, Path::new("/srv/lib.so"));
        assert_eq!(tree.outside(&path), Path::new("/proc/4294967295/root/srv/lib.so"));
        let own = format!("/proc/{}/root/etc", std::process::id());
        let (tree, path) = Tree::holding(Path::new(&own));
        assert!(tree.exists(&path).unwrap() && path == Path::new("/etc"));
        for whole in ["/srv/lib.so", "/proc/self/root/x", "/proc/7/cwd/x", "/proc", "relative/x"] {
            let (tree, path) = Tree::holding(Path::new(whole));
            assert!(tree.is_whole() && path == Path::new(whole), "{whole}");
        }
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
        assert_eq!(tree.tail("huge", 1000).unwrap().len(), 1000);
        assert_eq!(tree.tail("etc/name", 4).unwrap(), b"side");
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

    #[test]
    fn a_folder_that_turns_into_a_link_does_not_lead_out() {
        let outer = tempfile::tempdir().unwrap();
        let at = |path: &str| outer.path().join(path);
        std::fs::create_dir_all(at("root/etc")).unwrap();
        std::fs::create_dir(at("outside")).unwrap();
        std::fs::write(at("root/etc/name"), "inside").unwrap();
        std::fs::write(at("outside/name"), "outside").unwrap();
        symlink(at("outside"), at("root/link")).unwrap();
        let tree = Tree::new(at("root"));
        let began = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // A container's root may rename its folders while the doctor reads them.
                while began.elapsed().as_millis() < 400 {
                    let _ = std::fs::rename(at("root/etc"), at("root/folder"));
                    let _ = std::fs::rename(at("root/link"), at("root/etc"));
                    let _ = std::fs::rename(at("root/etc"), at("root/link"));
                    let _ = std::fs::rename(at("root/folder"), at("root/etc"));
                }
            });
            let mut read = 0;
            while began.elapsed().as_millis() < 400 {
                if let Ok(text) = tree.read("etc/name", 100) {
                    assert_eq!(text, "inside");
                    read += 1;
                }
            }
            assert!(read > 0);
        });
    }

    #[test]
    fn a_file_system_is_told_from_a_folder() {
        let (_outer, tree) = scene();
        assert_eq!(tree.mounted("etc").unwrap_err().why, Why::Absent);
        assert_eq!(tree.mounted("etc/name").unwrap_err().why, Why::Absent, "a file");
        let proc = Tree::new("/").mounted("/proc").unwrap();
        assert!(!proc.in_memory && proc.used_bytes <= proc.size_bytes);
    }

    #[test]
    fn a_folder_beyond_all_measure_is_refused_and_not_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=ENTRIES_MAX {
            File::create(folder.path().join(number.to_string())).unwrap();
        }
        assert!(Tree::new(folder.path()).list("/").unwrap_err().detail.contains("more than 100000 entries"));
        std::fs::remove_file(folder.path().join("1")).unwrap();
        assert_eq!(Tree::new(folder.path()).list("/").unwrap().len(), ENTRIES_MAX);
    }
}
