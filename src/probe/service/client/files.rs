//! Files that a client's request names.

use crate::probe::service::message::File;
use crate::probe::service::synthesis::samples;
use crate::regular_file;
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
    regular_file::read(&path, FILE_CAP).map_err(|error| format!("file {}: {error}", path.display()))
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
