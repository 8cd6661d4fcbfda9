//! Memory of the server's processes and of the GPUs through the whole load, read beside it by a thread of its own.

use super::gpus::Teller;
use super::round;
use crate::probe::nvml::sampler::monotonic_ms;
use crate::probe::process::threads::largest_resident_bytes;
use crate::snapshot::{MemorySeries, Unknown, Why};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between the first readings. It doubles each time that there are twice as many as are told.
const PERIOD: Duration = Duration::from_millis(250);
/// Readings of a series that are told, at most.
const TOLD_MAX: usize = 512;
/// Processes that are read, and series, at most.
const PROCESSES_MAX: usize = 64;
const SERIES_MAX: usize = 256;

/// Readings of one series: when, bytes, and requests that had been answered by then.
type Readings = Vec<(f64, u64, u64)>;

/// Whose memory it is.
#[derive(Debug, Clone, PartialEq)]
struct Whose {
    /// `resident`, `gpu` or `gpu_process`.
    of: &'static str,
    uuid: String,
    pid: Option<u64>,
}

/// A thread that reads until it is told to stop.
pub struct Memory {
    stop: Sender<()>,
    reader: JoinHandle<Vec<(Whose, Readings)>>,
}

impl Memory {
    /// Starts to read the resident memory of these processes, and the GPUs'. `answered` counts the answers.
    ///
    /// # Errors
    /// No process is known and no GPU is watched, too many processes, or no thread.
    pub fn start(
        pids: &Result<Vec<u64>, Unknown>,
        gpus: Option<Teller>,
        answered: impl Fn() -> u64 + Send + 'static,
    ) -> Result<Self, Unknown> {
        let pids = match pids {
            Err(unknown) if gpus.is_none() => return Err(unknown.clone()),
            Err(_) => Vec::new(),
            Ok(pids) => pids.clone(),
        };
        if pids.len() > PROCESSES_MAX {
            let detail = format!("the server has {} processes; at most {PROCESSES_MAX} are watched", pids.len());
            return Err(Unknown::new(Why::Unsupported, detail));
        }
        let (stop, stopped) = channel::<()>();
        let begin = monotonic_ms();
        let read = move || {
            let (mut period, mut all) = (PERIOD, Vec::new());
            loop {
                let (at_ms, answered) = (round(monotonic_ms() - begin), answered());
                for (whose, bytes) in now(&pids, gpus.as_ref()) {
                    note(&mut all, whose, (at_ms, bytes, answered));
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

    /// Stops, and tells each series that was read.
    ///
    /// # Errors
    /// The thread died, or nothing could be read.
    pub fn finish(self) -> Result<Vec<MemorySeries>, Unknown> {
        drop(self.stop);
        let died = |_| Unknown::new(Why::Crashed, "the thread that read the server's memory ended early");
        let all = self.reader.join().map_err(died)?;
        let series: Vec<MemorySeries> = all.into_iter().map(|(whose, readings)| told(whose, readings)).collect();
        match series.is_empty() {
            true => Err(Unknown::new(Why::Absent, "no process of the server is known")),
            false => Ok(series),
        }
    }
}

/// Memory at this moment. A process that has ended, and a GPU that does not answer, have none.
fn now(pids: &[u64], gpus: Option<&Teller>) -> Vec<(Whose, u64)> {
    let resident = |pid: &u64| {
        let whose = Whose { of: "resident", uuid: String::new(), pid: Some(*pid) };
        Some((whose, largest_resident_bytes(&[*pid]).ok()?))
    };
    let mut all: Vec<(Whose, u64)> = pids.iter().filter_map(resident).collect();
    for gpu in gpus.map(Teller::held).unwrap_or_default() {
        let whole = Whose { of: "gpu", uuid: gpu.uuid.clone(), pid: None };
        all.extend(gpu.used.map(|bytes| (whole, bytes)));
        let own = |(pid, bytes)| (Whose { of: "gpu_process", uuid: gpu.uuid.clone(), pid: Some(pid) }, bytes);
        all.extend(gpu.by_process.into_iter().map(own));
    }
    all
}

fn note(all: &mut Vec<(Whose, Readings)>, whose: Whose, reading: (f64, u64, u64)) {
    if let Some((_, readings)) = all.iter_mut().find(|(known, _)| *known == whose) {
        readings.push(reading);
    } else if all.len() < SERIES_MAX {
        all.push((whose, vec![reading]));
    }
}

fn told(whose: Whose, mut readings: Readings) -> MemorySeries {
    while readings.len() > TOLD_MAX {
        every_second(&mut readings);
    }
    let whole = || Unknown::new(Why::NotAsked, "it is the GPU as a whole");
    MemorySeries {
        of: whose.of.into(),
        uuid: whose.uuid,
        pid: whose.pid.ok_or_else(whole).into(),
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
    use crate::snapshot::Fact;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn this_process_is_read_with_what_was_answered_by_then() {
        let answered = Arc::new(AtomicU64::new(0));
        let gone = u64::from(i32::MAX.unsigned_abs());
        let pids = Ok(vec![gone, std::process::id().into()]);
        let counted = answered.clone();
        let memory = Memory::start(&pids, None, move || counted.load(Ordering::Relaxed)).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        answered.store(7, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(600));
        let series = memory.finish().unwrap();
        let [own] = series.as_slice() else { panic!("{series:?}") };
        assert_eq!((own.of.as_str(), &own.pid), ("resident", &Fact::Known(std::process::id().into())));
        assert!(own.bytes.iter().all(|bytes| *bytes > 1 << 20), "{own:?}");
        assert_eq!((own.requests.first(), own.requests.last()), (Some(&0), Some(&7)), "{own:?}");
        assert!(Memory::start(&Ok(vec![gone]), None, || 0).unwrap().finish().is_err());
        let unknown = Unknown::new(Why::NotAsked, "elsewhere");
        assert_eq!(Memory::start(&Err(unknown.clone()), None, || 0).err(), Some(unknown));
    }

    #[test]
    fn many_readings_are_thinned_and_keep_their_first() {
        let readings: Readings = (0..5000_u32).map(|n| (f64::from(n), n.into(), n.into())).collect();
        let series = told(Whose { of: "resident", uuid: String::new(), pid: Some(1) }, readings);
        assert!((300..=TOLD_MAX).contains(&series.bytes.len()), "{}", series.bytes.len());
        assert_eq!((series.at_ms[0], series.at_ms[1]), (0.0, 16.0));
    }
}
