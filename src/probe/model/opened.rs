//! Opening a model's file, and telling by its first bytes what to read it as.

use super::formats::{self, Foreign};
use super::wire::ReadAt;
use super::{gguf, safetensors};
use crate::snapshot::{Unknown, Why};
use std::fs::File;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// A file that is open, and its size.
pub struct Opened {
    /// The file.
    pub file: File,
    /// Its size, bytes.
    pub file_bytes: u64,
}

/// What a file is to be read as.
pub enum Kind {
    /// ONNX, if anything.
    Onnx,
    /// One safetensors file.
    Safetensors,
    /// The index of sharded safetensors.
    Index,
    /// GGUF.
    Gguf,
    /// A format that is only told apart.
    Foreign(Foreign),
}

/// Opens a regular file. Never blocks, whatever lies at `path`.
fn open(path: &Path) -> Result<Opened, Unknown> {
    let from_io = |error: std::io::Error| Unknown::from_io(&error, path.display());
    let kind = std::fs::metadata(path).map_err(from_io)?.file_type();
    let other = |what: &str| Unknown::new(Why::Malformed, format!("{} is {what}, not a file", path.display()));
    if kind.is_dir() {
        return Err(other("a folder"));
    }
    if kind.is_fifo() {
        return Err(other("a FIFO"));
    }
    if !kind.is_file() {
        return Err(other("a device or socket"));
    }
    // The file may have been replaced since it was looked at: O_NONBLOCK keeps a FIFO from blocking.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(from_io)?;
    let metadata = file.metadata().map_err(from_io)?;
    if !metadata.is_file() {
        return Err(other("no longer a regular file"));
    }
    if metadata.len() == 0 {
        return Err(Unknown::new(Why::Malformed, format!("{} is not a model: it is empty", path.display())));
    }
    Ok(Opened { file, file_bytes: metadata.len() })
}

/// The first and last bytes of a file.
pub struct Ends {
    /// The first [`formats::HEAD_BYTES`].
    pub head: Vec<u8>,
    /// The last [`formats::TAIL_BYTES`] of a zip archive; empty for other files.
    pub tail: Vec<u8>,
}

/// Opens a file and reads its ends.
pub fn open_and_look(path: &Path) -> Result<(Opened, Ends), Unknown> {
    let opened = open(path)?;
    let read = |at: u64, bytes: u64| {
        let mut buffer = vec![0; bytes.min(opened.file_bytes) as usize];
        let count = opened.file.read_at(&mut buffer, at).map_err(|error| Unknown::from_io(&error, path.display()))?;
        buffer.truncate(count);
        Ok(buffer)
    };
    let head = read(0, formats::HEAD_BYTES)?;
    // Only zip archives say at their end what they are.
    let tail = match head.starts_with(b"PK") {
        true => read(opened.file_bytes.saturating_sub(formats::TAIL_BYTES), formats::TAIL_BYTES)?,
        false => Vec::new(),
    };
    Ok((opened, Ends { head, tail }))
}

/// What a file is to be read as, by its bytes, else by its name.
pub fn kind(path: &Path, ends: &Ends) -> Kind {
    let ends_in = |ending: &str| path.to_str().is_some_and(|path| path.to_ascii_lowercase().ends_with(ending));
    // The length of a safetensors header may look like the start of anything, so this comes first.
    if safetensors::starts(&ends.head) {
        Kind::Safetensors
    } else if ends.head.starts_with(gguf::MAGIC) {
        Kind::Gguf
    } else if ends_in(".index.json") && ends.head.first() == Some(&b'{') {
        Kind::Index
    } else if let Some(foreign) = formats::by_content(path, &ends.head, &ends.tail) {
        Kind::Foreign(foreign)
    } else if ends_in(".safetensors") {
        Kind::Safetensors
    } else if ends_in(".gguf") {
        Kind::Gguf
    } else {
        Kind::Onnx
    }
}
