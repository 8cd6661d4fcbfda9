//! `collect`: the facts only.

use super::{Failure, output, progress, target, wait};
use crate::cli::Collect;
use crate::redact::redacted;
use crate::{exit, probe};

/// Collects the facts that the selected checks read and prints the snapshot.
pub fn run(mut options: Collect) -> Result<u8, Failure> {
    let mut ask = target::resolve(options.target, &mut options.selection, None)?;
    let checks = output::checks(&options.selection)?;
    wait::for_server(&mut ask, "--wait", options.wait.wait)?;
    let snapshot = probe::collect(&ask, &output::rooms(&options.selection, &checks), progress::observer().as_mut());
    let snapshot = redacted(&snapshot, output::identifiers(options.include_identifiers));
    output::to_stdout(|out| output::write_snapshot(&snapshot, out))?;
    Ok(exit::HEALTHY)
}
