//! Floor 4: one file per subcommand.

mod balance;
mod bench;
mod checks;
mod collect;
mod demo;
mod diagnose;
mod explain;
mod given;
mod interrupt;
mod model;
mod output;
mod progress;
mod request;
mod run;
mod stress;
mod target;
mod triage;
mod watch;

use crate::cli::{Cli, Command};

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line, the config or an input file is wrong.
    #[error("{0:#}")]
    Usage(anyhow::Error),
    /// gpu-doctor itself is broken.
    #[error("{0:#}; this is a bug of gpu-doctor, please report it")]
    Bug(anyhow::Error),
}

impl Failure {
    /// The exit code for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => crate::exit::USAGE,
            Failure::Bug(_) => crate::exit::BUG,
        }
    }
}

/// Runs the command and returns the exit code.
pub fn dispatch(cli: Cli) -> Result<u8, Failure> {
    // `colored` honours NO_COLOR and CLICOLOR, but not a terminal that says that it has no colours.
    let asks_for_colour = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    if std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb") && !asks_for_colour {
        colored::control::set_override(false);
    }
    match cli.command {
        Command::Run(options) => run::run(options),
        Command::Stress(options) => stress::run(options),
        Command::Bench(options) => bench::run(*options),
        Command::Model(options) => model::run(options),
        Command::Request(options) => request::run(options),
        Command::Collect(options) => collect::run(options),
        Command::Balance(options) => balance::run(options),
        Command::Diagnose(options) => diagnose::run(options),
        Command::Triage(options) => triage::run(options),
        Command::Watch(options) => watch::run(options),
        Command::Demo(options) => demo::run(options),
        Command::Checks(options) => checks::run(options),
        Command::Explain(options) => explain::run(options),
    }
}
