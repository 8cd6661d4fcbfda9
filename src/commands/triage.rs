//! `triage`: judge files that people already have.

use super::{Failure, given, output, waivers};
use crate::cli::Triage;
use crate::probe::triage;
use anyhow::anyhow;

/// Reads the files, judges what they say and prints the report.
pub fn run(mut options: Triage) -> Result<u8, Failure> {
    output::verify_files(&options.output)?;
    waivers::take(&mut options.output, Vec::new(), &options.selection)?;
    let checks = output::checks(&options.selection)?;
    let mut snapshot =
        triage::collect(&options.files, options.utc_offset).map_err(|problem| Failure::Usage(anyhow!(problem)))?;
    snapshot.target.command = given::triage(&options);
    output::tell(&snapshot, &checks, &options.output)
}
