//! The GPUs' samples, summed up: before, during and after the window.

use super::{doubts, energy, listed, round, timeline, trace};
use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::{GpuRecording, LeftOut, Recording};
use crate::probe::nvml::throttle_reason_names;
use crate::snapshot::{Fact, GpuWindow, Phases, Series, Unknown, Why};
use std::collections::BTreeMap;

/// Readings told in a trace of one GPU, and of all together.
const READINGS_MAX: usize = 256;
const READINGS_OF_ALL: usize = 512;

/// A part of the recording.
#[derive(Debug, Clone, Copy)]
pub enum Phase {
    /// Before the window opened.
    Before,
    /// From its opening to its closing, both included.
    During,
    /// After it closed.
    After,
}

/// Sorts the readings into phases and sums each counter up. `opened` and `closed` lie on the sampler's clock, and `ends`
/// is when each request had ended.
pub fn summarise(recording: &Recording, opened: f64, closed: f64, ends: &[f64]) -> Vec<GpuWindow> {
    let most = READINGS_MAX.min(READINGS_OF_ALL / recording.gpus.len().max(1)).max(16);
    let window = |gpu: &GpuRecording| {
        let phases = |counter: Counter| phases(gpu, counter, opened, closed);
        let lost_at_ms = match &gpu.lost {
            Some((at_ms, _)) => Fact::Known(round(at_ms - opened)),
            None => Fact::unknown(Why::NotAsked, format!("GPU {} answered to the end", gpu.index)),
        };
        GpuWindow {
            index: gpu.index,
            uuid: gpu.uuid.clone(),
            utilization_percent: phases(Counter::Utilization),
            process_utilization_percent: phases(Counter::ProcessUtilization),
            power_milliwatts: phases(Counter::Power),
            sm_clock_mhz: phases(Counter::SmClock),
            memory_used_bytes: phases(Counter::MemoryUsed),
            server_memory_bytes: listed::server_memory(gpu, closed),
            temperature_celsius: phases(Counter::Temperature),
            throttle_reasons_percent: throttled(gpu, opened, closed),
            pcie_link_generation: phases(Counter::PcieGeneration),
            pcie_link_width: phases(Counter::PcieWidth),
            pcie_replays: phases(Counter::PcieReplays),
            memory_trace: trace::memory(gpu, opened, closed, ends, most),
            utilization_trace: trace::utilization(gpu, opened, closed, most),
            pcie_received_bytes_per_second: phases(Counter::PcieReceived),
            pcie_sent_bytes_per_second: phases(Counter::PcieSent),
            timeline: timeline::of(recording, gpu, opened),
            energy_milliwatts: energy::rates(gpu, opened, closed),
            sm_activity_percent: phases(Counter::SmActivity),
            memory_clock_mhz: phases(Counter::MemoryClock),
            p_state: phases(Counter::PState),
            lost_at_ms,
            doubts: Fact::Known(doubts::of(recording, gpu, opened, closed)),
            processes: listed::processes(gpu, &recording.server_pids, opened, closed),
        }
    };
    recording.gpus.iter().map(window).collect()
}

/// The readings of one phase; they are in order of time.
pub fn in_phase(readings: &[(f64, f64)], phase: Phase, opened: f64, closed: f64) -> &[(f64, f64)] {
    let opens = readings.partition_point(|(at_ms, _)| *at_ms < opened);
    let closes = readings.partition_point(|(at_ms, _)| *at_ms <= closed).max(opens);
    let (before, rest) = readings.split_at(opens);
    let (during, after) = rest.split_at(closes - opens);
    match phase {
        Phase::Before => before,
        Phase::During => during,
        Phase::After => after,
    }
}

/// One counter in the three phases; unknown if it was never read.
fn phases(gpu: &GpuRecording, counter: Counter, opened: f64, closed: f64) -> Fact<Phases> {
    let readings = gpu.readings(counter);
    if readings.is_empty() {
        return Fact::Unknown(gpu.reason(counter));
    }
    let of = |phase| series(in_phase(readings, phase, opened, closed), LeftOut::default());
    // Readings are left out of a long window alone.
    let during = series(in_phase(readings, Phase::During, opened, closed), gpu.left_out(counter));
    Fact::Known(Phases { before: of(Phase::Before), during, after: of(Phase::After) })
}

/// In what share of the window's readings each reason for lower clocks stood, percent.
fn throttled(gpu: &GpuRecording, opened: f64, closed: f64) -> Fact<BTreeMap<String, f64>> {
    let inside = in_phase(gpu.readings(Counter::ThrottleReasons), Phase::During, opened, closed);
    if inside.is_empty() {
        let unread = || Unknown::new(Why::Absent, "no sample was taken in the window");
        let reason = gpu.refusal(Counter::ThrottleReasons).map(|(_, unknown)| unknown.clone());
        return Fact::Unknown(reason.unwrap_or_else(unread));
    }
    let mut counts = BTreeMap::<String, u64>::new();
    for (_, bits) in inside {
        throttle_reason_names(*bits as u64).into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
    }
    let share = |count: u64| round(100.0 * count as f64 / inside.len() as f64);
    Fact::Known(counts.into_iter().map(|(name, count)| (name, share(count))).collect())
}

fn series(readings: &[(f64, f64)], left_out: LeftOut) -> Series {
    let samples = readings.len() as u64 + left_out.count;
    if samples == 0 {
        return Series { samples: 0, min: 0.0, mean: 0.0, max: 0.0 };
    }
    let values = || readings.iter().map(|(_, value)| *value);
    let (min, max) = match left_out.count {
        0 => (f64::INFINITY, f64::NEG_INFINITY),
        _ => (left_out.min, left_out.max),
    };
    Series {
        samples,
        min: values().fold(min, f64::min),
        mean: round((values().sum::<f64>() + left_out.sum) / samples as f64),
        max: values().fold(max, f64::max),
    }
}
