//! A table that is written while it is read: what `gpu-doctor watch` records goes the way of a file.

use super::evidence::Found;
use super::form::Head;
use super::reader::Reader;
use super::{join, samples};
use crate::snapshot::{Facts, RecordedFile};
use std::path::Path;

/// Rooms of a run that the machine tells better than a table of samples does.
const OF_THE_MACHINE: [&str; 1] = ["nvml"];

/// The table under way, in bounded memory.
pub struct Live {
    file: RecordedFile,
    reader: Box<dyn Reader>,
}

impl Live {
    /// Begins a table with its header. `name` is the file's, or what stands for one.
    ///
    /// # Errors
    /// The header is not one of a table of `watch`.
    pub fn begin(name: &str, header: &str) -> Result<Self, String> {
        let head = Head::new(Path::new(name), header.as_bytes(), true);
        let recognized = samples::watch::recognize(&head).ok_or("the header is not that of a table of watch")?;
        let mut live = Self {
            file: RecordedFile {
                name: name.into(),
                kind: "watch".into(),
                recognized_by: recognized.by,
                size_bytes: 0,
                records: 0,
                shows: Vec::new(),
                lacks: Vec::new(),
                faults: Vec::new(),
            },
            reader: recognized.reader,
        };
        live.feed(header);
        Ok(live)
    }

    /// Takes the next line, with its end.
    pub fn feed(&mut self, line: &str) {
        self.file.size_bytes += line.len() as u64;
        self.reader.feed(line.as_bytes());
    }

    /// Fills the rooms as `triage` does, beside what is known of the machine.
    pub fn end(self, facts: &mut Facts) {
        let Self { mut file, reader } = self;
        let evidence = reader.end(&mut file);
        let machine = if facts.nvml.gpus.known().is_some() { OF_THE_MACHINE.as_slice() } else { &[] };
        join::fill_beside(facts, vec![Found { file, evidence }], None, machine);
    }
}
