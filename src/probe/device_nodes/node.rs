//! Opening one node: its errno says more about a broken driver than the codes of NVML and CUDA do.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// A folder below which paths are opened. It stays the same one when this process's rights or its own root change.
pub struct Root(Option<File>);

impl Root {
    /// This process's own root, where links are followed.
    pub const OWN: Root = Root(None);

    /// The folder at `path`; `/` is [`Root::OWN`].
    pub fn new(path: &Path) -> std::io::Result<Self> {
        if path == Path::new("/") {
            return Ok(Self::OWN);
        }
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map(|folder| Self(Some(folder)))
    }

    /// Opens and closes the node at `path`, which starts with `/`: `ok`, `not_a_device` or the errno's name. Creates
    /// nothing. A link at the end of a path below another root is refused (`ELOOP`): it may lead out of that root.
    pub fn open(&self, path: &str) -> String {
        let opened = match &self.0 {
            None => open_here(path),
            Some(folder) => open_below(folder, path),
        };
        match opened.and_then(|file| file.metadata()) {
            Ok(metadata) if metadata.file_type().is_char_device() => "ok".into(),
            Ok(_) => "not_a_device".into(),
            Err(error) => name_of(error.raw_os_error().unwrap_or(0)),
        }
    }
}

/// As the driver's own libraries open it. O_NONBLOCK is for whatever else may have that name.
const FLAGS: i32 = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;

fn open_here(path: &str) -> std::io::Result<File> {
    std::fs::OpenOptions::new().read(true).write(true).custom_flags(FLAGS).open(path)
}

fn open_below(folder: &File, path: &str) -> std::io::Result<File> {
    let path = std::ffi::CString::new(Path::new(path.trim_start_matches('/')).as_os_str().as_bytes())?;
    // SAFETY: an open descriptor and a C string; without O_CREAT there is no further argument.
    let fd = unsafe { libc::openat(folder.as_raw_fd(), path.as_ptr(), libc::O_RDWR | libc::O_NOFOLLOW | FLAGS) };
    match fd {
        // SAFETY: a descriptor that nobody else has.
        0.. => Ok(unsafe { File::from_raw_fd(fd) }),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// The errno's symbolic name (errno(3)), for those that this call gives.
fn name_of(errno: i32) -> String {
    let name = match errno {
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EIO => "EIO",
        libc::EISDIR => "EISDIR",
        libc::ELOOP => "ELOOP",
        libc::EMFILE => "EMFILE",
        libc::ENFILE => "ENFILE",
        libc::ENODEV => "ENODEV",
        libc::ENOENT => "ENOENT",
        libc::ENOMEM => "ENOMEM",
        libc::ENOTDIR => "ENOTDIR",
        libc::ENXIO => "ENXIO",
        libc::EPERM => "EPERM",
        libc::EROFS => "EROFS",
        other => return format!("errno {other}"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn nodes_files_and_gaps_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let here = Root::new(Path::new("/")).unwrap();
        let path = folder.path().join("nvidiactl");
        let text = path.to_str().unwrap();
        assert_eq!(here.open("/dev/null"), "ok");
        assert_eq!(here.open(text), "ENOENT");
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        assert_eq!(here.open(text), "not_a_device");
        assert_eq!(here.open(folder.path().to_str().unwrap()), "EISDIR");
    }

    #[test]
    fn below_a_root_no_link_is_followed_and_no_fifo_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let dev = folder.path().join("dev");
        std::fs::create_dir(&dev).unwrap();
        std::os::unix::fs::symlink("/dev/null", dev.join("nvidiactl")).unwrap();
        std::fs::write(dev.join("nvidia0"), "").unwrap();
        let fifo = std::ffi::CString::new(dev.join("nvidia1").as_os_str().as_bytes()).unwrap();
        // SAFETY: a valid C string; mkfifo makes a file and nothing else.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        let root = Root::new(folder.path()).unwrap();
        let started = Instant::now();
        let results = ["nvidiactl", "nvidia0", "nvidia1", "nvidia-uvm"].map(|name| root.open(&format!("/dev/{name}")));
        assert_eq!(results, ["ELOOP", "not_a_device", "not_a_device", "ENOENT"]);
        assert!(started.elapsed().as_millis() < 500);
        let outer = Root::new(&Path::new("/proc").join(std::process::id().to_string()).join("root")).unwrap();
        assert_eq!(outer.open("/dev/null"), "ok", "a device below a root by another name is one");
        assert!(Root::new(&dev.join("nvidia0")).is_err());
    }
}
