//! `checks list` and `checks lint`.

use super::{Failure, output};
use crate::check::{Checks, lint};
use crate::cli::{Checks as Options, Format};
use crate::{exit, report};

/// Lists or verifies checks.
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
        Options::Lint { dir } => {
            let usage = |error: crate::check::LoadError| Failure::Usage(error.into());
            let built_in = Checks::load(None).map_err(usage)?;
            let problems = match dir {
                None => lint(&built_in, &built_in),
                Some(dir) => lint(&Checks::of_folder(&dir).map_err(usage)?, &built_in),
            };
            output::to_stdout(|out| match problems.as_slice() {
                [] => writeln!(out, "no problem found"),
                problems => problems.iter().try_for_each(|problem| writeln!(out, "{problem}")),
            })?;
            Ok(if problems.is_empty() { exit::HEALTHY } else { exit::UNHEALTHY })
        }
    }
}
