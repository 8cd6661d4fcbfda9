//! Files that a client's request names.

use super::message::File;
use super::samples;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Largest file that is sent, bytes.
const FILE_CAP: u64 = 32 << 20;

/// The bytes of a regular file, at most [`FILE_CAP`] of them. A name after `builtin:` is a sample of the doctor's own.
pub fn read(folder: &Path, name: &str) -> Result<Vec<u8>, String> {
    if let Some(sample) = name.strip_prefix(samples::BUILTIN) {
        let file = samples::by_name(sample).ok_or(format!("no built-in sample is called {sample:?}"))?;
        return Ok(file.bytes.to_vec());
    }
    if name.is_empty() || name == "-" {
        return Err("standard input is not supported; name a file".into());
    }
    let path = folder.join(name);
    let place = path.display();
    // Without O_NONBLOCK the open of a FIFO waits for its writer.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(&path)
        .map_err(|error| format!("file {place}: {error}"))?;
    let metadata = file.metadata().map_err(|error| format!("file {place}: {error}"))?;
    if !metadata.is_file() {
        return Err(format!("file {place} is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_CAP + 1).read_to_end(&mut bytes).map_err(|error| format!("file {place}: {error}"))?;
    if bytes.len() as u64 > FILE_CAP {
        return Err(format!("file {place} is larger than {FILE_CAP} bytes"));
    }
    Ok(bytes)
}

/// A file to be sent as a part, with the media type that curl would give it.
pub fn part(folder: &Path, name: &str) -> Result<File, String> {
    let bytes = read(folder, name)?;
    let bare = name.strip_prefix(samples::BUILTIN).unwrap_or(name);
    let base = bare.rsplit('/').next().unwrap_or(bare).to_owned();
    let media_type = media_type(&base).to_owned();
    Ok(File { name: base, media_type, bytes: bytes.into() })
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "ogg" | "opus" => "audio/ogg",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "json" => "application/json",
        "txt" => "text/plain",
        _ => "application/octet-stream",
    }
}
