//! Reads the doctor's own documents: snapshots and reports, in files or on standard input, packed by gzip or not.

use super::Failure;
use crate::document::{self, Form, Header};
use crate::regular_file;
use crate::report::{self, Report};
use crate::snapshot::{self, Snapshot};
use anyhow::{Context as _, bail};
use std::io::Read;
use std::path::Path;

/// Largest document that is read, bytes; also after unpacking.
const LIMIT_BYTES: u64 = 256 << 20;

/// One of the doctor's own documents.
pub enum Document {
    /// Facts, which are to be judged.
    Snapshot(Box<Snapshot>),
    /// What was judged already.
    Report(Box<Report>),
}

/// Reads a snapshot or a report, whichever it is; `-` is standard input. What a newer version wrote and this one does not
/// know is said on standard error.
pub fn read(path: &Path) -> Result<Document, Failure> {
    let read = || {
        let bytes = bytes(path)?;
        let header = document::header(&bytes)?;
        if document::REPORT.is_of(&header) {
            return Ok(Document::Report(Box::new(parsed(
                path,
                &bytes,
                &header,
                &document::REPORT,
                report::strict_schema,
            )?)));
        }
        if header.schema.is_some() && !document::SNAPSHOT.is_of(&header) {
            let schema = header.schema.unwrap_or_default();
            bail!(
                "its schema is \"{schema}\"; expected \"{}\" or \"{}\"",
                document::SNAPSHOT.name,
                document::REPORT.name
            );
        }
        let snapshot = parsed(path, &bytes, &header, &document::SNAPSHOT, snapshot::json_schema)?;
        Ok(Document::Snapshot(Box::new(snapshot)))
    };
    read().with_context(|| shown(path)).map_err(Failure::Usage)
}

/// Reads a snapshot. A report is refused, for it cannot be judged again.
pub fn snapshot(path: &Path) -> anyhow::Result<Snapshot> {
    let bytes = bytes(path)?;
    let header = document::header(&bytes)?;
    if document::REPORT.is_of(&header) {
        bail!(
            "this is a report, which holds what was concluded and not the facts, so that it cannot be judged again; keep a \
             snapshot of the next run (gpu-doctor run --save FILE, or gpu-doctor collect), and judge that"
        );
    }
    parsed(path, &bytes, &header, &document::SNAPSHOT, snapshot::json_schema)
}

fn parsed<T: serde::de::DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
    header: &Header,
    form: &Form,
    schema: fn() -> serde_json::Value,
) -> anyhow::Result<T> {
    let read = document::read::<T>(bytes, form, schema)?;
    if !read.aside.is_empty() {
        let tool = header.tool.as_deref().unwrap_or("a newer version");
        let aside = read.aside.join("; ");
        let said = format!("{}: left aside what {tool} wrote and {} does not know: {aside}", shown(path), crate::TOOL);
        super::note::say(&said);
    }
    Ok(read.content)
}

/// The file's name, for messages.
pub fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = match path == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().take(LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > LIMIT_BYTES {
                bail!("it is larger than {LIMIT_BYTES} bytes");
            }
            bytes
        }
        false => regular_file::read(path, LIMIT_BYTES)?,
    };
    Ok(document::unpacked(bytes, LIMIT_BYTES)?)
}
