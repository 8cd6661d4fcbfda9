//! GPU memory and utilization in step with the requests, from the readings of the window.

use super::phases::{Phase, in_phase};
use super::round;
use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::GpuRecording;
use crate::snapshot::{Fact, MemoryReading, MemoryTrace, Unknown, UtilizationReading, Why};

/// Traces one GPU's memory from `opened` to `closed` in `most` readings at most; `ends` tells when each request had ended,
/// in order.
///
/// The server's own memory counts. Where NVML never tells it, as in a container, all memory in use stands in.
pub fn memory(gpu: &GpuRecording, opened: f64, closed: f64, ends: &[f64], most: usize) -> Fact<MemoryTrace> {
    let inside = |counter| in_phase(gpu.readings(counter), Phase::During, opened, closed);
    let (own, whole) = (inside(Counter::ServerMemory), inside(Counter::MemoryUsed));
    let (of, readings) = match (own.is_empty(), whole.is_empty()) {
        (false, _) => ("server", own),
        (true, false) => ("gpu", whole),
        (true, true) => return Fact::Unknown(unread(gpu, Counter::MemoryUsed)),
    };
    let step = readings.len().div_ceil(most).max(1);
    let reading = |(at_ms, bytes): &(f64, f64)| MemoryReading {
        requests: ends.iter().filter(|end| *end <= at_ms).count() as u64,
        bytes: *bytes as u64,
    };
    Fact::Known(MemoryTrace { of: of.into(), readings: readings.iter().step_by(step).map(reading).collect() })
}

/// Traces one GPU's utilization from `opened` to `closed`. Of several readings that one of the trace stands for, the
/// highest counts, so that no burst is lost.
pub fn utilization(gpu: &GpuRecording, opened: f64, closed: f64, most: usize) -> Fact<Vec<UtilizationReading>> {
    let inside = in_phase(gpu.readings(Counter::Utilization), Phase::During, opened, closed);
    if inside.is_empty() {
        return Fact::Unknown(unread(gpu, Counter::Utilization));
    }
    let step = inside.len().div_ceil(most).max(1);
    // The first of equals, so that a burst is told when it began.
    let highest = |group: &[(f64, f64)]| {
        let (at_ms, percent) = group.iter().copied().reduce(|most, one| if one.1 > most.1 { one } else { most })?;
        Some(UtilizationReading { at_ms: round(at_ms - opened), percent: percent as u64 })
    };
    Fact::Known(inside.chunks(step).filter_map(highest).collect())
}

/// Why there is no reading of the window.
fn unread(gpu: &GpuRecording, counter: Counter) -> Unknown {
    match gpu.readings(counter).is_empty() {
        true => gpu.reason(counter),
        false => Unknown::new(Why::Absent, "no sample was taken in the window"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(counter: Counter, value: impl Fn(u32) -> f64, count: u32) -> GpuRecording {
        let mut gpu = GpuRecording::new(0);
        (0..count).for_each(|n| gpu.push(counter, f64::from(n), value(n)));
        gpu
    }

    #[test]
    fn no_burst_is_lost_from_a_long_trace() {
        let gpu = recorded(Counter::Utilization, |n| if n == 301 { 90.0 } else { 0.0 }, 1000);
        let trace = utilization(&gpu, 100.0, 899.0, 256);
        let trace = trace.known().unwrap();
        assert_eq!(trace.len(), 200);
        let busy: Vec<_> = trace.iter().filter(|reading| reading.percent > 0).collect();
        assert_eq!((busy.len(), busy[0].at_ms, busy[0].percent), (1, 201.0, 90));
        assert!(trace.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms));
        assert_eq!(utilization(&gpu, 2000.0, 2001.0, 256).reason().unwrap().why, Why::Absent);
    }

    #[test]
    fn the_servers_memory_counts_before_the_gpus() {
        let mut gpu = recorded(Counter::ServerMemory, f64::from, 600);
        gpu.push(Counter::MemoryUsed, 11.0, 9000.0);
        let trace = memory(&gpu, 10.0, 509.0, &[20.0, 30.0], 256);
        let trace = trace.known().unwrap();
        assert_eq!((trace.of.as_str(), trace.readings.len()), ("server", 250));
        assert_eq!(trace.readings[0], MemoryReading { requests: 0, bytes: 10 });
        assert_eq!(trace.readings[6], MemoryReading { requests: 1, bytes: 22 });
        assert_eq!(trace.readings[249].requests, 2);
        let in_container = recorded(Counter::MemoryUsed, f64::from, 2);
        assert_eq!(memory(&in_container, 0.0, 2.0, &[], 256).known().unwrap().of, "gpu");
        assert_eq!(memory(&GpuRecording::new(0), 0.0, 2.0, &[], 256).reason().unwrap().why, Why::Absent);
    }
}
