//! What happened within a request: when the GPU worked, and when only the CPU did.
//!
//! The driver's utilization is a mean over up to a second. Phases shorter than that cannot be told, so nothing is said of
//! requests that take less than 1.5 s.

use super::Basis;
use crate::snapshot::{CpuReading, Fact, Facts, RequestTime, Unknown, UtilizationReading, Why, room};

room! {
    /// How the time of a request was spent.
    pub struct RequestPhases {
        /// Share of the requests' time in which a GPU worked, percent.
        pub request_gpu_percent: f64,
        /// Share of the requests' time in which every GPU was at 0 % while the server kept at least most of a CPU core busy,
        /// percent.
        pub request_cpu_only_percent: f64,
        /// Longest stretch of the latter within one request, milliseconds.
        pub request_cpu_only_longest_ms: f64,
        /// The figures, if requests have a phase on the GPU and then a long one on the CPU alone; empty if they do not, or
        /// if that was not seen.
        pub request_cpu_phase: String,
    }
}

impl RequestPhases {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let told = if basis.gpu_visible == Fact::Known(false) {
            Err(Unknown::new(Why::NotAsked, "this machine has no NVIDIA GPU to watch"))
        } else {
            phases(basis.facts)
        };
        let share = |of: fn(&Spent) -> f64| told.as_ref().map(|spent| spent.percent(of(spent))).map_err(Unknown::clone);
        Self {
            request_gpu_percent: share(|spent| spent.gpu_ms).into(),
            request_cpu_only_percent: share(|spent| spent.cpu_only_ms).into(),
            request_cpu_only_longest_ms: told.as_ref().map(|spent| spent.longest_ms).map_err(Unknown::clone).into(),
            request_cpu_phase: Fact::Known(told.as_ref().map_or(String::new(), Spent::cpu_phase)),
        }
    }
}

/// Requests shorter than this are not taken apart, milliseconds.
const REQUEST_LEAST_MS: f64 = 1500.0;
/// A GPU with at most so much utilization does nothing, percent.
const IDLE_PERCENT: u64 = 1;
/// Cores from which on the server computes on the CPU, as a mean over so many readings of 50 ms: the kernel counts in ticks of
/// 10 ms.
const HOT_CORES: f64 = 0.7;
const SMOOTHED: usize = 4;
/// A reading of utilization stands for so long at most, milliseconds.
const STANDS_MS: f64 = 1000.0;
/// A phase on the CPU counts if it is as long, milliseconds, and as large a part of the request.
const PHASE_LEAST_MS: f64 = 700.0;
const PHASE_LEAST_SHARE: f64 = 0.25;
/// And the GPU must have worked in the same request for so long, milliseconds: else it is one that never uses it.
const GPU_LEAST_MS: f64 = 100.0;

/// How the time of the requests was spent, milliseconds.
#[derive(Debug, Default, PartialEq)]
struct Spent {
    seen_ms: f64,
    gpu_ms: f64,
    cpu_only_ms: f64,
    longest_ms: f64,
    /// Requests that were taken apart, and those of them with both phases.
    requests: usize,
    with_both: usize,
}

impl Spent {
    fn percent(&self, part: f64) -> f64 {
        (1000.0 * part / self.seen_ms.max(1.0)).round() / 10.0
    }

    fn cpu_phase(&self) -> String {
        if self.with_both == 0 || self.with_both * 2 < self.requests {
            return String::new();
        }
        format!(
            "in {} of {} requests the GPU worked for a while and then stood at 0 % while a CPU core computed, for up to \
             {:.1} s at a time; over all, the GPU worked {:.0} % of the time and the CPU alone {:.0} %",
            self.with_both,
            self.requests,
            self.longest_ms / 1e3,
            self.percent(self.gpu_ms),
            self.percent(self.cpu_only_ms)
        )
    }
}

fn phases(facts: &Facts) -> Result<Spent, Unknown> {
    let execution = &facts.execution;
    let requests: Vec<&RequestTime> = execution.request_times.read()?.iter().filter(|one| one.accepted).collect();
    let long: Vec<&RequestTime> = requests.iter().filter(|one| one.duration_ms >= REQUEST_LEAST_MS).copied().collect();
    if long.is_empty() {
        let detail = "requests take less than 1.5 s, too short to see phases within them";
        return Err(Unknown::new(Why::NotAsked, detail));
    }
    let cpu = execution.server_cpu_trace.read()?;
    let gpus = execution.gpus.read()?;
    let traces: Vec<&Vec<UtilizationReading>> =
        gpus.iter().map(|gpu| gpu.utilization_trace.read()).collect::<Result<_, _>>()?;
    if traces.is_empty() {
        return Err(Unknown::new(Why::Absent, "no GPU was watched"));
    }
    Ok(spent(&long, cpu, &traces))
}

/// Walks through the readings of CPU time: each stands for the stretch since the one before.
fn spent(requests: &[&RequestTime], cpu: &[CpuReading], traces: &[&Vec<UtilizationReading>]) -> Spent {
    let mut spent = Spent::default();
    for request in requests {
        let (begun, ended) = (request.begun_ms, request.begun_ms + request.duration_ms);
        let (mut gpu_ms, mut cpu_only_ms, mut stretch, mut longest, mut seen) = (0.0, 0.0, 0.0, 0.0_f64, 0.0);
        let mut last = None;
        for (place, reading) in cpu.iter().enumerate() {
            let from = last.replace(reading.at_ms).unwrap_or(reading.at_ms).max(begun);
            let length = reading.at_ms.min(ended) - from;
            if length <= 0.0 {
                continue;
            }
            let Some(percent) = utilization(traces, reading.at_ms) else { continue };
            seen += length;
            let cpu_only = percent <= IDLE_PERCENT && smoothed(cpu, place) >= HOT_CORES;
            match (percent > IDLE_PERCENT, cpu_only) {
                (true, _) => gpu_ms += length,
                (_, true) => cpu_only_ms += length,
                _ => {}
            }
            stretch = if cpu_only { stretch + length } else { 0.0 };
            longest = longest.max(stretch);
        }
        let both = longest >= PHASE_LEAST_MS.max(PHASE_LEAST_SHARE * request.duration_ms) && gpu_ms >= GPU_LEAST_MS;
        spent.requests += 1;
        spent.with_both += usize::from(both);
        spent.seen_ms += seen;
        spent.gpu_ms += gpu_ms;
        spent.cpu_only_ms += cpu_only_ms;
        spent.longest_ms = spent.longest_ms.max(longest);
    }
    spent
}

/// Cores that were busy over the last readings up to this place.
fn smoothed(cpu: &[CpuReading], place: usize) -> f64 {
    let last = cpu.get(place.saturating_sub(SMOOTHED - 1)..=place).unwrap_or_default();
    last.iter().map(|reading| reading.cores).sum::<f64>() / last.len().max(1) as f64
}

/// The highest utilization of any GPU at a moment; `None` if one of them had not been read for long.
fn utilization(traces: &[&Vec<UtilizationReading>], at_ms: f64) -> Option<u64> {
    let one = |trace: &&Vec<UtilizationReading>| {
        let last = trace.iter().rev().find(|reading| reading.at_ms <= at_ms)?;
        (at_ms - last.at_ms <= STANDS_MS).then_some(last.percent)
    };
    traces.iter().map(one).collect::<Option<Vec<u64>>>()?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEP_MS: f64 = 50.0;

    /// Readings every 50 ms over 6 s.
    fn every<T>(reading: impl Fn(f64) -> T) -> Vec<T> {
        (1..=120).map(|n| reading(f64::from(n) * STEP_MS)).collect()
    }

    /// Two requests of 3 s; `at` tells utilization and cores at a moment of the request.
    fn two(at: impl Fn(f64) -> (u64, f64)) -> Spent {
        let gpu = every(|at_ms| UtilizationReading { at_ms, percent: at(at_ms % 3000.0).0 });
        let cpu = every(|at_ms| CpuReading { at_ms, cores: at(at_ms % 3000.0).1 });
        let request = |begun_ms| RequestTime { begun_ms, duration_ms: 3000.0, accepted: true };
        let requests = [request(0.0), request(3000.0)];
        spent(&requests.iter().collect::<Vec<_>>(), &cpu, &[&gpu])
    }

    #[test]
    fn a_burst_on_the_gpu_and_then_the_cpu_alone_are_two_phases() {
        let spent = two(|at| if at < 1000.0 { (95, 0.4) } else { (0, 1.0) });
        assert_eq!((spent.requests, spent.with_both), (2, 2));
        assert!((30.0..37.0).contains(&spent.percent(spent.gpu_ms)), "{spent:?}");
        assert!((1900.0..=2100.0).contains(&spent.longest_ms), "{spent:?}");
        let words = spent.cpu_phase();
        assert!(words.starts_with("in 2 of 2 requests the GPU worked") && words.contains("up to 1.9 s"), "{words}");
    }

    #[test]
    fn ticks_and_short_pauses_do_not_break_a_phase() {
        let spent =
            two(|at| if at < 1000.0 { (95, 0.4) } else { (0, if (at / STEP_MS) % 4.0 < 1.0 { 0.4 } else { 1.0 }) });
        assert_eq!((spent.requests, spent.with_both), (2, 2), "{spent:?}");
    }

    #[test]
    fn other_ways_to_spend_the_time_are_none() {
        let phase = |at: fn(f64) -> (u64, f64)| two(at).cpu_phase();
        assert_eq!(phase(|_| (0, 1.0)), "", "a server that never uses the GPU");
        assert_eq!(phase(|at| if at < 1000.0 { (95, 0.4) } else { (0, 0.05) }), "", "it waits for something else");
        assert_eq!(phase(|at| if at % 600.0 < 300.0 { (90, 1.0) } else { (0, 1.0) }), "", "bursts all along");
        assert_eq!(phase(|_| (60, 1.0)), "", "both at once");
        assert_eq!(phase(|at| if at < 2700.0 { (95, 1.0) } else { (0, 1.0) }), "", "a short end on the CPU");
    }

    #[test]
    fn a_gpu_that_was_not_read_for_long_leaves_a_gap() {
        let gpu = vec![UtilizationReading { at_ms: 100.0, percent: 0 }];
        let cpu = every(|at_ms| CpuReading { at_ms, cores: 1.0 });
        let request = RequestTime { begun_ms: 0.0, duration_ms: 6000.0, accepted: true };
        let spent = spent(&[&request], &cpu, &[&gpu]);
        assert!((900.0..=1100.0).contains(&spent.seen_ms), "{spent:?}");
    }

    proptest! {
        #[test]
        fn any_readings_are_summed(
            moments in prop::collection::vec((any::<f64>(), any::<f64>(), 0_u64..101), 0..40),
            begun_ms in any::<f64>(),
            duration_ms in any::<f64>(),
        ) {
            let cpu: Vec<CpuReading> =
                moments.iter().map(|(at_ms, cores, _)| CpuReading { at_ms: *at_ms, cores: *cores }).collect();
            let gpu = moments.iter().map(|(at_ms, _, percent)| UtilizationReading { at_ms: *at_ms, percent: *percent });
            let request = RequestTime { begun_ms, duration_ms, accepted: true };
            let _ = spent(&[&request], &cpu, &[&gpu.collect()]).cpu_phase();
        }
    }
}
