//! The report as JSON.

use super::Report;
use std::io::Write;

/// Writes the report, indented, with a newline at the end.
pub fn write(report: &Report, out: &mut dyn Write) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    out.write_all(b"\n")
}
