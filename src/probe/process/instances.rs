//! The families of processes that listen on one port: more than one is a sign that requests may reach the wrong one.

use super::family::Family;
use super::port::{Socket, best};
use super::{evidence, libraries, unknown};
use crate::snapshot::{Fact, PortInstance, Unknown, Why};
use procfs::process::Process;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Most families that are told.
const INSTANCES_MAX: usize = 16;

/// What tells one program from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Program {
    executable: Option<PathBuf>,
    folder: Option<PathBuf>,
    called_as: Option<String>,
}

/// Groups the sockets by the family of processes that owns them, oldest first; those without a visible owner come last.
pub fn of(sockets: &[Socket], family: &Family) -> Vec<PortInstance> {
    let mut groups: BTreeMap<(i32, Program), BTreeSet<i32>> = BTreeMap::new();
    let all: BTreeSet<i32> = family.owners.values().flatten().copied().collect();
    for owner in &all {
        let head = eldest(*owner, &all, family);
        let parent = family.table.get(&head).map_or(0, |(parent, _)| *parent);
        // Children of one parent that run one program are its workers; a shell's two different servers are not.
        groups.entry((parent, program(head))).or_default().insert(*owner);
    }
    let mut groups: Vec<BTreeSet<i32>> = groups.into_values().collect();
    let start = |pid: &i32| family.table.get(pid).map_or(u64::MAX, |(_, start)| *start);
    groups.sort_by_key(|group| group.iter().map(start).min());
    let mut instances: Vec<PortInstance> = groups
        .into_iter()
        .map(|group| {
            let mut pids: Vec<i32> = group.into_iter().collect();
            pids.sort_by_key(|pid| (start(pid), *pid));
            let owns = |socket: &&Socket| {
                family.owners.get(&socket.inode).is_some_and(|owners| pids.iter().any(|pid| owners.contains(pid)))
            };
            describe(&pids, &sockets.iter().filter(owns).collect::<Vec<_>>(), sockets, family)
        })
        .collect();
    let mut hidden: BTreeMap<u64, Vec<&Socket>> = BTreeMap::new();
    for socket in sockets.iter().filter(|socket| !family.owners.contains_key(&socket.inode)) {
        hidden.entry(socket.listener.uid).or_default().push(socket);
    }
    instances.extend(hidden.into_values().map(|own| describe(&[], &own, sockets, family)));
    instances.truncate(INSTANCES_MAX);
    instances
}

/// The highest ancestor that owns a socket of the port too.
fn eldest(pid: i32, owners: &BTreeSet<i32>, family: &Family) -> i32 {
    let (mut eldest, mut current) = (pid, pid);
    // With socket activation, init holds the socket of every server.
    let is_ancestor = |pid: &i32| *pid > 1;
    for _ in 0..family.table.len() {
        match family.table.get(&current).map(|(parent, _)| *parent).filter(is_ancestor) {
            Some(parent) => current = parent,
            None => break,
        }
        if owners.contains(&current) {
            eldest = current;
        }
    }
    eldest
}

fn program(pid: i32) -> Program {
    let process = Process::new(pid).ok();
    let process = process.as_ref();
    Program {
        executable: process.and_then(|process| process.exe().ok()),
        folder: process.and_then(|process| process.cwd().ok()),
        called_as: process.and_then(|process| process.cmdline().ok()).and_then(|all| all.into_iter().next()),
    }
}

/// An instance of these processes, oldest first, that owns these sockets.
fn describe(pids: &[i32], own: &[&Socket], sockets: &[Socket], family: &Family) -> PortInstance {
    let first = pids.first().copied();
    let uid = own.first().map_or(0, |socket| socket.listener.uid);
    let hidden = || {
        let detail = format!("whose this socket of uid {uid} is was refused: run as uid {uid} or root");
        Unknown::new(Why::Denied, detail)
    };
    let process = match first {
        Some(pid) => Process::new(pid).map_err(|error| unknown(&error, pid, "")).map(|process| (pid, process)),
        None => Err(hidden()),
    };
    let arguments = process.as_ref().map_err(Unknown::clone).and_then(|(pid, process)| {
        process.cmdline().map_err(|error| unknown(&error, *pid, "cmdline")).map(|arguments| (*pid, arguments))
    });
    let path = |read: fn(&Process) -> procfs::ProcResult<PathBuf>, what: &str| {
        let (pid, process) = process.as_ref().map_err(Unknown::clone)?;
        let path = read(process).map_err(|error| unknown(&error, *pid, what))?;
        Ok(libraries::without_mark(&path.display().to_string()).to_owned())
    };
    let started = first.and_then(|pid| family.table.get(&pid)).map(|(_, start)| *start).ok_or_else(hidden);
    PortInstance {
        addresses: own.iter().map(|socket| socket.listener.address.clone()).collect(),
        uid,
        pids: match pids {
            [] => Fact::Unknown(hidden()),
            pids => Fact::Known(pids.iter().map(|pid| pid.unsigned_abs().into()).collect()),
        },
        answers: answers(own, sockets, pids, family).into(),
        command: arguments.clone().and_then(|(pid, all)| evidence::told(&all, pid)).into(),
        executable: path(Process::exe, "exe").into(),
        called_as: arguments
            .and_then(|(pid, all)| {
                let empty = || Unknown::new(Why::Absent, format!("/proc/{pid}/cmdline is empty"));
                all.into_iter().next().ok_or_else(empty)
            })
            .into(),
        working_directory: path(Process::cwd, "cwd").into(),
        started_at: started.and_then(evidence::started).and_then(evidence::timestamp).into(),
    }
}

/// Which of the URL's connections these sockets get: the kernel gives them to those that fit best, in turns.
fn answers(own: &[&Socket], sockets: &[Socket], pids: &[i32], family: &Family) -> &'static str {
    let is_own = |socket: &Socket| own.iter().any(|one| one.inode == socket.inode);
    let only_own = |socket: &Socket| {
        is_own(socket)
            && family
                .owners
                .get(&socket.inode)
                .is_none_or(|owners| owners.iter().all(|pid| pids.contains(pid) || *pid == 1))
    };
    match (best(sockets).any(is_own), best(sockets).all(only_own)) {
        (false, _) => "none",
        (true, true) => "all",
        (true, false) => "some",
    }
}
