//! What is watched beside a step: the GPUs, the server's own counters, and its processes' time.

use super::gpus::{Gpus, Teller};
use super::{Found, heat, pause};
use crate::probe::Context;
use crate::probe::nvml::recording::Recording;
use crate::probe::nvml::sampler::monotonic_ms;
use crate::probe::service::window::counters::{CpuTimes, cpu_between_ms, cpu_times};
use crate::probe::service::window::{AFTER, BASELINE, QUIET, Watch, phases, round, watch};
use crate::snapshot::{Fact, Facts, GpuWindow, ModelCounters, Unknown};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What can be watched of this server.
pub struct Beside<'a> {
    of: &'a Found<'a>,
    context: &'a Context,
    facts: &'a Facts,
    pids: &'a Result<Vec<u64>, Unknown>,
    gpus: Result<Gpus, Unknown>,
    /// The GPUs in the idle time before the first step.
    idle: Recording,
}

/// A step that is being watched.
pub struct Watched {
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

impl<'a> Beside<'a> {
    /// Begins with the GPUs while nothing runs. One that reaches its limit later sets `halted`.
    pub fn new(
        of: &'a Found<'a>,
        context: &'a Context,
        facts: &'a Facts,
        pids: &'a Result<Vec<u64>, Unknown>,
        nvml: Result<(), Unknown>,
        (interrupted, halted): (&AtomicBool, Arc<AtomicBool>),
    ) -> Self {
        let gpus = nvml.and_then(|()| {
            // Utilization is a mean over up to a second, so the window's requests must have left it.
            pause(QUIET, interrupted);
            let pids = pids.as_deref().unwrap_or_default();
            Gpus::start(pids, context.ask.sample_rate_hz, heat::limits(facts), halted)
        });
        let idle = match &gpus {
            Ok(gpus) => {
                pause(BASELINE, interrupted);
                gpus.take(monotonic_ms()).unwrap_or_default()
            }
            Err(_) => Recording::default(),
        };
        Self { of, context, facts, pids, gpus, idle }
    }

    /// Tells the memory of the GPUs, if they are watched.
    pub fn teller(&self) -> Option<Teller> {
        self.gpus.as_ref().ok().map(Gpus::teller)
    }

    /// Which GPU got too hot, in words.
    pub fn heat(&self) -> Option<String> {
        self.gpus.as_ref().ok()?.heat()
    }

    /// Begins to watch; the step starts at once.
    pub fn begin(&self) -> Watched {
        // Without counters in the window there are none now.
        let watch = self.facts.counters.models.read().map(|_| {
            let mut watch = watch(self.of.talk, self.of.found, self.of.route, self.context, self.facts);
            watch.begin();
            watch
        });
        let cpu = self.pids.as_deref().map_err(Unknown::clone).and_then(cpu_times);
        let opened = monotonic_ms();
        // What was read between the steps belongs to none.
        let _ = self.gpus.as_ref().map(|gpus| gpus.take(opened));
        Watched { watch, cpu, opened }
    }

    /// The step is over.
    pub fn end(&self, watched: Watched) -> Seen {
        let Watched { watch, cpu, opened } = watched;
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
        let gpus = self.gpus.as_ref().map_err(Unknown::clone).and_then(|gpus| {
            std::thread::sleep(AFTER);
            let recording = self.idle.then(&gpus.take(monotonic_ms())?, opened);
            Ok(phases::summarise(&recording, opened, closed, &[]))
        });
        Seen { gpus, models, server_cpu_ms }
    }
}
