//! Memory of the server's processes through the whole load, read beside it by a thread of its own.

use super::round;
use crate::probe::nvml::sampler::monotonic_ms;
use crate::probe::process::threads::largest_resident_bytes;
use crate::snapshot::{Fact, MemorySeries, Unknown, Why};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between the first readings. It doubles each time that there are twice as many as are told.
const PERIOD: Duration = Duration::from_millis(500);
/// Readings of a process that are told, at most.
const TOLD_MAX: usize = 512;
/// Processes that are read, at most.
const PROCESSES_MAX: usize = 64;

/// Readings of one process: when, bytes, and requests that had been answered by then.
type Readings = Vec<(f64, u64, u64)>;

/// A thread that reads until it is told to stop.
pub struct Memory {
    stop: Sender<()>,
    reader: JoinHandle<Vec<(u64, Readings)>>,
}

impl Memory {
    /// Starts to read the resident memory of these processes. `answered` counts the answers.
    ///
    /// # Errors
    /// Too many processes, or no thread.
    pub fn start(pids: &[u64], answered: Arc<AtomicU64>) -> Result<Self, Unknown> {
        if pids.len() > PROCESSES_MAX {
            let detail = format!("the server has {} processes; at most {PROCESSES_MAX} are watched", pids.len());
            return Err(Unknown::new(Why::Unsupported, detail));
        }
        let (stop, stopped) = channel::<()>();
        let mut all: Vec<(u64, Readings)> = pids.iter().map(|pid| (*pid, Vec::new())).collect();
        let begin = monotonic_ms();
        let read = move || {
            let mut period = PERIOD;
            loop {
                let (at_ms, answered) = (round(monotonic_ms() - begin), answered.load(Ordering::Relaxed));
                for (pid, readings) in &mut all {
                    // A process that has ended has no more.
                    readings.extend(largest_resident_bytes(&[*pid]).ok().map(|bytes| (at_ms, bytes, answered)));
                }
                if all.iter().any(|(_, readings)| readings.len() >= 2 * TOLD_MAX) {
                    all.iter_mut().for_each(|(_, readings)| every_second(readings));
                    period *= 2;
                }
                if stopped.recv_timeout(period) != Err(RecvTimeoutError::Timeout) {
                    return all;
                }
            }
        };
        let reader = std::thread::Builder::new().name("memory".into()).spawn(read);
        let reader = reader.map_err(|error| Unknown::from_io(&error, "a thread that reads memory"))?;
        Ok(Self { stop, reader })
    }

    /// Stops, and tells each process that was there.
    ///
    /// # Errors
    /// The thread died, or there was no process.
    pub fn finish(self) -> Result<Vec<MemorySeries>, Unknown> {
        drop(self.stop);
        let died = |_| Unknown::new(Why::Crashed, "the thread that read the server's memory ended early");
        let all = self.reader.join().map_err(died)?;
        let series: Vec<MemorySeries> = all
            .into_iter()
            .filter(|(_, readings)| !readings.is_empty())
            .map(|(pid, readings)| told(pid, readings))
            .collect();
        match series.is_empty() {
            true => Err(Unknown::new(Why::Absent, "no process of the server is known")),
            false => Ok(series),
        }
    }
}

fn told(pid: u64, mut readings: Readings) -> MemorySeries {
    while readings.len() > TOLD_MAX {
        every_second(&mut readings);
    }
    MemorySeries {
        of: "resident".into(),
        uuid: String::new(),
        pid: Fact::Known(pid),
        at_ms: readings.iter().map(|(at_ms, ..)| *at_ms).collect(),
        bytes: readings.iter().map(|(_, bytes, _)| *bytes).collect(),
        requests: readings.iter().map(|(.., requests)| *requests).collect(),
    }
}

/// Leaves out every second reading, but never the first.
fn every_second(readings: &mut Readings) {
    let mut turn = 0;
    readings.retain(|_| {
        turn += 1;
        turn % 2 == 1
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read_with_what_was_answered_by_then() {
        let answered = Arc::new(AtomicU64::new(0));
        let gone = u64::from(i32::MAX.unsigned_abs());
        let memory = Memory::start(&[gone, std::process::id().into()], answered.clone()).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        answered.store(7, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(600));
        let series = memory.finish().unwrap();
        let [own] = series.as_slice() else { panic!("{series:?}") };
        assert_eq!((own.of.as_str(), &own.pid), ("resident", &Fact::Known(std::process::id().into())));
        assert!(own.bytes.iter().all(|bytes| *bytes > 1 << 20), "{own:?}");
        assert_eq!((own.requests.first(), own.requests.last()), (Some(&0), Some(&7)), "{own:?}");
        assert!(Memory::start(&[gone], Arc::default()).unwrap().finish().is_err());
    }

    #[test]
    fn many_readings_are_thinned_and_keep_their_first() {
        let readings: Readings = (0..5000_u32).map(|n| (f64::from(n), n.into(), n.into())).collect();
        let series = told(1, readings);
        assert!((300..=TOLD_MAX).contains(&series.bytes.len()), "{}", series.bytes.len());
        assert_eq!((series.at_ms[0], series.at_ms[1]), (0.0, 16.0));
    }
}
