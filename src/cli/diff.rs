//! `diff`.

use super::{Format, Selection};
use clap::Args;
use std::path::PathBuf;

/// What stands below the help of `diff`.
const HELP: &str = "\
Snapshots (gpu-doctor collect, --save) are judged anew, by the same checks; reports (--format json) are compared as they \
stand, and hold the proof of their causes only. A cause that is no longer known to be there or not is not gone.

Exit codes: 0 the same or better, 1 worse: a failure is new, or nothing was wrong before; 2 it cannot be told; 64 usage, or \
a file that cannot be read; 70 bug.";

/// `diff`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Diff {
    /// The snapshot or report from before, or of the first machine; `-` reads standard input.
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The snapshot or report from after, or of the second machine.
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Show every fact that differs, not only what matters.
    #[arg(long, short)]
    pub verbose: bool,
    /// Keep host names, addresses, users' folders, serial numbers and UUIDs where they would be replaced by tokens.
    #[arg(long)]
    pub include_identifiers: bool,
    /// Which checks to use.
    #[command(flatten)]
    pub selection: Selection,
}
