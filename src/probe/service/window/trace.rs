//! GPU memory and utilization in step with the requests, from the samples of the window.

use super::round;
use crate::probe::nvml::sampler::GpuSample;
use crate::snapshot::{Fact, MemoryReading, MemoryTrace, Unknown, UtilizationReading, Why};

/// Readings kept of one GPU.
const READINGS_MAX: usize = 256;

type Read<'a> = &'a dyn Fn(&GpuSample) -> Option<u64>;

/// Traces one GPU's memory from `opened` to `closed`; `ends` tells when each request had ended, in order.
///
/// The server's own memory counts. Where NVML never tells it, as in a container, all memory in use stands in.
pub fn memory(readings: &[(f64, &GpuSample)], opened: f64, closed: f64, ends: &[f64]) -> Fact<MemoryTrace> {
    let during: Vec<_> = readings.iter().filter(|(at, _)| (opened..=closed).contains(at)).collect();
    let own = |sample: &GpuSample| sample.server_memory_bytes.known().copied();
    let whole = |sample: &GpuSample| sample.memory_used_bytes.known().copied();
    let tells = |read: Read| during.iter().any(|(_, sample)| read(sample).is_some());
    let (of, read): (&str, Read) = match (tells(&own), tells(&whole)) {
        (true, _) => ("server", &own),
        (false, true) => ("gpu", &whole),
        (false, false) => {
            let reason = during.last().and_then(|(_, sample)| sample.memory_used_bytes.reason().cloned());
            return Fact::Unknown(reason.unwrap_or_else(|| Unknown::new(Why::Absent, "no sample was taken")));
        }
    };
    let all: Vec<MemoryReading> = during
        .iter()
        .filter_map(|(at, sample)| {
            let requests = ends.iter().filter(|end| *end <= at).count() as u64;
            read(sample).map(|bytes| MemoryReading { requests, bytes })
        })
        .collect();
    let step = all.len().div_ceil(READINGS_MAX).max(1);
    Fact::Known(MemoryTrace { of: of.into(), readings: all.into_iter().step_by(step).collect() })
}

/// Traces one GPU's utilization from `opened` to `closed`. Of several readings that one of the trace stands for, the
/// highest counts, so that no burst is lost.
pub fn utilization(readings: &[(f64, &GpuSample)], opened: f64, closed: f64) -> Fact<Vec<UtilizationReading>> {
    let during = readings.iter().filter(|(at, _)| (opened..=closed).contains(at));
    let mut reason = Unknown::new(Why::Absent, "no sample was taken in the window");
    let mut all = Vec::new();
    for (at, sample) in during {
        match &sample.utilization_percent {
            Fact::Known(percent) => all.push(UtilizationReading { at_ms: round(at - opened), percent: *percent }),
            Fact::Unknown(unknown) => reason = unknown.clone(),
        }
    }
    if all.is_empty() {
        return Fact::Unknown(reason);
    }
    let step = all.len().div_ceil(READINGS_MAX).max(1);
    let highest = |group: &[UtilizationReading]| group.iter().max_by_key(|reading| reading.percent).cloned();
    Fact::Known(all.chunks(step).filter_map(highest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_burst_is_lost_from_a_long_trace() {
        let unknown = Unknown::new(Why::Unsupported, "test");
        let at = |n: u64| GpuSample {
            utilization_percent: Fact::Known(if n == 301 { 90 } else { 0 }),
            ..GpuSample::all_unknown(0, &unknown)
        };
        let samples: Vec<GpuSample> = (0..1000).map(at).collect();
        let readings: Vec<(f64, &GpuSample)> = samples.iter().enumerate().map(|(n, one)| (n as f64, one)).collect();
        let trace = utilization(&readings, 100.0, 899.0);
        let trace = trace.known().unwrap();
        assert_eq!(trace.len(), 200);
        let busy: Vec<_> = trace.iter().filter(|reading| reading.percent > 0).collect();
        assert_eq!((busy.len(), busy[0].at_ms, busy[0].percent), (1, 201.0, 90));
        assert!(trace.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms));
        assert_eq!(utilization(&readings, 2000.0, 2001.0).reason().unwrap().why, Why::Absent);
    }

    fn sample(server: Option<u64>, whole: u64) -> GpuSample {
        let unknown = Unknown::new(Why::Unsupported, "test");
        GpuSample {
            memory_used_bytes: Fact::Known(whole),
            server_memory_bytes: server.map_or_else(|| Fact::Unknown(unknown.clone()), Fact::Known),
            ..GpuSample::all_unknown(0, &unknown)
        }
    }

    #[test]
    fn the_servers_memory_counts_before_the_gpus() {
        let samples: Vec<GpuSample> = (0..600).map(|n| sample(Some(n), 9000 + n)).collect();
        let readings: Vec<(f64, &GpuSample)> = samples.iter().enumerate().map(|(n, one)| (n as f64, one)).collect();
        let trace = memory(&readings, 10.0, 509.0, &[20.0, 30.0]);
        let trace = trace.known().unwrap();
        assert_eq!((trace.of.as_str(), trace.readings.len()), ("server", 250));
        assert_eq!(trace.readings[0], MemoryReading { requests: 0, bytes: 10 });
        assert_eq!(trace.readings[6], MemoryReading { requests: 1, bytes: 22 });
        assert_eq!(trace.readings[249].requests, 2);
        let in_container = [sample(None, 5)];
        let trace = memory(&[(1.0, &in_container[0])], 0.0, 2.0, &[]);
        assert_eq!(trace.known().unwrap().of, "gpu");
        assert_eq!(memory(&[], 0.0, 2.0, &[]).reason().unwrap().why, Why::Absent);
    }
}
