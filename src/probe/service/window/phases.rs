//! The GPUs' samples, summed up: before, during and after the window.

use super::round;
use super::trace;
use crate::probe::nvml::sampler::{GpuSample, Sample};
use crate::probe::nvml::throttle_reason_names;
use crate::snapshot::{Fact, GpuWindow, Phases, Series, Unknown, Why};
use std::collections::BTreeMap;

/// Sorts the samples into phases and sums each counter up.
pub fn summarise(samples: &[Sample], opened: f64, closed: f64, ends: &[f64]) -> Vec<GpuWindow> {
    let mut by_gpu: BTreeMap<u64, Vec<(f64, &GpuSample)>> = BTreeMap::new();
    for sample in samples {
        for gpu in &sample.gpus {
            by_gpu.entry(gpu.index).or_default().push((sample.at_ms, gpu));
        }
    }
    let window = |(index, readings): (u64, Vec<(f64, &GpuSample)>)| {
        let phases = |read: &dyn Fn(&GpuSample) -> Fact<f64>| phases(&readings, opened, closed, read);
        let whole = |fact: &Fact<u64>| fact.clone().map(|value| value as f64);
        let last = readings.iter().rev().find(|(at, _)| *at <= closed).or(readings.last());
        let nothing = || Fact::unknown(Why::Absent, "no sample was taken");
        GpuWindow {
            index,
            uuid: readings.first().map_or_else(nothing, |(_, gpu)| gpu.uuid.clone()),
            utilization_percent: phases(&|gpu| whole(&gpu.utilization_percent)),
            process_utilization_percent: phases(&|gpu| whole(&gpu.process_utilization_percent)),
            power_milliwatts: phases(&|gpu| whole(&gpu.power_milliwatts)),
            sm_clock_mhz: phases(&|gpu| whole(&gpu.sm_clock_mhz)),
            memory_used_bytes: phases(&|gpu| whole(&gpu.memory_used_bytes)),
            server_memory_bytes: last.map_or_else(
                || Fact::unknown(Why::Absent, "no sample was taken"),
                |(_, gpu)| gpu.server_memory_bytes.clone(),
            ),
            temperature_celsius: phases(&|gpu| whole(&gpu.temperature_celsius)),
            throttle_reasons_percent: throttled(&readings, opened, closed),
            pcie_link_generation: phases(&|gpu| whole(&gpu.pcie_link_generation)),
            pcie_link_width: phases(&|gpu| whole(&gpu.pcie_link_width)),
            pcie_replays: phases(&|gpu| whole(&gpu.pcie_replays)),
            memory_trace: trace::memory(&readings, opened, closed, ends),
            utilization_trace: trace::utilization(&readings, opened, closed),
            pcie_received_bytes_per_second: throughput(&readings, opened, closed, &|gpu| {
                gpu.pcie_received_bytes_per_second.as_ref()
            }),
            pcie_sent_bytes_per_second: throughput(&readings, opened, closed, &|gpu| {
                gpu.pcie_sent_bytes_per_second.as_ref()
            }),
            energy_milliwatts: Fact::default(),
            sm_activity_percent: Fact::default(),
            memory_clock_mhz: Fact::default(),
            p_state: Fact::default(),
            lost_at_ms: Fact::default(),
            doubts: Fact::default(),
            processes: Fact::default(),
        }
    };
    by_gpu.into_iter().map(window).collect()
}

/// One counter in the three phases; unknown if no sample could read it.
fn phases(
    readings: &[(f64, &GpuSample)],
    opened: f64,
    closed: f64,
    read: &dyn Fn(&GpuSample) -> Fact<f64>,
) -> Fact<Phases> {
    let (mut before, mut during, mut after) = (Vec::new(), Vec::new(), Vec::new());
    let mut reason = Unknown::new(Why::Absent, "no sample was taken");
    for (at, gpu) in readings {
        match read(gpu) {
            Fact::Known(value) if *at < opened => before.push(value),
            Fact::Known(value) if *at <= closed => during.push(value),
            Fact::Known(value) => after.push(value),
            Fact::Unknown(unknown) => reason = unknown,
        }
    }
    if before.is_empty() && during.is_empty() && after.is_empty() {
        return Fact::Unknown(reason);
    }
    Fact::Known(Phases { before: series(&before), during: series(&during), after: series(&after) })
}

/// A counter that few samples read.
fn throughput(
    readings: &[(f64, &GpuSample)],
    opened: f64,
    closed: f64,
    read: &dyn Fn(&GpuSample) -> Option<&Fact<u64>>,
) -> Fact<Phases> {
    let taken: Vec<(f64, &GpuSample)> = readings.iter().filter(|(_, gpu)| read(gpu).is_some()).copied().collect();
    let unread = || Fact::unknown(Why::Absent, "no sample was taken");
    phases(&taken, opened, closed, &|gpu| read(gpu).map_or_else(unread, |fact| fact.clone().map(|value| value as f64)))
}

/// In what share of the window's samples each reason for lower clocks stood, percent.
fn throttled(readings: &[(f64, &GpuSample)], opened: f64, closed: f64) -> Fact<BTreeMap<String, f64>> {
    let inside = readings.iter().filter(|(at, _)| (opened..=closed).contains(at));
    let (mut counts, mut read) = (BTreeMap::<String, u64>::new(), 0_u64);
    let mut reason = Unknown::new(Why::Absent, "no sample was taken in the window");
    for (_, gpu) in inside {
        match &gpu.throttle_reasons_bits {
            Fact::Known(bits) => {
                read += 1;
                throttle_reason_names(*bits).into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
            }
            Fact::Unknown(unknown) => reason = unknown.clone(),
        }
    }
    if read == 0 {
        return Fact::Unknown(reason);
    }
    Fact::Known(counts.into_iter().map(|(name, count)| (name, round(100.0 * count as f64 / read as f64))).collect())
}

fn series(values: &[f64]) -> Series {
    if values.is_empty() {
        return Series { samples: 0, min: 0.0, mean: 0.0, max: 0.0 };
    }
    Series {
        samples: values.len() as u64,
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        mean: round(values.iter().sum::<f64>() / values.len() as f64),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}
