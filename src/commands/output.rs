//! Where output goes, and what the exit code is.

use super::Failure;
use crate::check::Checks;
use crate::cli::{FailOn, Format, Output, Selection};
use crate::diagnosis::{Diagnosed, Verdict, diagnose};
use crate::exit;
use crate::report::Report;
use crate::snapshot::{Facts, Snapshot};
use std::collections::BTreeSet;
use std::io::Write;

/// The checks that the options select.
pub fn checks(selection: &Selection) -> Result<Checks, Failure> {
    let checks = Checks::load(selection.checks.as_deref()).map_err(|error| Failure::Usage(error.into()))?;
    checks.select(&selection.only, &selection.skip).map_err(|error| Failure::Usage(error.into()))
}

/// The rooms of the snapshot to fill: all of them, or, with `--only`, those that the selected checks read.
pub fn rooms(selection: &Selection, checks: &Checks) -> BTreeSet<&'static str> {
    match selection.only.is_empty() {
        true => Facts::ROOMS.iter().copied().collect(),
        false => checks.rooms(),
    }
}

/// Judges a snapshot, prints the report and returns the exit code.
pub fn tell(snapshot: &Snapshot, checks: &Checks, output: &Output) -> Result<u8, Failure> {
    let diagnosed = diagnose(checks, snapshot).map_err(|error| Failure::Bug(anyhow::anyhow!(error)))?;
    let code = exit_code(&diagnosed, output.fail_on.unwrap_or_default());
    let report = Report::new(snapshot, diagnosed);
    to_stdout(|out| report.write(output.format.unwrap_or(Format::Text), output.verbose, out))?;
    Ok(code)
}

/// Writes to standard output. A reader that has gone away (`| head`) is no error: the exit code still tells.
pub fn to_stdout(write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            // What is buffered has no reader; flushing it again on drop would only fail again.
            let _ = out.into_parts();
            Ok(())
        }
        Err(error) => Err(Failure::Usage(anyhow::anyhow!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

fn exit_code(diagnosed: &Diagnosed, fail_on: FailOn) -> u8 {
    let warned = !diagnosed.diagnoses.is_empty();
    match diagnosed.verdict {
        Verdict::Unhealthy => exit::UNHEALTHY,
        _ if fail_on >= FailOn::Warn && warned => exit::UNHEALTHY,
        Verdict::Undecided if fail_on == FailOn::Unknown => exit::UNHEALTHY,
        Verdict::Undecided => exit::UNDECIDED,
        Verdict::Healthy if fail_on == FailOn::Unknown && !diagnosed.unknown.is_empty() => exit::UNHEALTHY,
        Verdict::Healthy => exit::HEALTHY,
    }
}
