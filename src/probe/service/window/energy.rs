//! Mean draw from the energy counter: unlike sampled power, it misses nothing between two readings.

use super::phases::{Phase, in_phase};
use super::round;
use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::GpuRecording;
use crate::snapshot::{EnergyRates, Fact, Unknown, Why};

/// More than any card draws, milliwatts: a counter that rises faster was wrapped or set.
const HIGHEST_MILLIWATTS: f64 = 1e7;

/// The rate in each phase; unknown as a whole where the counter was never read.
pub fn rates(gpu: &GpuRecording, opened: f64, closed: f64) -> Fact<EnergyRates> {
    let readings = gpu.readings(Counter::Energy);
    if readings.is_empty() {
        return Fact::Unknown(gpu.reason(Counter::Energy));
    }
    let of = |phase| rate(in_phase(readings, phase, opened, closed)).into();
    Fact::Known(EnergyRates { before: of(Phase::Before), during: of(Phase::During), after: of(Phase::After) })
}

/// Milliwatts from the first change of the counter to the last. Cards renew it every 20 to 100 ms, so that the ends of the
/// phase themselves would be wrong by as much.
fn rate(readings: &[(f64, f64)]) -> Result<f64, Unknown> {
    if readings.windows(2).any(|pair| matches!(pair, [(_, from), (_, to)] if to < from)) {
        return Err(Unknown::new(Why::Malformed, "the energy counter ran backwards in this phase"));
    }
    let changes = || {
        readings.windows(2).filter_map(|pair| match pair {
            [from, to] if from.1 != to.1 => Some(*to),
            _ => None,
        })
    };
    let (Some((from_ms, from)), Some((to_ms, to))) = (changes().next(), changes().next_back()) else {
        let detail = format!("the energy counter did not change in the {} readings of this phase", readings.len());
        return Err(Unknown::new(Why::Absent, detail));
    };
    if to_ms <= from_ms {
        return Err(Unknown::new(Why::Absent, "the energy counter changed only once in this phase"));
    }
    // Millijoules a millisecond are watts.
    let milliwatts = 1e3 * (to - from) / (to_ms - from_ms);
    if milliwatts > HIGHEST_MILLIWATTS {
        let detail = format!("the energy counter rose as by {:.0} W, which no GPU draws", milliwatts / 1e3);
        return Err(Unknown::new(Why::Malformed, detail));
    }
    Ok(round(milliwatts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_slope_is_taken_between_changes_of_the_counter() {
        // 100 W, read every 50 ms from a counter that is renewed every 100.
        let renewed = |n: u32| (f64::from(n) * 50.0, f64::from(n / 2) * 10_000.0);
        let readings: Vec<(f64, f64)> = (0..21).map(renewed).collect();
        assert_eq!(rate(&readings), Ok(100_000.0));
        assert_eq!(rate(&readings[..3]).unwrap_err().why, Why::Absent, "one change has no slope");
        assert!(rate(&[(0.0, 5.0), (900.0, 5.0)]).unwrap_err().detail.contains("did not change in the 2 readings"));
        assert_eq!(rate(&[]).unwrap_err().why, Why::Absent);
    }

    #[test]
    fn a_wrapped_or_reset_counter_is_no_rate_and_costs_its_phase_only() {
        let mut gpu = GpuRecording::new(0);
        for n in 0..60 {
            let energy = if n < 30 { 4e9 + f64::from(n) * 5e3 } else { f64::from(n) * 5e3 };
            gpu.push(Counter::Energy, f64::from(n) * 50.0, energy);
        }
        let rates = rates(&gpu, 1000.0, 2000.0);
        let rates = rates.known().unwrap();
        assert_eq!((&rates.before, &rates.after), (&Fact::Known(100_000.0), &Fact::Known(100_000.0)));
        assert_eq!(rates.during.reason().unwrap().detail, "the energy counter ran backwards in this phase");
        assert_eq!(rate(&[(0.0, 0.0), (50.0, 1.0), (100.0, 4e9)]).unwrap_err().why, Why::Malformed);
    }

    proptest! {
        #[test]
        fn no_series_gives_a_negative_or_endless_rate(values in proptest::collection::vec((0.0..1e6f64, 0.0..1e15f64), 0..40)) {
            let mut readings = values;
            readings.sort_by(|a, b| a.0.total_cmp(&b.0));
            if let Ok(milliwatts) = rate(&readings) {
                prop_assert!((0.0..=HIGHEST_MILLIWATTS).contains(&milliwatts));
            }
        }
    }
}
