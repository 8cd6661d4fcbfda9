//! The threads of the server's processes: how many there are, and the CPU time of each.

use crate::snapshot::{Unknown, Why};
use procfs::ProcError;
use procfs::process::Process;
use std::collections::BTreeMap;

/// Threads whose CPU time is read, at most.
const THREADS_MAX: usize = 4096;

/// CPU time so far of every thread, clock ticks, by process and thread id, with its name.
pub type Threads = BTreeMap<(u64, u64), (u64, String)>;

/// CPU time so far of every thread of the processes (utime + stime, proc_pid_stat(5)). A process that has ended since it
/// was found has no threads, unless all of them have ended.
pub fn cpu_time(pids: &[u64]) -> Result<Threads, Unknown> {
    let mut threads = Threads::new();
    let mut gone = None;
    for pid in pids {
        let tasks = process(*pid).and_then(|process| process.tasks().map_err(|error| refusal(&error, *pid, "task")));
        let tasks = match tasks {
            Err(unknown) if unknown.why == Why::Absent => {
                gone = Some(unknown);
                continue;
            }
            other => other?,
        };
        // A thread may end while it is read.
        for stat in tasks.flatten().filter_map(|task| task.stat().ok()) {
            if threads.len() < THREADS_MAX {
                let ticks = stat.utime.saturating_add(stat.stime);
                threads.insert((*pid, stat.pid.unsigned_abs().into()), (ticks, stat.comm));
            }
        }
    }
    match gone {
        Some(unknown) if threads.is_empty() => Err(unknown),
        _ => Ok(threads),
    }
}

/// Resident memory of the largest of the processes, bytes (rss, proc_pid_stat(5)). Not their sum: what workers share would
/// count several times.
pub fn largest_resident_bytes(pids: &[u64]) -> Result<u64, Unknown> {
    let mut largest = Err(Unknown::new(Why::Absent, "the server has no process"));
    for pid in pids {
        match process(*pid).and_then(|process| process.stat().map_err(|error| refusal(&error, *pid, "stat"))) {
            Ok(stat) => {
                let bytes = stat.rss.saturating_mul(procfs::page_size());
                largest = Ok(largest.map_or(bytes, |other: u64| other.max(bytes)));
            }
            Err(unknown) if unknown.why == Why::Absent => {}
            Err(unknown) => return Err(unknown),
        }
    }
    largest
}

/// Number of threads of all the processes together (num_threads, proc_pid_stat(5)). A process that has ended since it was
/// found counts no more, unless all of them have.
pub fn number(pids: &[u64]) -> Result<u64, Unknown> {
    let mut threads = 0_u64;
    let mut last = Unknown::new(Why::Absent, "the server has no process");
    for pid in pids {
        let stat = process(*pid).and_then(|process| process.stat().map_err(|error| refusal(&error, *pid, "stat")));
        match stat {
            Ok(stat) => threads = threads.saturating_add(stat.num_threads.unsigned_abs()),
            Err(unknown) if unknown.why == Why::Absent => last = unknown,
            Err(unknown) => return Err(unknown),
        }
    }
    if threads > 0 { Ok(threads) } else { Err(last) }
}

/// The process of that id.
pub fn process(pid: u64) -> Result<Process, Unknown> {
    let id = i32::try_from(pid).map_err(|_| Unknown::new(Why::Malformed, format!("{pid}: no such process id")))?;
    Process::new(id).map_err(|error| refusal(&error, pid, ""))
}

/// Why `what` of the process could not be read.
pub fn refusal(error: &ProcError, pid: u64, what: &str) -> Unknown {
    let place = format!("/proc/{pid}/{what}");
    match error {
        ProcError::PermissionDenied(_) => {
            Unknown::new(Why::Denied, format!("{place}: permission denied; run as the server's user or root"))
        }
        error => Unknown::new(Why::Absent, format!("{place}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_that_of_the_threads_that_are_told() {
        // A process of its own: in this one, other tests start and end threads.
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = u64::from(child.id());
        let told = (number(&[pid]), cpu_time(&[pid, i32::MAX.unsigned_abs().into()]));
        // No process has the highest id of all.
        let with_an_ended_one = number(&[pid, i32::MAX.unsigned_abs().into()]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(told.0, Ok(1));
        assert_eq!(told.1.unwrap().into_keys().collect::<Vec<_>>(), [(pid, pid)]);
        assert_eq!(with_an_ended_one, Ok(1));
        assert_eq!(number(&[pid]).unwrap_err().why, Why::Absent, "it has ended");
        assert_eq!(number(&[]).unwrap_err().why, Why::Absent);
        assert_eq!(number(&[u64::MAX]).unwrap_err().why, Why::Malformed);
        assert!(largest_resident_bytes(&[std::process::id().into(), pid]).unwrap() > 1 << 20);
        assert_eq!(largest_resident_bytes(&[pid]).unwrap_err().why, Why::Absent);
        std::thread::scope(|scope| {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || stopped.recv());
            assert!(number(&[std::process::id().into()]).unwrap() >= 2);
            drop(stop);
        });
    }
}
