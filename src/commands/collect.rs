//! `collect`: the facts only.

use super::{Failure, output, progress, target};
use crate::cli::Collect;
use crate::{exit, probe};

/// Collects the facts that the selected checks read and prints the snapshot.
pub fn run(mut options: Collect) -> Result<u8, Failure> {
    let ask = target::resolve(options.target, &mut options.selection, None)?;
    let checks = output::checks(&options.selection)?;
    let snapshot = probe::collect(&ask, &output::rooms(&options.selection, &checks), progress::observer().as_mut());
    output::to_stdout(|out| {
        serde_json::to_writer_pretty(&mut *out, &snapshot)?;
        out.write_all(b"\n")
    })?;
    Ok(exit::HEALTHY)
}
