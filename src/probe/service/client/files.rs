//! Files that a client's request names.

use crate::probe::service::message::File;
use crate::probe::service::synthesis::samples;
use crate::regular_file;
use std::path::Path;

/// Largest file that is sent, bytes.
const FILE_CAP: u64 = 32 << 20;

/// Where the files of a request are looked for.
#[derive(Debug, Clone)]
pub struct Files<'a> {
    /// Folder of relative names.
    pub folder: &'a Path,
    /// What stands for standard input, where the text tells it.
    pub input: Option<Vec<u8>>,
}

impl<'a> Files<'a> {
    /// Files relative to a folder.
    pub fn beside(folder: &'a Path) -> Self {
        Self { folder, input: None }
    }

    /// The bytes of a regular file, at most [`FILE_CAP`] of them. A name after `builtin:` is a sample of the doctor's own.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        if let Some(sample) = name.strip_prefix(samples::BUILTIN) {
            let file = samples::by_name(sample).ok_or(format!("no built-in sample is called {sample:?}"))?;
            return Ok(file.bytes.to_vec());
        }
        match (name, &self.input) {
            ("-", Some(input)) => return Ok(input.clone()),
            ("" | "-", _) => return Err("standard input is not supported; name a file".into()),
            _ => {}
        }
        let path = self.folder.join(name);
        regular_file::read(&path, FILE_CAP).map_err(|error| format!("file {}: {error}", path.display()))
    }

    /// A file to be sent as a part, with the media type that curl would give it.
    pub fn part(&self, name: &str) -> Result<File, String> {
        let bytes = self.read(name)?;
        let bare = name.strip_prefix(samples::BUILTIN).unwrap_or(name);
        let base = bare.rsplit('/').next().unwrap_or(bare).to_owned();
        let media_type = media_type(&base).to_owned();
        Ok(File { name: base, media_type, bytes: bytes.into() })
    }
}

/// The media type of a name's ending.
pub fn media_type(name: &str) -> &'static str {
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
