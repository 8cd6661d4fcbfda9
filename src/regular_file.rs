//! Floor 0: regular files, opened without blocking and read within a limit.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
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

/// Beginning and end of a file that may be too large to be read whole.
#[derive(Debug, Default, PartialEq)]
pub struct Ends {
    /// The first bytes; everything, if nothing was skipped.
    pub head: Vec<u8>,
    /// Bytes between the two that were not read.
    pub skipped_bytes: u64,
    /// The last bytes; empty if nothing was skipped.
    pub tail: Vec<u8>,
}

/// The first `head_bytes` and the last `tail_bytes` of an open file, or all of it if that is not more.
pub fn ends(mut file: File, head_bytes: u64, tail_bytes: u64) -> Result<Ends> {
    let size = file.metadata()?.len();
    let whole = size <= head_bytes.saturating_add(tail_bytes);
    let mut ends = Ends::default();
    // A file that grows meanwhile is read up to its size now.
    Read::by_ref(&mut file).take(if whole { size } else { head_bytes }).read_to_end(&mut ends.head)?;
    if !whole {
        file.seek(SeekFrom::Start(size - tail_bytes))?;
        file.take(tail_bytes).read_to_end(&mut ends.tail)?;
        ends.skipped_bytes = size - head_bytes - tail_bytes;
    }
    Ok(ends)
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
    fn of_a_large_file_both_ends_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        let ends = |head, tail| ends(open(&path).unwrap(), head, tail).unwrap();
        assert_eq!(ends(6, 4), Ends { head: b"0123456789".to_vec(), ..Ends::default() });
        assert_eq!(ends(2, 3), Ends { head: b"01".to_vec(), skipped_bytes: 5, tail: b"789".to_vec() });
        assert_eq!(ends(0, 3).tail, b"789");
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(ends(4, 4).skipped_bytes, (1 << 40) - 8);
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
