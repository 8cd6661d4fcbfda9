//! Follows what is appended to the server's log while a request runs.

use super::source::{self, Log};
use super::text;
use crate::regular_file;
use crate::snapshot::{Facts, Unknown};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes read of what one request appended, at most; the newest.
const GAINED_MAX: u64 = 256 << 10;
/// Lines told of it, at most; the newest.
const LINES_MAX: usize = 2000;
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Where each log of the server ends.
pub struct Watch {
    ends: Vec<(File, u64)>,
}

impl Watch {
    /// Watches the files that the user names, or else those that the server's processes write to.
    ///
    /// # Errors
    /// Why there is no log to be watched.
    pub fn begin(named: &[PathBuf], facts: &Facts) -> Result<Self, Unknown> {
        let logs: Vec<Log> = if named.is_empty() { source::of_processes(facts)? } else { source::named(named) };
        let mut ends = Vec::new();
        for log in logs {
            let opened = regular_file::open(&log.path).and_then(|file| Ok((file.metadata()?.len(), file)));
            let (length, file) = opened.map_err(|error| Unknown::from_io(&error, &log.name))?;
            ends.push((file, length));
        }
        Ok(Self { ends })
    }

    /// Forgets what was appended so far.
    pub fn mark(&mut self) {
        for (file, end) in &mut self.ends {
            *end = file.metadata().map_or(*end, |metadata| metadata.len());
        }
    }

    /// The lines appended since the last look. Servers write a moment after they answer: it waits up to `patience` for
    /// the first one, and as long as more come.
    pub fn gained(&mut self, patience: Duration) -> Vec<String> {
        let until = Instant::now() + patience;
        let mut lines = Vec::new();
        loop {
            let more: Vec<String> = self.ends.iter_mut().flat_map(|(file, end)| appended(file, end)).collect();
            let settled = more.is_empty() && !lines.is_empty();
            lines.extend(more);
            if settled || Instant::now() >= until {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        let extra = lines.len().saturating_sub(LINES_MAX);
        lines.drain(..extra);
        lines
    }
}

/// The lines between the old end of a file and its end. A file that was cut short begins anew.
fn appended(file: &File, end: &mut u64) -> Vec<String> {
    let Ok(length) = file.metadata().map(|metadata| metadata.len()) else { return Vec::new() };
    let from = if length < *end { 0 } else { *end };
    let from = from.max(length.saturating_sub(GAINED_MAX));
    let mut bytes = vec![0; usize::try_from(length - from).unwrap_or(0)];
    let Ok(count) = file.read_at(&mut bytes, from) else { return Vec::new() };
    bytes.truncate(count);
    *end = from + count as u64;
    let line = |line: &[u8]| {
        let line = String::from_utf8_lossy(line.get(..text::LINE_MAX).unwrap_or(line));
        text::plain(&text::unwrapped(&line)).into_owned()
    };
    bytes.split(|byte| *byte == b'\n').filter(|one| !one.is_empty()).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Why;
    use std::io::Write;

    #[test]
    fn only_what_was_appended_since_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        std::fs::write(&path, "before\nKeyError: 'old'\n").unwrap();
        let facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "no probe ran"));
        let mut watch = Watch::begin(std::slice::from_ref(&path), &facts).unwrap();
        assert_eq!(watch.gained(Duration::ZERO), Vec::<String>::new());
        let mut log = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        log.write_all(b"\x1b[31mTraceback\x1b[0m\nKeyError: 'lang'\n\xff\n").unwrap();
        assert_eq!(watch.gained(Duration::from_millis(200)), ["Traceback", "KeyError: 'lang'", "\u{fffd}"]);
        log.write_all(b"of another\n").unwrap();
        watch.mark();
        assert_eq!(watch.gained(Duration::ZERO), Vec::<String>::new());
        std::fs::write(&path, "anew\n").unwrap();
        assert_eq!(watch.gained(Duration::ZERO), ["anew"]);
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(60));
            std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"late\n").unwrap();
        });
        assert_eq!(watch.gained(Duration::from_secs(2)), ["late"]);
        later.join().unwrap();
    }

    #[test]
    fn a_burst_is_read_from_its_end_and_a_log_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        std::fs::write(&path, "").unwrap();
        let facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "no probe ran"));
        let mut watch = Watch::begin(std::slice::from_ref(&path), &facts).unwrap();
        std::fs::write(&path, "x\n".repeat(1 << 20) + "last\n").unwrap();
        let lines = watch.gained(Duration::ZERO);
        assert!(lines.len() <= LINES_MAX && lines.last().unwrap() == "last", "{}", lines.len());
        assert!(Watch::begin(&[folder.path().to_owned()], &facts).is_err());
        assert_eq!(Watch::begin(&[], &facts).err().unwrap().why, Why::NotAsked);
    }
}
