//! Work that the driver's utilization does not show, since it is shorter than what it averages over.

use super::{SAMPLES, accepted, of_files, of_server};
use crate::check::derive::activity::idle_utilization_percent;
use crate::check::derive::activity::ownership::computes_itself;
use crate::check::derive::activity::signals::{self, Around, Kind, Signal, Standing};
use crate::check::derive::{Basis, recorded};
use crate::snapshot::{GpuWindow, Unknown};

/// Whether a counter of kernels shows it, and the figures; empty if utilization shows what there was.
pub fn missed(basis: &Basis) -> Result<(bool, String), Unknown> {
    let facts = basis.facts;
    accepted(facts)?;
    let windows = of_server(basis)?;
    let of_file = of_files(facts);
    let busy_cpu = computes_itself(facts);
    // Where utilization shows the work on one of the server's GPUs, nobody takes it for idle.
    let shows = |window: &&GpuWindow| {
        let signals = signals::read(window, &Around::default());
        signals.iter().any(|signal| signal.kind == Kind::Utilization && signal.standing == Standing::Moved)
    };
    if !of_file && windows.iter().any(shows) {
        return Ok((false, String::new()));
    }
    let judged = |window: &&GpuWindow| if of_file { in_file(window) } else { in_window(window, busy_cpu) };
    Ok(windows.iter().find_map(judged).unwrap_or((false, String::new())))
}

fn in_window(window: &GpuWindow, busy_cpu: bool) -> Option<(bool, String)> {
    let signals = signals::read(window, &Around::default());
    let one = |kind: Kind| signals.iter().find(|signal| signal.kind == kind);
    let moved = |kind: Kind| one(kind).filter(|signal| signal.standing == Standing::Moved);
    let flat = one(Kind::Utilization).filter(|signal| signal.standing == Standing::Flat)?;
    let rests =
        window.utilization_percent.known().is_some_and(|phases| phases.during.max <= idle_utilization_percent());
    let counted: Vec<&Signal> = [Kind::ProcessUtilization, Kind::SmActivity].into_iter().filter_map(moved).collect();
    let drawn = moved(Kind::Energy).filter(|_| integrates(window, busy_cpu));
    let seen: Vec<&str> = counted.iter().copied().chain(drawn).map(|signal| signal.words.as_str()).collect();
    let words = format!("GPU {}: {}, yet {}", window.index, flat.words, seen.join("; "));
    (rests && !seen.is_empty()).then_some((!counted.is_empty(), words))
}

/// Whether the energy counter tells of more than a card that is awake: no burst escapes an integral. Where the server is busy
/// on the CPU as well, a context that is kept awake draws more than one that sleeps.
fn integrates(window: &GpuWindow, busy_cpu: bool) -> bool {
    signals::energy_rates(window).is_some() && (!busy_cpu || signals::drew_far_more(window))
}

fn in_file(window: &GpuWindow) -> Option<(bool, String)> {
    let during = &window.utilization_percent.known()?.during;
    let rests = during.samples >= SAMPLES && during.max <= idle_utilization_percent();
    let own =
        window.process_utilization_percent.known().filter(|phases| phases.during.max > idle_utilization_percent());
    let seen = match (own, recorded::power_rose(window)) {
        (Some(phases), _) => format!("its processes were at {:.0} %", phases.during.max),
        (None, Some(power)) => power,
        (None, None) => return None,
    };
    let words = format!("GPU {} at most {:.0} % in {} samples, yet {seen}", window.index, during.max, during.samples);
    rests.then_some((own.is_some(), words))
}
