//! What `/proc` tells of each process of the server.

use super::family::Member;
use super::{command, libraries, maps, unknown, weights};
use crate::probe::environment::{DECIDING, TELLING, names_device};
use crate::snapshot::{DeletedFile, Fact, ModelFile, ServerProcess, Unknown, Why};
use procfs::process::{Process, Stat, Status};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A process of the server, with what the other facts are drawn from.
pub struct Evidence {
    pub process: ServerProcess,
    pub member: Member,
    /// The program's name as the kernel keeps it, at most 15 characters; readable to every user.
    pub name: String,
    /// The arguments, unmasked; empty if they could not be read. Never leaves the probe.
    pub arguments: Vec<String>,
    pub working_directory: Result<PathBuf, Unknown>,
    pub executable: Result<PathBuf, Unknown>,
    /// Since when the process runs what it runs, seconds after 1970: its start, or the change of the newest program file
    /// that it has mapped. A process keeps its start when it becomes another program (exec), as start scripts have it.
    pub running_since: Result<f64, Unknown>,
    /// Whether the process maps a Python library or is a Python interpreter.
    pub is_python: bool,
    libraries: Result<BTreeMap<String, String>, Unknown>,
    deleted: Result<Vec<DeletedFile>, Unknown>,
    models: Result<Vec<ModelFile>, Unknown>,
    nodes: Result<BTreeSet<String>, Unknown>,
    environment: Result<BTreeMap<String, String>, Unknown>,
}

/// Reads one process; `None` if it has ended, or if its id now belongs to another one.
pub fn of(member: &Member) -> Option<Evidence> {
    let pid = member.pid;
    let process = Process::new(pid).ok()?;
    let stat = process.stat().ok().filter(|stat| stat.starttime == member.start_ticks)?;
    if ['Z', 'X'].contains(&stat.state) {
        return None;
    }
    let arguments = process.cmdline().map_err(|error| unknown(&error, pid, "cmdline"));
    let arguments = arguments.map(|all| all.into_iter().take(4096).collect::<Vec<_>>());
    let parent = Process::new(member.parent).and_then(|parent| parent.cmdline()).unwrap_or_default();
    let working_directory = process.cwd().map_err(|error| unknown(&error, pid, "cwd"));
    let executable = process.exe().map_err(|error| unknown(&error, pid, "exe"));
    let started = started(stat.starttime);
    let mapped = maps::mapped(&process);
    let maps_python = mapped.as_ref().is_ok_and(|mapped| mapped.python);
    let newest_program = mapped.as_ref().ok().and_then(|mapped| mapped.newest_program);
    let running_since = started.clone().map(|started| newest_program.map_or(started, |newest| newest.max(started)));
    let runs_python = executable.as_ref().ok().and_then(|path| path.file_name()).is_some_and(|name| {
        let name = name.to_string_lossy();
        name.starts_with("python") || name.starts_with("pypy")
    });
    let shown = |path: &PathBuf| libraries::without_mark(&path.display().to_string()).to_owned();
    let status = process.status().map_err(|error| unknown(&error, pid, "status"));
    let io = process.io().map_err(|error| unknown(&error, pid, "io"));
    let record = ServerProcess {
        pid: pid.unsigned_abs().into(),
        role: if member.owner { "listener" } else { "descendant" }.into(),
        command: arguments.clone().and_then(|all| told(&all, pid)).into(),
        executable: executable.as_ref().map(shown).map_err(Unknown::clone).into(),
        working_directory: working_directory.as_ref().map(shown).map_err(Unknown::clone).into(),
        uid: uid(&process, &status).into(),
        started_at: started.clone().and_then(timestamp).into(),
        resident_bytes: Fact::Known(stat.rss.saturating_mul(procfs::page_size())),
        reloads: arguments.as_ref().map(|own| reloads(own) || reloads(&parent)).map_err(Unknown::clone).into(),
        threads: Fact::Known(stat.num_threads.unsigned_abs()),
        cpu_ms: Fact::Known(cpu_ms(&stat)),
        read_chars_bytes: io.as_ref().map(|io| io.rchar).map_err(Unknown::clone).into(),
        read_disk_bytes: io.as_ref().map(|io| io.read_bytes).map_err(Unknown::clone).into(),
        groups: status
            .as_ref()
            .map(|s| s.groups.iter().map(|id| u64::from(*id)).collect())
            .map_err(Unknown::clone)
            .into(),
        namespace_pids: status.and_then(|status| namespace_pids(status.nspid, pid)).into(),
    };
    Some(Evidence {
        process: record,
        member: member.clone(),
        name: stat.comm,
        arguments: arguments.unwrap_or_default(),
        working_directory,
        executable,
        running_since,
        is_python: runs_python || maps_python,
        deleted: mapped.as_ref().map(|mapped| mapped.deleted.clone()).map_err(Unknown::clone),
        models: mapped.as_ref().map_err(Unknown::clone).and_then(|mapped| maps::models(&process, mapped)),
        libraries: mapped.map(|mapped| mapped.libraries),
        nodes: maps::nodes(&process),
        environment: deciding(&process),
    })
}

/// Libraries of GPU runtimes over all processes. One process that refuses leaves the whole unknown.
pub fn gpu_libraries(all: &[Evidence]) -> Result<BTreeMap<String, String>, Unknown> {
    let mut union = BTreeMap::new();
    for one in readable(all, |one| &one.libraries) {
        for (kind, path) in one? {
            union.entry(kind.clone()).or_insert_with(|| path.clone());
        }
    }
    Ok(union)
}

/// Files of models' weights that any of the processes has mapped or open.
pub fn model_files(all: &[Evidence]) -> Result<Vec<ModelFile>, Unknown> {
    let each: Vec<&Vec<ModelFile>> = readable(all, |one| &one.models).collect::<Result<_, _>>()?;
    Ok(weights::union(each.into_iter().map(Vec::as_slice)))
}

/// Device nodes that any of the processes holds open.
pub fn device_nodes(all: &[Evidence]) -> Result<Vec<String>, Unknown> {
    let mut union = BTreeSet::new();
    for one in readable(all, |one| &one.nodes) {
        union.extend(one?.iter().cloned());
    }
    Ok(union.into_iter().collect())
}

/// The environment of the first process.
pub fn environment(all: &[Evidence]) -> Result<BTreeMap<String, String>, Unknown> {
    match readable(all, |one| &one.environment).next() {
        Some(environment) => environment.cloned(),
        None => Err(Unknown::new(Why::Absent, "the server's processes ended while they were read")),
    }
}

/// One part of every process, without those that ended meanwhile. If all ended, that is what is said.
fn readable<'a, T: 'a>(
    all: &'a [Evidence],
    part: impl Fn(&'a Evidence) -> &'a Result<T, Unknown>,
) -> impl Iterator<Item = Result<&'a T, Unknown>> {
    let ended = |one: &Result<T, Unknown>| matches!(one, Err(unknown) if unknown.why == Why::Absent);
    let all: Vec<_> = all.iter().map(part).collect();
    let none_left = all.iter().all(|one| ended(one));
    all.into_iter().filter(move |one| none_left || !ended(one)).map(|one| one.as_ref().map_err(Unknown::clone))
}

/// Files over all processes that are mapped though removed, each once.
pub fn deleted(all: &[Evidence]) -> Result<Vec<DeletedFile>, Unknown> {
    let mut union: Vec<DeletedFile> = Vec::new();
    for one in readable(all, |one| &one.deleted) {
        for file in one? {
            if !union.iter().any(|known| known.path == file.path) {
                union.push(file.clone());
            }
        }
    }
    Ok(union)
}

pub fn told(arguments: &[String], pid: i32) -> Result<String, Unknown> {
    match arguments.iter().all(String::is_empty) {
        true => Err(Unknown::new(Why::Absent, format!("/proc/{pid}/cmdline is empty"))),
        false => Ok(command::masked(arguments)),
    }
}

/// The owner of /proc/PID is root for a process that may not be dumped, so its status comes first.
fn uid(process: &Process, status: &Result<Status, Unknown>) -> Result<u64, Unknown> {
    let owner = || process.uid().map_err(|error| unknown(&error, process.pid, "status"));
    status.as_ref().map(|status| status.euid).or_else(|_| owner()).map(u64::from)
}

/// Boot time plus start time. The kernel gives the former in whole seconds, rounded down.
pub fn started(start_ticks: u64) -> Result<f64, Unknown> {
    let boot =
        procfs::boot_time_secs().map_err(|error| Unknown::new(Why::Unsupported, format!("/proc/stat: {error}")))?;
    Ok(boot as f64 + start_ticks as f64 / procfs::ticks_per_second() as f64)
}

/// CPU time of a process or a thread, user and system, milliseconds.
fn cpu_ms(stat: &Stat) -> f64 {
    stat.utime.saturating_add(stat.stime) as f64 * 1e3 / procfs::ticks_per_second() as f64
}

fn namespace_pids(told: Option<Vec<i32>>, pid: i32) -> Result<Vec<u64>, Unknown> {
    let told = told.ok_or_else(|| Unknown::new(Why::Unsupported, format!("/proc/{pid}/status has no line NSpid")))?;
    Ok(told.into_iter().map(|pid| pid.unsigned_abs().into()).collect())
}

pub fn timestamp(seconds: f64) -> Result<String, Unknown> {
    let stamp = jiff::Timestamp::from_millisecond((seconds * 1e3) as i64);
    stamp
        .map(|stamp| format!("{stamp:.3}"))
        .map_err(|error| Unknown::new(Why::Malformed, format!("start time: {error}")))
}

/// Whether a program of these arguments watches its sources and starts anew when they change.
fn reloads(arguments: &[String]) -> bool {
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let runs = |name: &str| arguments.iter().take(3).any(|word| word.rsplit('/').next() == Some(name));
    has("--reload")
        || has("--autoreload")
        || (has("runserver") && !has("--noreload"))
        || (runs("fastapi") && has("dev") && !has("--no-reload"))
        || ["watchfiles", "watchmedo", "nodemon", "hupper"].into_iter().any(runs)
}

/// The deciding variables of the environment that the process was started with.
fn deciding(process: &Process) -> Result<BTreeMap<String, String>, Unknown> {
    let all = process.environ().map_err(|error| unknown(&error, process.pid, "environ"))?;
    let all = all
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    let fits =
        |name: &str, value: &str| DECIDING.contains(&name) || TELLING.contains(&name) || names_device(name, value);
    Ok(all.filter(|(name, value)| fits(name, value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reloaders_are_recognized() {
        let of = |line: &str| reloads(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(of("/v/bin/python /v/bin/uvicorn app:app --reload"));
        assert!(of("/v/bin/python /v/bin/fastapi dev main.py"));
        assert!(of("python manage.py runserver 0.0.0.0:8000"));
        assert!(!of("python manage.py runserver --noreload"));
        assert!(!of("/v/bin/python /v/bin/uvicorn app:app --workers 2"));
        assert!(!of("/v/bin/python /v/bin/fastapi run main.py"));
    }

    #[test]
    fn this_process_is_read() {
        let stat = Process::myself().unwrap().stat().unwrap();
        let member = Member { pid: stat.pid, parent: stat.ppid, start_ticks: stat.starttime, owner: true };
        let evidence = of(&member).unwrap();
        assert_eq!(evidence.process.role, "listener");
        assert!(evidence.process.command.known().unwrap().contains("gpu_doctor"));
        assert!(evidence.process.resident_bytes.known().is_some_and(|bytes| *bytes > 1 << 20));
        let now = jiff::Timestamp::now().as_millisecond() as f64 / 1e3;
        let age = now - evidence.running_since.unwrap();
        assert!((-1.0..3600.0).contains(&age), "{age}");
        let later = Member { start_ticks: stat.starttime + 1, ..member };
        assert!(of(&later).is_none(), "another process with the same id is not this one");
    }
}
