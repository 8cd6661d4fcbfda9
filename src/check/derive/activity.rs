//! Did the GPUs work while requests succeeded? By several counters, never by one.
//!
//! Thresholds are uncalibrated: they come from documentation, not yet from traces of real cards.

use super::Basis;
use crate::snapshot::{Fact, Facts, GpuWindow, Phases, Unknown, Why, room};

room! {
    /// What the GPUs did.
    pub struct Activity {
        /// Whether the GPU was seen to work for the server: a counter rose with the requests.
        pub gpu_seen_working: bool,
        /// What the GPUs did while requests ran: `active`, `idle`, `loaded_not_computing` or `no_work`.
        pub activity: String,
        /// The counters that say so, in words.
        pub activity_because: String,
    }
}

impl Activity {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        Self {
            gpu_seen_working: Fact::Known(basis.gpu_seen_working),
            activity: basis.activity.clone().map(|(verdict, _)| verdict.to_owned()).into(),
            activity_because: basis.activity.clone().map(|(_, because)| because).into(),
        }
    }
}

/// Readings below which a phase says nothing.
pub const LEAST_SAMPLES: u64 = 3;
/// Rise of utilization over the idle baseline that counts as work, percentage points.
const UTILIZATION_RISE_PERCENT: f64 = 3.0;
/// Utilization up to which a GPU counts as idle, percent.
const IDLE_UTILIZATION_PERCENT: f64 = 5.0;
/// Rise of power over the idle baseline that counts as a sign of work, as a share of the baseline.
const POWER_RISE_SHARE: f64 = 0.15;
/// Rise of the clock over the idle baseline that counts as a sign of work, megahertz.
const CLOCK_RISE_MHZ: f64 = 200.0;

/// CPU time of the server, as a share of the window, from which on its work is seen to run on the CPU.
const CPU_BUSY_SHARE: f64 = 0.5;

/// What one GPU's counters say.
#[derive(Default)]
struct Signals {
    moved: Vec<String>,
    flat: Vec<String>,
    /// Counters that did not rise, on a GPU that was busy before: they say nothing about the server.
    open: Vec<String>,
    holds_memory: bool,
}

/// The verdict and the counters that say so, or what keeps it from being known.
pub fn judge(facts: &Facts, gpu_visible: &Fact<bool>) -> Result<(&'static str, String), Unknown> {
    if gpu_visible == &Fact::Known(false) {
        return Err(Unknown::new(Why::NotAsked, "this machine has no NVIDIA GPU to watch"));
    }
    let execution = &facts.execution;
    let sent = *execution.requests_sent.read()?;
    let accepted = *execution.requests_ok.read()?;
    if accepted == 0 {
        return Ok(("no_work", format!("none of {sent} requests was accepted, so no work reached the model")));
    }
    let gpus = execution.gpus.read()?;
    if gpus.is_empty() {
        return Err(Unknown::new(Why::Absent, "no GPU was watched"));
    }
    let signals: Vec<Signals> = gpus.iter().map(read).collect();
    let moved: Vec<&str> = signals.iter().flat_map(|signal| &signal.moved).map(String::as_str).collect();
    if !moved.is_empty() {
        return Ok(("active", moved.join("; ")));
    }
    // Every GPU must be known to be flat by two independent counters.
    if let Some((gpu, signal)) = gpus.iter().zip(&signals).find(|(_, signal)| signal.flat.len() < 2) {
        let seen = [signal.flat.as_slice(), signal.open.as_slice()].concat().join("; ");
        let seen = if seen.is_empty() { "none was read often enough".into() } else { seen };
        let detail = format!("GPU {} shows too few counters to tell idle from work: {seen}", gpu.index);
        return Err(Unknown::new(Why::Unsupported, detail));
    }
    let flat: Vec<&str> = signals.iter().flat_map(|signal| &signal.flat).map(String::as_str).collect();
    if !signals.iter().any(|signal| signal.holds_memory) {
        return Ok(("idle", flat.join("; ")));
    }
    // A server with a context on the GPU may work there too little to be seen: a kernel of 1 ms in a request of 100 ms
    // is below what utilization shows. Only a busy CPU tells where the work went.
    let (cpu_ms, window_ms) = (*execution.server_cpu_ms.read()?, *execution.window_ms.read()?);
    if cpu_ms < CPU_BUSY_SHARE * window_ms {
        let seen = flat.join("; ");
        let detail = format!(
            "the server holds GPU memory and little was to be done in the window, too little to be seen: {seen}"
        );
        return Err(Unknown::new(Why::Unsupported, detail));
    }
    let cpu_percent = 100.0 * cpu_ms / window_ms.max(1.0);
    Ok((
        "loaded_not_computing",
        format!("{}; the server's processes used {cpu_percent:.0} % of a CPU", flat.join("; ")),
    ))
}

fn read(gpu: &GpuWindow) -> Signals {
    let mut signals = Signals { holds_memory: gpu.server_memory_bytes.known() > Some(&0), ..Signals::default() };
    let name = format!("GPU {}", gpu.index);
    let mut busy_before = false;
    if let Some(phases) = usable(&gpu.utilization_percent) {
        busy_before = phases.before.max > IDLE_UTILIZATION_PERCENT;
        let moved = phases.during.max - phases.before.max >= UTILIZATION_RISE_PERCENT;
        let said =
            format!("{name} utilization at most {:.0} % (before: {:.0} %)", phases.during.max, phases.before.max);
        signals.note(moved, busy_before, said);
    }
    if let Some(phases) = usable(&gpu.process_utilization_percent) {
        let said = format!("{name} utilization by the server at most {:.0} %", phases.during.max);
        signals.note(phases.during.max > 0.0, false, said);
    }
    if let (Some(power), Some(clock)) = (usable(&gpu.power_milliwatts), usable(&gpu.sm_clock_mhz)) {
        // Either alone moves for other reasons; both together do not.
        let moved = power.during.mean > power.before.mean * (1.0 + POWER_RISE_SHARE)
            && clock.during.mean - clock.before.mean > CLOCK_RISE_MHZ;
        let (before, during) = (power.before.mean / 1000.0, power.during.mean / 1000.0);
        signals.note(moved, busy_before, format!("{name} power {before:.0} W before, {during:.0} W during"));
    }
    signals
}

impl Signals {
    fn note(&mut self, moved: bool, busy_before: bool, said: String) {
        let list = match (moved, busy_before) {
            (true, _) => &mut self.moved,
            (false, true) => &mut self.open,
            (false, false) => &mut self.flat,
        };
        list.push(said);
    }
}

fn usable(phases: &Fact<Phases>) -> Option<&Phases> {
    phases.known().filter(|p| p.before.samples >= LEAST_SAMPLES && p.during.samples >= LEAST_SAMPLES)
}
