//! What a watch comes to, in bounded memory however long it lasts.

use super::turn::{Figure, Turn};
use crate::snapshot::Why;
use hdrhistogram::Histogram;
use std::collections::{BTreeMap, BTreeSet};

/// Things that happened, kept at most; the first ones say most.
const EVENTS_MAX: usize = 50;
/// Largest value that is told apart, and by how many units one is: thousandths.
const HIGHEST: u64 = 1 << 50;
const UNIT: f64 = 1e3;

/// A whole watch.
#[derive(Debug, Default)]
pub struct Summary {
    /// When the watch began, and when its last interval ended, milliseconds since 1970; nothing without an interval.
    pub span_ms: Option<(f64, f64)>,
    begun_ms: f64,
    /// Intervals.
    pub turns: u64,
    /// The GPUs by index.
    pub gpus: BTreeMap<u64, GpuSummary>,
    /// The server, if one was watched.
    pub server: Option<ServerSummary>,
    /// What happened, in order; at most 50.
    pub events: Vec<Event>,
    /// How many more things happened.
    pub events_left_out: u64,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// When, milliseconds since 1970.
    pub at_ms: f64,
    /// The same as a time of day on this machine's clock.
    pub time: String,
    /// What, in a sentence.
    pub said: String,
}

/// One GPU.
#[derive(Debug, Default)]
pub struct GpuSummary {
    /// Product name.
    pub name: Option<String>,
    /// Memory of the card, bytes.
    pub memory_total_bytes: Option<u64>,
    /// Utilization, percent.
    pub utilization_percent: Range,
    /// Memory in use, bytes.
    pub memory_used_bytes: Range,
    /// Power draw, milliwatts.
    pub power_milliwatts: Range,
    /// Core temperature, degrees Celsius.
    pub temperature_celsius: Range,
    /// Clock of the multiprocessors, MHz.
    pub sm_clock_mhz: Range,
    /// Share of the multiprocessors in use (GPM), percent.
    pub sm_activity_percent: Range,
    /// Intervals in which no sample shows a kernel.
    pub idle: u64,
    /// Reasons for which clocks were not higher, and in how many intervals.
    pub throttled: BTreeMap<String, u64>,
    /// Intervals in which it did not answer.
    pub lost: u64,
    /// What it does not tell.
    pub untold: BTreeSet<&'static str>,
}

/// The server.
#[derive(Debug, Default)]
pub struct ServerSummary {
    /// Requests that were counted.
    pub requests: f64,
    /// Those that failed or were refused by its own count.
    pub failed: f64,
    /// Requests of one interval.
    pub gained: Range,
    /// Mean time in the queue, by request, milliseconds.
    pub queue_ms: Range,
    /// Mean time in the model, by request, milliseconds.
    pub infer_ms: Range,
    /// Intervals in which its counters were not read.
    pub unread: u64,
}

/// Figures, with their mean, their extremes and their percentiles.
#[derive(Debug, Default)]
pub struct Range {
    values: Option<Histogram<u64>>,
    sum: f64,
    weight: f64,
    min: f64,
    max: f64,
}

impl Range {
    fn note(&mut self, value: f64, weight: f64) {
        if !value.is_finite() || value < 0.0 || weight < 1.0 {
            return;
        }
        if self.weight == 0.0 {
            (self.min, self.max) = (value, value);
        }
        (self.min, self.max) = (self.min.min(value), self.max.max(value));
        self.sum += value * weight;
        self.weight += weight;
        if self.values.is_none() {
            self.values = Histogram::new_with_bounds(1, HIGHEST, 2).ok();
        }
        if let Some(values) = &mut self.values {
            values.saturating_record_n((value * UNIT).round() as u64, weight as u64);
        }
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.weight == 0.0
    }

    /// The mean; 0 of none.
    pub fn mean(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.sum / self.weight }
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.min
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.max
    }

    /// What this share of them is not above, to 1 %.
    pub fn quantile(&self, share: f64) -> f64 {
        let at = self.values.as_ref().map_or(0.0, |values| values.value_at_quantile(share) as f64 / UNIT);
        at.clamp(self.min, self.max)
    }
}

impl Summary {
    /// Nothing was seen yet.
    pub fn new(with_server: bool, begun_ms: f64) -> Self {
        Self { server: with_server.then(ServerSummary::default), begun_ms, ..Self::default() }
    }

    /// Takes what was seen in an interval.
    pub fn take(&mut self, turn: &Turn) {
        self.turns += 1;
        self.span_ms = Some((self.begun_ms, turn.at_ms));
        for note in &turn.notes {
            match self.events.len() < EVENTS_MAX {
                true => {
                    let (at_ms, time, said) = (turn.at_ms, turn.time.clone(), note.clone());
                    self.events.push(Event { at_ms, time, said });
                }
                false => self.events_left_out += 1,
            }
        }
        for gpu in &turn.gpus {
            let own = self.gpus.entry(gpu.index).or_default();
            own.name.clone_from(&gpu.name);
            own.memory_total_bytes = gpu.memory_total_bytes;
            if gpu.lost.is_some() {
                own.lost += 1;
                continue;
            }
            own.note("utilization", &gpu.utilization_percent, |own| &mut own.utilization_percent);
            own.note("memory", &gpu.memory_used_bytes, |own| &mut own.memory_used_bytes);
            own.note("power", &gpu.power_milliwatts, |own| &mut own.power_milliwatts);
            own.idle += u64::from(gpu.is_idle() == Some(true));
            // Few cards tell it, so that its lack is not told.
            for (range, figure) in
                [(&mut own.sm_clock_mhz, &gpu.sm_clock_mhz), (&mut own.sm_activity_percent, &gpu.sm_activity_percent)]
            {
                figure.iter().for_each(|value| range.note(*value, 1.0));
            }
            own.note("temperature", &gpu.temperature_celsius, |own| &mut own.temperature_celsius);
            for reason in gpu.throttle_reasons.iter().flatten().filter(|reason| *reason != "gpu_idle") {
                *own.throttled.entry(reason.clone()).or_default() += 1;
            }
        }
        if let (Some(own), Some(server)) = (&mut self.server, &turn.server) {
            match &server.gained {
                Ok(gained) => {
                    own.requests += gained;
                    own.gained.note(*gained, 1.0);
                    own.failed += server.failed.as_ref().copied().unwrap_or(0.0);
                    for (range, figure) in
                        [(&mut own.queue_ms, &server.queue_ms), (&mut own.infer_ms, &server.infer_ms)]
                    {
                        if let Ok(ms) = figure {
                            range.note(*ms, *gained);
                        }
                    }
                }
                Err(_) => own.unread += 1,
            }
        }
    }
}

impl GpuSummary {
    fn note(&mut self, what: &'static str, figure: &Figure, range: fn(&mut Self) -> &mut Range) {
        match figure {
            Ok(value) => range(self).note(*value, 1.0),
            Err(unknown) if unknown.why == Why::Unsupported => drop(self.untold.insert(what)),
            Err(_) => {}
        }
    }
}
