//! `checks` and `explain`.

use super::{Format, Selection};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// What stands below the help of `checks lint`.
const LINT_HELP: &str = "\
Every mistake of every file is told with its line and column: misspelt facts and keys, conditions and templates that \
cannot be read, ids that no check has.

Exit codes: 0 no problem, 1 problems, 64 a file or the folder cannot be read, 70 bug.";

/// What stands below the help of `checks test`.
const TEST_HELP: &str = "\
The cases of STAGE/ID.yaml stand beside it in STAGE/ID.cases.yaml. Each starts from recorded facts (base: the name of a \
built-in snapshot, or a snapshot of your own from `gpu-doctor collect` or `run --save`, as in base: ./ticket-4711.json), \
sets some facts, and says what the check must find:
  holds:   {base: healthy-server, facts: {nvml.gpus: []}}
  clear:   {base: healthy-server}
  unknown: {base: healthy-server, facts: {nvml.gpus: {unknown: {why: denied, detail: no right}}}}
  more:
    the night that it broke: {base: ./ticket-4711.json, verdict: holds}

Exit codes: 0 every case passed, 1 one did not, 64 the checks cannot be read, 70 bug.";

/// `checks`.
#[derive(Debug, Subcommand)]
pub enum Checks {
    /// List every check.
    List {
        /// How to print the list.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// Count the checks against the catalogue of known causes instead.
        #[arg(long)]
        coverage: bool,
        /// Which checks to list.
        #[command(flatten)]
        selection: Selection,
    },
    /// Verify checks against the fact types: keys, paths, conditions, templates, references.
    #[command(after_help = LINT_HELP)]
    Lint {
        /// A folder of checks of your own; without it the built-in ones are verified.
        dir: Option<PathBuf>,
        /// How to print the problems.
        #[arg(long, value_enum, default_value_t = LintFormat::Text)]
        format: LintFormat,
    },
    /// Try checks of your own on recorded facts: what each must find, and what it must not.
    #[command(after_help = TEST_HELP)]
    Test {
        /// A folder of checks of your own, their cases beside them.
        dir: PathBuf,
        /// A check that lacks a case (holds, clear or unknown) fails.
        #[arg(long)]
        strict: bool,
        /// How to print the results.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

/// `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Id of a check, as `checks list` shows it, or a stage.
    pub id: String,
    /// A folder with further checks.
    #[arg(long, value_name = "DIR")]
    pub checks: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = ExplainFormat::Text)]
    pub format: ExplainFormat,
}

/// Forms of a list of problems.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LintFormat {
    /// For people: the line, and a mark below the place.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For GitHub Actions: annotations.
    Github,
}

/// Forms of an explanation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ExplainFormat {
    /// For people at a terminal.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For pages.
    Markdown,
}
