//! What the machine tells: which servers listen, what their processes have in use, which GPUs there are.

use super::template::{Found, quoted};
use super::{about, written};
use crate::probe::process::all_listening;
use crate::probe::{Ask, Silent, collect};
use crate::snapshot::{Facts, NvmlFacts, PortInstance, ProcessFacts, Unknown};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use url::Url;

/// Ports that are looked at, at most, and the time for one.
const PORTS_MAX: usize = 200;
const EACH: Duration = Duration::from_secs(5);
/// Characters of a command line that are told.
const COMMAND_MAX: usize = 120;

/// A server of this machine that looks like one for inference.
pub struct Seen {
    url: Url,
    pid: u64,
    /// What it is, and what speaks for it.
    words: String,
}

/// The servers of this machine whose processes have a GPU's libraries or a model in use; one a process.
///
/// # Errors
/// The ports on which something listens cannot be read.
pub fn servers(ask: &Ask, deadline: Instant) -> Result<Vec<Seen>, Unknown> {
    let mut all: Vec<Seen> = Vec::new();
    for address in all_listening()?.into_iter().take(PORTS_MAX) {
        if Instant::now() >= deadline {
            break;
        }
        let Ok(url) = Url::parse(&format!("http://{address}/")) else { continue };
        let one = Ask { timeout: EACH, ..about(ask, url.clone()) };
        let facts = collect(&one, &BTreeSet::from(["process"]), &mut Silent).facts;
        let Some((pid, words)) = serves(&facts.process) else { continue };
        // Triton and others have several ports; the lowest is that of HTTP.
        if !all.iter().any(|seen| seen.pid == pid) {
            all.push(Seen { url, pid, words });
        }
    }
    Ok(all)
}

/// What speaks for a server of models: its process, and words for it.
fn serves(process: &ProcessFacts) -> Option<(u64, String)> {
    let libraries: Vec<&str> =
        process.gpu_libraries.known().map(|all| all.keys().map(String::as_str).collect()).unwrap_or_default();
    let models: Vec<&str> =
        process.model_files.known().map(|all| all.iter().map(|one| one.path.as_str()).collect()).unwrap_or_default();
    if libraries.is_empty() && models.is_empty() {
        return None;
    }
    let first = process.processes.known()?.first()?;
    let command: String =
        first.command.known().map(|command| command.chars().take(COMMAND_MAX).collect()).unwrap_or_default();
    let held = libraries.into_iter().chain(models.into_iter().take(3)).collect::<Vec<_>>().join(", ");
    Some((first.pid, format!("process {}, {command}; in use: {held}", first.pid)))
}

/// The one server that was found. Of several none is picked: all are listed.
pub fn choose(servers: Result<Vec<Seen>, Unknown>, found: &mut Found, said: &mut Vec<String>) -> Option<Url> {
    let servers = match servers {
        Ok(servers) => servers,
        Err(unknown) => {
            said.push(format!("which servers run here is not known ({}); name one with --server", unknown.detail));
            found.note("server", format!("Which servers run here was not known: {}.", unknown.detail));
            return None;
        }
    };
    match servers.as_slice() {
        [] => {
            said.push(
                "no server was found that has a model or a GPU's libraries in use; name one with --server".into(),
            );
            found.note("server", "No server was found on this machine that has a model or a GPU's libraries in use.");
            None
        }
        [one] => {
            said.push(format!("found {}: {}", written(&one.url), one.words));
            found.text("server", &written(&one.url), one.words.clone());
            Some(one.url.clone())
        }
        several => {
            said.push(format!("{} servers were found, and none was picked:", several.len()));
            found.note("server", format!("{} servers were found; write one of them here:", several.len()));
            for one in several {
                let line = format!("{} ({})", written(&one.url), one.words);
                said.push(format!("  {line}"));
                found.note("server", format!("  {line}"));
            }
            None
        }
    }
}

/// Looks at the GPUs, and at the processes of the server that was chosen.
pub fn examine(ask: &Ask, found: &mut Found, said: &mut Vec<String>) {
    let rooms = BTreeSet::from(["process", "nvml", "server_log"]);
    let facts = collect(ask, &rooms, &mut Silent).facts;
    gpus(&facts.nvml, found, said);
    if ask.server.is_some() {
        processes(&facts, found);
    }
}

fn gpus(nvml: &NvmlFacts, found: &mut Found, said: &mut Vec<String>) {
    let gpus = match nvml.gpus.known() {
        Some(gpus) if !gpus.is_empty() => gpus,
        _ => {
            let why = nvml.gpus.read().err().map_or("the driver lists none".to_owned(), |unknown| unknown.detail);
            said.push(format!("no GPU was found: {why}"));
            found.note("expect", format!("No GPU was found when this was written: {why}."));
            return;
        }
    };
    let names: BTreeSet<&String> = gpus.iter().filter_map(|gpu| gpu.name.known()).collect();
    let shown = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    said.push(format!("found {} ({shown})", crate::words::count(gpus.len(), "GPU")));
    let place = "NVML, when this was written, so that a change is noticed";
    found.value("expect.gpus", gpus.len(), place);
    if let Some(driver) = nvml.driver_version.known() {
        found.value("expect.driver", serde_json::Value::from(driver.as_str()), place);
    }
    if let ([name], true) =
        (names.iter().collect::<Vec<_>>().as_slice(), gpus.iter().all(|gpu| gpu.name.known().is_some()))
    {
        found.text("expect.gpu_name", name, place);
    }
    let memory: Option<Vec<u64>> = gpus.iter().map(|gpu| gpu.memory_total_bytes.known().copied()).collect();
    if let Some(least) = memory.and_then(|all| all.into_iter().min()).filter(|least| *least > 0) {
        // Down to a tenth, so that the same card meets it.
        let gib = (least as f64 / f64::from(1 << 30) * 10.0).floor() / 10.0;
        found.value("expect.gpu_memory_gib", gib, place);
    }
}

/// What the server's processes have in use; only what can be read from here is filled in.
fn processes(facts: &Facts, found: &mut Found) {
    let process = &facts.process;
    let there = |path: &str| path.starts_with('/') && Path::new(path).is_file();
    let instances = process.instances.known().map(Vec::as_slice).unwrap_or_default();
    if let Some(python) = instances.iter().find_map(interpreter).filter(|path| there(path)) {
        found.text("python", &python, "the interpreter of the server's process, as it was called");
    }
    match process.model_files.known().map(Vec::as_slice) {
        Some([one]) if there(&one.path) => {
            found.text("model", &one.path, format!("the server has it {} (process {})", one.held, one.pid));
        }
        Some(several) if !several.is_empty() => {
            let all: Vec<String> = several.iter().take(8).map(|one| quoted(&one.path)).collect();
            found.note("model", format!("The server has in use: {}", all.join(", ")));
        }
        _ => found.note(
            "model",
            "No file of a model is held open by the server; those that were read and closed do not show.",
        ),
    }
    if let Some(library) = process.gpu_libraries.known().and_then(|all| all.get("onnxruntime")) {
        found.note("onnxruntime", format!("The server has mapped {library}, which is found by itself."));
    }
    let logs: Vec<&String> = facts.server_log.files.known().into_iter().flatten().filter(|file| there(file)).collect();
    if !logs.is_empty() {
        let list = logs.iter().map(|file| quoted(file)).collect::<Vec<_>>().join(", ");
        found.value("logs", format!("[{list}]"), "the server's output goes there");
    }
}

/// The interpreter as it was called, whole: what it leads to is mostly that of another environment.
fn interpreter(instance: &PortInstance) -> Option<String> {
    let called = Path::new(instance.called_as.known()?);
    let name = called.file_name().filter(|name| name.to_string_lossy().starts_with("python"))?;
    // A bare name is sought in folders that are not known here.
    let folder = called.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    let folder = match folder.is_absolute() {
        true => folder.to_owned(),
        false => Path::new(instance.working_directory.known()?).join(folder).canonicalize().ok()?,
    };
    Some(folder.join(name).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Fact, Why};

    #[test]
    fn ports_that_cannot_be_read_are_not_no_servers() {
        let (mut found, mut said) = (Found::default(), Vec::new());
        let refused = Unknown::new(Why::Denied, "/proc/self/net/tcp: permission denied");
        assert_eq!(choose(Err(refused), &mut found, &mut said), None);
        assert!(said[0].starts_with("which servers run here is not known (/proc/self/net/tcp: "), "{said:?}");
        assert_eq!(choose(Ok(Vec::new()), &mut found, &mut said), None);
        assert!(said[1].starts_with("no server was found"), "{said:?}");
    }

    #[test]
    fn an_interpreter_is_named_as_it_was_called() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("venv/bin")).unwrap();
        std::fs::create_dir(root.join("app")).unwrap();
        let called = |called: &str| {
            let unknown = || Fact::unknown(Why::Absent, "x");
            interpreter(&PortInstance {
                addresses: Vec::new(),
                uid: 0,
                pids: Fact::unknown(Why::Absent, "x"),
                answers: "all".into(),
                command: unknown(),
                executable: Fact::Known("/usr/bin/python3.11".into()),
                called_as: Fact::Known(called.into()),
                working_directory: Fact::Known(root.join("app").display().to_string()),
                started_at: unknown(),
            })
        };
        assert_eq!(called("../venv/bin/python"), Some(root.join("venv/bin/python").display().to_string()));
        assert_eq!(called("/opt/venv/bin/python3"), Some("/opt/venv/bin/python3".into()));
        assert_eq!(called("python3"), None);
        assert_eq!(called("/usr/bin/tritonserver"), None);
    }
}
