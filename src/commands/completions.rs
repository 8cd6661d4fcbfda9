//! `completions`: the shell's own, from the command line's one definition.

use super::{Failure, output};
use crate::check::Checks;
use crate::cli::{Cli, Completions};
use crate::exit;
use crate::snapshot::Stage;
use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

const BASH_NAME: &str = "gpu_doctor";

/// Prints the completions.
pub fn run(options: &Completions) -> Result<u8, Failure> {
    let checks = Checks::load(None).map_err(|error| Failure::Bug(error.into()))?;
    // clap takes names that last; the program ends after this.
    let ids: Vec<&'static str> = checks.iter().map(|check| &*check.spec.id.clone().leak()).collect();
    let mut command = completed(Cli::command(), &ids);
    // Into memory first: the generator would panic on a pipe that is closed.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, named_for(options.shell), &mut script);
    let script = String::from_utf8_lossy(&script).replace(&format!(" {BASH_NAME}\n"), " gpu-doctor\n");
    output::to_stdout(|out| out.write_all(script.as_bytes()))?;
    Ok(exit::HEALTHY)
}

/// The name for which a script is made. Of a name with a hyphen clap_complete 4.6.11 writes a bash script whose parts do not
/// find one another, so that nothing behind a subcommand is completed; the line that binds it gets the right name after.
fn named_for(shell: Shell) -> &'static str {
    if shell == Shell::Bash { BASH_NAME } else { "gpu-doctor" }
}

/// The command line with the names that are known beforehand: ids where one is explained, stages and ids where checks are
/// selected. Any other is still taken when the command runs.
fn completed(command: Command, ids: &[&'static str]) -> Command {
    let stages = Stage::ALL.iter().map(|stage| stage.name());
    let selectors: Vec<&'static str> = stages.chain(ids.iter().copied()).collect();
    let explained = command.get_name() == "explain";
    command
        .mut_args(|argument| {
            let is_id = explained && argument.get_id() == "id";
            match argument.get_long() {
                Some("only" | "skip") => among(argument, &selectors),
                None if is_id => among(argument, ids),
                _ => argument,
            }
        })
        .mut_subcommands(|inner| completed(inner, ids))
}

fn among(argument: Arg, names: &[&'static str]) -> Arg {
    argument.value_parser(PossibleValuesParser::new(names.to_vec()))
}
