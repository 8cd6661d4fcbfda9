//! GPU memory: the server's share before any load, and how it went with the requests.

use super::activity::LEAST_SAMPLES;
use super::{Basis, growth, load, told};
use crate::snapshot::{Fact, Facts, GpuWindow, MemoryReading, Unknown, Why, room};

room! {
    /// How GPU memory and the rest went with the requests.
    pub struct Memory {
        /// Memory that the server's processes held on all GPUs before any load, bytes.
        pub server_gpu_memory_bytes: u64,
        /// How GPU memory went with the requests: `grows`, `sawtooth`, `settled` or `flat`.
        pub gpu_memory_trend: String,
        /// The figures that say so.
        pub gpu_memory_trend_because: String,
        /// The proof that the model is loaded anew with each request; empty if it is not.
        pub model_loaded_per_request: String,
        /// Highest mean utilization of a GPU while requests ran, percent.
        pub gpu_busy_percent: f64,
    }
}

impl Memory {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let (gpu_memory_trend, gpu_memory_trend_because) = told(trend(facts, &basis.gpu_visible));
        Self {
            server_gpu_memory_bytes: of_server(facts).into(),
            gpu_memory_trend,
            gpu_memory_trend_because,
            model_loaded_per_request: loaded_per_request(facts, &basis.gpu_visible, basis.gpu_seen_working),
            gpu_busy_percent: busy_percent(facts, &basis.gpu_visible).into(),
        }
    }
}

/// Requests and readings from which on a growth is judged.
const REQUESTS_MIN: u64 = 20;
const READINGS_MIN: usize = 12;
/// Smallest growth that counts, bytes.
const GROWTH_MIN: u64 = 16 << 20;
/// Smallest fall that counts as a model given back, bytes.
const FALL_MIN: u64 = 50 << 20;
const MIB: u64 = 1 << 20;

/// Memory that NVML says the server's processes hold on all GPUs, bytes.
///
/// NVML tells the ids of the machine's first process namespace: from within a container its list cannot be read.
fn of_server(facts: &Facts) -> Result<u64, Unknown> {
    let processes = facts.process.processes.read()?;
    let gpus = facts.nvml.gpus.read()?;
    if !*facts.process.initial_pid_namespace.read()? {
        let detail = "NVML tells the machine's process ids, and the doctor is in a container that has its own";
        return Err(Unknown::new(Why::Unsupported, detail));
    }
    let mut sum = 0_u64;
    for held in gpus.iter().map(|gpu| gpu.processes.read()).collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
        if processes.iter().any(|process| process.pid == held.pid) {
            sum = sum.saturating_add(*held.used_bytes.read()?);
        }
    }
    Ok(sum)
}

/// Memory that the server's processes hold on all GPUs, bytes: before any load or at the end of the window, whichever is
/// more, for some servers load with the first request.
pub fn held_by_server(facts: &Facts) -> Result<u64, Unknown> {
    let windows = facts.execution.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let after = windows.iter().filter_map(|window| window.server_memory_bytes.known());
    let after = after.fold(None, |sum: Option<u64>, bytes| Some(sum.unwrap_or(0).saturating_add(*bytes)));
    match (of_server(facts), after) {
        (Ok(before), after) => Ok(before.max(after.unwrap_or(0))),
        (Err(_), Some(after)) => Ok(after),
        (Err(unknown), None) => Err(unknown),
    }
}

/// How GPU memory went with the requests, and the figures: `grows` with every quarter of them, `sawtooth` if it falls and
/// rises with each, `settled` if it grew and came to rest, else `flat`.
fn trend(facts: &Facts, gpu_visible: &Fact<bool>) -> Result<(&'static str, String), Unknown> {
    if gpu_visible == &Fact::Known(false) {
        return Err(Unknown::new(Why::NotAsked, "this machine has no NVIDIA GPU to watch"));
    }
    if let Some(leak) = leak_under_load(facts) {
        return Ok(("grows", leak));
    }
    let mut calmest = None;
    for window in facts.execution.gpus.read()? {
        let trace = window.memory_trace.read()?;
        let verdict = judge(&trace.readings)?;
        if matches!(verdict.0, "grows" | "sawtooth") {
            if trace.of == "gpu" && shared(facts, window) {
                let detail = format!("GPU {} serves several processes; whose memory changed is not told", window.index);
                return Err(Unknown::new(Why::Unsupported, detail));
            }
            return Ok((verdict.0, format!("GPU {}: {}", window.index, verdict.1)));
        }
        calmest.get_or_insert(verdict);
    }
    calmest.ok_or_else(|| Unknown::new(Why::Absent, "no GPU was watched"))
}

/// A leak that a load brought to light, which is longer than the window; of a GPU as a whole only where one process has it.
fn leak_under_load(facts: &Facts) -> Option<String> {
    let judged = load::memory(facts).ok()?;
    let gpus = facts.nvml.gpus.known().map(Vec::as_slice).unwrap_or_default();
    load::gpu_leak(&judged, |uuid| {
        let gpu = gpus.iter().find(|gpu| gpu.uuid.known().is_some_and(|known| known == uuid));
        gpu.and_then(|gpu| gpu.processes.known()).is_some_and(|processes| processes.len() <= 1)
    })
}

/// Whether more than one process has a context on the GPU, or it is not known.
fn shared(facts: &Facts, window: &GpuWindow) -> bool {
    let gpus = facts.nvml.gpus.known().into_iter().flatten();
    let processes = gpus.into_iter().find(|gpu| gpu.index == window.index).and_then(|gpu| gpu.processes.known());
    processes.is_none_or(|processes| processes.len() > 1)
}

fn judge(readings: &[MemoryReading]) -> Result<(&'static str, String), Unknown> {
    let (Some(first), Some(last)) = (readings.first(), readings.last()) else {
        return Err(Unknown::new(Why::Absent, "no reading of GPU memory was taken"));
    };
    let requests = last.requests - first.requests.min(last.requests);
    let least = readings.iter().map(|reading| reading.bytes).min().unwrap_or(0);
    let most = readings.iter().map(|reading| reading.bytes).max().unwrap_or(0);
    let falls = falls(readings, FALL_MIN.max((most - least) / 2));
    // Each request must give memory back, as far as it can be seen: two readings for a rise, two for a fall.
    let visible = requests.min(readings.len() as u64 / 4);
    if falls >= 2 && falls * 5 >= visible * 3 {
        let swing = (most - least) / MIB;
        return Ok((
            "sawtooth",
            format!("{swing} MiB were given back and taken again {falls} times in {requests} requests"),
        ));
    }
    if requests < REQUESTS_MIN || readings.len() < READINGS_MIN {
        let detail = format!(
            "{requests} requests with {} readings of GPU memory are too few to see a leak ({REQUESTS_MIN} with \
             {READINGS_MIN} are needed)",
            readings.len()
        );
        return Err(Unknown::new(Why::NotAsked, detail));
    }
    let growth = last.bytes.saturating_sub(first.bytes);
    // A cache that fills grows ever less; what leaks grows on.
    let goes_on = growth::of(&[readings]).is_some_and(|growth| growth.is_leak());
    let each = growth as f64 / MIB as f64 / requests as f64;
    let figures = format!("from {} to {} MiB in {requests} requests", first.bytes / MIB, last.bytes / MIB);
    Ok(match (growth >= GROWTH_MIN, goes_on && falls == 0) {
        (true, true) => ("grows", format!("{figures}, {each:.1} MiB a request, in every quarter of them")),
        (true, false) => ("settled", figures),
        (false, _) => ("flat", figures),
    })
}

/// How often the memory falls by at least `least` and then rises by as much again; the last fall needs no rise.
fn falls(readings: &[MemoryReading], least: u64) -> u64 {
    let (mut falls, mut falling) = (0, false);
    let Some(mut turn) = readings.first().map(|reading| reading.bytes) else { return 0 };
    for bytes in readings.iter().map(|reading| reading.bytes) {
        if falling {
            turn = turn.min(bytes);
            falling = bytes < turn.saturating_add(least);
            if !falling {
                turn = bytes;
            }
        } else {
            turn = turn.max(bytes);
            if turn - bytes >= least {
                (falls, falling, turn) = (falls + 1, true, bytes);
            }
        }
    }
    falls
}

/// The proof that the model is loaded anew with each request, in words; empty if it is not.
///
/// Only the server's user may see what it reads. Where that is refused, short requests and a GPU at work rule it out.
fn loaded_per_request(facts: &Facts, gpu_visible: &Fact<bool>, gpu_seen_working: bool) -> Fact<String> {
    /// What a model is taken to have at least, bytes.
    const MODEL_MIN: u64 = 50_000_000;
    /// Requests this short load no model, milliseconds.
    const SHORT_MS: f64 = 100.0;
    let execution = &facts.execution;
    let trend = trend(facts, gpu_visible);
    if let Ok(("sawtooth", figures)) = &trend {
        return Fact::Known(format!("GPU memory goes up and down with the requests ({figures})"));
    }
    let fine = gpu_seen_working || execution.request_ms_median.known().is_some_and(|median| *median < SHORT_MS);
    let read = match &execution.read_bytes_least {
        Fact::Known(bytes) => *bytes,
        Fact::Unknown(_) if fine => return Fact::Known(String::new()),
        Fact::Unknown(unknown) => return Fact::Unknown(unknown.clone()),
    };
    // A body may be read from its socket, written to a file and read again.
    let body = execution.request_body_bytes.known().copied().unwrap_or(0).saturating_mul(4);
    let model = facts.model.file_bytes.known().copied().filter(|bytes| *bytes >= MODEL_MIN / 10);
    let own = read.saturating_sub(body);
    let megabytes = read / 1_000_000;
    if let Some(model) = model.filter(|model| (model / 10 * 9..=model.saturating_mul(4)).contains(&own)) {
        let size = model / 1_000_000;
        return Fact::Known(format!("each request reads at least {megabytes} MB, and the model's file has {size} MB"));
    }
    if own >= MODEL_MIN {
        return Fact::Known(format!("each request reads at least {megabytes} MB from files"));
    }
    // A file that is mapped is not read; then only GPU memory would show it.
    match trend {
        Err(unknown) if unknown.why != Why::NotAsked && !fine => Fact::Unknown(unknown),
        _ => Fact::Known(String::new()),
    }
}

/// The highest mean utilization of a GPU while requests ran, percent.
pub fn busy_percent(facts: &Facts, gpu_visible: &Fact<bool>) -> Result<f64, Unknown> {
    if gpu_visible == &Fact::Known(false) {
        return Err(Unknown::new(Why::NotAsked, "this machine has no NVIDIA GPU to watch"));
    }
    let mut most = None;
    for window in facts.execution.gpus.read()? {
        let during = &window.utilization_percent.read()?.during;
        if during.samples < LEAST_SAMPLES {
            let detail =
                format!("GPU {} was read {} times while requests ran, too seldom", window.index, during.samples);
            return Err(Unknown::new(Why::NotAsked, detail));
        }
        most = most.into_iter().chain([during.mean]).reduce(f64::max);
    }
    most.ok_or_else(|| Unknown::new(Why::Absent, "no GPU was watched"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Readings of a request each, from MiB.
    fn readings(mib: impl IntoIterator<Item = u64>) -> Vec<MemoryReading> {
        let one = |(requests, mib): (usize, u64)| MemoryReading { requests: requests as u64, bytes: mib * MIB };
        mib.into_iter().enumerate().map(one).collect()
    }

    fn verdict(mib: impl IntoIterator<Item = u64>) -> Result<&'static str, Why> {
        judge(&readings(mib)).map(|(verdict, _)| verdict).map_err(|unknown| unknown.why)
    }

    #[test]
    fn a_leak_is_told_from_a_cache_that_fills() {
        assert_eq!(verdict((0..60).map(|n| 1000 + 5 * n)), Ok("grows"));
        assert_eq!(verdict((0..60).map(|n| 1000 + 5 * (n / 3))), Ok("grows"), "in steps");
        assert_eq!(verdict((0..60).map(|n| 1000 + 5 * n.min(30))), Ok("settled"));
        assert_eq!(verdict((0..60).map(|n| 1000 + if n > 45 { 300 } else { 0 })), Ok("settled"), "one jump, late");
        let filling = (0..60).map(|n| 2000 - (1000.0 * 0.9_f64.powi(n)) as u64);
        assert_eq!(verdict(filling), Ok("settled"), "ever less");
        assert_eq!(verdict(std::iter::repeat_n(1000, 60)), Ok("flat"));
        assert_eq!(verdict((0..60).map(|n| 1000 + n / 20)), Ok("flat"), "3 MiB are none");
        assert_eq!(verdict((0..19).map(|n| 1000 + 50 * n)), Err(Why::NotAsked), "too few requests");
        assert_eq!(verdict([]), Err(Why::Absent));
    }

    #[test]
    fn a_sawtooth_is_a_model_that_comes_and_goes() {
        assert_eq!(verdict((0..60).map(|n| if n % 4 < 2 { 200 } else { 3000 })), Ok("sawtooth"));
        // Three requests, ten readings each.
        let slow = |n: u64| MemoryReading { requests: n / 10, bytes: MIB * if n % 10 < 5 { 100 } else { 2000 } };
        assert_eq!(judge(&(0..30).map(slow).collect::<Vec<_>>()).unwrap().0, "sawtooth");
        assert_eq!(verdict((0..60).map(|n| if n == 30 { 200 } else { 3000 })), Ok("flat"), "one collection is none");
        assert_eq!(verdict((0..60).map(|n| 1000 + 10 * (n % 4))), Ok("settled"), "30 MiB are no model");
    }

    #[test]
    fn the_servers_share_of_gpu_memory_is_told_only_where_process_ids_are_the_machines() {
        use crate::snapshot::{Gpu, GpuProcess, ServerProcess};
        let unknown = Unknown::new(Why::NotAsked, "test");
        let mut facts = Facts::all_unknown(&unknown);
        let held = |pid, mib: u64| GpuProcess { pid, used_bytes: Fact::Known(mib * MIB), name: Fact::default() };
        let gpu = |index, processes| Gpu { processes: Fact::Known(processes), ..Gpu::all_unknown(index, &unknown) };
        facts.nvml.gpus = Fact::Known(vec![gpu(0, vec![held(7, 100), held(9, 50)]), gpu(1, vec![held(8, 30)])]);
        facts.process.processes = Fact::Known([7, 8].map(|pid| ServerProcess::all_unknown(pid, &unknown)).to_vec());
        facts.process.initial_pid_namespace = Fact::Known(true);
        assert_eq!(of_server(&facts), Ok(130 * MIB));
        facts.process.initial_pid_namespace = Fact::Known(false);
        assert_eq!(of_server(&facts).unwrap_err().why, Why::Unsupported, "the same number may be another process");
    }

    proptest! {
        #[test]
        fn any_readings_have_a_verdict(pairs in prop::collection::vec((0_u64..90, any::<u64>()), 0..90)) {
            let readings: Vec<MemoryReading> =
                pairs.into_iter().map(|(requests, bytes)| MemoryReading { requests, bytes }).collect();
            let _ = judge(&readings);
        }
    }
}
