//! The files beside the lines of a watch. What is there is added to and never destroyed; what is moved away is begun anew;
//! where nothing can be written for a while, the rows of that while are missing and counted.

use crate::commands::Failure;
use crate::probe::watch::{Turn, table};
use crate::words::count;
use anyhow::anyhow;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Bytes at its beginning by which a file that is there is recognized.
const HEAD_BYTES: u64 = 4096;

/// What is written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

/// A file that is written line by line.
struct Written {
    form: Form,
    path: PathBuf,
    file: File,
    /// Rows that stand in it by this watch, and those that could not be written.
    rows: u64,
    missing: u64,
    /// Rows that were there before.
    added_to: bool,
    /// Its length after the last whole line.
    length: u64,
    /// Why the last line was not written.
    failed: Option<String>,
}

/// The files of a watch.
pub struct Files(Vec<Written>);

impl Files {
    /// Opens them, so that what cannot be written is known before any time is spent.
    pub fn open(csv: Option<&Path>, jsonl: Option<&Path>) -> Result<Self, Failure> {
        let same = |(one, other): (&Path, &Path)| {
            let place = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
            one == other || (place(one).is_some() && place(one) == place(other))
        };
        if csv.zip(jsonl).is_some_and(same) {
            return Err(Failure::Usage(anyhow!("--csv and --jsonl name the same file")));
        }
        let wanted = [("--csv", Form::Csv, csv), ("--jsonl", Form::Json, jsonl)];
        let open = |(flag, form, path): (&str, Form, Option<&Path>)| {
            let refuse = |path: &Path, problem: String| Failure::Usage(anyhow!("{flag} {}: {problem}", path.display()));
            path.map(|path| Written::open(form, path).map_err(|problem| refuse(path, problem)))
        };
        wanted.into_iter().filter_map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Writes a turn. Tells what began or ceased to fail, one sentence each; the watch goes on.
    pub fn write(&mut self, turn: &Turn) -> Vec<String> {
        let rows = table::rows(turn);
        let mut said = Vec::new();
        for written in &mut self.0 {
            match written.moved() {
                Ok(note) => said.extend(note),
                Err(error) => {
                    written.missing += rows.len() as u64;
                    said.extend(written.fails(&error));
                    continue;
                }
            }
            for row in &rows {
                let line = if written.form == Form::Csv { table::csv(row) } else { table::json(row) };
                said.extend(written.row(&line));
            }
        }
        said
    }

    /// What was written, one sentence each.
    pub fn end(self) -> Vec<String> {
        self.0.into_iter().map(Written::end).collect()
    }
}

impl Written {
    fn open(form: Form, path: &Path) -> Result<Self, String> {
        let mut options = OpenOptions::new();
        // What is no file would block, or take the lines and lose them.
        match std::fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err("this is a folder; name a file in it".into()),
            Ok(there) if !there.is_file() => return Err("there is something that is no regular file".into()),
            _ => {}
        }
        let file = options.read(true).append(true).create(true).open(path).map_err(|error| error.to_string())?;
        let there = file.metadata().map_err(|error| error.to_string())?;
        let length = there.len();
        let mut written =
            Self { form, path: path.to_owned(), file, rows: 0, missing: 0, added_to: length > 0, length, failed: None };
        match length {
            0 => written.begin().map_err(|error| error.to_string())?,
            _ => written.is_ours(length)?,
        }
        Ok(written)
    }

    /// Whether rows can be added to what is there.
    fn is_ours(&mut self, length: u64) -> Result<(), String> {
        let mut head = Vec::new();
        let read = (&self.file).take(HEAD_BYTES).read_to_end(&mut head);
        read.map_err(|error| error.to_string())?;
        let head = String::from_utf8_lossy(&head);
        let first = head.lines().next().unwrap_or_default();
        let ours = match self.form {
            Form::Csv => first == table::header().trim_end(),
            Form::Json => table::is_object(first),
        };
        if !ours {
            let what = if self.form == Form::Csv { "a table with other columns" } else { "other text" };
            return Err(format!(
                "there is a file that holds {what}, and it is left as it is; name another file, or move that one away"
            ));
        }
        // A line that was torn stays a line of its own.
        let mut last = [0_u8];
        self.file.read_exact_at(&mut last, length - 1).map_err(|error| error.to_string())?;
        match last {
            [b'\n'] => Ok(()),
            _ => self.put("\n").map_err(|error| error.to_string()),
        }
    }

    /// Begins an empty file.
    fn begin(&mut self) -> Result<(), Error> {
        self.length = 0;
        if self.form == Form::Csv { self.put(&table::header()) } else { Ok(()) }
    }

    /// Looks whether the file is still the one at its path, as it is not after a rotation, and begins a new one. Tells it.
    fn moved(&mut self) -> Result<Option<String>, Error> {
        let own = self.file.metadata()?;
        let name = self.path.display();
        let here = |there: &Metadata| (there.dev(), there.ino()) == (own.dev(), own.ino());
        match std::fs::metadata(&self.path) {
            Ok(there) if here(&there) && there.len() >= self.length => Ok(None),
            // Emptied in its place.
            Ok(there) if here(&there) => {
                let said = format!("{name} was emptied by someone else; it is begun anew");
                self.begin().map(|()| Some(said))
            }
            _ => {
                let said = format!("{name} was moved away; a new one is written");
                let anew = Self::open(self.form, &self.path).map_err(Error::other)?;
                (self.file, self.length) = (anew.file, anew.length);
                Ok(Some(said))
            }
        }
    }

    /// Writes a row. Tells what began or ceased to fail.
    fn row(&mut self, line: &str) -> Option<String> {
        match self.put(line) {
            Ok(()) => {
                self.rows += 1;
                self.failed.take().map(|_| format!("{} is written again", self.path.display()))
            }
            Err(error) => {
                self.missing += 1;
                self.fails(&error)
            }
        }
    }

    fn fails(&mut self, error: &Error) -> Option<String> {
        let problem = error.to_string();
        let known = self.failed.replace(problem.clone()).is_some();
        (!known).then(|| format!("{}: {problem}; the watch goes on without it", self.path.display()))
    }

    /// Writes a whole line, or none of it.
    fn put(&mut self, line: &str) -> Result<(), Error> {
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return self.torn(line.len() - rest.len(), ErrorKind::WriteZero.into()),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.torn(line.len() - rest.len(), error),
            }
        }
        self.length = self.file.metadata().map_or(self.length + line.len() as u64, |now| now.len());
        Ok(())
    }

    /// Takes a line back of which only this much was written, if nobody wrote behind it.
    fn torn(&mut self, written: usize, error: Error) -> Result<(), Error> {
        let whole = self.length;
        if written > 0 && self.file.metadata().is_ok_and(|now| now.len() == whole + written as u64) {
            let _ = self.file.set_len(whole);
        }
        Err(error)
    }

    fn end(self) -> String {
        let rows = count(self.rows as usize, "row");
        let added = if self.added_to { " added to what was there" } else { "" };
        let missing = match (self.missing, &self.failed) {
            (0, _) => String::new(),
            (missing, Some(failed)) => format!("; {} could not be written: {failed}", count(missing as usize, "row")),
            (missing, None) => format!("; {} could not be written", count(missing as usize, "row")),
        };
        format!("{}: {rows}{added}{missing}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::watch::Turn;

    fn turn(second: u32) -> Turn {
        let at_ms = 1.7e12 + f64::from(second) * 1e3;
        Turn { at_ms, time: "12:00:00".into(), gpus: Vec::new(), server: None, notes: Vec::new() }
    }

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    fn refusal(csv: Option<&Path>, jsonl: Option<&Path>) -> String {
        Files::open(csv, jsonl).err().expect("it is refused").to_string()
    }

    #[test]
    fn rows_are_added_to_what_is_there_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let (csv, jsonl) = (folder.path().join("w.csv"), folder.path().join("w.jsonl"));
        for second in 0..3 {
            let mut files = Files::open(Some(&csv), Some(&jsonl)).unwrap();
            assert_eq!(files.write(&turn(second)), Vec::<String>::new());
            let said = files.end();
            let added = if second > 0 { ": 1 row added to what was there" } else { ": 1 row" };
            assert!(said.iter().all(|said| said.ends_with(added)), "{said:?}");
        }
        let lines = text(&csv).lines().count();
        assert_eq!((lines, text(&csv).matches("timestamp").count(), text(&jsonl).lines().count()), (4, 1, 3));
        for other in ["timestamp,gpu_util_percent,gpu_mem_used_mb,power_w,temperature_c\n1,2,3,4,5\n", "my notes"] {
            std::fs::write(&csv, other).unwrap();
            let refusal = refusal(Some(&csv), None);
            assert!(refusal.contains("other columns") && refusal.contains("left as it is"), "{refusal}");
            std::fs::write(&jsonl, other).unwrap();
            assert!(self::refusal(None, Some(&jsonl)).contains("other text"));
            assert_eq!((text(&csv).as_str(), text(&jsonl).as_str()), (other, other));
        }
    }

    #[test]
    fn a_torn_line_stays_one_and_two_names_of_a_file_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (csv, other) = (folder.path().join("w.csv"), folder.path().join("link"));
        std::fs::write(&csv, table::header() + "1700000000.000,9").unwrap();
        Files::open(Some(&csv), None).unwrap().write(&turn(1));
        assert_eq!(text(&csv).lines().nth(1), Some("1700000000.000,9"));
        assert_eq!(text(&csv).lines().count(), 3);
        std::os::unix::fs::symlink(&csv, &other).unwrap();
        assert!(refusal(Some(&csv), Some(&other)).contains("the same file"));
    }

    #[test]
    fn a_file_that_is_rotated_is_begun_anew_with_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let (csv, moved) = (folder.path().join("w.csv"), folder.path().join("w.csv.1"));
        let mut files = Files::open(Some(&csv), None).unwrap();
        files.write(&turn(1));
        std::fs::rename(&csv, &moved).unwrap();
        let said = files.write(&turn(2));
        assert!(said.len() == 1 && said[0].contains("was moved away"), "{said:?}");
        assert_eq!((text(&csv).lines().count(), text(&moved).lines().count()), (2, 2));
        assert!(text(&csv).starts_with("timestamp,"));
        // As logrotate's copytruncate does.
        File::options().write(true).open(&csv).unwrap().set_len(0).unwrap();
        let said = files.write(&turn(3));
        assert!(said.len() == 1 && said[0].contains("was emptied"), "{said:?}");
        assert_eq!(files.write(&turn(4)), Vec::<String>::new());
        assert!(text(&csv).starts_with("timestamp,") && text(&csv).lines().count() == 3, "{}", text(&csv));
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert!(files.write(&turn(5))[0].contains("the watch goes on without it"));
        assert_eq!(files.write(&turn(6)), Vec::<String>::new(), "it is said once");
    }
}
