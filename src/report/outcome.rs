//! What a run comes to for whoever acts on it.

use crate::cli::FailOn;
use crate::exit;
use clap::ValueEnum;

/// What a run comes to, by what the user counts as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// A failure was found that is not waived, or a waiver does not hold any more.
    Fails,
    /// No failure, and still one by the user's own word, `--fail-on`.
    FailsBy(FailOn),
    /// Not enough is known.
    Undecided,
    /// A warning, and no failure.
    Warns,
    /// Nothing that counts.
    Healthy,
}

impl RunOutcome {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Fails | Self::FailsBy(_) => exit::UNHEALTHY,
            Self::Undecided => exit::UNDECIDED,
            Self::Warns | Self::Healthy => exit::HEALTHY,
        }
    }

    /// What is said beside the verdict where that alone would not tell the exit code: `fails by --fail-on warn`.
    pub fn by_option(self) -> Option<String> {
        let Self::FailsBy(fail_on) = self else { return None };
        Some(format!("fails by --fail-on {}", fail_on.to_possible_value()?.get_name()))
    }
}
