//! Where output goes, and what the exit code is.

use super::Failure;
use crate::check::Checks;
use crate::cli::{FailOn, Format, Output, Selection};
use crate::diagnosis::{Diagnosed, Verdict, diagnose};
use crate::exit;
use crate::report::Report;
use crate::snapshot::{Facts, Snapshot};
use anyhow::anyhow;
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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

/// Judges a snapshot, prints the report, saves the snapshot if asked to, and returns the exit code.
///
/// What cannot be saved is said on standard error; the report and its exit code stand all the same.
pub fn tell(snapshot: &Snapshot, checks: &Checks, output: &Output) -> Result<u8, Failure> {
    tell_with(snapshot, checks, output, |_| {})
}

/// The same, with what the command adds to the report.
pub fn tell_with(
    snapshot: &Snapshot,
    checks: &Checks,
    output: &Output,
    add: impl FnOnce(&mut Report),
) -> Result<u8, Failure> {
    let diagnosed = diagnose(checks, snapshot).map_err(|error| Failure::Bug(anyhow!(error)))?;
    let code = exit_code(&diagnosed, output.fail_on.unwrap_or_default());
    let mut report = Report::new(snapshot, diagnosed);
    add(&mut report);
    to_stdout(|out| report.write(output.format.unwrap_or(Format::Text), output.verbose, out))?;
    if let Some(file) = &output.save
        && let Err(error) = save(snapshot, file)
    {
        eprintln!("gpu-doctor: --save {}: {error}; the snapshot was not saved", file.display());
    }
    Ok(code)
}

/// Refuses a `--save` that cannot work before any time is spent: no such folder, or something there that is no file.
pub fn verify_save(output: &Output) -> Result<(), Failure> {
    output.save.as_ref().map_or(Ok(()), |file| verify_file("--save", file))
}

/// The same of any file that is to be written.
pub fn verify_file(flag: &str, file: &Path) -> Result<(), Failure> {
    let refuse = |problem: String| Err(Failure::Usage(anyhow!("{flag} {}: {problem}", file.display())));
    match std::fs::symlink_metadata(file) {
        Ok(metadata) if metadata.is_dir() => return refuse("this is a folder; name a file in it".into()),
        Ok(metadata) if !metadata.is_file() => return refuse("there is something that is no regular file".into()),
        _ => {}
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if file.file_name().is_none() || !folder.is_dir() {
        return refuse(format!("{} is no folder to save a file in", folder.display()));
    }
    Ok(())
}

/// Whether two paths name one file, which need not be there yet.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        std::fs::canonicalize(path).ok().or_else(|| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(std::fs::canonicalize(folder).ok()?.join(path.file_name()?))
        })
    };
    one == other || place(one).is_some_and(|one| place(other) == Some(one))
}

/// Writes the snapshot to a file that only its owner may read.
fn save(snapshot: &Snapshot, file: &Path) -> std::io::Result<()> {
    replace(file, 0o600, |out| write_snapshot(snapshot, out))
}

/// Writes a file with such rights: under another name first, so that a file that was there stays whole until the new one
/// is.
pub fn replace(
    file: &Path,
    mode: u32,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let partial = partial(file);
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
    let mut out = std::io::BufWriter::new(opened);
    let written = write(&mut out).and_then(|()| out.flush()).and_then(|()| std::fs::rename(&partial, file));
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    written
}

/// Whether a file could be written there: one is, and taken away again.
pub fn can_be_written(file: &Path) -> std::io::Result<()> {
    let partial = partial(file);
    let mut opened = std::fs::OpenOptions::new().write(true).create_new(true).open(&partial)?;
    let written = opened.write_all(b"\n").and_then(|()| opened.sync_all());
    std::fs::remove_file(&partial)?;
    written
}

fn partial(file: &Path) -> std::path::PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.{}", std::process::id()))
}

/// Writes the snapshot as indented JSON.
pub fn write_snapshot(snapshot: &Snapshot, out: &mut dyn Write) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, snapshot)?;
    out.write_all(b"\n")
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
        Err(error) => Err(Failure::Usage(anyhow!("standard output: {error}"))),
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
