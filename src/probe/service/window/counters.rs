//! What the server's processes used in the window: CPU time by thread, and bytes read.

use crate::probe::process::threads::{Threads, process, refusal};
use crate::snapshot::{BusyThread, Unknown, Why};
use std::collections::BTreeMap;

/// A window shorter than this is not judged by thread, milliseconds: CPU time is counted in ticks of 10 ms.
const SHORTEST_MS: f64 = 500.0;
/// Threads told.
const TOLD: usize = 5;
/// Processes whose reading is counted, at most.
const READERS_MAX: usize = 64;
/// The two readings are not of one moment, and ticks are of 10 ms.
const SLACK_MS: f64 = 200.0;

/// CPU time of one process so far, clock ticks (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuTime {
    /// Of its own threads, also those that have ended.
    own: u64,
    /// Of children that have ended and that it has waited for, and of theirs.
    children: u64,
    /// Its parent.
    parent: u64,
}

/// CPU time of the processes, by id.
pub type CpuTimes = BTreeMap<u64, CpuTime>;

/// Reads the CPU time of those of the processes that are there.
pub fn cpu_times(pids: &[u64]) -> Result<CpuTimes, Unknown> {
    let mut times = CpuTimes::new();
    let mut gone = Unknown::new(Why::Absent, "no process of the server is known");
    for pid in pids {
        match process(*pid).and_then(|process| process.stat().map_err(|error| refusal(&error, *pid, "stat"))) {
            Ok(stat) => {
                let own = stat.utime.saturating_add(stat.stime);
                let children = stat.cutime.saturating_add(stat.cstime).max(0).unsigned_abs();
                times.insert(*pid, CpuTime { own, children, parent: stat.ppid.unsigned_abs().into() });
            }
            Err(unknown) if unknown.why == Why::Absent => gone = unknown,
            Err(unknown) => return Err(unknown),
        }
    }
    if times.is_empty() { Err(gone) } else { Ok(times) }
}

/// CPU time that the processes used between two readings, milliseconds, that of programs included which they started and
/// waited for meanwhile: a server that calls ffmpeg for each request works too.
///
/// # Errors
/// More time than this machine's cores have: a child that had run before was waited for, or a counter is wrong.
pub fn cpu_between_ms(before: &CpuTimes, after: &CpuTimes, passed_ms: f64) -> Result<f64, Unknown> {
    let mut ticks = 0_u64;
    // What each process's waited-for children add, less what those of them that are known had used before.
    let mut waited: BTreeMap<u64, u64> = BTreeMap::new();
    for (pid, now) in after {
        let Some(then) = before.get(pid) else { continue };
        ticks = ticks.saturating_add(now.own.saturating_sub(then.own));
        waited.insert(*pid, now.children.saturating_sub(then.children));
    }
    for (_, then) in before.iter().filter(|(pid, _)| !after.contains_key(pid)) {
        let earlier = then.own.saturating_add(then.children);
        // A parent that ignores its children's end does not get their time.
        if let Some(added) = waited.get_mut(&then.parent).filter(|added| **added >= earlier) {
            *added -= earlier;
        }
    }
    ticks = waited.values().fold(ticks, |sum, added| sum.saturating_add(*added));
    let used_ms = ticks as f64 * 1e3 / procfs::ticks_per_second() as f64;
    // SAFETY: asks for a number.
    let cores = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }.max(1) as f64;
    if used_ms > cores * (passed_ms + SLACK_MS) {
        let detail = format!("{used_ms:.0} ms of CPU time in {passed_ms:.0} ms are more than {cores} cores have");
        return Err(Unknown::new(Why::Malformed, detail));
    }
    Ok(used_ms)
}

/// CPU time of a process so far, milliseconds (utime + stime, proc_pid_stat(5)); that of threads that have ended is in it,
/// that of other processes is not.
pub fn cpu_ms(pid: u64) -> Result<f64, Unknown> {
    let stat = process(pid)?.stat().map_err(|error| refusal(&error, pid, "stat"))?;
    Ok(stat.utime.saturating_add(stat.stime) as f64 * 1e3 / procfs::ticks_per_second() as f64)
}

/// The threads that used most CPU time between two readings.
pub fn busiest(before: &Threads, after: &Threads, window_ms: f64) -> Result<Vec<BusyThread>, Unknown> {
    if window_ms < SHORTEST_MS {
        let detail = format!("the window lasted {window_ms:.0} ms, too short to tell threads apart by CPU time");
        return Err(Unknown::new(Why::NotAsked, detail));
    }
    let percent_a_tick = 100.0 * 1e3 / procfs::ticks_per_second() as f64 / window_ms;
    let mut busy: Vec<BusyThread> = after
        .iter()
        .filter_map(|((pid, tid), (ticks, name))| {
            let (ticks_before, _) = before.get(&(*pid, *tid))?;
            let cpu_percent = ticks.saturating_sub(*ticks_before) as f64 * percent_a_tick;
            let cpu_percent = (cpu_percent * 10.0).round() / 10.0;
            Some(BusyThread { pid: *pid, tid: *tid, name: name.clone(), cpu_percent })
        })
        .collect();
    busy.sort_by(|a, b| b.cpu_percent.total_cmp(&a.cpu_percent).then(a.tid.cmp(&b.tid)));
    busy.truncate(TOLD);
    Ok(busy)
}

/// Bytes that the processes have read so far by `read` and the like. One that has ended is an error: without it the sum
/// would fall, as if nothing had been read.
pub fn read_bytes(pids: &[u64]) -> Result<u64, Unknown> {
    if pids.len() > READERS_MAX {
        let detail =
            format!("the server has {} processes; the reading of at most {READERS_MAX} is counted", pids.len());
        return Err(Unknown::new(Why::Unsupported, detail));
    }
    let mut bytes = 0_u64;
    for pid in pids {
        let io = process(*pid)?.io().map_err(|error| refusal(&error, *pid, "io"))?;
        bytes = bytes.saturating_add(io.rchar);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::process::threads::cpu_time;
    use std::time::{Duration, Instant};

    #[test]
    fn the_busiest_thread_is_named() {
        let own = [u64::from(std::process::id())];
        let (started, stopped) = std::sync::mpsc::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel::<()>();
        let spin = move || {
            ready.send(()).unwrap();
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {}
        };
        let worker = std::thread::Builder::new().name("spinner".into()).spawn(spin).unwrap();
        is_ready.recv().unwrap();
        let before = cpu_time(&own).unwrap();
        let begun = Instant::now();
        std::thread::sleep(Duration::from_millis(600));
        let window_ms = begun.elapsed().as_secs_f64() * 1e3;
        let after = cpu_time(&own).unwrap();
        drop(started);
        worker.join().unwrap();
        let busiest = busiest(&before, &after, window_ms).unwrap();
        // Other tests run beside this one.
        let spinner = busiest.iter().find(|thread| thread.name == "spinner").unwrap_or_else(|| panic!("{busiest:?}"));
        assert!((5.0..130.0).contains(&spinner.cpu_percent), "{spinner:?}");
        assert!(busiest.len() <= TOLD && busiest.windows(2).all(|pair| pair[0].cpu_percent >= pair[1].cpu_percent));
    }

    #[test]
    fn only_threads_of_the_whole_window_are_compared_and_short_windows_are_not_judged() {
        let threads = |pairs: &[(u64, u64)]| -> Threads {
            pairs.iter().map(|(tid, ticks)| ((7, *tid), (*ticks, format!("t{tid}")))).collect()
        };
        let (before, after) = (threads(&[(7, 100), (8, 50)]), threads(&[(7, 190), (9, 900)]));
        let busiest = |window_ms| super::busiest(&before, &after, window_ms);
        let ticks = procfs::ticks_per_second() as f64;
        let expected = BusyThread { pid: 7, tid: 7, name: "t7".into(), cpu_percent: 90.0 * 100.0 / ticks };
        assert_eq!(busiest(1000.0).unwrap(), [expected]);
        assert_eq!(busiest(80.0).unwrap_err().why, Why::NotAsked);
    }

    #[test]
    fn what_this_process_reads_is_counted() {
        let own = [u64::from(std::process::id())];
        let before = read_bytes(&own).unwrap();
        std::fs::read("/proc/self/exe").unwrap();
        assert!(read_bytes(&own).unwrap() - before > 1 << 20);
        assert_eq!(read_bytes(&[u64::from(u32::MAX)]).unwrap_err().why, Why::Malformed);
        assert_eq!(cpu_times(&[]).unwrap_err().why, Why::Absent);
    }

    #[test]
    fn a_program_that_was_started_and_waited_for_counts() {
        let own = [u64::from(std::process::id()), i32::MAX.unsigned_abs().into()];
        let (before, begun) = (cpu_times(&own).unwrap(), Instant::now());
        let burn = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", burn]).status().unwrap().success());
        let after = cpu_times(&own).unwrap();
        let used = cpu_between_ms(&before, &after, begun.elapsed().as_secs_f64() * 1e3).unwrap();
        assert!(used >= 50.0, "{used} ms");
    }

    #[test]
    fn what_an_ended_worker_had_used_before_is_not_the_windows() {
        let time = |own, children, parent| CpuTime { own, children, parent };
        let ms = |ticks: u64| ticks as f64 * 1e3 / procfs::ticks_per_second() as f64;
        let before = CpuTimes::from([(1, time(10, 0, 0)), (2, time(900, 5, 1)), (3, time(40, 0, 1))]);
        // 2 used 20 more, ended and was waited for; 3 ended and its time went nowhere.
        let after = CpuTimes::from([(1, time(15, 925, 0))]);
        assert_eq!(cpu_between_ms(&before, &after, 5000.0), Ok(ms(5 + 20)));
        let unwaited = CpuTimes::from([(1, time(15, 0, 0))]);
        assert_eq!(cpu_between_ms(&before, &unwaited, 5000.0), Ok(ms(5)));
        let absurd = CpuTimes::from([(1, time(9_000_000, 0, 0))]);
        assert_eq!(cpu_between_ms(&before, &absurd, 1000.0).unwrap_err().why, Why::Malformed);
    }
}
