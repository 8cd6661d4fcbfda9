//! How much GPU work the requests of the window can have been: by the server's own word, else by their own time.

use super::thresholds;
use crate::check::derive::served;
use crate::snapshot::{Facts, RequestTime};

/// The share of the window in which the model worked.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// 1 is all the time.
    pub share: f64,
    /// Whether the server tells it. Otherwise it is the share with a request in flight, which is the most it can be.
    pub told: bool,
    pub words: String,
}

impl Expected {
    /// Whether so little work may escape the counters.
    pub fn is_little(&self) -> bool {
        self.share < thresholds::inconclusive_busy_share()
    }
}

/// The share, if anything tells it. The server's counters count before the time that its answers name: that one may be of
/// launching alone.
pub fn expected(facts: &Facts) -> Option<Expected> {
    by_counters(facts).or_else(|| by_answers(facts)).or_else(|| in_flight(facts))
}

fn by_counters(facts: &Facts) -> Option<Expected> {
    let share = (served::busy_percent(facts).ok()? / 100.0).max(0.0);
    let words = format!("its own counters say that its model computed {:.1} % of the time", share * 100.0);
    Some(Expected { share, told: true, words })
}

fn by_answers(facts: &Facts) -> Option<Expected> {
    let execution = &facts.execution;
    let each_ms = *execution.server_reported_ms.known()?;
    let (ok, window_ms) = (*execution.requests_ok.known()?, *execution.window_ms.known()?);
    let place = execution.server_reported_in.known()?;
    if window_ms <= 0.0 || !each_ms.is_finite() {
        return None;
    }
    let share = each_ms.max(0.0) * ok as f64 / window_ms;
    let words = format!("by {place} its work took {each_ms:.1} ms a request, {:.1} % of the window", share * 100.0);
    Some(Expected { share, told: true, words })
}

fn in_flight(facts: &Facts) -> Option<Expected> {
    let execution = &facts.execution;
    let (times, window_ms) = (execution.request_times.known()?, *execution.window_ms.known()?);
    // The list is cut off at 256.
    let (sent, last) = (*execution.requests_sent.known()?, times.last()?);
    let span_ms = if times.len() as u64 == sent { window_ms } else { last.begun_ms + last.duration_ms };
    let share = union_ms(times) / span_ms.max(1.0);
    let words = format!("requests were in flight {:.1} % of the window", share * 100.0);
    Some(Expected { share, told: false, words })
}

/// Time in which at least one request was in flight, milliseconds.
fn union_ms(times: &[RequestTime]) -> f64 {
    let mut spans: Vec<(f64, f64)> = times.iter().map(|one| (one.begun_ms, one.begun_ms + one.duration_ms)).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut sum, mut reached) = (0.0, f64::NEG_INFINITY);
    for (begun, ended) in spans {
        sum += (ended - begun.max(reached)).max(0.0);
        reached = reached.max(ended);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_requests_count_once() {
        let time = |begun_ms, duration_ms| RequestTime { begun_ms, duration_ms, accepted: true };
        assert_eq!(union_ms(&[time(0.0, 10.0), time(5.0, 10.0), time(6.0, 2.0), time(100.0, 1.0)]), 16.0);
        assert_eq!(union_ms(&[]), 0.0);
    }
}
