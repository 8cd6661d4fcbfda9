//! Parse, dispatch, exit code; nothing else.

use clap::Parser;
use gpu_doctor::{cli::Cli, commands, exit, probe, redact, words};
use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    if arguments.get(1).map(String::as_str) == Some(probe::isolation::SUBCOMMAND) {
        return ExitCode::from(probe::run_child(&arguments[2..]));
    }
    // What is quoted of a text in a panic may hold a secret.
    std::panic::set_hook(Box::new(|panic| eprintln!("{}", redact::without_secrets(&panic.to_string()))));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // It repeats what was given, which may be a URL with a password.
            let printed = match redact::without_secrets(&error.render().to_string()) {
                Cow::Owned(masked) if error.use_stderr() => std::io::stderr().write_all(masked.as_bytes()),
                _ => error.print().and_then(|()| std::io::stdout().flush()),
            };
            return ExitCode::from(match printed {
                Ok(()) if !error.use_stderr() => exit::HEALTHY,
                // A reader that has gone away (`| head`) is no error.
                Err(failed) if !error.use_stderr() && failed.kind() == ErrorKind::BrokenPipe => exit::HEALTHY,
                Err(failed) if !error.use_stderr() => {
                    eprintln!("gpu-doctor: standard output: {failed}");
                    exit::USAGE
                }
                _ => exit::USAGE,
            });
        }
    };
    let code = match std::panic::catch_unwind(|| commands::dispatch(cli)) {
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            // Names and texts in it come from outside.
            eprintln!("gpu-doctor: {}", words::plain(&redact::without_secrets(&failure.to_string())));
            failure.exit_code()
        }
        Err(_) => {
            eprintln!("gpu-doctor: this is a bug of gpu-doctor; please report it with the lines above");
            exit::BUG
        }
    };
    ExitCode::from(code)
}
