//! `/dev/nvidiactl`: the errno of opening it says more about a broken driver than NVML's code does.

use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

/// Opens and closes the node: `ok`, `not_a_device` or the errno's name. Creates nothing.
pub fn open(path: &str) -> String {
    // As the driver's own libraries open it. O_NONBLOCK is for whatever else may have that name.
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let opened = std::fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    match opened.and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.file_type().is_char_device() => "ok".into(),
        Ok(_) => "not_a_device".into(),
        Err(error) => name_of(error.raw_os_error().unwrap_or(0)),
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

    #[test]
    fn nodes_files_and_gaps_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nvidiactl");
        let text = path.to_str().unwrap();
        assert_eq!(open("/dev/null"), "ok");
        assert_eq!(open(text), "ENOENT");
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        assert_eq!(open(text), "not_a_device");
        assert_eq!(open(folder.path().to_str().unwrap()), "EISDIR");
    }
}
