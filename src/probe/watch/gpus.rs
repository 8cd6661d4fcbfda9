//! The GPUs' part of a turn: a sampler whose samples are taken as they come. It is replaced before its time is over, and
//! started anew where the driver's library fails.

use super::turn::{Figure, GpuTurn};
use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::{GpuRecording, Recording};
use crate::probe::nvml::sampler::{self, Sampler};
use crate::probe::nvml::throttle_reason_names;
use crate::snapshot::{NvmlFacts, Unknown, Why};
use std::time::{Duration, Instant};

/// Samples a second, at least; and in an interval.
const LEAST_RATE_HZ: f64 = 10.0;
const SAMPLES_AN_INTERVAL: f64 = 5.0;
/// A sampler's life: its child may use 60 s of processor time, and uses about two hundredths of it with 8 GPUs.
const LIFE: Duration = Duration::from_secs(1200);
/// It is replaced so long before.
const HANDOVER: Duration = Duration::from_secs(60);
/// With a GPU that is lost it is replaced sooner, since it never asks that one again.
const LOST_LIFE: Duration = Duration::from_secs(60);
/// What is read slowly counts for so long, milliseconds.
const FRESH_MS: f64 = 1500.0;
/// A sampler that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(10);
/// Wait before a sampler that failed is started anew: at first, and at most.
const AGAIN: Duration = Duration::from_secs(5);
const AGAIN_MOST: Duration = Duration::from_secs(300);
/// Counters that a line tells.
const TOLD: [Counter; 7] = [
    Counter::Utilization,
    Counter::MemoryUsed,
    Counter::Power,
    Counter::Temperature,
    Counter::SmClock,
    Counter::SmActivity,
    Counter::ThrottleReasons,
];

/// All GPUs of this machine.
pub struct Gpus {
    sampler: Option<Sampler>,
    server_pids: Vec<u64>,
    rate_hz: u32,
    known: Vec<Known>,
    born: Instant,
    heard: Instant,
    /// Why nothing is sampled.
    fault: Option<Unknown>,
    again: Instant,
    wait: Duration,
}

/// What is known of a GPU across intervals.
struct Known {
    index: u64,
    uuid: Option<String>,
    name: Option<String>,
    memory_total_bytes: Option<u64>,
    latest: Vec<(Counter, f64, f64)>,
    refused: Vec<(Counter, Unknown)>,
    lost: Option<Unknown>,
}

impl Gpus {
    /// None at all.
    pub fn none() -> Self {
        let now = Instant::now();
        Self {
            sampler: None,
            server_pids: Vec::new(),
            rate_hz: LEAST_RATE_HZ as u32,
            known: Vec::new(),
            born: now,
            heard: now,
            fault: None,
            again: now,
            wait: AGAIN,
        }
    }

    /// Begins to sample; a fault is told and gone past.
    pub fn begin(server_pids: Vec<u64>, nvml: &NvmlFacts, interval: Duration, notes: &mut Vec<String>) -> Self {
        let rate = (SAMPLES_AN_INTERVAL / interval.as_secs_f64()).max(LEAST_RATE_HZ);
        let listed = nvml.gpus.known().map(Vec::as_slice).unwrap_or_default();
        let known = listed.iter().map(|gpu| Known {
            index: gpu.index,
            uuid: gpu.uuid.known().cloned(),
            name: gpu.name.known().cloned(),
            memory_total_bytes: gpu.memory_total_bytes.known().copied(),
            ..Known::new(gpu.index)
        });
        let rate_hz = (rate as u32).clamp(1, sampler::HIGHEST_RATE_HZ);
        let mut gpus = Self { server_pids, rate_hz, known: known.collect(), ..Self::none() };
        gpus.start(notes);
        gpus
    }

    /// Whether there are GPUs, or could be.
    pub fn is_of_use(&self) -> bool {
        self.sampler.is_some() || self.fault.is_some()
    }

    fn start(&mut self, notes: &mut Vec<String>) {
        match sampler::stream(&self.server_pids, self.rate_hz, LIFE) {
            Ok(sampler) => {
                // The one before has nothing more to say.
                if let Some(before) = self.sampler.replace(sampler) {
                    before.end();
                }
                if self.fault.take().is_some() {
                    notes.push("the GPUs are sampled again".into());
                }
                (self.born, self.heard, self.wait) = (Instant::now(), Instant::now(), AGAIN);
            }
            Err(unknown) => self.failed(unknown, notes),
        }
    }

    fn failed(&mut self, unknown: Unknown, notes: &mut Vec<String>) {
        if self.fault.as_ref().is_none_or(|fault| fault.detail != unknown.detail) {
            notes.push(format!("the GPUs are not sampled: {}", unknown.detail));
        }
        self.fault = Some(unknown);
        self.again = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(AGAIN_MOST);
    }

    /// What the GPUs did since the last turn.
    pub fn turn(&mut self, notes: &mut Vec<String>) -> Vec<GpuTurn> {
        let mut recording = Recording::default();
        if let Some(sampler) = &mut self.sampler {
            let ended = sampler.has_ended();
            recording = sampler.news();
            if !recording.times.is_empty() {
                self.heard = Instant::now();
            }
            if ended || self.heard.elapsed() > SILENCE {
                let fault = self.sampler.take().and_then(Sampler::end);
                let silent = || Unknown::new(Why::TimedOut, "the driver's library gave no sample for 10 s");
                self.failed(fault.unwrap_or_else(silent), notes);
            }
        }
        for gpu in &recording.gpus {
            if !self.known.iter().any(|known| known.index == gpu.index) {
                self.known.push(Known::new(gpu.index));
                self.known.sort_by_key(|known| known.index);
            }
        }
        let now = sampler::monotonic_ms();
        let fault = self.fault.as_ref();
        let turns = self.known.iter_mut().map(|known| {
            let news = recording.gpus.iter().find(|gpu| gpu.index == known.index);
            if let Some(news) = news {
                known.take(news, notes);
            }
            known.turn(news, now, fault)
        });
        let turns = turns.collect();
        self.renew(notes);
        turns
    }

    /// Replaces the sampler where that is due.
    fn renew(&mut self, notes: &mut Vec<String>) {
        let life = if self.known.iter().any(|known| known.lost.is_some()) { LOST_LIFE } else { LIFE - HANDOVER };
        let due = match self.sampler {
            Some(_) => self.born.elapsed() > life,
            None => self.fault.is_some() && Instant::now() >= self.again,
        };
        if due {
            self.start(notes);
        }
    }

    /// Stops sampling.
    pub fn end(self) {
        if let Some(sampler) = self.sampler {
            sampler.end();
        }
    }
}

impl Known {
    fn new(index: u64) -> Self {
        Self {
            index,
            uuid: None,
            name: None,
            memory_total_bytes: None,
            latest: Vec::new(),
            refused: Vec::new(),
            lost: None,
        }
    }

    /// Takes what was said of it.
    fn take(&mut self, news: &GpuRecording, notes: &mut Vec<String>) {
        if let Some(uuid) = news.uuid.known() {
            self.uuid = Some(uuid.clone());
        }
        for counter in TOLD {
            if let Some((at_ms, value)) = news.readings(counter).last() {
                self.latest.retain(|(known, ..)| *known != counter);
                self.latest.push((counter, *at_ms, *value));
                self.refused.retain(|(known, _)| *known != counter);
            }
            let last_ms = news.readings(counter).last().map_or(f64::NEG_INFINITY, |(at_ms, _)| *at_ms);
            if let Some((_, unknown)) = news.refusal(counter).filter(|(at_ms, _)| *at_ms >= last_ms) {
                self.refused.retain(|(known, _)| *known != counter);
                self.refused.push((counter, unknown.clone()));
            }
        }
        let reads = TOLD.iter().any(|counter| !news.readings(*counter).is_empty());
        if reads && news.lost.is_none() && self.lost.take().is_some() {
            notes.push(format!("GPU {} answers again", self.index));
        }
        let unreachable = || (!reads).then(|| news.refusal(Counter::Power)).flatten();
        let lost = news.lost.as_ref().or_else(unreachable).map(|(_, unknown)| unknown);
        if let (Some(lost), None) = (lost, &self.lost) {
            notes.push(format!("GPU {} does not answer: {}", self.index, lost.detail));
            self.lost = Some(lost.clone());
        }
    }

    fn turn(&self, news: Option<&GpuRecording>, now_ms: f64, fault: Option<&Unknown>) -> GpuTurn {
        let readings = |counter| news.map(|gpu| gpu.readings(counter)).unwrap_or_default();
        let figure = |counter: Counter, how: fn(&[(f64, f64)]) -> f64| -> Figure {
            match readings(counter) {
                [] => self.fresh(counter, now_ms).ok_or_else(|| self.reason(counter, fault)),
                all => Ok(how(all)),
            }
        };
        GpuTurn {
            index: self.index,
            uuid: self.uuid.clone(),
            name: self.name.clone(),
            memory_total_bytes: self.memory_total_bytes,
            utilization_percent: figure(Counter::Utilization, mean),
            utilization_max_percent: figure(Counter::Utilization, highest),
            memory_used_bytes: figure(Counter::MemoryUsed, last),
            power_milliwatts: figure(Counter::Power, mean),
            temperature_celsius: figure(Counter::Temperature, last),
            sm_clock_mhz: figure(Counter::SmClock, mean),
            sm_activity_percent: figure(Counter::SmActivity, mean),
            throttle_reasons: figure(Counter::ThrottleReasons, any_bit).map(|bits| throttle_reason_names(bits as u64)),
            lost: self.lost.clone(),
        }
    }

    /// The last reading, as long as it counts.
    fn fresh(&self, counter: Counter, now_ms: f64) -> Option<f64> {
        let (_, at_ms, value) = self.latest.iter().find(|(known, ..)| *known == counter)?;
        let refused = self.refused.iter().any(|(known, _)| *known == counter);
        (self.lost.is_none() && !refused && now_ms - at_ms < FRESH_MS).then_some(*value)
    }

    /// Why there is no reading.
    fn reason(&self, counter: Counter, fault: Option<&Unknown>) -> Unknown {
        let refused = self.refused.iter().find(|(known, _)| *known == counter).map(|(_, unknown)| unknown);
        let reason = self.lost.as_ref().or(fault).or(refused);
        let silent = || Unknown::new(Why::TimedOut, format!("no sample of {} in this interval", counter.name()));
        reason.cloned().unwrap_or_else(silent)
    }
}

fn mean(readings: &[(f64, f64)]) -> f64 {
    readings.iter().map(|(_, value)| value).sum::<f64>() / readings.len().max(1) as f64
}

fn highest(readings: &[(f64, f64)]) -> f64 {
    readings.iter().map(|(_, value)| *value).fold(0.0, f64::max)
}

fn last(readings: &[(f64, f64)]) -> f64 {
    readings.last().map_or(0.0, |(_, value)| *value)
}

/// The bits that were set in any reading.
fn any_bit(readings: &[(f64, f64)]) -> f64 {
    readings.iter().fold(0_u64, |bits, (_, value)| bits | *value as u64) as f64
}
