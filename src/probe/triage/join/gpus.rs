//! GPU samples, held against the requests.

use super::super::evidence::{Counter, GpuSamples, Readings};
use super::instants::{self, Window};
use crate::snapshot::{Fact, Gpu, GpuWindow, NvmlFacts, Phases, Series, Unknown, UtilizationReading, Why};

/// Longest time for which one sample speaks, milliseconds, each way.
const REACH_MS: f64 = 30_000.0;
/// The driver's utilization is a mean over up to a second (nvml.h, nvmlUtilization_t): what is read so long after a request
/// still tells of it.
const LATE_MS: f64 = 1000.0;
/// Difference of utilization from which on two files contradict one another, percentage points.
const CONTRADICTION_PERCENT: f64 = 20.0;
/// Readings of a trace, at most.
const TRACE_READINGS: usize = 256;

/// Samples in their place before, during and after the requests.
pub struct Placed {
    windows: Vec<GpuWindow>,
    sampled_percent: f64,
    before_ms: Option<f64>,
    /// Why no sample could be placed.
    obstacle: Option<Unknown>,
}

/// The samples of one GPU in one file, in their place.
struct One {
    file: String,
    window: GpuWindow,
    covered_percent: f64,
    before_ms: Option<f64>,
}

/// Names of GPUs, for the room of NVML. Whether the driver works is not told by samples.
pub fn name(nvml: &mut NvmlFacts, samples: &[GpuSamples]) {
    let mut gpus: Vec<Gpu> = Vec::new();
    for (place, one) in samples.iter().enumerate() {
        let index = one.index.unwrap_or(place as u64);
        if gpus.iter().any(|gpu| gpu.index == index) {
            continue;
        }
        let mut gpu = Gpu::all_unknown(index, &Unknown::new(Why::NotAsked, super::super::NOT_IN_FILES));
        if let Some(name) = one.name.clone().filter(|name| !name.is_empty()) {
            gpu.name = Fact::Known(name);
        }
        if let Some(uuid) = one.uuid.clone() {
            gpu.uuid = Fact::Known(uuid);
        }
        if let Some(total) = one.memory_total_bytes {
            gpu.memory_total_bytes = Fact::Known(total);
        }
        gpus.push(gpu);
    }
    gpus.sort_by_key(|gpu| gpu.index);
    nvml.gpus = Fact::Known(gpus);
}

/// Holds samples against the requests; of several files on one GPU the one that covers most of them counts.
pub fn place(samples: Vec<GpuSamples>, window: &Window, doubts: &mut Vec<String>) -> Placed {
    let mut placed: Vec<One> = Vec::new();
    let mut obstacles: Vec<String> = Vec::new();
    for (number, gpu) in samples.into_iter().enumerate() {
        let one = match one(&gpu, number as u64, window) {
            Ok(one) => one,
            Err(obstacle) => {
                if !obstacles.contains(&obstacle) {
                    obstacles.push(obstacle);
                }
                continue;
            }
        };
        match placed.iter_mut().find(|other| same(&other.window, &one.window)) {
            Some(other) => {
                contradict(other, &one, doubts);
                if one.covered_percent > other.covered_percent {
                    *other = one;
                }
            }
            None => placed.push(one),
        }
    }
    if !placed.is_empty() {
        doubts.extend(obstacles.iter().cloned());
    }
    for one in &placed {
        if let Some(phases) = one.window.utilization_percent.known()
            && phases.before.samples == 0
            && phases.during.max > 0.0
        {
            doubts.push(format!(
                "no sample of GPU {} is from before the first request, so whether somebody else keeps it busy is not told; \
                 begin to sample some seconds earlier",
                one.window.index
            ));
        }
    }
    placed.sort_by_key(|one| one.window.index);
    let sampled_percent = placed.iter().map(|one| one.covered_percent).reduce(f64::min).unwrap_or(0.0);
    let before_ms = placed.iter().filter_map(|one| one.before_ms).reduce(f64::max);
    let obstacle = placed.is_empty().then(|| Unknown::new(Why::Absent, obstacles.join("; ")));
    Placed { windows: placed.into_iter().map(|one| one.window).collect(), sampled_percent, before_ms, obstacle }
}

impl Placed {
    /// Part of the requests' time in which every GPU was sampled, percent.
    pub fn sampled_percent(&self) -> Fact<f64> {
        match &self.obstacle {
            Some(obstacle) => Fact::Unknown(obstacle.clone()),
            None => Fact::Known((self.sampled_percent * 10.0).round() / 10.0),
        }
    }

    /// How long before the requests samples began, milliseconds.
    pub fn before_ms(&self) -> Option<f64> {
        self.before_ms
    }

    /// The GPUs.
    pub fn windows(self) -> Fact<Vec<GpuWindow>> {
        match self.obstacle {
            Some(obstacle) => Fact::Unknown(obstacle),
            None => Fact::Known(self.windows),
        }
    }
}

fn one(gpu: &GpuSamples, number: u64, window: &Window) -> Result<One, String> {
    let covers = covers(gpu);
    let shift_ms = instants::shift_ms(gpu.clock, &gpu.file, covers.first().map(|(from, _)| *from), window)?;
    let covered_percent = window.covered_percent(&covers, shift_ms);
    if covered_percent <= 0.0 {
        return Err(instants::suspicion(window, gpu.clock, &covers, shift_ms, &gpu.file));
    }
    let index = gpu.index.unwrap_or(number);
    let phases = |counter, what: &str| {
        let phases = phases(gpu, counter, window, shift_ms);
        match phases.before.samples + phases.during.samples + phases.after.samples {
            0 => Fact::unknown(Why::Unsupported, format!("{} holds no {what} of GPU {index}", gpu.file)),
            _ => Fact::Known(phases),
        }
    };
    let unknown = Unknown::new(Why::NotAsked, super::super::NOT_IN_FILES);
    let lost_at_ms = gpu.lost_at_ms.map(|at| at + shift_ms - window.first_ms());
    let before_ms = covers.first().map(|(from, _)| window.first_ms() - from - shift_ms).filter(|before| *before > 0.0);
    let window = GpuWindow {
        uuid: gpu.uuid.clone().map_or(Fact::Unknown(unknown.clone()), Fact::Known),
        utilization_percent: phases(Counter::Utilization, "utilization"),
        process_utilization_percent: phases(Counter::ProcessUtilization, "utilization by process"),
        power_milliwatts: phases(Counter::Power, "power"),
        sm_clock_mhz: phases(Counter::SmClock, "clock"),
        memory_used_bytes: phases(Counter::MemoryUsed, "memory in use"),
        temperature_celsius: phases(Counter::Temperature, "temperature"),
        memory_clock_mhz: phases(Counter::MemoryClock, "memory clock"),
        p_state: phases(Counter::PState, "performance state"),
        doubts: match gpu.impossible {
            0 => Fact::Known(Vec::new()),
            count => Fact::Known(vec![format!(
                "{count} readings of its utilization in {} are none that a card can show",
                gpu.file
            )]),
        },
        utilization_trace: trace(gpu, window, shift_ms).map_or(Fact::Unknown(unknown.clone()), Fact::Known),
        lost_at_ms: lost_at_ms.map_or(Fact::Unknown(unknown.clone()), Fact::Known),
        ..GpuWindow::all_unknown(index, &unknown)
    };
    Ok(One { file: gpu.file.clone(), window, covered_percent, before_ms })
}

/// The times for which samples speak, joined where they meet: each reaches as far as samples usually lie apart.
fn covers(gpu: &GpuSamples) -> Vec<(f64, f64)> {
    let slots: Vec<(f64, f64)> = gpu.timeline.slots().map(|(from, until, _)| (from, until)).collect();
    let mut gaps: Vec<f64> = slots.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    gaps.sort_by(f64::total_cmp);
    let reach = gaps.get(gaps.len() / 2).map_or(LATE_MS, |gap| (gap * 1.5).min(REACH_MS));
    let mut covers: Vec<(f64, f64)> = Vec::new();
    for (from, until) in slots {
        match covers.last_mut() {
            Some((_, end)) if from - reach <= *end => *end = until + reach,
            _ => covers.push((from - reach, until + reach)),
        }
    }
    covers
}

fn phases(gpu: &GpuSamples, counter: Counter, window: &Window, shift_ms: f64) -> Phases {
    let (mut before, mut during, mut after) = (Readings::default(), Readings::default(), Readings::default());
    for (from, until, sampled) in gpu.timeline.slots() {
        let at = (from + until) / 2.0 + shift_ms;
        let running = window.stretches.iter().any(|(begin, end)| *begin <= at && at <= end + LATE_MS);
        let phase = match running {
            true => &mut during,
            false if at < window.first_ms() => &mut before,
            false if at > window.last_ms() => &mut after,
            // A pause between two runs is neither.
            false => continue,
        };
        phase.merge(sampled.of(counter));
    }
    Phases { before: series(&before), during: series(&during), after: series(&after) }
}

/// Utilization while requests ran; of neighbours the larger one where there are too many.
fn trace(gpu: &GpuSamples, window: &Window, shift_ms: f64) -> Option<Vec<UtilizationReading>> {
    let slots = gpu.timeline.slots().filter_map(|(from, until, sampled)| {
        let at = (from + until) / 2.0 + shift_ms;
        let utilization = sampled.of(Counter::Utilization);
        let running = window.stretches.iter().any(|(begin, end)| *begin <= at && at <= end + LATE_MS);
        (running && utilization.count > 0).then(|| UtilizationReading {
            at_ms: (at - window.first_ms()).max(0.0).round(),
            percent: utilization.max.clamp(0.0, 100.0).ceil() as u64,
        })
    });
    let all: Vec<UtilizationReading> = slots.collect();
    let each = all.len().div_ceil(TRACE_READINGS).max(1);
    let most = |readings: &[UtilizationReading]| readings.iter().max_by_key(|reading| reading.percent).cloned();
    (!all.is_empty()).then(|| all.chunks(each).filter_map(most).collect())
}

fn series(readings: &Readings) -> Series {
    let mean = if readings.count == 0 { 0.0 } else { readings.sum / readings.count as f64 };
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    Series { samples: readings.count, min: round(readings.min), mean: round(mean), max: round(readings.max) }
}

fn same(a: &GpuWindow, b: &GpuWindow) -> bool {
    match (a.uuid.known(), b.uuid.known()) {
        (Some(a), Some(b)) => a == b,
        _ => a.index == b.index,
    }
}

fn contradict(a: &One, b: &One, doubts: &mut Vec<String>) {
    let most = |one: &One| {
        one.window
            .utilization_percent
            .known()
            .filter(|phases| phases.during.samples > 0)
            .map(|phases| phases.during.max)
    };
    if let (Some(one), Some(other)) = (most(a), most(b))
        && (one - other).abs() >= CONTRADICTION_PERCENT
    {
        doubts.push(format!(
            "{} shows GPU {} at most {one:.0} % busy while requests ran, {} at most {other:.0} %",
            a.file, a.window.index, b.file
        ));
    }
}
