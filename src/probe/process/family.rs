//! From listening sockets to the processes that own them and all their descendants.

use super::port::{Socket, best};
use crate::snapshot::{Unknown, Why};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Most processes of one server that are looked into.
const MEMBERS_MAX: usize = 512;

/// A process of the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub pid: i32,
    pub parent: i32,
    /// Start, clock ticks after boot: tells a process from a later one with the same id.
    pub start_ticks: u64,
    /// Whether it owns the listening socket.
    pub owner: bool,
}

/// One line of the process table.
#[derive(Debug, Clone)]
struct Row {
    pid: i32,
    parent: i32,
    start_ticks: u64,
    is_init: bool,
}

/// The owners of the best fitting sockets, oldest first, then their descendants.
pub fn find(sockets: &[Socket], deadline: Instant) -> Result<Vec<Member>, Unknown> {
    let links: BTreeSet<String> = best(sockets).map(|socket| format!("socket:[{}]", socket.inode)).collect();
    let mut rows = Vec::new();
    let mut owners = BTreeSet::new();
    let mut refused = 0;
    let processes =
        procfs::process::all_processes().map_err(|error| Unknown::new(Why::Denied, format!("/proc: {error}")))?;
    // Lazily: a Process holds a file descriptor, and there may be more processes than descriptors.
    for process in processes.flatten() {
        if Instant::now() >= deadline {
            return Err(Unknown::new(Why::TimedOut, "/proc: time ran out while the processes were listed"));
        }
        let Ok(stat) = process.stat() else { continue };
        let is_init = stat.pid == 1 && ["systemd", "init"].contains(&stat.comm.as_str());
        rows.push(Row { pid: stat.pid, parent: stat.ppid, start_ticks: stat.starttime, is_init });
        match owns(stat.pid, &links) {
            Ok(true) => drop(owners.insert(stat.pid)),
            Ok(false) => {}
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => refused += 1,
            Err(_) => {}
        }
    }
    let members = members(&rows, &owners);
    if !members.is_empty() {
        return Ok(members);
    }
    let uids: BTreeSet<String> = best(sockets).map(|socket| socket.listener.uid.to_string()).collect();
    let uids = uids.into_iter().collect::<Vec<_>>().join(", ");
    Err(match refused {
        0 => Unknown::new(
            Why::Absent,
            format!("a socket of uid {uids} listens, but no process in the doctor's process namespace owns it"),
        ),
        _ => Unknown::new(
            Why::Denied,
            format!(
                "a socket of uid {uids} listens; whose it is was refused for {refused} processes: run as uid {uids} or \
                 root"
            ),
        ),
    })
}

/// Whether one of the process's descriptors is one of the sockets.
fn owns(pid: i32, links: &BTreeSet<String>) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let Ok(target) = entry.and_then(|entry| entry.path().read_link()) else { continue };
        if target.to_str().is_some_and(|target| links.contains(target)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn members(rows: &[Row], owners: &BTreeSet<i32>) -> Vec<Member> {
    // With socket activation, init holds the socket too; every process descends from it.
    let others = rows.iter().any(|row| !row.is_init && owners.contains(&row.pid));
    let mut children: BTreeMap<i32, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        children.entry(row.parent).or_default().push(row);
    }
    let mut found: Vec<&Row> = rows.iter().filter(|row| owners.contains(&row.pid)).collect();
    found.retain(|row| !(row.is_init && others));
    found.sort_by_key(|row| (row.start_ticks, row.pid));
    let mut seen: BTreeSet<i32> = found.iter().map(|row| row.pid).collect();
    // The doctor may have been started by the server's own shell; it is not a part of the server.
    seen.insert(std::process::id() as i32);
    let mut next = 0;
    while let Some(row) = found.get(next).copied() {
        next += 1;
        if row.is_init {
            continue;
        }
        for child in children.get(&row.pid).into_iter().flatten() {
            if found.len() < MEMBERS_MAX && seen.insert(child.pid) {
                found.push(child);
            }
        }
    }
    let member = |row: &Row| Member {
        pid: row.pid,
        parent: row.parent,
        start_ticks: row.start_ticks,
        owner: owners.contains(&row.pid),
    };
    found.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: i32, parent: i32, comm: &str) -> Row {
        Row { pid, parent, start_ticks: pid as u64, is_init: pid == 1 && comm == "systemd" }
    }

    fn pids(rows: &[Row], owners: &[i32]) -> Vec<i32> {
        members(rows, &owners.iter().copied().collect()).iter().map(|member| member.pid).collect()
    }

    #[test]
    fn workers_and_their_children_belong_to_the_server() {
        let rows = [row(1, 0, "systemd"), row(50, 1, "sh"), row(10, 1, "uvicorn"), row(12, 10, "w"), row(11, 12, "e")];
        assert_eq!(pids(&rows, &[10, 12]), [10, 12, 11]);
        let roles: Vec<bool> = members(&rows, &BTreeSet::from([10, 12])).iter().map(|m| m.owner).collect();
        assert_eq!(roles, [true, true, false]);
    }

    #[test]
    fn socket_activation_does_not_make_the_whole_machine_the_server() {
        let rows = [row(1, 0, "systemd"), row(10, 1, "server"), row(11, 1, "cron")];
        assert_eq!(pids(&rows, &[1, 10]), [10]);
        assert_eq!(pids(&rows, &[1]), [1]);
        let container = [row(1, 0, "python"), row(10, 1, "worker")];
        assert_eq!(pids(&container, &[1, 10]), [1, 10], "the first process of a container may be the server");
    }

    #[test]
    fn a_loop_in_a_torn_table_ends() {
        let rows = [row(10, 11, "a"), row(11, 10, "b")];
        assert_eq!(pids(&rows, &[10]), [10, 11]);
    }
}
