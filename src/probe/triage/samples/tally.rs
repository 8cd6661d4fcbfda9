//! Adds up samples, GPU by GPU.

use super::super::evidence::{Clock, Counter, Evidence, GpuSamples, Sampled, short_name};
use super::super::faults::Faults;
use super::super::table::time::Moment;
use super::super::timeline::Timeline;
use crate::snapshot::RecordedFile;
use crate::words::{bytes, count, grouped};

/// Slots of time for each GPU.
const SLOTS: usize = 2048;
/// Most GPUs of one file.
const GPUS: usize = 64;

/// What samples add up to.
#[derive(Default)]
pub struct Tally {
    /// What is wrong in the file.
    pub faults: Faults,
    gpus: Vec<GpuSamples>,
    unsupported: Vec<(usize, String)>,
    complaints: Vec<String>,
    clock: Option<Clock>,
    latest_ms: f64,
    first_ms: f64,
    rows: u64,
    /// Added to times of day after midnight.
    days_ms: f64,
}

impl Tally {
    /// How many rows were taken.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// A row is taken.
    pub fn row(&mut self) {
        self.rows += 1;
    }

    /// The time of a row by the file's one clock; an error if the row cannot be placed.
    pub fn when(&mut self, line: u64, moment: Option<Moment>, relative_factor: f64) -> Result<Option<f64>, ()> {
        let Some(moment) = moment else { return Ok(None) };
        if *self.clock.get_or_insert(moment.clock) != moment.clock {
            self.faults.note(line, "the time is written in another way than before, the row was left out");
            return Err(());
        }
        if moment.ambiguous {
            self.faults.note(line, "day and month of the date could be the other way round; the month was read first");
        }
        let mut ms = match moment.clock {
            Clock::Relative => moment.ms * relative_factor,
            Clock::OfDay => moment.ms + self.days_ms,
            _ => moment.ms,
        };
        if self.rows == 0 {
            (self.latest_ms, self.first_ms) = (ms, ms);
        }
        if moment.clock == Clock::OfDay && ms < self.latest_ms - 12.0 * 3_600_000.0 {
            self.days_ms += 86_400_000.0;
            ms += 86_400_000.0;
        }
        if ms < self.latest_ms - 5000.0 {
            self.faults.note(line, "the clock goes back");
        }
        self.latest_ms = self.latest_ms.max(ms);
        self.first_ms = self.first_ms.min(ms);
        Ok(Some(ms))
    }

    /// The place of a GPU.
    pub fn gpu(&mut self, index: Option<u64>, uuid: Option<&str>, name: Option<&str>) -> Option<usize> {
        let is = |gpu: &GpuSamples| match (uuid, &gpu.uuid) {
            (Some(uuid), Some(known)) => uuid == known,
            _ => gpu.index == index,
        };
        if let Some(place) = self.gpus.iter().position(is) {
            return Some(place);
        }
        if self.gpus.len() >= GPUS {
            self.faults.note(0, "it names more than 64 GPUs, the others were left out");
            return None;
        }
        self.gpus.push(GpuSamples {
            file: String::new(),
            index,
            uuid: uuid.map(|uuid| uuid.chars().take(80).collect()),
            name: name.map(|name| crate::words::plain(name).chars().take(80).collect()),
            memory_total_bytes: None,
            clock: Clock::None,
            timeline: Timeline::new(SLOTS),
            all: Sampled::default(),
            impossible: 0,
            lost_at_ms: None,
        });
        Some(self.gpus.len() - 1)
    }

    /// Takes a reading. What no card can show is a fault and no reading.
    pub fn note(&mut self, line: u64, gpu: usize, counter: Counter, value: f64, at: Option<f64>, title: &str) {
        let most = match counter {
            Counter::Utilization => 100.0,
            Counter::ProcessUtilization => 100.0,
            Counter::MemoryUsed => 1e13,
            Counter::Power => 1e7,
            Counter::Temperature => 150.0,
            Counter::SmClock | Counter::MemoryClock => 50_000.0,
            Counter::PState => 15.0,
        };
        let impossible = !(0.0..=most).contains(&value);
        if impossible && let Some(samples) = self.gpus.get_mut(gpu).filter(|_| counter == Counter::Utilization) {
            samples.impossible += 1;
        }
        if value < 0.0 {
            return self.faults.note(line, &format!("{title} is negative"));
        }
        if value > most {
            return self.faults.note(line, &format!("{title} is more than a card can show"));
        }
        let Some(samples) = self.gpus.get_mut(gpu) else { return };
        samples.all.note(counter, value);
        if let Some(at) = at {
            samples.timeline.at(at).note(counter, value);
        }
    }

    /// The memory that a card has, bytes.
    pub fn total(&mut self, gpu: usize, bytes: f64) {
        if let Some(samples) = self.gpus.get_mut(gpu)
            && bytes > 0.0
        {
            samples.memory_total_bytes = Some(bytes as u64);
        }
    }

    /// The card does not tell a counter.
    pub fn unsupported(&mut self, gpu: usize, counter: Option<Counter>, title: &str) {
        let told = counter.is_some() && self.unsupported.len() < GPUS;
        if told && !self.unsupported.iter().any(|(known, name)| *known == gpu && name == title) {
            self.unsupported.push((gpu, title.into()));
        }
    }

    /// The GPU does not answer.
    pub fn lost(&mut self, line: u64, gpu: usize, at: Option<f64>) {
        self.faults.note(line, "the GPU does not answer (ERR!, GPU is lost)");
        if let Some(samples) = self.gpus.get_mut(gpu) {
            samples.lost_at_ms = samples.lost_at_ms.or(at);
        }
    }

    /// nvidia-smi's complaint in place of a row.
    pub fn lost_row(&mut self, line: u64, text: String) {
        self.faults.note(line, "nvidia-smi writes a complaint in place of a sample");
        if self.complaints.len() < 3 {
            self.complaints.push(format!("nvidia-smi says in line {line}: {text}"));
        }
        let at = (self.rows > 0).then_some(self.latest_ms);
        // Which GPU it is about is told for sure only where there is one.
        if let [gpu] = self.gpus.as_mut_slice() {
            gpu.lost_at_ms = gpu.lost_at_ms.or(at);
        }
    }

    /// Tells what the file shows, and hands the samples over.
    pub fn end(mut self, file: &mut RecordedFile) -> Vec<Evidence> {
        file.records = self.rows;
        if self.rows == 0 {
            file.faults.push("there is a header and no sample below it".into());
        }
        let clock = self.clock.unwrap_or(Clock::None);
        let span = match clock {
            Clock::None => String::new(),
            _ => format!(" in {:.1} s", (self.latest_ms - self.first_ms) / 1e3),
        };
        if self.rows > 0 {
            let rows = if self.rows == 1 { "1 row".into() } else { format!("{} rows", grouped(self.rows)) };
            file.shows.push(format!("{rows} of {}{span}", count(self.gpus.len(), "GPU")));
        }
        file.shows.extend(self.gpus.iter().map(shown).filter(|shown| !shown.is_empty()));
        file.shows.append(&mut self.complaints);
        for (gpu, title) in &self.unsupported {
            let name = self.gpus.get(*gpu).map_or(String::new(), named);
            let wanted = title.replace(" [%]", "");
            file.lacks.push(format!("{name} does not tell {wanted}"));
        }
        file.faults.extend(std::mem::take(&mut self.faults).told());
        let gpus = self.gpus.into_iter().map(|mut gpu| {
            gpu.file = short_name(&file.name);
            gpu.clock = clock;
            Evidence::Gpu(Box::new(gpu))
        });
        gpus.collect()
    }
}

fn named(gpu: &GpuSamples) -> String {
    match (gpu.index, &gpu.uuid) {
        (Some(index), _) => format!("GPU {index}"),
        (None, Some(uuid)) => uuid.clone(),
        (None, None) => "the GPU".into(),
    }
}

/// What one GPU's samples show, in a sentence.
fn shown(gpu: &GpuSamples) -> String {
    let mut parts = Vec::new();
    let utilization = gpu.all.of(Counter::Utilization);
    if utilization.count > 0 {
        parts.push(match utilization.max {
            0.0 => format!("utilization 0 % in all of {} samples", grouped(utilization.count)),
            max => format!(
                "utilization {:.0} % on average, {max:.0} % at most",
                utilization.sum / utilization.count as f64
            ),
        });
    }
    let memory = gpu.all.of(Counter::MemoryUsed);
    if memory.count > 0 {
        parts.push(match bytes(memory.min) == bytes(memory.max) {
            true => format!("memory {}", bytes(memory.max)),
            false => format!("memory {} to {}", bytes(memory.min), bytes(memory.max)),
        });
    }
    let power = gpu.all.of(Counter::Power);
    if power.count > 0 {
        let (min, max) = (format!("{:.0}", power.min / 1e3), format!("{:.0}", power.max / 1e3));
        parts.push(if min == max { format!("power {max} W") } else { format!("power {min} to {max} W") });
    }
    if parts.is_empty() { String::new() } else { format!("{}: {}", named(gpu), parts.join(", ")) }
}
