//! `run`: collect, judge, tell.

use super::{Failure, output, progress, target, wait};
use crate::cli::Run;
use crate::probe::collect;

/// Examines the target and prints the report.
pub fn run(mut options: Run) -> Result<u8, Failure> {
    output::verify_files(&options.output)?;
    let mut ask = target::resolve(options.target, &mut options.selection, Some(&mut options.output))?;
    let checks = output::checks(&options.selection)?;
    wait::for_server(&mut ask, "--wait", options.wait.wait)?;
    let snapshot = collect(&ask, &output::rooms(&options.selection, &checks), progress::observer().as_mut());
    output::tell(&snapshot, &checks, &options.output)
}
