//! The file with a row for each step. It is written whole after each step, so that it is valid at any moment, and what was
//! in it stays where the disk is full.

use crate::cli::Output;
use crate::commands::note::say;
use crate::commands::{Failure, output};
use crate::report::{Step, csv_header, csv_row};
use anyhow::anyhow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Rights of the file.
const MODE: u32 = 0o644;

/// The file.
pub struct Csv {
    file: PathBuf,
    /// What was said last of its failing.
    said: Mutex<String>,
}

impl Csv {
    /// Verifies that it can be written.
    ///
    /// # Errors
    /// A folder or something else stands there, the folder takes no file, or it is the snapshot's.
    pub fn open(file: &Path, output: &Output) -> Result<Self, Failure> {
        let refuse = |problem: String| Failure::Usage(anyhow!("--csv {}: {problem}", file.display()));
        output::verify_file("--csv", file)?;
        output::verify_other("--csv", file, output)?;
        output::can_be_written(file).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { file: file.to_owned(), said: Mutex::default() })
    }

    /// Writes all steps so far. What fails is said at once, and tried again after the next step.
    pub fn write(&self, steps: &[Step]) {
        let text: String = std::iter::once(csv_header()).chain(steps.iter().map(csv_row)).collect();
        let written = output::replace(&self.file, MODE, |out| out.write_all(text.as_bytes()));
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Ok(()) => said.clear(),
            Err(error) if *said == error.to_string() => {}
            Err(error) => {
                *said = error.to_string();
                let file = self.file.display();
                say(&format!("--csv {file}: {error}; the load goes on, and the report tells every step"));
            }
        }
    }
}
