//! Parse, dispatch, exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some(gpu_doctor::probe::isolation::SUBCOMMAND) {
        return ExitCode::from(gpu_doctor::probe::run_child(&arguments[2..]));
    }
    ExitCode::SUCCESS
}
