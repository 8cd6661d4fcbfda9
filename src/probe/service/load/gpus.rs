//! The GPUs beside the whole load: one sampler whose samples are taken as they come, so that neither its life nor its
//! buffers end a long step, and memory stays bounded.

use super::heat::{Limit, too_hot};
use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::Recording;
use crate::probe::nvml::sampler::{self, Sampler, monotonic_ms};
use crate::snapshot::{Unknown, Why};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks at what the sampler has read.
const PERIOD: Duration = Duration::from_millis(100);
/// A sampler's life, and how long before its end it is replaced: its child may use 60 s of processor time.
const LIFE: Duration = Duration::from_secs(1200);
const HANDOVER: Duration = Duration::from_secs(60);
/// A reading of memory counts for so long, milliseconds.
const FRESH_MS: f64 = 2000.0;

/// What is sampled.
#[derive(Clone)]
struct Plan {
    pids: Vec<u64>,
    rate_hz: u32,
    limits: Vec<Limit>,
    /// Set where a GPU is at its limit.
    halted: Arc<AtomicBool>,
}

/// What was read since the last step.
struct Kept {
    recording: Recording,
    /// Earlier readings are not wanted.
    from_ms: f64,
    heat: Option<String>,
    /// Why no more comes.
    fault: Option<Unknown>,
}

/// All GPUs of this machine, sampled by a child and read by a thread of its own.
pub struct Gpus {
    kept: Arc<Mutex<Kept>>,
    stop: Option<Sender<()>>,
    reader: Option<JoinHandle<()>>,
}

/// Memory in use at this moment, for who reads it meanwhile.
pub struct Teller(Arc<Mutex<Kept>>);

/// Memory on one GPU, bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub uuid: String,
    pub used: Option<u64>,
    /// Of the server's processes, by id.
    pub by_process: Vec<(u64, u64)>,
}

impl Gpus {
    /// Starts to sample; a GPU that reaches its limit sets `halted`.
    ///
    /// # Errors
    /// Those of the sampler.
    pub fn start(pids: &[u64], rate_hz: u32, limits: Vec<Limit>, halted: Arc<AtomicBool>) -> Result<Self, Unknown> {
        let plan = Plan { pids: pids.to_vec(), rate_hz, limits, halted };
        let first = sampler::stream(&plan.pids, rate_hz, LIFE)?;
        let recording = Recording {
            period_ms: 1e3 / f64::from(rate_hz.max(1)),
            server_pids: plan.pids.clone(),
            ..Recording::default()
        };
        let kept = Kept { recording, from_ms: f64::MIN, heat: None, fault: None };
        let kept = Arc::new(Mutex::new(kept));
        let (stop, stopped) = channel::<()>();
        let shared = kept.clone();
        let reader = std::thread::Builder::new().name("gpus".into());
        let reader = reader.spawn(move || read(first, &plan, &shared, &stopped));
        let reader = reader.map_err(|error| Unknown::from_io(&error, "a thread that reads the GPUs' samples"))?;
        Ok(Self { kept, stop: Some(stop), reader: Some(reader) })
    }

    /// Everything since the last call; from now on what is read from `now_ms` on.
    ///
    /// # Errors
    /// Why there is not a single sample.
    pub fn take(&self, now_ms: f64) -> Result<Recording, Unknown> {
        let mut kept = lock(&self.kept);
        kept.from_ms = now_ms;
        let mut taken = kept.recording.take_readings(now_ms);
        taken.ended_by.clone_from(&kept.fault);
        match (taken.times.is_empty(), &kept.fault) {
            (false, _) => Ok(taken),
            (true, Some(fault)) => Err(fault.clone()),
            (true, None) => Err(Unknown::new(Why::Absent, "no sample was taken")),
        }
    }

    /// Which GPU reached its limit, in words.
    pub fn heat(&self) -> Option<String> {
        lock(&self.kept).heat.clone()
    }

    /// Tells the memory in use.
    pub fn teller(&self) -> Teller {
        Teller(self.kept.clone())
    }
}

impl Drop for Gpus {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Teller {
    /// Memory on each GPU that answers.
    pub fn held(&self) -> Vec<Held> {
        let now = monotonic_ms();
        let kept = lock(&self.0);
        let answering = kept.recording.gpus.iter().filter(|gpu| gpu.lost.is_none() && kept.fault.is_none());
        let held = answering.filter_map(|gpu| {
            let (at_ms, used) = gpu.readings(Counter::MemoryUsed).last()?;
            if now - at_ms > FRESH_MS {
                return None;
            }
            let listed = gpu.processes.last().map(|(_, list)| list.as_slice()).unwrap_or_default();
            let own = listed.iter().filter(|one| kept.recording.server_pids.contains(&one.pid));
            let uuid = gpu.uuid.known().cloned().unwrap_or_else(|| gpu.index.to_string());
            let by_process = own.filter_map(|one| Some((one.pid, one.bytes?))).collect();
            Some(Held { uuid, used: Some(*used as u64), by_process })
        });
        held.collect()
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes samples until it is told to stop, or nothing more comes.
fn read(mut sampler: Sampler, plan: &Plan, kept: &Mutex<Kept>, stopped: &Receiver<()>) {
    let mut due = Instant::now() + (LIFE - HANDOVER);
    loop {
        let ended = sampler.has_ended();
        take(&sampler, plan, kept);
        if ended {
            let ended = || Unknown::new(Why::Crashed, "the sampler ended early");
            lock(kept).fault = Some(sampler.end().unwrap_or_else(ended));
            return;
        }
        if stopped.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout) {
            sampler.end();
            return;
        }
        if Instant::now() >= due {
            // Where no other can be had, this one lives to its end.
            if let Ok(next) = sampler::stream(&plan.pids, plan.rate_hz, LIFE) {
                take(&sampler, plan, kept);
                std::mem::replace(&mut sampler, next).end();
            }
            due = Instant::now() + (LIFE - HANDOVER);
        }
    }
}

fn take(sampler: &Sampler, plan: &Plan, kept: &Mutex<Kept>) {
    let news = sampler.news();
    let heat = too_hot(&news, &plan.limits);
    let mut kept = lock(kept);
    let from_ms = kept.from_ms;
    kept.recording.add(&news, from_ms);
    if kept.heat.is_none() && heat.is_some() {
        kept.heat = heat;
        plan.halted.store(true, Ordering::Relaxed);
    }
}
