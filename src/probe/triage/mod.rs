//! Files that people already have: results of a load generator, GPU samples, logs. What they say, as the facts of a run.
//!
//! A file is a stream of bytes ([`input`]); its beginning tells what it is ([`form`]); a [`reader::Reader`] is fed with it
//! and ends in evidence; [`join`] puts the evidence of all files together and fills the rooms.

mod archive;
mod documents;
mod evidence;
mod faults;
mod form;
mod input;
mod join;
mod json_lines;
mod live;
mod locust;
mod logs;
mod oha;
mod pages;
mod reader;
mod requests;
mod samples;
mod smi;
mod summaries;
mod table;
mod timeline;

use crate::snapshot::{Facts, Outcome, ProbeRecord, RecordedFile, SCHEMA, SCHEMA_MINOR, Snapshot, Unknown, Why};
use archive::Given;
use evidence::Found;
use form::{FORMS, Head};
use input::Stream;
pub use join::TAKE_SAMPLES;
pub use live::Live;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Why facts are missing that no file told.
const NOT_IN_FILES: &str = "no file that was given tells it (gpu-doctor run asks the machine itself)";

/// Reads the files and puts together what they say. An error names the file that could not be opened.
///
/// `utc_offset_minutes` is the zone of time stamps that name none.
pub fn collect(files: &[PathBuf], utc_offset_minutes: Option<i32>) -> Result<Snapshot, String> {
    let started = (now(), Instant::now());
    let mut found = Vec::new();
    for path in files {
        let said = archive::streams(path, &mut |given| found.push(look_at(given)));
        said.map_err(|error| format!("{}: {}", path.display(), refused(path, &error)))?;
    }
    Ok(together(found, utc_offset_minutes, started))
}

/// Why a file could not be opened, and what to do instead.
fn refused(path: &Path, error: &std::io::Error) -> String {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => "this is a folder; name the files in it, or an archive of it (tar czf)".into(),
        Ok(found) if !found.is_file() => format!("{error}; what another program writes is read from standard input: -"),
        _ => error.to_string(),
    }
}

fn look_at(given: Given) -> Found {
    match given {
        Given::Stream(stream) => examine(stream),
        Given::Told(file) => Found { file, evidence: Vec::new() },
    }
}

fn together(found: Vec<Found>, utc_offset_minutes: Option<i32>, started: (String, Instant)) -> Snapshot {
    let (started_at, started) = started;
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, NOT_IN_FILES));
    let target = join::fill(&mut facts, found, utc_offset_minutes);
    let taken_at = started_at.clone();
    let duration_ms = (started.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    let record =
        ProbeRecord { id: "triage".into(), outcome: Outcome::Ok, detail: String::new(), started_at, duration_ms };
    Snapshot {
        schema: SCHEMA.into(),
        schema_minor: SCHEMA_MINOR,
        tool: crate::TOOL.into(),
        taken_at,
        target,
        probes: vec![record],
        facts,
    }
}

/// Recognizes one stream and reads it to its end.
fn examine(mut stream: Stream) -> Found {
    let mut file = RecordedFile {
        name: stream.name.clone(),
        kind: "unrecognized".into(),
        recognized_by: String::new(),
        size_bytes: 0,
        records: 0,
        shows: Vec::new(),
        lacks: Vec::new(),
        faults: Vec::new(),
    };
    let first = stream.head();
    let head = Head::new(Path::new(&stream.name), first, stream.ended());
    let recognized = form::recognize(FORMS, &head);
    let evidence = match recognized {
        Ok((kind, recognized)) => {
            file.kind = kind.into();
            file.recognized_by = recognized.by;
            let mut reader = recognized.reader;
            stream.read_to_end(&mut |block| reader.feed(block));
            reader.end(&mut file)
        }
        Err(why) => {
            file.recognized_by = why;
            stream.read_to_end(&mut |_| {});
            Vec::new()
        }
    };
    file.size_bytes = stream.bytes_read();
    file.faults.splice(0..0, stream.faults());
    Found { file, evidence }
}

/// Reads bytes as if they were a file of this name, for fuzz targets: it must neither panic nor take long.
pub fn read_bytes(name: &str, bytes: &[u8]) -> Facts {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, NOT_IN_FILES));
    let mut found = Vec::new();
    // Reading from memory does not fail.
    let _ = archive::of_source(name, Box::new(bytes), &mut |given| found.push(look_at(given)));
    join::fill(&mut facts, found, None);
    facts
}

fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
