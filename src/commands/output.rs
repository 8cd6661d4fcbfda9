//! Where output goes, and what the exit code is.

use super::{Failure, terminal};
use crate::check::Checks;
use crate::cli::{FailOn, Output, ReportFormat, Selection};
use crate::diagnosis::{diagnose, waive};
use crate::redact::{Identifiers, Redaction};
use crate::report::{Bench, Report, Style, write_json};
use crate::snapshot::{Facts, Snapshot};
use anyhow::anyhow;
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
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

/// Judges a snapshot, prints the report, writes the files asked for, and returns the exit code.
///
/// What cannot be written to a file is said on standard error; the report and its exit code stand all the same.
pub fn tell(snapshot: &Snapshot, checks: &Checks, output: &Output) -> Result<u8, Failure> {
    tell_with(snapshot, checks, output, |_| {})
}

/// The same, with what the command adds to the report.
///
/// Secrets leave the snapshot before anything judges it, and identifiers before it leaves this machine: what is told is a
/// function of what was kept.
pub fn tell_with(
    snapshot: &Snapshot,
    checks: &Checks,
    output: &Output,
    add: impl FnOnce(&mut Report),
) -> Result<u8, Failure> {
    let format = output.format.unwrap_or_default();
    let mut first = Told::of(snapshot, checks, output, on_stdout(format, output.include_identifiers))?;
    add(&mut first.report);
    // What a command adds is a benchmark's result: names of files and GPUs as the user gave them.
    let added = first.report.load.as_ref().and_then(|load| load.bench.clone());
    first.add(added.clone());
    let style = style(output);
    let printed = to_stdout(|out| first.write(format, &style, out));
    if !output.files.is_empty() || output.save.is_some() {
        let for_files = identifiers(output.include_identifiers);
        // Another audience, another report: what is told is judged from what it may hold.
        let mut second = None;
        if for_files != first.identifiers {
            let told = second.insert(Told::of(snapshot, checks, output, for_files)?);
            told.add(added);
        }
        write_files(second.as_ref().unwrap_or(&first), output, style.fail_on);
    }
    // What is in files is kept where nothing could be printed, and nothing tells the exit code then.
    printed.map(|()| first.report.exit_code(style.fail_on))
}

/// Writes the files asked for.
fn write_files(told: &Told, output: &Output, fail_on: FailOn) {
    // Whoever reads a file has another terminal, or none, and wants to find something in it.
    let style = Style { ascii: output.ascii, verbose: output.verbose, fail_on, ..Style::default() };
    for file in &output.files {
        let written = replace(&file.path, mode(file.format), |out| told.write(file.format, &style, out));
        said("--output", &file.path, written, "the report");
    }
    if let Some(file) = &output.save {
        said("--save", file, save(&told.redaction.snapshot, file), "the snapshot");
    }
}

/// Rights of a file in this form. Metrics hold names of checks and numbers only, and are collected by another user.
fn mode(format: ReportFormat) -> u32 {
    if format == ReportFormat::Openmetrics { 0o644 } else { 0o600 }
}

/// What is told to one audience.
struct Told {
    identifiers: Identifiers,
    redaction: Redaction,
    report: Report,
}

impl Told {
    fn of(snapshot: &Snapshot, checks: &Checks, output: &Output, identifiers: Identifiers) -> Result<Self, Failure> {
        let mut redaction = Redaction::of(snapshot, identifiers);
        // A reason is the user's text, and stands in the report like what the probes read.
        let mut waivers = output.waivers.clone();
        for waiver in &mut waivers {
            waiver.reason = redaction.value(&waiver.reason).unwrap_or_default();
        }
        let mut diagnosed = diagnose(checks, &redaction.snapshot).map_err(|error| Failure::Bug(anyhow!(error)))?;
        waive(&mut diagnosed, &waivers, &snapshot.taken_at);
        let report = Report::new(&redaction.snapshot, diagnosed);
        Ok(Self { identifiers, redaction, report })
    }

    /// Puts what a command adds into the report, without what this audience may not see.
    fn add(&mut self, added: Option<Bench>) {
        if let (Some(load), Some(added)) = (&mut self.report.load, added) {
            load.bench = self.redaction.value(&added);
        }
    }

    fn write(&self, format: ReportFormat, style: &Style, out: &mut dyn Write) -> std::io::Result<()> {
        let style = Style { masked: self.redaction.masked, ..*style };
        self.report.write(&self.redaction.snapshot, format, &style, out)
    }
}

/// What becomes of identifiers in files, pipes and forms for programs.
pub fn identifiers(include: bool) -> Identifiers {
    if include { Identifiers::Kept } else { Identifiers::Masked }
}

/// The same on standard output: whoever reads a terminal copies commands from it.
fn on_stdout(format: ReportFormat, include: bool) -> Identifiers {
    let for_people = matches!(format, ReportFormat::Text | ReportFormat::Short);
    identifiers(include || for_people && std::io::stdout().is_terminal())
}

/// How text is laid out on standard output.
pub fn style(output: &Output) -> Style {
    let fail_on = output.fail_on.unwrap_or_default();
    Style { ascii: output.ascii, verbose: output.verbose, quiet: output.quiet, fail_on, ..terminal::style() }
}

/// Says on standard error what could not be written.
fn said(flag: &str, file: &Path, written: std::io::Result<()>, what: &str) {
    if let Err(error) = written {
        super::note::say(&format!("{flag} {}: {error}; {what} was not saved", file.display()));
    }
}

/// Refuses files that cannot be written before any time is spent: no such folder, something there that is no file, one file
/// for two things.
pub fn verify_files(output: &Output) -> Result<(), Failure> {
    let files: Vec<_> = output.paths().collect();
    for (number, (flag, file)) in files.iter().enumerate() {
        verify_file(flag, file)?;
        // A disk that is full now need not be full then.
        let refused = can_be_written(file).err();
        let lasting = |error: &std::io::Error| {
            matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
        };
        if let Some(error) = refused.filter(lasting) {
            return Err(Failure::Usage(anyhow!("{flag} {}: {error}", file.display())));
        }
        if let Some((other, _)) = files[..number].iter().find(|(_, other)| is_same(other, file)) {
            return Err(Failure::Usage(anyhow!("{flag} {}: {other} names the same file", file.display())));
        }
    }
    Ok(())
}

/// Refuses a file that is another one of the output, too.
pub fn verify_other(flag: &str, file: &Path, output: &Output) -> Result<(), Failure> {
    match output.paths().find(|(_, other)| is_same(other, file)) {
        Some((other, _)) => Err(Failure::Usage(anyhow!("{flag} {}: {other} names the same file", file.display()))),
        None => Ok(()),
    }
}

/// Refuses any file that cannot be written there.
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
    write_json(snapshot, out)
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
