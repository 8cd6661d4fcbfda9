//! From listening sockets to the processes that own them and all their descendants.

use super::port::{Socket, best};
use crate::snapshot::{Unknown, Why};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
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

/// The processes around the server's port.
#[derive(Debug, Default)]
pub struct Family {
    /// Owners of the best fitting sockets, oldest first, then their descendants.
    pub members: Vec<Member>,
    /// Owners of each socket on the port, by its inode. A socket whose owner may not be seen is missing.
    pub owners: BTreeMap<u64, BTreeSet<i32>>,
    /// Parent and start of every process, by id.
    pub table: BTreeMap<i32, (i32, u64)>,
}

/// Finds the owners of the sockets and the family of those that fit best.
pub fn find(sockets: &[Socket], deadline: Instant) -> Result<Family, Unknown> {
    let inodes: BTreeSet<u64> = sockets.iter().map(|socket| socket.inode).collect();
    let mut rows = Vec::new();
    let mut owners: BTreeMap<u64, BTreeSet<i32>> = BTreeMap::new();
    let mut refused = 0;
    let entries = std::fs::read_dir("/proc").map_err(|error| Unknown::new(Why::Denied, format!("/proc: {error}")))?;
    for entry in entries.flatten() {
        if Instant::now() >= deadline {
            return Err(Unknown::new(Why::TimedOut, "/proc: time ran out while the processes were listed"));
        }
        let Some(row) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(row) else { continue };
        match owned(row.pid, &inodes) {
            Ok(own) => {
                for inode in own {
                    owners.entry(inode).or_default().insert(row.pid);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => refused += 1,
            Err(_) => {}
        }
        rows.push(row);
    }
    let of_best = best(sockets).filter_map(|socket| owners.get(&socket.inode)).flatten().copied().collect();
    let members = members(&rows, &of_best);
    if !members.is_empty() {
        let table = rows.iter().map(|row| (row.pid, (row.parent, row.start_ticks))).collect();
        return Ok(Family { members, owners, table });
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

/// A process's line of the table; `None` if it has ended. Only the fields that are needed are parsed: this is done for
/// every process of the machine.
fn row(pid: i32) -> Option<Row> {
    parse_row(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Takes a line of proc_pid_stat(5) apart: the name in parentheses may hold anything, so its end is sought from the back.
fn parse_row(line: &[u8]) -> Option<Row> {
    let line = String::from_utf8_lossy(line);
    let (pid, rest) = line.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let pid = pid.parse().ok()?;
    let mut fields = rest.split(' ');
    let parent = fields.nth(1)?.parse().ok()?;
    let start_ticks = fields.nth(17)?.trim_end().parse().ok()?;
    Some(Row { pid, parent, start_ticks, is_init: pid == 1 && ["systemd", "init"].contains(&name) })
}

/// Which of the sockets the process's descriptors are.
///
/// The links are read relative to their folder: on a machine of 600 processes their paths took half of the time.
fn owned(pid: i32, inodes: &BTreeSet<u64>) -> std::io::Result<Vec<u64>> {
    let path = format!("/proc/{pid}/fd");
    let folder = std::fs::File::open(&path)?;
    let mut own = Vec::new();
    for entry in std::fs::read_dir(&path)?.flatten() {
        own.extend(socket(&folder, &entry.file_name()).filter(|inode| inodes.contains(inode)));
    }
    Ok(own)
}

/// The inode of the socket that a link of the folder stands for; `None` for anything else.
fn socket(folder: &std::fs::File, name: &std::ffi::OsStr) -> Option<u64> {
    let name = CString::new(name.as_bytes()).ok()?;
    // Longer than the longest name of a socket; what does not fit is none.
    let mut target = [0_u8; 40];
    // SAFETY: the descriptor is open, the name ends with a zero byte, and the buffer is as long as is said.
    let length =
        unsafe { libc::readlinkat(folder.as_raw_fd(), name.as_ptr(), target.as_mut_ptr().cast(), target.len()) };
    let target = target.get(..usize::try_from(length).ok()?)?;
    std::str::from_utf8(target).ok()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
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

    fn line(pid: i32, parent: i32, comm: &str) -> Row {
        Row { pid, parent, start_ticks: pid as u64, is_init: pid == 1 && comm == "systemd" }
    }

    fn pids(rows: &[Row], owners: &[i32]) -> Vec<i32> {
        members(rows, &owners.iter().copied().collect()).iter().map(|member| member.pid).collect()
    }

    #[test]
    fn workers_and_their_children_belong_to_the_server() {
        let rows =
            [line(1, 0, "systemd"), line(50, 1, "sh"), line(10, 1, "uvicorn"), line(12, 10, "w"), line(11, 12, "e")];
        assert_eq!(pids(&rows, &[10, 12]), [10, 12, 11]);
        let roles: Vec<bool> = members(&rows, &BTreeSet::from([10, 12])).iter().map(|m| m.owner).collect();
        assert_eq!(roles, [true, true, false]);
    }

    #[test]
    fn socket_activation_does_not_make_the_whole_machine_the_server() {
        let rows = [line(1, 0, "systemd"), line(10, 1, "server"), line(11, 1, "cron")];
        assert_eq!(pids(&rows, &[1, 10]), [10]);
        assert_eq!(pids(&rows, &[1]), [1]);
        let container = [line(1, 0, "python"), line(10, 1, "worker")];
        assert_eq!(pids(&container, &[1, 10]), [1, 10], "the first process of a container may be the server");
    }

    #[test]
    fn a_line_of_the_table_is_read_whatever_the_name() {
        let text = |name: &str| format!("7 ({name}) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 991 1 2\n");
        for name in ["python", "a) S 9 (b", "", "x\ny"] {
            let row = parse_row(text(name).as_bytes()).unwrap();
            assert_eq!((row.pid, row.parent, row.start_ticks, row.is_init), (7, 1, 991, false), "{name:?}");
        }
        assert!(parse_row(b"1 (systemd) S 0 1 1 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 31 1").unwrap().is_init);
        let own = row(std::process::id() as i32).unwrap();
        let stat = procfs::process::Process::myself().unwrap().stat().unwrap();
        assert_eq!((own.parent, own.start_ticks), (stat.ppid, stat.starttime));
    }

    #[test]
    fn of_the_descriptors_only_sockets_count() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _file = std::fs::File::open("/proc/self/stat").unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode: u64 = link.to_str().unwrap().trim_start_matches("socket:[").trim_end_matches(']').parse().unwrap();
        let pid = std::process::id() as i32;
        assert_eq!(owned(pid, &BTreeSet::from([inode, 1])).unwrap(), vec![inode]);
        assert!(owned(pid, &BTreeSet::new()).unwrap().is_empty());
        assert_eq!(owned(i32::MAX, &BTreeSet::new()).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_a_row_or_none(line in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = parse_row(&line);
        }
    }

    #[test]
    fn a_loop_in_a_torn_table_ends() {
        let rows = [line(10, 11, "a"), line(11, 10, "b")];
        assert_eq!(pids(&rows, &[10]), [10, 11]);
    }
}
