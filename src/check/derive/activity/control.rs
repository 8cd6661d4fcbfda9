//! The positive control: what the counters did while the doctor's own kernel ran on the same GPU.

use super::signals::{self, Around, Kind, Standing};
use super::{ownership, thresholds};
use crate::snapshot::{Facts, GpuWindow, SmokeRun};

/// What the doctor's kernel showed of a GPU's counters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Control {
    /// Counters that rose.
    pub moved: Vec<Kind>,
    /// Counters that stayed flat while a kernel ran, so that they are worth nothing here.
    pub blind: Vec<Kind>,
}

/// The control on the GPU of a window, if there was one.
pub fn of(facts: &Facts, window: &GpuWindow) -> Option<Control> {
    let runs = facts.smoke.runs.known()?;
    let gpu = ownership::gpu_of(facts, window);
    let parts = gpu.and_then(|gpu| gpu.mig_devices.known()).into_iter().flatten();
    let names: Vec<&String> =
        window.uuid.known().into_iter().chain(parts.filter_map(|part| part.uuid.known())).collect();
    let is_meant = |run: &&SmokeRun| run.uuid.known().is_some_and(|uuid| names.contains(&uuid));
    let run = runs.iter().filter(is_meant).find(|run| {
        run.verified.known() == Some(&true)
            && run.busy_ms.known().is_some_and(|ms| *ms >= thresholds::control_busy_ms())
    })?;
    let clock_max_mhz = gpu.and_then(|gpu| gpu.sm_clock_max_mhz.known()).map(|max| *max as f64);
    let signals = signals::read(run.counters.known()?, &Around { clock_max_mhz, ..Around::default() });
    let kinds =
        |standing: Standing| signals.iter().filter(|one| one.standing == standing).map(|one| one.kind).collect();
    Some(Control { moved: kinds(Standing::Moved), blind: kinds(Standing::Flat) })
}
