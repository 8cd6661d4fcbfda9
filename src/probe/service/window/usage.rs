//! What the server's processes use while requests run: counters read before the first, after each and after the last.

use super::counters;
use super::{none_sent, round};
use crate::probe::container::{self, Throttling};
use crate::probe::process::{later, threads};
use crate::snapshot::{ExecutionFacts, Room, Unknown, Why};

/// The counters as they stood before the first request, and what single requests read.
pub struct Usage<'a> {
    pids: Result<&'a [u64], Unknown>,
    throttling: Result<Throttling, Unknown>,
    cpu_times: Result<counters::CpuTimes, Unknown>,
    threads: Result<threads::Threads, Unknown>,
    /// Bytes read up to the last request.
    read_bytes: Result<u64, Unknown>,
    /// The least that one request read.
    read_least: Option<u64>,
}

impl<'a> Usage<'a> {
    /// Reads the counters of the server's processes; an error is the reason why there is none to be read.
    pub fn begin(pids: Result<&'a [u64], Unknown>) -> Self {
        Self {
            throttling: pids.clone().and_then(throttling),
            cpu_times: pids.clone().and_then(counters::cpu_times),
            threads: pids.clone().and_then(threads::cpu_time),
            read_bytes: pids.clone().and_then(counters::read_bytes),
            read_least: None,
            pids,
        }
    }

    /// Takes down what the request that just ended has read.
    pub fn after_request(&mut self) {
        let Ok(before) = self.read_bytes else { return };
        self.read_bytes = self.pids.clone().and_then(counters::read_bytes);
        if let Ok(now) = self.read_bytes {
            let read = now.saturating_sub(before);
            self.read_least = Some(self.read_least.map_or(read, |least| least.min(read)));
        }
    }

    /// Reads the counters again, and what the processes have loaded by now; other facts of the room stay unknown.
    pub fn end(self, window_ms: f64, any_sent: bool) -> ExecutionFacts {
        let throttled = self.pids.clone().and_then(throttling).and_then(|after| Ok((self.throttling?, after)));
        let risen = |count: &dyn Fn(&Throttling) -> u64| {
            throttled.as_ref().map(|(before, after)| count(after).saturating_sub(count(before))).map_err(Unknown::clone)
        };
        let cpu_after = self.pids.clone().and_then(counters::cpu_times);
        let threads_after = self.pids.clone().and_then(threads::cpu_time);
        let server_cpu_ms =
            self.cpu_times.and_then(|before| counters::cpu_between_ms(&before, &cpu_after?, window_ms).map(round));
        let cores_busy = |cpu: f64| if any_sent { Ok(round(cpu / window_ms.max(1.0))) } else { Err(none_sent()) };
        let busiest = |before: threads::Threads| counters::busiest(&before, &threads_after?, window_ms);
        ExecutionFacts {
            cpu_periods: risen(&|throttling| throttling.periods).into(),
            cpu_throttled_periods: risen(&|throttling| throttling.throttled_periods).into(),
            cores_busy: server_cpu_ms.clone().and_then(cores_busy).into(),
            server_cpu_ms: server_cpu_ms.into(),
            busiest_threads: self.threads.and_then(busiest).into(),
            read_bytes_least: self.read_bytes.and_then(|_| self.read_least.ok_or_else(none_sent)).into(),
            gpu_libraries_after: self.pids.clone().and_then(later::gpu_libraries).into(),
            model_files_after: self.pids.clone().and_then(later::model_files).into(),
            resident_bytes_after: self.pids.clone().and_then(threads::largest_resident_bytes).into(),
            device_nodes_open_after: self.pids.and_then(later::device_nodes).into(),
            ..ExecutionFacts::all_unknown(&Unknown::new(Why::Absent, "not measured"))
        }
    }
}

/// How often the server has met its CPU limit. Its processes share a control group; the first stands for all.
fn throttling(pids: &[u64]) -> Result<Throttling, Unknown> {
    let first = pids.first().ok_or_else(|| Unknown::new(Why::Absent, "no process of the server is known"))?;
    container::throttling(*first)
}
