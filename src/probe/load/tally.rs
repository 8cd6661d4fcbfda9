//! What a step came to, counted as it goes: in bounded memory, however many requests there are.

use super::fault::Fault;
use super::order;
use crate::snapshot::{Fact, Spread, Unknown, Why};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Longest time that is told apart, microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;
/// 95 % of a normal distribution lie within so many standard deviations.
const WITHIN_95: f64 = 1.96;

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// When it was to start: earlier than it did where every connection was taken.
    pub intended: Instant,
    /// When the answer's head was there.
    pub first_byte: Option<Instant>,
    /// When it ended.
    pub ended: Instant,
    /// Its status, or why there is none.
    pub outcome: Result<u16, Fault>,
    /// Whether it was accepted.
    pub accepted: bool,
    /// Time by the server's own word, milliseconds.
    pub server_ms: Option<f64>,
}

/// A distribution of times in bounded memory.
#[derive(Debug, Clone)]
pub struct Times {
    histogram: Histogram<u64>,
    /// Mean and sum of squared distances from it, milliseconds (Welford 1962).
    mean_ms: f64,
    squares: f64,
    /// The smallest and the largest, which the histogram would round.
    ends: Option<(Duration, Duration)>,
}

impl Default for Times {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are in order");
        Self { histogram, mean_ms: 0.0, squares: 0.0, ends: None }
    }
}

impl Times {
    /// Takes a time down.
    pub fn note(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(LONGEST_US);
        self.histogram.saturating_record(us.max(1));
        let (least, most) = self.ends.unwrap_or((time, time));
        self.ends = Some((least.min(time), most.max(time)));
        let (ms, count) = (time.as_secs_f64() * 1e3, self.histogram.len() as f64);
        let before = ms - self.mean_ms;
        self.mean_ms += before / count;
        self.squares += before * (ms - self.mean_ms);
    }

    /// The distribution; unknown where nothing was taken down.
    pub fn spread(&self, of: &str) -> Fact<Spread> {
        let count = self.histogram.len();
        let Some((least, most)) = self.ends else {
            return Fact::Unknown(Unknown::new(Why::Absent, format!("{of}: there was none")));
        };
        let ends = (rounded(least.as_secs_f64() * 1e3), rounded(most.as_secs_f64() * 1e3));
        let at = |share: f64| rounded(self.histogram.value_at_quantile(share) as f64 / 1e3).clamp(ends.0, ends.1);
        let few = |what: &str| Unknown::new(Why::Absent, format!("{count} {of} are too few for {what}"));
        let std_dev = (self.squares / (count - 1).max(1) as f64).sqrt();
        let margin = WITHIN_95 * std_dev / (count as f64).sqrt();
        let several = count > 1;
        Fact::Known(Spread {
            count,
            min: rounded(least.as_secs_f64() * 1e3),
            mean: rounded(self.mean_ms),
            std_dev: several.then(|| rounded(std_dev)).ok_or_else(|| few("a deviation")).into(),
            median: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: rounded(most.as_secs_f64() * 1e3),
            mean_95_percent: several
                .then(|| (rounded(self.mean_ms - margin), rounded(self.mean_ms + margin)))
                .ok_or_else(|| few("a range of their mean"))
                .into(),
            median_95_percent: self.between(0.5).ok_or_else(|| few("a range of their median")).into(),
            p90_95_percent: self.between(0.9).ok_or_else(|| few("a range of their 90th percentile")).into(),
            p95_95_percent: self.between(0.95).ok_or_else(|| few("a range of their 95th percentile")).into(),
            p99_95_percent: self.between(0.99).ok_or_else(|| few("a range of their 99th percentile")).into(),
            p999_95_percent: self.between(0.999).ok_or_else(|| few("a range of their 99.9th percentile")).into(),
        })
    }

    /// Between which values a percentile lies with 95 % confidence.
    fn between(&self, share: f64) -> Option<(f64, f64)> {
        let count = self.histogram.len();
        let (low, high) = order::ranks(count, share)?;
        // The middle of a rank's share, which rounding cannot make the next one's.
        let at = |rank: u64| self.histogram.value_at_quantile((rank as f64 - 0.5) / count as f64);
        let (least, most) = self.ends?;
        let value = |rank: u64| match rank {
            // The ends are kept as they are.
            1 => rounded(least.as_secs_f64() * 1e3),
            rank if rank == count => rounded(most.as_secs_f64() * 1e3),
            rank => rounded(at(rank) as f64 / 1e3),
        };
        Some((value(low), value(high)))
    }
}

/// To a microsecond.
fn rounded(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

/// What a step came to.
pub struct Tally {
    begin: Instant,
    end: Instant,
    /// Requests that were started.
    pub requests: u64,
    /// Those that were accepted.
    pub ok: u64,
    /// Those that were answered otherwise, or not at all.
    pub failed: u64,
    /// Requests of the rate that no free connection could start in time.
    pub dropped: u64,
    /// Requests whose end was not waited for.
    pub unfinished: u64,
    /// Accepted inside the window.
    pub in_window: u64,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Requests without an answer, by why.
    pub by_fault: BTreeMap<Fault, u64>,
    /// Accepted requests from their intended start to their end.
    pub latency: Times,
    /// The same to the head of the answer.
    pub first_byte: Times,
    /// Time by the server's own word.
    pub server: Times,
    /// Times of all requests inside the window, one on top of the other.
    pub under_way: Duration,
}

impl Tally {
    /// Nothing happened yet between these times.
    pub fn new(begin: Instant, end: Instant) -> Self {
        Self {
            begin,
            end,
            requests: 0,
            ok: 0,
            failed: 0,
            dropped: 0,
            unfinished: 0,
            in_window: 0,
            by_status: BTreeMap::new(),
            by_fault: BTreeMap::new(),
            latency: Times::default(),
            first_byte: Times::default(),
            server: Times::default(),
            under_way: Duration::ZERO,
        }
    }

    /// Takes a request down that came to an end.
    pub fn note(&mut self, request: &Request) {
        match request.outcome {
            Ok(status) => *self.by_status.entry(status).or_insert(0) += 1,
            Err(fault) => *self.by_fault.entry(fault).or_insert(0) += 1,
        }
        self.pass(request.intended, request.ended);
        if !request.accepted {
            self.failed += 1;
            return;
        }
        self.ok += 1;
        self.in_window += u64::from(request.ended <= self.end);
        self.latency.note(request.ended.saturating_duration_since(request.intended));
        if let Some(first_byte) = request.first_byte {
            self.first_byte.note(first_byte.saturating_duration_since(request.intended));
        }
        if let Some(ms) = request.server_ms.filter(|ms| ms.is_finite() && (0.0..=3.6e6).contains(ms)) {
            self.server.note(Duration::from_secs_f64(ms / 1e3));
        }
    }

    /// Takes a request down whose end was not waited for.
    pub fn leave(&mut self, intended: Instant, ended: Instant) {
        self.unfinished += 1;
        self.pass(intended, ended);
    }

    fn pass(&mut self, from: Instant, to: Instant) {
        self.under_way += to.min(self.end).saturating_duration_since(from.max(self.begin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_distribution_is_told_with_what_it_leaves_open() {
        let mut times = Times::default();
        assert!(times.spread("accepted requests").known().is_none());
        times.note(Duration::from_millis(7));
        let one = times.spread("accepted requests").known().cloned().unwrap();
        assert_eq!((one.count, one.min, one.max), (1, 7.0, 7.0));
        assert!(one.std_dev.known().is_none() && one.p99_95_percent.known().is_none());
        (2..=1000).for_each(|ms| times.note(Duration::from_millis(ms)));
        let all = times.spread("accepted requests").known().cloned().unwrap();
        let (low, high) = *all.p99_95_percent.known().unwrap();
        assert!(low < all.p99 && all.p99 < high && low > 975.0, "{low} {} {high}", all.p99);
        assert!((all.median / 500.0 - 1.0).abs() < 0.01, "{}", all.median);
    }

    proptest! {
        /// Against the plain computation on the values themselves.
        #[test]
        fn figures_are_those_of_the_values(micros in proptest::collection::vec(1u64..5_000_000, 2..200)) {
            let mut times = Times::default();
            micros.iter().for_each(|us| times.note(Duration::from_micros(*us)));
            let told = times.spread("values").known().cloned().unwrap();
            let ms: Vec<f64> = micros.iter().map(|us| *us as f64 / 1e3).collect();
            let mean = ms.iter().sum::<f64>() / ms.len() as f64;
            let variance = ms.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (ms.len() - 1) as f64;
            prop_assert!((told.mean - mean).abs() < 0.01);
            prop_assert!((told.std_dev.known().unwrap() - variance.sqrt()).abs() < 0.01);
            let mut sorted = ms.clone();
            sorted.sort_by(f64::total_cmp);
            let at = |share: f64| sorted[((share * ms.len() as f64).ceil() as usize).clamp(1, ms.len()) - 1];
            for (told, share) in [(told.median, 0.5), (told.p90, 0.9), (told.p99, 0.99)] {
                prop_assert!((told - at(share)).abs() <= at(share) * 0.002 + 0.002, "{told} {}", at(share));
            }
        }
    }
}
