//! What the server's processes used in the window: CPU time by thread, and bytes read.

use crate::probe::process::threads::{Threads, process, refusal};
use crate::snapshot::{BusyThread, Unknown, Why};

/// A window shorter than this is not judged by thread, milliseconds: CPU time is counted in ticks of 10 ms.
const SHORTEST_MS: f64 = 500.0;
/// Threads told.
const TOLD: usize = 5;
/// Processes whose reading is counted, at most.
const READERS_MAX: usize = 64;

/// CPU time of the processes so far, milliseconds (utime + stime, proc_pid_stat(5)); those of threads that have ended
/// are in it.
pub fn cpu_ms(pids: &[u64]) -> Result<f64, Unknown> {
    if pids.is_empty() {
        return Err(Unknown::new(Why::Absent, "no process of the server is known"));
    }
    let mut ticks = 0;
    for pid in pids {
        let stat = process(*pid)?.stat().map_err(|error| refusal(&error, *pid, "stat"))?;
        ticks += stat.utime + stat.stime;
    }
    Ok(ticks as f64 * 1e3 / procfs::ticks_per_second() as f64)
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

/// Bytes that the processes have read so far by `read` and the like. Those that ended count no more.
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
        assert_eq!(cpu_ms(&[]).unwrap_err().why, Why::Absent);
    }
}
