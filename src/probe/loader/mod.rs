//! Loads the model with the deployment's own code and interpreter, in a process of its own, when the user asks for it:
//! which parameters lie on which device, and, with `--forward`, where one inference runs.

mod reported;
#[cfg(test)]
mod tests;

use super::free_memory::free_memory;
use super::{Context, Probe, Ran, python};
use crate::snapshot::{Facts, LoadedFacts, Outcome, Room, Stage, Unknown, Why};
use crate::words::bytes;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Calls the loader that the user named.
pub const PROBE: Probe = Probe {
    id: "loader",
    stage: Stage::Model,
    rooms: &["loaded"],
    needs: &["process"],
    this_machine: true,
    // `--loader-timeout` ends it before.
    budget: Duration::from_secs(3601),
    run,
};

/// The program that the interpreter runs.
const PROGRAM: &str =
    concat!(include_str!("report.py"), include_str!("census.py"), include_str!("forward.py"), include_str!("load.py"));
/// Memory below which no second model is loaded beside a server: the machine needs some to go on, bytes.
const LEAST_MEMORY_BYTES: u64 = 512 << 20;
/// Time kept for what comes after the child's end.
const MARGIN: Duration = Duration::from_millis(500);

fn run(context: &Context, facts: &mut Facts) -> Ran {
    match loaded(context, facts) {
        Ok((loaded, ran)) => {
            facts.loaded = loaded;
            ran
        }
        Err(unknown) => {
            facts.loaded = LoadedFacts::all_unknown(&unknown);
            Ran::from(&unknown)
        }
    }
}

fn loaded(context: &Context, facts: &Facts) -> Result<(LoadedFacts, Ran), Unknown> {
    let ask = &context.ask;
    let (Some(python), Some(loader)) = (&ask.python, &ask.loader) else {
        return Err(Unknown::new(Why::NotAsked, "no loader was named (--loader MODULE:CALLABLE)"));
    };
    if ask.root != Path::new("/") {
        let detail = format!("--root {}: programs of another file tree are not run", ask.root.display());
        return Err(Unknown::new(Why::Unsupported, detail));
    }
    enough_memory()?;
    let python = python::interpreter(python);
    let argument = serde_json::json!({
        "loader": loader,
        "forward": ask.forward,
        "folder": server_folder(facts),
        "parent": std::process::id(),
    });
    let end = Instant::now() + ask.loader_timeout;
    let deadline = end.min(context.deadline.checked_sub(MARGIN).unwrap_or(context.deadline));
    let report = python::run(&python, PROGRAM, &argument.to_string(), facts, deadline);
    if report.parts.is_empty()
        && let Some(refused) = python::no_interpreter(&python, &report)
    {
        return Err(refused);
    }
    if let Some(unknown) =
        report.result().ok().and_then(|told| reported::not_found("--loader", loader, &told["failed"]))
    {
        return Err(unknown);
    }
    let told = reported::facts(loader, ask.forward.as_deref(), &report);
    let error = told.error.known().filter(|error| !error.is_empty());
    let ran = match (error, report.result()) {
        // An exception is an answer; a crash or a hang is none.
        (_, Err(unknown)) => Ran::from(&unknown),
        (Some(error), Ok(_)) => {
            let place = told.failed_in.known().map_or("", String::as_str);
            Ran { outcome: Outcome::Failed, detail: format!("{place}: {error}") }
        }
        (None, Ok(_)) => Ran::ok(),
    };
    Ok((told, ran))
}

/// The working directory of the server, if it is the same folder for the doctor: a container's may only be called so.
fn server_folder(facts: &Facts) -> Option<String> {
    let process = facts.process.processes.known()?.first()?;
    let folder = process.working_directory.known()?;
    let place = |path: &str| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    let (own, servers) = (place(folder)?, place(&format!("/proc/{}/cwd", process.pid))?);
    (own == servers).then(|| folder.clone())
}

/// Whether there is memory to spare. How much the model needs is not known before it is loaded; the kernel is told to end
/// this child first if it is too much.
fn enough_memory() -> Result<(), Unknown> {
    match free_memory() {
        Some((free, place)) if free < LEAST_MEMORY_BYTES => {
            let (free, least) = (bytes(free as f64), bytes(LEAST_MEMORY_BYTES as f64));
            let detail = format!("{place} leaves {free} of memory, less than {least}: no second model is loaded");
            Err(Unknown::new(Why::Unsupported, detail))
        }
        _ => Ok(()),
    }
}
