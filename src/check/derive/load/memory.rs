//! Memory over the run: per GPU, per process on it, and beside it.

use super::thresholds::figures;
use crate::check::derive::growth::{self, Growth};
use crate::snapshot::{Fact, Facts, LoadStep, MemoryReading, MemorySeries, Unknown, Why};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How one series of memory went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgedMemory {
    /// `gpu`, `gpu_process` or `resident`.
    pub of: String,
    /// The GPU's identifier; empty for `resident`.
    pub uuid: String,
    /// The process; unknown for `gpu`.
    pub pid: Fact<u64>,
    /// `plateau`, `leak` or `undecided`.
    pub verdict: String,
    /// The figures.
    pub because: String,
    /// Growth with each request, bytes; unknown where there are too few readings.
    pub bytes_per_request: Fact<f64>,
    /// Probability of such a trend by chance.
    pub p_value: Fact<f64>,
}

/// Requests and readings of one step, after its first quarter, from which on it is judged.
const REQUESTS_MIN: u64 = 20;
const READINGS_MIN: usize = 12;
const MIB: f64 = 1_048_576.0;

/// Every series, judged.
///
/// # Errors
/// Why no memory was read.
pub fn judge(facts: &Facts) -> Result<Vec<JudgedMemory>, Unknown> {
    let series = facts.load.memory.read()?;
    let steps = facts.load.steps.read()?;
    Ok(series.iter().map(|one| judged(one, steps)).collect())
}

fn judged(series: &MemorySeries, steps: &[LoadStep]) -> JudgedMemory {
    let (verdict, because, growth) = verdict(series, steps);
    let few = || Unknown::new(Why::Absent, because.clone());
    let of = |figure: fn(&Growth) -> f64| growth.as_ref().map(figure).ok_or_else(few).into();
    JudgedMemory {
        of: series.of.clone(),
        uuid: series.uuid.clone(),
        pid: series.pid.clone(),
        verdict: verdict.into(),
        bytes_per_request: of(|growth| growth.bytes_per_request),
        p_value: of(|growth| growth.p_value),
        because,
    }
}

fn verdict(series: &MemorySeries, steps: &[LoadStep]) -> (&'static str, String, Option<Growth>) {
    let readings: Vec<MemoryReading> = series
        .requests
        .iter()
        .zip(&series.bytes)
        .map(|(requests, bytes)| MemoryReading { requests: *requests, bytes: *bytes })
        .collect();
    let (Some(first), Some(last)) = (readings.first(), readings.last()) else {
        return ("undecided", "no reading was taken".into(), None);
    };
    let stretches = stretches(&readings, steps);
    let growth = growth::of(&stretches);
    let requests = stretches.iter().filter_map(|one| Some(one.last()?.requests - one.first()?.requests)).sum::<u64>();
    let figures = format!("from {:.0} to {:.0} MiB", first.bytes as f64 / MIB, last.bytes as f64 / MIB);
    let Some(growth) = growth else {
        let words = format!(
            "{figures}; no step has {REQUESTS_MIN} requests with {READINGS_MIN} readings after its first quarter, which \
             telling a leak takes"
        );
        return ("undecided", words, None);
    };
    let each = growth.bytes_per_request;
    if growth.is_leak() && each * requests as f64 >= figures::growth_bytes() {
        let words = format!(
            "{figures}, {:.3} MiB more with each request at the same load, and it does not slow down (p {:.1e})",
            each / MIB,
            growth.p_value
        );
        return ("leak", words, Some(growth));
    }
    if growth.rests() {
        return ("plateau", format!("{figures}, and hardly any more in the end"), Some(growth));
    }
    let words = format!(
        "{figures}, still {:.0} MiB more in the last quarter; a longer run tells whether it comes to rest",
        growth.late_bytes / MIB
    );
    ("undecided", words, Some(growth))
}

/// The readings of each step, its first quarter left out; only of steps with enough of them.
fn stretches<'a>(readings: &'a [MemoryReading], steps: &[LoadStep]) -> Vec<&'a [MemoryReading]> {
    let mut begin = 0_u64;
    let mut found = Vec::new();
    for step in steps {
        let answered = step.ok.saturating_add(step.failed);
        let (from, to) = (begin.saturating_add(answered / 4), begin.saturating_add(answered));
        begin = to;
        let start = readings.iter().position(|reading| reading.requests > from);
        let end = readings.iter().position(|reading| reading.requests > to).unwrap_or(readings.len());
        let stretch = start.and_then(|start| readings.get(start..end)).unwrap_or_default();
        let requests = stretch.last().map_or(0, |last| last.requests)
            - stretch.first().map_or(0, |first| first.requests.min(last(stretch)));
        if stretch.len() >= READINGS_MIN && requests >= REQUESTS_MIN && stretch.is_sorted_by_key(|one| one.requests) {
            found.push(stretch);
        }
    }
    found
}

fn last(stretch: &[MemoryReading]) -> u64 {
    stretch.last().map_or(0, |reading| reading.requests)
}

/// The leak of the server's memory beside the GPU, in words; empty where none is known.
pub fn resident_leak(judged: &[JudgedMemory]) -> String {
    let leak = judged.iter().find(|one| one.of == "resident" && one.verdict == "leak");
    leak.map(|one| format!("{}: {}", whose(one), one.because)).unwrap_or_default()
}

/// The leak of GPU memory in words: of a process of the server, or of a GPU that it has for itself.
pub fn gpu_leak(judged: &[JudgedMemory], is_alone: impl Fn(&str) -> bool) -> Option<String> {
    let is_servers = |one: &&JudgedMemory| one.of == "gpu_process" || one.of == "gpu" && is_alone(&one.uuid);
    let leak = judged.iter().filter(is_servers).find(|one| one.verdict == "leak")?;
    Some(format!("{}: {}", whose(leak), leak.because))
}

fn whose(one: &JudgedMemory) -> String {
    match (one.of.as_str(), one.pid.known()) {
        ("gpu", _) => format!("GPU {}", one.uuid),
        ("gpu_process", Some(pid)) => format!("process {pid} on GPU {}", one.uuid),
        (_, Some(pid)) => format!("process {pid}"),
        _ => "the server".into(),
    }
}
