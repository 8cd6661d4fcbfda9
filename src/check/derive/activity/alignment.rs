//! Does a GPU's utilization go with the requests? By when it rose and fell, not only by how far.

use super::thresholds;
use crate::snapshot::{RequestTime, UtilizationReading};

/// What the trace says of whose work it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Alignment {
    /// It rises with requests in flight and falls without: theirs, whoever else is there.
    Follows(String),
    /// It rose after this many requests had been answered without it, or stayed away for so many after their start.
    Late(String),
    /// It stopped while requests went on being answered.
    StartOnly(String),
    /// The trace does not tell.
    Untold,
}

/// Readings of each kind that make a comparison.
const READINGS_LEAST: usize = 5;
/// Requests that must go on being answered after work has stopped.
const REQUESTS_AFTER: usize = 10;

/// Judges the trace; `rest_percent` is the highest utilization of the idle baseline.
pub fn judge(trace: &[UtilizationReading], requests: &[RequestTime], rest_percent: f64) -> Alignment {
    let (Some(first), Some(last)) = (requests.first(), requests.last()) else { return Alignment::Untold };
    let lag_ms = thresholds::driver_lag_ms();
    if let Some(words) = correlated(trace, requests, lag_ms) {
        return Alignment::Follows(words);
    }
    let is_work = |reading: &&UtilizationReading| {
        reading.percent as f64 >= rest_percent + thresholds::utilization_rise_percent()
            && reading.at_ms >= first.begun_ms
    };
    let mut work = trace.iter().filter(is_work);
    let Some(onset) = work.next() else { return Alignment::Untold };
    let answered = |from_ms: f64, to_ms: f64| {
        let inside =
            |one: &&RequestTime| one.accepted && one.begun_ms >= from_ms && one.begun_ms + one.duration_ms <= to_ms;
        requests.iter().filter(inside).count()
    };
    let before = answered(f64::NEG_INFINITY, onset.at_ms - lag_ms);
    if before as f64 >= thresholds::requests_without_work() {
        return Alignment::Late(format!(
            "it rose only {:.1} s after the first request, when {before} had been answered without it",
            (onset.at_ms - first.begun_ms) / 1e3
        ));
    }
    let ceased_ms = work.next_back().unwrap_or(onset).at_ms;
    let end_ms = last.begun_ms + last.duration_ms;
    let after = answered(ceased_ms + lag_ms, f64::INFINITY);
    let rested = trace.iter().filter(|reading| reading.at_ms > ceased_ms + lag_ms && reading.at_ms <= end_ms).count();
    let share = (ceased_ms - first.begun_ms) / (end_ms - first.begun_ms).max(1.0);
    if share <= thresholds::start_share() && after >= REQUESTS_AFTER && rested >= READINGS_LEAST {
        return Alignment::StartOnly(format!(
            "it worked for the first {:.1} s only, and {after} requests were answered after that without it",
            (ceased_ms - first.begun_ms).max(0.0) / 1e3
        ));
    }
    Alignment::Untold
}

/// The figures, if utilization is higher with a request in flight than without, beyond what chance gives.
fn correlated(trace: &[UtilizationReading], requests: &[RequestTime], lag_ms: f64) -> Option<String> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for reading in trace {
        let in_flight = |one: &RequestTime, after_ms: f64| {
            (one.begun_ms..=one.begun_ms + one.duration_ms + after_ms).contains(&reading.at_ms)
        };
        // Just after a request the driver's mean may tell of either.
        if requests.iter().any(|one| in_flight(one, 0.0)) {
            with.push(reading.percent as f64);
        } else if !requests.iter().any(|one| in_flight(one, lag_ms)) {
            without.push(reading.percent as f64);
        }
    }
    if with.len() < READINGS_LEAST || without.len() < READINGS_LEAST {
        return None;
    }
    let ((high, high_error), (low, low_error)) = (mean_and_error(&with), mean_and_error(&without));
    let rise = high - low;
    // Readings that are all alike have no spread; half a percent is what whole percents hide.
    let error = (high_error + low_error).sqrt().max(0.5);
    let together = rise >= thresholds::busy_rise_percent() && rise / error >= thresholds::correlation_t();
    together.then(|| format!("{high:.0} % with a request in flight and {low:.0} % without"))
}

/// Mean, and the square of its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, spread / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trace(percent: impl Fn(f64) -> u64) -> Vec<UtilizationReading> {
        (0..200)
            .map(|n| f64::from(n) * 50.0)
            .map(|at_ms| UtilizationReading { at_ms, percent: percent(at_ms) })
            .collect()
    }

    fn requests(each_ms: f64, length_ms: f64) -> Vec<RequestTime> {
        let count = (10_000.0 / each_ms) as u32;
        let one = |n| RequestTime { begun_ms: f64::from(n) * each_ms, duration_ms: length_ms, accepted: true };
        (0..count).map(one).collect()
    }

    #[test]
    fn work_that_comes_and_goes_with_requests_is_theirs_even_beside_another_tenant() {
        let in_flight = |at: f64| at % 4000.0 <= 1500.0;
        let sparse = requests(4000.0, 1500.0);
        for tenant in [0, 30] {
            let judged = judge(&trace(|at| tenant + if in_flight(at) { 40 } else { 0 }), &sparse, tenant as f64);
            assert!(matches!(judged, Alignment::Follows(_)), "{judged:?}");
        }
        // Its own rhythm is no coincidence with the requests.
        let judged = judge(&trace(|at| if at % 700.0 < 350.0 { 90 } else { 30 }), &sparse, 90.0);
        assert_eq!(judged, Alignment::Untold);
    }

    #[test]
    fn a_tenant_who_starts_in_the_window_comes_too_late() {
        let judged = judge(&trace(|at| if at > 6000.0 { 95 } else { 0 }), &requests(20.0, 15.0), 0.0);
        let Alignment::Late(words) = judged else { panic!("{judged:?}") };
        assert!(words.contains("6.0 s after the first request, when 25"), "{words}");
        // One long request may well prepare its input for seconds.
        let judged = judge(&trace(|at| if at > 6000.0 { 95 } else { 0 }), &requests(9000.0, 8900.0), 0.0);
        assert_eq!(judged, Alignment::Untold);
        // The driver's mean tells of the first request a second late.
        let judged = judge(&trace(|at| if at > 1000.0 { 95 } else { 0 }), &requests(20.0, 15.0), 0.0);
        assert_eq!(judged, Alignment::Untold);
    }

    #[test]
    fn a_burst_at_the_start_alone_is_told() {
        let judged = judge(&trace(|at| if at < 900.0 { 60 } else { 0 }), &requests(20.0, 15.0), 0.0);
        assert!(matches!(judged, Alignment::StartOnly(_)), "{judged:?}");
        let again =
            judge(&trace(|at| if !(900.0..=9000.0).contains(&at) { 60 } else { 0 }), &requests(20.0, 15.0), 0.0);
        assert_eq!(again, Alignment::Untold);
    }

    #[test]
    fn nothing_is_told_of_nothing() {
        assert_eq!(judge(&[], &[], 0.0), Alignment::Untold);
        assert_eq!(judge(&trace(|_| 50), &[], 0.0), Alignment::Untold);
        assert_eq!(judge(&[], &requests(20.0, 15.0), 0.0), Alignment::Untold);
    }

    proptest! {
        #[test]
        fn any_readings_are_judged(
            readings in prop::collection::vec((any::<f64>(), any::<u64>()), 0..40),
            times in prop::collection::vec((any::<f64>(), any::<f64>(), any::<bool>()), 0..40),
            rest in any::<f64>(),
        ) {
            let trace: Vec<_> =
                readings.into_iter().map(|(at_ms, percent)| UtilizationReading { at_ms, percent }).collect();
            let requests: Vec<_> = times
                .into_iter()
                .map(|(begun_ms, duration_ms, accepted)| RequestTime { begun_ms, duration_ms, accepted })
                .collect();
            let _ = judge(&trace, &requests, rest);
        }
    }
}
