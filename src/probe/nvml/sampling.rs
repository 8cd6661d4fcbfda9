//! Job "nvml-samples": the child that reads the counters again and again.

use super::pcie::Turns;
use super::round::Round;
use super::sampler::{HIGHEST_RATE_HZ, monotonic_ms, wall_ms};
use super::watched::Watched;
use super::{LIBRARY, MOST_GPUS, error, read};
use crate::probe::isolation::{self, Reporter, library, place::Mark};
use crate::snapshot::{Fact, Unknown, Why};
use nvml_wrapper::Nvml;
use serde_json::{Value, json};
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

/// The child ends after this long even if nobody stops it; a stream, of which more is asked, after the second at the latest.
const LONGEST_S: u64 = 120;
const LONGEST_STREAM_S: u64 = 3600;
/// Or when it has reported this much, bytes: the parent keeps 16 MB.
const MOST_BYTES: usize = 12 << 20;
/// A wall clock that moves so far against the monotonic one was set, or the machine slept, milliseconds.
const CLOCK_MOVE_MS: f64 = 200.0;

/// Reports every `period_ms` until standard input closes. Parts, but for the samples themselves only when there is news:
///
/// - `{"gpu":0,"uuid":{"known":".."}}`, and `"unreachable"` with the reason where a GPU cannot be asked at all
/// - `{"at_ms":..,"gpus":[{"index":0,"power_milliwatts":68000}]}`: a sample; what is missing was not read this time
/// - `{"gpu":0,"at_ms":..,"unread":"sm_activity_percent","unknown":{..}}`: from now on unknown, and why
/// - `{"gpu":0,"at_ms":..,"processes":[[pid,bytes,percent]]}`, `{"gpu":0,"at_ms":..,"lost":{..}}`,
///   `{"gpu":0,"at_ms":..,"read":{..}}` (PCIe, which takes 20 ms), `{"at_ms":..,"clock_moved_ms":..}`
pub fn job(argument: &Value, reporter: &mut Reporter) -> Value {
    let unreported = sample_until_stopped(argument, reporter).err();
    isolation::account(unreported.as_ref())
}

fn sample_until_stopped(argument: &Value, reporter: &mut Reporter) -> Result<(), Unknown> {
    let server_pids: Vec<u64> = serde_json::from_value(argument["server_pids"].clone()).unwrap_or_default();
    let shortest_ms = 1e3 / f64::from(HIGHEST_RATE_HZ);
    let period_ms = argument["period_ms"].as_f64().unwrap_or(50.0).clamp(shortest_ms, 1000.0);
    let mark = Mark::at(argument["place"].as_i64().and_then(|number| i32::try_from(number).ok()));
    let (longest_s, most_bytes) = match argument["stream_s"].as_u64() {
        // Its parent takes what is reported as it comes.
        Some(seconds) => (seconds.min(LONGEST_STREAM_S), usize::MAX),
        None => (LONGEST_S, MOST_BYTES),
    };
    let nvml = open(reporter)?;
    reporter.stage("nvmlSystemGetDriverVersion");
    let longer_entries = nvml.sys_driver_version().is_ok_and(|version| read::has_longer_entries(&version));
    reporter.stage("nvmlDeviceGetCount_v2");
    let count = nvml.device_count().map_err(|error| error::unknown(error, "nvmlDeviceGetCount_v2"))?;
    if count == 0 {
        return Err(Unknown::new(Why::Absent, "NVML lists no GPU"));
    }
    let mut round = Round::new(server_pids, mark);
    round.at_ms = monotonic_ms();
    let gpus = (0..u64::from(count).min(MOST_GPUS)).filter_map(|index| {
        let device = handle(&nvml, index, reporter)?;
        Some(Watched::new(&nvml, index, device, longer_entries, &mut round))
    });
    let gpus: Vec<Watched> = gpus.collect();
    watch(gpus, &mut round, period_ms, (Duration::from_secs(longest_s), most_bytes), reporter)
}

/// Asks for a GPU's handle, and reports who it is or why it cannot be asked.
fn handle<'n>(nvml: &'n Nvml, index: u64, reporter: &mut Reporter) -> Option<nvml_wrapper::Device<'n>> {
    let place = format!("nvmlDeviceGetHandleByIndex_v2 of GPU {index}");
    reporter.stage(&place);
    match nvml.device_by_index(index as u32) {
        Ok(device) => {
            let place = format!("nvmlDeviceGetUUID of GPU {index}");
            reporter.stage(&place);
            let uuid: Fact<String> = device.uuid().map_err(|error| error::unknown(error, &place)).into();
            reporter.part(json!({ "gpu": index, "uuid": uuid }));
            Some(device)
        }
        Err(error) => {
            let unknown = error::unknown(error, &place);
            let uuid = Fact::<String>::Unknown(unknown.clone());
            reporter.part(json!({ "gpu": index, "uuid": uuid, "unreachable": unknown }));
            None
        }
    }
}

/// Takes samples until standard input closes, for no longer and of no more bytes than `most`.
fn watch(
    mut gpus: Vec<Watched>,
    round: &mut Round,
    period_ms: f64,
    most: (Duration, usize),
    reporter: &mut Reporter,
) -> Result<(), Unknown> {
    let (longest, most_bytes) = most;
    let (mut turns, mut clocks) = (Turns::new(period_ms), Clocks::default());
    let period = Duration::from_secs_f64(period_ms / 1e3);
    let end = Instant::now() + longest;
    let (mut next, mut written) = (Instant::now(), 0_usize);
    while next < end && written < most_bytes {
        round.begin(monotonic_ms());
        if let Some(by) = clocks.moved(round.at_ms, wall_ms()) {
            round.notes.push(json!({ "at_ms": round.at_ms, "clock_moved_ms": by.round() }));
            gpus.iter_mut().for_each(|gpu| gpu.pass_over(round));
        }
        gpus.iter_mut().for_each(|gpu| gpu.sample(round));
        written = written.saturating_add(report(round, reporter));
        // After the sample, for it takes 20 ms.
        let candidates = gpus.iter().enumerate().map(|(position, gpu)| gpu.candidate(position));
        if let Some((position, counter)) = turns.turn(round.at_ms, candidates)
            && let Some(gpu) = gpus.get_mut(position)
        {
            gpu.throughput(counter, round.at_ms, round);
        }
        next = (next + period).max(Instant::now());
        if input_closes_before(next) {
            report_notes(round, reporter);
            return Ok(());
        }
    }
    let detail = format!("sampling ended by itself after {} s or {most_bytes} bytes of samples", longest.as_secs());
    Err(Unknown::new(Why::TimedOut, detail))
}

/// Reports the turn's news and its line; tells how many bytes that were.
fn report(round: &mut Round, reporter: &mut Reporter) -> usize {
    let notes = report_notes(round, reporter);
    let line = round.end();
    reporter.part_text(line);
    notes + line.len()
}

fn report_notes(round: &mut Round, reporter: &mut Reporter) -> usize {
    let mut bytes = 0;
    for note in round.notes.drain(..) {
        let text = note.to_string();
        reporter.part_text(&text);
        bytes += text.len();
    }
    bytes
}

/// The wall clock against the monotonic one.
#[derive(Default)]
struct Clocks {
    apart_ms: Option<f64>,
}

impl Clocks {
    /// By how many milliseconds the wall clock has moved since the last turn, if that is no drift.
    fn moved(&mut self, monotonic_ms: f64, wall_ms: f64) -> Option<f64> {
        let apart_ms = wall_ms - monotonic_ms;
        let by = apart_ms - self.apart_ms.replace(apart_ms)?;
        (by.abs() > CLOCK_MOVE_MS).then_some(by)
    }
}

/// Loads and initializes NVML. Never dropped: `nvmlShutdown` can hang, and the process ends anyway.
fn open(reporter: &mut Reporter) -> Result<ManuallyDrop<Nvml>, Unknown> {
    reporter.stage(&format!("loading {LIBRARY}"));
    let (loaded, _) = library::load(LIBRARY, "nvmlInit_v2").map_err(|failure| failure.unknown(LIBRARY))?;
    std::mem::forget(loaded);
    reporter.stage("nvmlInit_v2");
    Nvml::init().map(ManuallyDrop::new).map_err(|error| error::unknown(error, "nvmlInit_v2"))
}

/// Waits until `moment`; true if the parent closed standard input before.
fn input_closes_before(moment: Instant) -> bool {
    let wait_ms = moment.saturating_duration_since(Instant::now()).as_millis() as i32;
    let mut input = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
    // SAFETY: polls one live descriptor entry.
    unsafe { libc::poll(&mut input, 1, wait_ms) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_and_one_that_drifts_is_not() {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.moved(1000.0, 5_001_000.0), None, "the first reading");
        assert_eq!(clocks.moved(1050.0, 5_001_051.0), None);
        assert_eq!(clocks.moved(1100.0, 1_401_101.0), Some(-3_600_000.0));
        assert_eq!(clocks.moved(1150.0, 1_401_151.0), None, "told once");
        assert_eq!(clocks.moved(1200.0, 1_409_201.0), Some(8_000.0), "the machine slept");
    }
}
