//! `checks list`, `checks lint` and `checks test`.

use super::{Failure, output};
use crate::check::{Checks, Linted, LoadError, lint_built_in, lint_folder, trials};
use crate::cli::{Checks as Options, Format, LintFormat};
use crate::{exit, report};
use anyhow::anyhow;
use std::path::Path;

/// Lists checks, verifies them or tries them.
pub fn run(options: Options) -> Result<u8, Failure> {
    match options {
        Options::List { format, coverage, selection } => {
            let checks = output::checks(&selection)?;
            output::to_stdout(|out| match (coverage, format) {
                (false, Format::Text) => report::list_text(&checks, out),
                (false, Format::Json) => report::list_json(&checks, out),
                (true, Format::Text) => report::coverage_text(&crate::check::coverage(&checks), out),
                (true, Format::Json) => report::coverage_json(&crate::check::coverage(&checks), out),
            })?;
            Ok(exit::HEALTHY)
        }
        Options::Lint { dir, format } => lint(dir.as_deref(), format),
        Options::Test { dir, strict, format } => test(&dir, strict, format),
    }
}

fn lint(dir: Option<&Path>, format: LintFormat) -> Result<u8, Failure> {
    let built_in = Checks::load(None).map_err(usage)?;
    let linted = match dir {
        None => Linted { files: built_in.iter().count(), problems: lint_built_in(&built_in), unread: Vec::new() },
        Some(dir) => lint_folder(dir, &built_in).map_err(usage)?,
    };
    output::to_stdout(|out| match format {
        LintFormat::Text => report::problems_text(&linted, out),
        LintFormat::Json => report::problems_json(&linted, out),
        LintFormat::Github => report::problems_github(&linted, out),
    })?;
    match linted.unread.as_slice() {
        [] if linted.problems.is_empty() => Ok(exit::HEALTHY),
        [] => Ok(exit::UNHEALTHY),
        unread => {
            let files: Vec<String> = unread.iter().map(|one| format!("{}: {}", one.file, one.problem)).collect();
            Err(Failure::Usage(anyhow!("checks that cannot be read: {}", files.join("; "))))
        }
    }
}

fn test(dir: &Path, strict: bool, format: Format) -> Result<u8, Failure> {
    let trials = trials(dir).map_err(|error| match &error {
        // Of a folder without a check there is no more to say.
        LoadError::Spec { path, .. } if *path != dir.display().to_string() => {
            let shown = crate::words::plain(&dir.display().to_string());
            Failure::Usage(anyhow!("{error:#}; `gpu-doctor checks lint {shown}` shows every problem at its place"))
        }
        _ => usage(error),
    })?;
    output::to_stdout(|out| match format {
        Format::Text => report::trials_text(&trials, strict, out),
        Format::Json => report::trials_json(&trials, out),
    })?;
    let passed = trials.iter().all(|trial| report::is_passed(trial, strict));
    Ok(if passed { exit::HEALTHY } else { exit::UNHEALTHY })
}

fn usage(error: LoadError) -> Failure {
    Failure::Usage(error.into())
}
