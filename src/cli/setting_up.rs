//! `init`, `completions` and `man`: what is done once, to set the doctor up.

use super::{ConnectionOptions, duration};
use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;
use std::time::Duration;

/// What stands below the help of `init`.
const INIT_HELP: &str = "\
Without --server the servers that listen on this machine are looked for: those that have a GPU's libraries or a model's \
file in use. One is taken; several are listed in the file, and none is picked. A server is asked for its description only. \
Secrets are never written: where a server wants one, the file names the variable from which it is to be read.

The file is read with --config; it is never read by itself.

Exit codes: 0 the file was written, whatever was found; 64 usage, or a file that could not be written; 70 bug.";

/// `init`.
#[derive(Debug, Args)]
#[command(after_help = INIT_HELP)]
pub struct Init {
    /// The server's base URL, for instance http://127.0.0.1:8000 [default: the one that is found on this machine].
    // Read by `commands`: clap would repeat a wrong value in its message, and a password with it.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// Where to write; `-` prints.
    #[arg(long = "out", short = 'o', value_name = "FILE", default_value = "gpu-doctor.yaml")]
    pub file: PathBuf,
    /// Write over a file that is there.
    #[arg(long)]
    pub force: bool,
    /// Longest time it may take, for instance 10s.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    pub timeout: Duration,
    /// How the server is reached.
    #[command(flatten)]
    pub connection: ConnectionOptions,
}

/// `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
  bash        source <(gpu-doctor completions bash)
  zsh         gpu-doctor completions zsh > \"${fpath[1]}/_gpu-doctor\"
  fish        gpu-doctor completions fish > ~/.config/fish/completions/gpu-doctor.fish
  powershell  gpu-doctor completions powershell | Out-String | Invoke-Expression
  elvish      eval (gpu-doctor completions elvish | slurp)

The ids of the built-in checks are completed as well.")]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Write gpu-doctor.1 and a page for each command into this folder, which must be there; or print the page of one
    /// command, such as run.
    #[arg(value_name = "DIR|COMMAND")]
    pub folder: Option<PathBuf>,
}
