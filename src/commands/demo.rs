//! `demo`: a server with a fault, then a real run against it.

use super::{Failure, output, progress, waivers};
use crate::check::Checks;
use crate::cli::{self, Demo, ReportFormat, Selection};
use crate::demo;
use crate::probe::{Ask, collect};
use std::io::IsTerminal;

/// Starts the built-in server, examines it as `run` would and prints the report.
pub fn run(mut options: Demo) -> Result<u8, Failure> {
    output::verify_files(&options.output)?;
    waivers::take(&mut options.output, Vec::new(), &Selection::default())?;
    let server = demo::start().map_err(Failure::Bug)?;
    let url = server.url();
    let watched = options.output.format.unwrap_or_default() == ReportFormat::Text && std::io::stderr().is_terminal();
    if watched {
        eprintln!("A speech server runs at {url}. Its client sends:");
        eprintln!("  {}", server.client_request());
        eprintln!("What follows is a real run against it.\n");
    }
    let ask = Ask {
        server: Some(cli::server_url(&url).map_err(|error| Failure::Bug(anyhow::anyhow!(error)))?),
        client_request: Some(("the demo's client".into(), server.client_request())),
        command: vec!["demo".into()],
        ..Ask::default()
    };
    let checks = Checks::load(None).map_err(|error| Failure::Bug(error.into()))?;
    let rooms = output::rooms(&Selection::default(), &checks);
    let snapshot = collect(&ask, &rooms, progress::observer().as_mut());
    let code = output::tell(&snapshot, &checks, &options.output)?;
    if watched {
        eprintln!("\nThe demo's server ends with it; the commands above are what you would run against your own.");
    }
    Ok(code)
}
