//! The file of onnxruntime's profile, which leaves nothing behind whatever ends the process.
//!
//! onnxruntime takes the beginning of a name, opens the file as it begins to make the session and writes it at the end. So
//! the file is opened here too and its name removed as soon as it is there.

use crate::regular_file;
use crate::snapshot::Unknown;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

/// Beginning of the file's name; onnxruntime appends the time.
const PREFIX: &str = "profile";
/// Largest profile that is read, bytes.
const MAX_BYTES: u64 = 64 << 20;
/// How often, and how long, the file is looked for.
const PAUSE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// A profile that is to be written.
pub struct ProfileFile {
    folder: PathBuf,
    opened: Receiver<File>,
}

impl ProfileFile {
    /// Makes a folder of this user alone for it, and watches that.
    ///
    /// # Errors
    /// The folder's.
    pub fn new() -> Result<Self, Unknown> {
        let stamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let folder = std::env::temp_dir().join(format!("gpu-doctor-{}-{stamp}", std::process::id()));
        // Fails if anything is there already, a link included.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| Unknown::from_io(&error, folder.display()))?;
        let (sender, opened) = channel();
        let watched = folder.clone();
        std::thread::spawn(move || {
            let end = Instant::now() + PATIENCE;
            while Instant::now() < end {
                if let Some(file) = only_file(&watched) {
                    let _ = std::fs::remove_dir_all(&watched);
                    let _ = sender.send(file);
                    return;
                }
                std::thread::sleep(PAUSE);
            }
        });
        Ok(Self { folder, opened })
    }

    /// What onnxruntime is to begin its name with.
    pub fn prefix(&self) -> PathBuf {
        self.folder.join(PREFIX)
    }

    /// What onnxruntime wrote, once it has ended the profile.
    ///
    /// # Errors
    /// In words.
    pub fn read(&self) -> Result<Vec<u8>, String> {
        let file = self.opened.recv_timeout(PAUSE * 100).map_err(|_| "onnxruntime wrote no profile")?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| format!("the profile: {error}"))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("the profile is larger than {MAX_BYTES} bytes"));
        }
        Ok(bytes)
    }
}

impl Drop for ProfileFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn only_file(folder: &Path) -> Option<File> {
    let entry = std::fs::read_dir(folder).ok()?.next()?.ok()?;
    regular_file::open(&entry.path()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_is_left() {
        let profile = ProfileFile::new().unwrap();
        let mut file = File::create(format!("{}_2026.json", profile.prefix().display())).unwrap();
        let began = Instant::now();
        while profile.folder.exists() && began.elapsed() < PATIENCE {
            std::thread::sleep(PAUSE);
        }
        assert!(!profile.folder.exists(), "the name is gone before anything is written");
        std::io::Write::write_all(&mut file, b"[{}]").unwrap();
        assert_eq!(profile.read().unwrap(), b"[{}]");
    }

    #[test]
    fn a_profile_that_is_never_written_leaves_nothing_either() {
        let profile = ProfileFile::new().unwrap();
        let folder = profile.folder.clone();
        assert!(folder.is_dir() && profile.read().unwrap_err().contains("no profile"));
        drop(profile);
        assert!(!folder.exists());
    }
}
