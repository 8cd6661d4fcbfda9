//! The deployment's own Python, run on the user's word as a program that reports like a child of the doctor.

use super::environment;
use super::isolation::{self, End, Report};
use crate::snapshot::{Facts, Unknown, Why};
use crate::words::plain;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most kept of a text, characters.
const TEXT_MAX: usize = 2_000;

/// The program: a prefix such as `/venv` stands for its own interpreter.
pub fn interpreter(python: &Path) -> PathBuf {
    if python.is_dir() { python.join("bin/python") } else { python.to_owned() }
}

/// Runs a program of the doctor's with an interpreter, in the server's environment, and hears it out until `deadline`.
pub fn run(python: &Path, program: &str, argument: &str, facts: &Facts, deadline: Instant) -> Report {
    // -B: nothing is written into the deployment's folders. -u: what is printed before a crash is kept.
    isolation::run_program(python, &["-u", "-B", "-c", program, argument], &environment::of_server(facts), deadline)
}

/// Why the program is no Python interpreter, if it could not be started or ended before it said anything.
pub fn no_interpreter(python: &Path, report: &Report) -> Option<Unknown> {
    let python = python.display();
    match &report.end {
        End::NotStarted(error) => Some(Unknown::new(Why::Absent, format!("{python} could not be started: {error}"))),
        End::Exit(code) if report.last_stage.is_empty() => {
            let printed = match shortened(&report.printed) {
                text if text.is_empty() => String::new(),
                text => format!(" and printed \"{text}\""),
            };
            let detail = format!("{python} is no Python interpreter: it ended with status {code}{printed}");
            Some(Unknown::new(Why::Malformed, detail))
        }
        _ => None,
    }
}

/// A text without control characters, of limited length.
pub fn shortened(text: &str) -> String {
    let text = plain(text.trim());
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
