//! `init`: looks at this machine and a server, and writes a commented config file.

mod machine;
mod server;
mod template;

use super::{Failure, output, target};
use crate::cli::{Init, Selection, TargetOptions};
use crate::exit;
use crate::probe::{Ask, without_credentials};
use anyhow::anyhow;
use std::path::Path;
use std::time::Instant;
use template::{Found, render};
use url::Url;

/// Looks, and writes the file.
pub fn run(options: Init) -> Result<u8, Failure> {
    let printed = options.file == Path::new("-");
    if !printed {
        verify(&options)?;
    }
    let begun = Instant::now();
    let connection = options.connection;
    let mut found = Found::default();
    server::connected(&connection, &mut found)?;
    let asked = TargetOptions {
        server: options.server,
        timeout: Some(options.timeout),
        connection,
        ..TargetOptions::default()
    };
    let mut ask = target::resolve(asked, &mut Selection::default(), None)?;
    let named = ask.server.is_some();
    let mut said = Vec::new();
    if !named {
        let servers = machine::servers(&ask, begun + options.timeout / 2);
        ask.server = machine::choose(servers, &mut found, &mut said);
    }
    ask.timeout = options.timeout.saturating_sub(begun.elapsed());
    if let Some(url) = ask.server.clone() {
        server::named(&url, named, &mut found);
        server::describe(&ask, &mut found, &mut said);
    }
    machine::examine(&ask, &mut found, &mut said);
    let head = [format!(
        "Written by {} init. Read it with: gpu-doctor run --config {}",
        crate::TOOL,
        if printed { "FILE".into() } else { options.file.display().to_string() }
    )];
    let text = render(&found, &head);
    if printed {
        output::to_stdout(|out| out.write_all(text.as_bytes()))?;
    } else {
        output::replace(&options.file, 0o600, |out| out.write_all(text.as_bytes()))
            .map_err(|error| Failure::Usage(anyhow!("{}: {error}", options.file.display())))?;
        said.push(next(&options.file, &found));
    }
    said.iter().for_each(|line| super::note::say(line));
    Ok(exit::HEALTHY)
}

/// Refuses what is there, unless it may be written over.
fn verify(options: &Init) -> Result<(), Failure> {
    output::verify_file("init", &options.file)?;
    if !options.force && options.file.symlink_metadata().is_ok() {
        return Err(Failure::Usage(anyhow!(
            "{}: this file is there already; --force writes over it, -o names another",
            options.file.display()
        )));
    }
    Ok(())
}

fn next(file: &Path, found: &Found) -> String {
    let file = file.display();
    match found.values.contains_key("server") {
        true => format!("{file} is written; now: gpu-doctor run --config {file}"),
        false => format!("{file} is written; name a server in it, then: gpu-doctor run --config {file}"),
    }
}

/// A server's URL as it may stand in a file.
fn written(url: &Url) -> String {
    without_credentials(url).to_string()
}

/// The question about one server of this machine.
fn about(ask: &Ask, url: Url) -> Ask {
    Ask { server: Some(url), ..ask.clone() }
}
