//! The server's CPU time in step with the requests, read beside them by a thread of its own.

use super::counters;
use super::round;
use crate::probe::nvml::sampler::monotonic_ms;
use crate::snapshot::{CpuReading, Unknown, Why};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two readings. The kernel counts CPU time in ticks of 10 ms.
const PERIOD: Duration = Duration::from_millis(50);
/// Readings taken, at most: two minutes.
const TAKEN_MAX: usize = 2400;
/// Readings told, at most.
const TOLD_MAX: usize = 256;
/// Processes whose time is read so often, at most.
const PROCESSES_MAX: usize = 64;

/// CPU time at a moment: milliseconds of the sampler's clock, and milliseconds of CPU time so far.
type Reading = (f64, f64);

/// A thread that reads until it is told to stop.
pub struct Pulse {
    stop: Sender<()>,
    reader: JoinHandle<Result<Vec<Reading>, Unknown>>,
}

impl Pulse {
    /// Starts to read the CPU time of these processes.
    pub fn start(pids: &[u64]) -> Result<Self, Unknown> {
        if pids.len() > PROCESSES_MAX {
            let detail = format!("the server has {} processes; at most {PROCESSES_MAX} are watched", pids.len());
            return Err(Unknown::new(Why::Unsupported, detail));
        }
        let (stop, stopped) = channel::<()>();
        let pids = pids.to_vec();
        let read = move || {
            let mut readings = vec![(monotonic_ms(), cpu_ms(&pids)?)];
            while readings.len() < TAKEN_MAX && stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let Ok(cpu_ms) = cpu_ms(&pids) else { break };
                readings.push((monotonic_ms(), cpu_ms));
            }
            Ok(readings)
        };
        let reader = std::thread::Builder::new().name("cpu-time".into()).spawn(read);
        let reader = reader.map_err(|error| Unknown::from_io(&error, "a thread that reads CPU time"))?;
        Ok(Self { stop, reader })
    }

    /// Stops, and tells how many cores were busy between `opened` and `closed`.
    pub fn finish(self, opened: f64, closed: f64) -> Result<Vec<CpuReading>, Unknown> {
        drop(self.stop);
        let died = |_| Unknown::new(Why::Crashed, "the thread that read the server's CPU time ended early");
        let readings = self.reader.join().map_err(died)??;
        let trace = trace(&readings, opened, closed);
        match trace.is_empty() {
            true => Err(Unknown::new(Why::Absent, "the window was too short for two readings of CPU time")),
            false => Ok(trace),
        }
    }
}

/// CPU time of those of the processes that are still there. One that ends takes its time with it, so that the interval in
/// which it does counts too little.
fn cpu_ms(pids: &[u64]) -> Result<f64, Unknown> {
    let each = pids.iter().map(|pid| counters::cpu_ms(*pid));
    let (there, gone): (Vec<_>, Vec<_>) = each.partition(Result::is_ok);
    match (there.is_empty(), gone.into_iter().find_map(Result::err)) {
        (true, unknown) => {
            Err(unknown.unwrap_or_else(|| Unknown::new(Why::Absent, "no process of the server is known")))
        }
        (false, _) => Ok(there.into_iter().flatten().sum()),
    }
}

/// Cores busy from each reading to the next one that is told.
fn trace(readings: &[Reading], opened: f64, closed: f64) -> Vec<CpuReading> {
    let inside: Vec<&Reading> = readings.iter().filter(|(at, _)| (opened..=closed).contains(at)).collect();
    let step = inside.len().div_ceil(TOLD_MAX).max(1);
    let told: Vec<&&Reading> = inside.iter().step_by(step).collect();
    let cores = |from: &Reading, to: &Reading| (to.1 - from.1).max(0.0) / (to.0 - from.0).max(1.0);
    let reading = |pair: &[&&Reading]| match pair {
        [from, to] => Some(CpuReading { at_ms: round(to.0 - opened), cores: round(cores(from, to)) }),
        _ => None,
    };
    told.windows(2).filter_map(reading).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_cpu_time_by_time() {
        let readings: Vec<Reading> = (0..40).map(|n| (f64::from(n) * 50.0, f64::from(n.min(20)) * 50.0)).collect();
        let trace = trace(&readings, 500.0, 1500.0);
        assert_eq!(trace.len(), 20);
        assert_eq!((trace[0].at_ms, trace[0].cores), (50.0, 1.0));
        assert_eq!((trace[9].cores, trace[10].cores), (1.0, 0.0));
        assert_eq!(super::trace(&readings, 500.0, 510.0), [], "one reading is none");
        let long: Vec<Reading> = (0..2400).map(|n| (f64::from(n) * 50.0, f64::from(n) * 25.0)).collect();
        let told = super::trace(&long, 0.0, 1e6);
        assert!(told.len() <= TOLD_MAX && told.iter().all(|one| one.cores == 0.5), "{}", told.len());
    }

    #[test]
    fn this_process_is_watched_and_one_that_is_gone_is_not() {
        let opened = monotonic_ms();
        let pulse = Pulse::start(&[i32::MAX.unsigned_abs().into(), std::process::id().into()]).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        let trace = pulse.finish(opened, monotonic_ms()).unwrap();
        assert!((1..=9).contains(&trace.len()), "{trace:?}");
        assert!(Pulse::start(&[i32::MAX.unsigned_abs().into()]).unwrap().finish(0.0, 1e12).is_err());
        assert_eq!(Pulse::start(&[1; 65]).err().unwrap().why, Why::Unsupported);
    }
}
