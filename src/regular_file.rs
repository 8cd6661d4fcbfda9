//! Floor 0: regular files, opened without blocking and read within a limit.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file. A folder, a FIFO or a device is an error, and is not waited for; links are followed.
pub fn open(path: &Path) -> Result<File> {
    let irregular = || Error::new(ErrorKind::InvalidInput, "this is not a regular file");
    if !std::fs::metadata(path)?.is_file() {
        return Err(irregular());
    }
    // It may have been replaced since it was looked at: without O_NONBLOCK the open of a FIFO waits for its writer.
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(irregular()) }
}

/// The bytes of a regular file; one of more than `limit_bytes` is an error.
pub fn read(path: &Path, limit_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(Error::new(ErrorKind::InvalidInput, format!("it is larger than {limit_bytes} bytes")));
    }
    Ok(bytes)
}

/// The text of a regular file; one that is not UTF-8 is an error.
pub fn read_text(path: &Path, limit_bytes: u64) -> Result<String> {
    String::from_utf8(read(path, limit_bytes)?).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"four");
        assert!(read(&path, 3).unwrap_err().to_string().contains("larger than 3 bytes"));
        assert_eq!(read_text(&path, 4).unwrap(), "four");
        std::fs::write(&path, b"\xff").unwrap();
        assert!(read_text(&path, 4).unwrap_err().to_string().contains("not UTF-8"));
        for irregular in [folder.path(), Path::new("/dev/zero")] {
            assert!(read(irregular, 4).unwrap_err().to_string().contains("not a regular file"));
        }
        assert_eq!(open(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_fifo_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let name = std::ffi::CString::new(path.display().to_string()).unwrap();
        // SAFETY: a valid C string; mkfifo makes a file and nothing else.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(open(&path).unwrap_err().to_string().contains("not a regular file"));
    }
}
