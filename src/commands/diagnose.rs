//! `diagnose`: judge recorded facts.

use super::{Failure, document, output, waivers};
use crate::cli::Diagnose;
use anyhow::Context as _;

/// Reads a snapshot, judges it and prints the report.
pub fn run(mut options: Diagnose) -> Result<u8, Failure> {
    output::verify_files(&options.output)?;
    waivers::take(&mut options.output, Vec::new(), &options.selection)?;
    let checks = output::checks(&options.selection)?;
    let place = document::shown(&options.snapshot);
    let read = document::snapshot(&options.snapshot);
    let snapshot = read.with_context(|| format!("snapshot {place}")).map_err(Failure::Usage)?;
    output::tell(&snapshot, &checks, &options.output)
}
