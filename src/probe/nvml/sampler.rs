//! NVML's counters while requests run: a child samples them, this side starts and stops it.

use super::counter;
use super::recording::Recording;
use crate::probe::isolation::{self, Child, End, Report, place::Place};
use crate::snapshot::Unknown;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Samples a second where nobody asks for another rate: more often than the driver's own counters change.
pub const USUAL_RATE_HZ: u32 = 20;
/// Most samples a second.
pub const HIGHEST_RATE_HZ: u32 = 100;
/// How long the first sample may take.
const START_BUDGET: Duration = Duration::from_secs(2);
/// How long the child may take to stop.
const STOP_BUDGET: Duration = Duration::from_millis(500);

/// A child that samples every GPU until it is told to stop, at most for two minutes.
pub struct Sampler {
    child: Child,
    place: Option<Place>,
    server_pids: Vec<u64>,
    period_ms: f64,
}

/// Starts sampling so many times a second; `server_pids` are the processes to tell apart. Returns after the first sample.
///
/// The child lives no longer than the calling thread, which the kernel takes for its parent.
///
/// # Errors
/// Why there is no sample within two seconds: no library, no driver, a fault in the library.
pub fn start(server_pids: &[u64], rate_hz: u32) -> Result<Sampler, Unknown> {
    begin(server_pids, rate_hz, None)
}

/// The same for as long as `life`, an hour at most. What is read is to be taken with [`Sampler::news`], often enough that
/// 16 MB never gather.
///
/// # Errors
/// Those of [`start`].
pub fn stream(server_pids: &[u64], rate_hz: u32, life: Duration) -> Result<Sampler, Unknown> {
    begin(server_pids, rate_hz, Some(life))
}

fn begin(server_pids: &[u64], rate_hz: u32, stream: Option<Duration>) -> Result<Sampler, Unknown> {
    let deadline = Instant::now() + START_BUDGET;
    let period_ms = 1e3 / f64::from(rate_hz.clamp(1, HIGHEST_RATE_HZ));
    let place = Place::new();
    let argument = json!({
        "server_pids": server_pids,
        "period_ms": period_ms,
        "place": place.as_ref().map(Place::number),
        "stream_s": stream.map(|life| life.as_secs()),
    });
    let child = match isolation::start("nvml-samples", &argument, &[]) {
        Ok(child) => child,
        Err(report) => return Err(report.unreported()),
    };
    if let Some(place) = &place {
        place.close_to_others();
    }
    let mut sampler = Sampler { child, place, server_pids: server_pids.to_vec(), period_ms };
    while !sampler.child.parts_so_far().iter().any(is_sample) {
        if Instant::now() >= deadline || sampler.child.has_ended() {
            return Err(sampler.report(Instant::now()).unreported());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(sampler)
}

impl Sampler {
    /// What was read so far.
    pub fn so_far(&self) -> Recording {
        Recording::read(&self.child.parts_so_far(), self.period_ms, self.server_pids.clone())
    }

    /// What was read since the last call, of a [`stream`]; who a GPU is and why a counter is refused stands in the part in
    /// which it was said alone.
    pub fn news(&self) -> Recording {
        Recording::read(&self.child.take_parts(), self.period_ms, self.server_pids.clone())
    }

    /// Whether the child is gone, so that nothing more will come.
    pub fn has_ended(&mut self) -> bool {
        self.child.has_ended()
    }

    /// Ends a [`stream`]: what ended it, if it did not end because it was told to.
    pub fn end(self) -> Option<Unknown> {
        match self.report(Instant::now() + STOP_BUDGET).result() {
            Err(fault) => Some(fault),
            Ok(result) => serde_json::from_value(result["unreported"].clone()).ok(),
        }
    }

    /// Stops sampling and returns all that was read. What was read before a fault is kept, and the fault is told.
    ///
    /// # Errors
    /// Why there is not a single sample.
    pub fn finish(self) -> Result<Recording, Unknown> {
        let (period_ms, server_pids) = (self.period_ms, self.server_pids.clone());
        let report = self.report(Instant::now() + STOP_BUDGET);
        let mut recording = Recording::read(&report.parts, period_ms, server_pids);
        if recording.times.is_empty() {
            return Err(report.unreported());
        }
        recording.ended_by = match report.result() {
            Err(fault) => Some(fault),
            Ok(result) => serde_json::from_value(result["unreported"].clone()).ok(),
        };
        Ok(recording)
    }

    /// Ends the child, and says in which call it was if it did not come to its end.
    fn report(self, deadline: Instant) -> Report {
        let Self { child, place, .. } = self;
        let mut report = child.finish(deadline);
        if !matches!(report.end, End::Result(_))
            && let Some(words) = place.and_then(|place| counter::place_in_words(place.read()))
        {
            report.last_stage = words;
        }
        report
    }
}

/// Whether a part of the child's report is a sample.
fn is_sample(part: &Value) -> bool {
    part.get("gpus").is_some()
}

/// Milliseconds of the kernel's monotonic clock, the same in every process of this machine.
pub fn monotonic_ms() -> f64 {
    clock_ms(libc::CLOCK_MONOTONIC)
}

/// Milliseconds of the wall clock, which can be set.
pub fn wall_ms() -> f64 {
    clock_ms(libc::CLOCK_REALTIME)
}

fn clock_ms(clock: libc::clockid_t) -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to a live structure; these clocks always exist.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}
