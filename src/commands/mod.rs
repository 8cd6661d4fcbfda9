//! Floor 4: one file per subcommand.

mod balance;
mod bench;
mod checks;
mod collect;
mod completions;
mod demo;
mod diagnose;
mod diff;
mod document;
mod explain;
mod given;
mod init;
mod interrupt;
mod man;
mod model;
mod note;
mod output;
mod progress;
mod request;
mod run;
mod schema;
mod stress;
mod target;
mod terminal;
mod triage;
mod wait;
mod waivers;
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
    // `colored` would honour some of the variables, and in another order.
    colored::control::set_override(terminal::has_colours());
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
        Command::Diff(options) => diff::run(options),
        Command::Demo(options) => demo::run(options),
        Command::Checks(options) => checks::run(options),
        Command::Explain(options) => explain::run(options),
        Command::Schema(options) => schema::run(options),
        Command::Init(options) => init::run(options),
        Command::Completions(options) => completions::run(&options),
        Command::Man(options) => man::run(&options),
    }
}
