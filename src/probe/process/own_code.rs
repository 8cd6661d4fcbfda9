//! The files that make up the server, for those who look at their times and those who read them.

use super::evidence::{self, Evidence};
use super::family::Member;
use super::sources::{self, Sources};
use crate::probe::tree::Tree;
use crate::snapshot::{ServerProcess, Unknown, Why};
use procfs::process::Process;
use std::path::PathBuf;
use std::time::Instant;

/// The files of one server, in its own view of the file system.
pub struct OwnCode {
    /// Its file system.
    pub tree: Tree,
    /// Its files.
    pub sources: Sources,
    /// Home folder of its user, if there is one.
    pub home: Option<PathBuf>,
    /// Its arguments, unmasked; they never leave the probes.
    pub arguments: Vec<String>,
}

/// The files of the servers among these processes that are Python programs.
///
/// # Errors
/// Why a process cannot be read, or that none of them is a Python program.
pub fn of(processes: &[ServerProcess], deadline: Instant) -> Result<Vec<OwnCode>, Unknown> {
    let all: Vec<Evidence> = processes.iter().filter_map(member).filter_map(|member| evidence::of(&member)).collect();
    let servers: Vec<_> = servers(&all).collect();
    if servers.is_empty() {
        return Err(Unknown::new(Why::Absent, "the server's processes ended before their code was read"));
    }
    let mut found = Vec::new();
    for server in servers.into_iter().filter(|one| one.is_python) {
        let tree = tree(server);
        found.push(OwnCode {
            sources: files(server, &tree, deadline)?,
            home: home(&tree, server),
            arguments: server.arguments.clone(),
            tree,
        });
    }
    match found.is_empty() {
        true => Err(Unknown::new(Why::NotAsked, "the server is no Python program")),
        false => Ok(found),
    }
}

/// The process as it is now, if it is still the one that was found.
fn member(process: &ServerProcess) -> Option<Member> {
    let pid = i32::try_from(process.pid).ok()?;
    let stat = Process::new(pid).and_then(|process| process.stat()).ok()?;
    let started = evidence::started(stat.starttime).and_then(evidence::timestamp).ok();
    let same = process.started_at.known().is_none_or(|told| started.as_ref() == Some(told));
    let owner = process.role == "listener";
    same.then_some(Member { pid, parent: stat.ppid, start_ticks: stat.starttime, owner })
}

/// The processes that listen and were not started by one that does.
pub fn servers(all: &[Evidence]) -> impl Iterator<Item = &Evidence> {
    all.iter().filter(|one| one.member.owner && !has_owning_parent(one, all))
}

/// The file system as a server sees it.
pub fn tree(server: &Evidence) -> Tree {
    Tree::new(format!("/proc/{}/root", server.member.pid))
}

/// The files of a server.
pub fn files(server: &Evidence, tree: &Tree, deadline: Instant) -> Result<Sources, Unknown> {
    let folder = server.working_directory.clone()?;
    let home = home(tree, server);
    let start = sources::Start {
        arguments: &server.arguments,
        working_directory: &folder,
        home: home.as_deref(),
        is_python: server.is_python,
    };
    Ok(sources::find(tree, &start, deadline))
}

fn has_owning_parent(one: &Evidence, all: &[Evidence]) -> bool {
    all.iter().any(|other| other.member.owner && other.member.pid != one.member.pid && descends(one, other, all))
}

/// Whether `one` is `ancestor` or descends from it.
pub fn descends(one: &Evidence, ancestor: &Evidence, all: &[Evidence]) -> bool {
    let mut pid = one.member.pid;
    for _ in 0..all.len() {
        if pid == ancestor.member.pid {
            return true;
        }
        match all.iter().find(|other| other.member.pid == pid) {
            Some(found) => pid = found.member.parent,
            None => return false,
        }
    }
    false
}

/// Home folder of the process's user, from the passwd file that the process sees.
fn home(tree: &Tree, server: &Evidence) -> Option<PathBuf> {
    let uid = server.process.uid.known()?.to_string();
    let text = tree.read("etc/passwd", 1024 * 1024).ok()?;
    let fields =
        text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.get(2) == Some(&&*uid))?;
    fields.get(5).map(PathBuf::from)
}
