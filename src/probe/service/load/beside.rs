//! What is watched beside a step: the GPUs, the server's own counters, and its processes' time.

use super::{Found, pause};
use crate::probe::Context;
use crate::probe::nvml::recording::Recording;
use crate::probe::nvml::sampler::{self, Sampler, monotonic_ms};
use crate::probe::service::window::counters::{CpuTimes, cpu_between_ms, cpu_times};
use crate::probe::service::window::{AFTER, BASELINE, QUIET, Watch, phases, round, watch};
use crate::snapshot::{Fact, Facts, GpuWindow, ModelCounters, Unknown};
use std::sync::atomic::AtomicBool;

/// What can be watched of this server.
pub struct Beside<'a> {
    of: &'a Found<'a>,
    context: &'a Context,
    facts: &'a Facts,
    pids: &'a Result<Vec<u64>, Unknown>,
    nvml: Result<(), Unknown>,
    /// The GPUs in the idle time before the first step.
    idle: Recording,
}

/// A step that is being watched.
pub struct Watched {
    sampler: Result<Sampler, Unknown>,
    watch: Result<Watch, Unknown>,
    cpu: Result<CpuTimes, Unknown>,
    opened: f64,
}

/// What was seen of a step.
pub struct Seen {
    pub gpus: Result<Vec<GpuWindow>, Unknown>,
    pub models: Fact<Vec<ModelCounters>>,
    pub server_cpu_ms: Result<f64, Unknown>,
}

impl Watched {
    /// What samples the GPUs, if anything does.
    pub fn sampler(&self) -> Option<&Sampler> {
        self.sampler.as_ref().ok()
    }
}

impl<'a> Beside<'a> {
    /// Nothing is watched yet.
    pub fn new(
        of: &'a Found<'a>,
        context: &'a Context,
        facts: &'a Facts,
        pids: &'a Result<Vec<u64>, Unknown>,
        nvml: Result<(), Unknown>,
    ) -> Self {
        Self { of, context, facts, pids, nvml, idle: Recording::default() }
    }

    /// Watches the GPUs while nothing runs.
    pub fn idle(&mut self, interrupted: &AtomicBool) {
        if self.nvml.is_err() {
            return;
        }
        // Utilization is a mean over up to a second, so the window's requests must have left it.
        pause(QUIET, interrupted);
        let sampler = self.sampler();
        pause(BASELINE, interrupted);
        match sampler.and_then(Sampler::finish) {
            Ok(recording) => self.idle = recording,
            Err(unknown) => self.nvml = Err(unknown),
        }
    }

    /// Begins to watch; the step starts at once.
    pub fn begin(&self) -> Watched {
        let sampler = self.sampler();
        // Without counters in the window there are none now.
        let watch = self.facts.counters.models.read().map(|_| {
            let mut watch = watch(self.of.talk, self.of.found, self.of.route, self.context, self.facts);
            watch.begin();
            watch
        });
        let cpu = self.pids.as_deref().map_err(Unknown::clone).and_then(cpu_times);
        Watched { sampler, watch, cpu, opened: monotonic_ms() }
    }

    /// The step is over.
    pub fn end(&self, watched: Watched) -> Seen {
        let Watched { sampler, watch, cpu, opened } = watched;
        let closed = monotonic_ms();
        let after = self.pids.as_deref().map_err(Unknown::clone).and_then(cpu_times);
        let server_cpu_ms = cpu.and_then(|before| cpu_between_ms(&before, &after?, closed - opened).map(round));
        let models = match watch {
            Ok(mut watch) => {
                watch.end();
                watch.told().models
            }
            Err(unknown) => Fact::Unknown(unknown),
        };
        let gpus = sampler.and_then(|sampler| {
            std::thread::sleep(AFTER);
            let recording = self.idle.then(&sampler.finish()?, opened);
            Ok(phases::summarise(&recording, opened, closed, &[]))
        });
        Seen { gpus, models, server_cpu_ms }
    }

    fn sampler(&self) -> Result<Sampler, Unknown> {
        self.nvml.clone()?;
        sampler::start(self.pids.as_deref().unwrap_or_default(), self.context.ask.sample_rate_hz)
    }
}
