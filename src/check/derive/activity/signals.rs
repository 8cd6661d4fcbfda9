//! What one GPU's counters say, each for itself: it moved with the requests, it stayed flat, or it does not tell.

use super::alignment::Alignment;
use super::{LEAST_SAMPLES, thresholds};
use crate::snapshot::{Fact, GpuWindow, Phases, Why};

/// A kind of evidence, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Activity of the multiprocessors (GPM).
    SmActivity,
    /// Utilization by the server's own processes.
    ProcessUtilization,
    /// Utilization of the GPU.
    Utilization,
    /// Draw, by the energy counter or by readings of power.
    Energy,
    /// Clock and performance state.
    Clock,
}

impl Kind {
    /// Whether it counts kernels. The others follow from them, and from other things.
    pub fn counts_work(self) -> bool {
        matches!(self, Kind::SmActivity | Kind::ProcessUtilization | Kind::Utilization)
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Kind::SmActivity => "SM activity",
            Kind::ProcessUtilization => "utilization by process",
            Kind::Utilization => "utilization",
            Kind::Energy => "power",
            Kind::Clock => "clock",
        }
    }
}

/// What a counter did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It rose with the requests.
    Moved,
    /// It stayed at the baseline.
    Flat,
    /// It says nothing of the server: somebody else works there, or it cannot rise.
    Open,
    /// It is not told, or not often enough.
    Unsupported,
}

/// One counter of one GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    pub kind: Kind,
    pub standing: Standing,
    /// The figures, after the GPU's name.
    pub words: String,
}

/// What is known of the GPU beside its counters.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Whether the trace goes with the requests.
    pub alignment: Option<Alignment>,
    /// Who else worked there in the window, in words; empty if nobody was seen.
    pub others: String,
    /// The highest clock, megahertz.
    pub clock_max_mhz: Option<f64>,
}

/// Reads all signals of the GPU, the strongest first.
pub fn read(gpu: &GpuWindow, around: &Around) -> Vec<Signal> {
    let mut signals =
        vec![sm_activity(gpu), process_utilization(gpu), utilization(gpu), draw(gpu), clock(gpu, around.clock_max_mhz)];
    let own = signals.iter().any(|one| one.kind == Kind::ProcessUtilization && one.standing == Standing::Moved);
    let Some(doubt) = doubt(gpu, around) else { return signals };
    // What the whole card shows is not the server's alone. Its own share is.
    for signal in signals.iter_mut().filter(|signal| signal.kind != Kind::ProcessUtilization) {
        let rests = signal.standing == Standing::Flat && !is_busy_before(gpu);
        if !own && !rests && signal.standing != Standing::Unsupported {
            signal.standing = Standing::Open;
            if !signal.words.contains(&doubt) {
                signal.words = format!("{}, and {doubt}", signal.words);
            }
        }
    }
    signals
}

/// Why what the card as a whole shows need not be the server's; `None` if there is no reason.
fn doubt(gpu: &GpuWindow, around: &Around) -> Option<String> {
    match &around.alignment {
        Some(Alignment::Follows(_)) => return None,
        Some(Alignment::Late(words) | Alignment::StartOnly(words)) => return Some(words.clone()),
        Some(Alignment::Untold) | None => {}
    }
    if !around.others.is_empty() {
        return Some(around.others.clone());
    }
    (is_busy_before(gpu) && !is_square(gpu)).then(|| "the GPU was busy before the first request".to_owned())
}

/// Whether somebody worked there before the window.
pub fn is_busy_before(gpu: &GpuWindow) -> bool {
    let above = |phases: &Fact<Phases>| {
        usable(phases).is_some_and(|phases| phases.before.max > thresholds::idle_utilization_percent())
    };
    above(&gpu.utilization_percent) || above(&gpu.sm_activity_percent)
}

/// Whether utilization rose with the first request and fell after the last, beyond the unrest of others' work.
fn is_square(gpu: &GpuWindow) -> bool {
    let rise = thresholds::busy_rise_percent();
    usable(&gpu.utilization_percent).is_some_and(|phases| {
        phases.after.samples >= LEAST_SAMPLES
            && phases.during.mean - phases.before.max >= rise
            && phases.during.mean - phases.after.max >= rise
    })
}

/// The phases, if baseline and window were read often enough.
pub fn usable(phases: &Fact<Phases>) -> Option<&Phases> {
    phases.known().filter(|p| p.before.samples >= LEAST_SAMPLES && p.during.samples >= LEAST_SAMPLES)
}

fn signal(kind: Kind, standing: Standing, words: String) -> Signal {
    Signal { kind, standing, words }
}

/// Why a counter is not told.
fn untold(kind: Kind, fact: &Fact<Phases>) -> Signal {
    let words = match fact {
        Fact::Known(phases) if phases.during.samples < LEAST_SAMPLES => {
            format!("{} was read {} times in the window", kind.name(), phases.during.samples)
        }
        Fact::Known(_) => format!("{} has no idle baseline", kind.name()),
        Fact::Unknown(unknown) if unknown.why == Why::Unsupported => format!("{} is not supported", kind.name()),
        Fact::Unknown(unknown) => format!("{} is not known ({})", kind.name(), unknown.detail),
    };
    signal(kind, Standing::Unsupported, words)
}

fn sm_activity(gpu: &GpuWindow) -> Signal {
    let Some(phases) = usable(&gpu.sm_activity_percent) else {
        return untold(Kind::SmActivity, &gpu.sm_activity_percent);
    };
    let moved = phases.during.max - phases.before.max >= thresholds::sm_activity_rise_percent();
    let words = format!("SM activity at most {:.1} % (before: {:.1} %)", phases.during.max, phases.before.max);
    signal(Kind::SmActivity, if moved { Standing::Moved } else { Standing::Flat }, words)
}

fn process_utilization(gpu: &GpuWindow) -> Signal {
    let kind = Kind::ProcessUtilization;
    // It needs no baseline: it is the server's own.
    match gpu.process_utilization_percent.known() {
        Some(phases) if phases.during.samples >= LEAST_SAMPLES => {
            let moved = phases.during.max >= thresholds::process_utilization_percent();
            let words = format!("utilization by the server at most {:.0} %", phases.during.max);
            signal(kind, if moved { Standing::Moved } else { Standing::Flat }, words)
        }
        _ => untold(kind, &gpu.process_utilization_percent),
    }
}

fn utilization(gpu: &GpuWindow) -> Signal {
    let kind = Kind::Utilization;
    if let Some(phases) = usable(&gpu.utilization_percent) {
        let moved = phases.during.max - phases.before.max >= thresholds::utilization_rise_percent();
        let words = format!("utilization at most {:.0} % (before: {:.0} %)", phases.during.max, phases.before.max);
        return signal(kind, if moved { Standing::Moved } else { Standing::Flat }, words);
    }
    // Without a baseline rest is rest, and work is anybody's.
    match gpu.utilization_percent.known() {
        Some(Phases { during, .. }) if during.samples >= LEAST_SAMPLES => {
            let rests = during.max < thresholds::utilization_rise_percent();
            let words = format!("utilization at most {:.0} % (no idle baseline)", during.max);
            signal(kind, if rests { Standing::Flat } else { Standing::Open }, words)
        }
        _ => untold(kind, &gpu.utilization_percent),
    }
}

/// The mean draw before the window and in it by the energy counter, milliwatts.
pub fn energy_rates(gpu: &GpuWindow) -> Option<(f64, f64)> {
    let rates = gpu.energy_milliwatts.known()?;
    Some((*rates.before.known()?, *rates.during.known()?))
}

/// Energy is an integral and misses nothing; power is a mean that is read now and then.
fn draw(gpu: &GpuWindow) -> Signal {
    let ((before, during), share, by) = match (energy_rates(gpu), usable(&gpu.power_milliwatts)) {
        (Some(rates), _) => (rates, thresholds::energy_rise_share(), "by the energy counter"),
        (None, Some(power)) => ((power.before.mean, power.during.mean), thresholds::power_rise_share(), "on average"),
        (None, None) => return untold(Kind::Energy, &gpu.power_milliwatts),
    };
    let rise = during - before;
    let moved = rise > before * share && rise >= thresholds::power_rise_milliwatts();
    let words = format!("power {:.0} W before, {:.0} W during, {by}", before / 1e3, during / 1e3);
    signal(Kind::Energy, if moved { Standing::Moved } else { Standing::Flat }, words)
}

/// Whether the energy counter rose by more than a higher clock alone would draw.
pub fn drew_far_more(gpu: &GpuWindow) -> bool {
    energy_rates(gpu).is_some_and(|(before, during)| during - before > before * thresholds::energy_burst_share())
}

fn clock(gpu: &GpuWindow, clock_max_mhz: Option<f64>) -> Signal {
    let Some(clock) = usable(&gpu.sm_clock_mhz) else { return untold(Kind::Clock, &gpu.sm_clock_mhz) };
    let rise = thresholds::clock_rise_mhz();
    // A lower number is a higher state.
    let climbed = usable(&gpu.p_state).is_some_and(|p| p.before.mean - p.during.mean >= thresholds::p_state_rise());
    let moved = climbed || clock.during.mean - clock.before.mean > rise;
    let marked_idle = gpu.throttle_reasons_percent.known().is_some_and(|reasons| {
        reasons.get("gpu_idle").is_some_and(|share| *share >= thresholds::gpu_idle_share_percent())
    });
    let pinned = clock_max_mhz.is_some_and(|max| clock.before.mean + rise > max) && !marked_idle;
    let words = format!("clock {:.0} MHz before, {:.0} MHz during", clock.before.mean, clock.during.mean);
    match (moved, pinned) {
        (true, _) => signal(Kind::Clock, Standing::Moved, words),
        (false, true) => signal(Kind::Clock, Standing::Open, format!("{words}, and it cannot rise further")),
        (false, false) => signal(Kind::Clock, Standing::Flat, words),
    }
}
