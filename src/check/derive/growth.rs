//! Does memory grow on and on, or does it fill up and come to rest? One test for all readings of memory in step with
//! requests.
//!
//! A leak is a trend (Mann and Kendall's test; where the load changed, over the stretches of equal load together, as Hirsch
//! and Slack do with seasons) that shows in every quarter of the last stretch and does not slow down: allocators and
//! caches fill ever slower. More users take more memory without any leak, so stretches are never compared.

use super::load::statistics::{kendall, kendall_z, median, normal_two_sided};
use super::load::thresholds::figures;
use crate::snapshot::MemoryReading;

/// How memory went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// Growth with each request, bytes: the middle of all slopes between two readings (Theil and Sen).
    pub bytes_per_request: f64,
    /// Probability of such a trend by chance.
    pub p_value: f64,
    /// Whether it rises.
    pub rises: bool,
    /// Whether each quarter of the last stretch rises over the one before, and the last hardly less than the others.
    pub goes_on: bool,
    /// Growth in the last stretch from its third quarter to its last, bytes.
    pub late_bytes: f64,
    /// Growth in the last stretch from its first quarter to its last, bytes.
    pub stretch_bytes: f64,
}

impl Growth {
    /// Whether it is no chance, and goes on.
    pub fn is_leak(&self) -> bool {
        self.rises && self.goes_on && self.p_value < figures::confidence_p() && self.bytes_per_request > 0.0
    }

    /// Whether hardly anything is added any more.
    pub fn rests(&self) -> bool {
        self.late_bytes <= (figures::growth_bytes() / 4.0).max(0.1 * self.stretch_bytes)
    }
}

/// Share of a growth that its last quarter must have to go on as before; of an even one it is a third.
const LATE_SHARE: f64 = 0.2;
/// Readings of one stretch from which its slopes are counted; of more an even choice is taken.
const MOST: usize = 256;

/// How memory went over stretches of equal load; `None` if the last one has no reading in some quarter of its requests.
pub fn of(stretches: &[&[MemoryReading]]) -> Option<Growth> {
    let thinned: Vec<Vec<(f64, f64)>> = stretches.iter().map(|readings| thin(readings)).collect();
    let (mut sum, mut variance, mut slopes) = (0.0, 0.0, Vec::new());
    for points in &thinned {
        let bytes: Vec<f64> = points.iter().map(|(_, bytes)| *bytes).collect();
        let (s, v) = kendall(&bytes);
        (sum, variance) = (sum + s, variance + v);
        for (at, (requests, bytes)) in points.iter().enumerate() {
            let later = points[at + 1..].iter().filter(|later| later.0 > *requests);
            slopes.extend(later.map(|later| (later.1 - bytes) / (later.0 - requests)));
        }
    }
    let quarters = quarters(thinned.last()?)?;
    let [first, second, third, last] = quarters;
    let (stretch_bytes, late_bytes) = (last - first, last - third);
    let z = kendall_z(sum, variance);
    Some(Growth {
        bytes_per_request: median(slopes).unwrap_or(0.0),
        p_value: normal_two_sided(z),
        rises: z > 0.0,
        goes_on: first < second && second < third && third < last && late_bytes >= LATE_SHARE * stretch_bytes,
        late_bytes,
        stretch_bytes,
    })
}

fn thin(readings: &[MemoryReading]) -> Vec<(f64, f64)> {
    let every = readings.len().div_ceil(MOST).max(1);
    readings.iter().step_by(every).map(|reading| (reading.requests as f64, reading.bytes as f64)).collect()
}

/// The middle reading of each quarter of the requests.
fn quarters(points: &[(f64, f64)]) -> Option<[f64; 4]> {
    let (begin, end) = (points.first()?.0, points.last()?.0);
    let of = |quarter: u8| {
        let (from, to) = (f64::from(quarter) / 4.0, f64::from(quarter + 1) / 4.0);
        let at = |requests: f64| (requests - begin) / (end - begin);
        let inside = |requests: f64| at(requests) >= from && (at(requests) < to || quarter == 3);
        median(points.iter().filter(|(requests, _)| inside(*requests)).map(|(_, bytes)| *bytes).collect())
    };
    Some([of(0)?, of(1)?, of(2)?, of(3)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: f64 = 1_048_576.0;

    fn readings(mib: impl IntoIterator<Item = f64>) -> Vec<MemoryReading> {
        let one =
            |(requests, mib): (usize, f64)| MemoryReading { requests: requests as u64, bytes: (mib * MIB) as u64 };
        mib.into_iter().enumerate().map(one).collect()
    }

    /// Even noise of a generator that is always the same.
    fn noise(mut seed: u64) -> impl FnMut() -> f64 {
        move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        }
    }

    #[test]
    fn a_leak_is_seen_through_noise() {
        let mut unrest = noise(7);
        let leaking = readings((0..200).map(|n| 1000.0 + 0.5 * f64::from(n) + 30.0 * unrest()));
        let growth = of(&[&leaking]).unwrap();
        assert!(growth.is_leak() && !growth.rests(), "{growth:?}");
        assert!((growth.bytes_per_request / MIB - 0.5).abs() < 0.1, "{growth:?}");
    }

    #[test]
    fn what_comes_to_rest_is_none() {
        let filling = readings((0..200).map(|n| 2000.0 - 900.0 * 0.96_f64.powi(n)));
        let growth = of(&[&filling]).unwrap();
        assert!(!growth.is_leak() && growth.rests(), "{growth:?}");
        let jump = readings((0..200).map(|n| if n < 120 { 1000.0 } else { 1500.0 }));
        assert!(!of(&[&jump]).unwrap().is_leak());
        let saw = readings((0..200).map(|n| 1000.0 + 10.0 * f64::from(n % 20)));
        assert!(!of(&[&saw]).unwrap().is_leak());
    }

    #[test]
    fn more_users_take_more_and_that_is_no_leak() {
        let steps: Vec<_> =
            (1..5).map(|users| readings((0..50).map(move |_| 1000.0 + 200.0 * f64::from(users)))).collect();
        let growth = of(&steps.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        assert!(!growth.is_leak() && growth.rests(), "{growth:?}");
    }

    #[test]
    fn chance_is_seldom_taken_for_a_leak() {
        let taken = (0..400).filter(|seed| {
            let mut unrest = noise(*seed);
            let resting = readings((0..60).map(|_| 1000.0 + 100.0 * unrest()));
            of(&[&resting]).is_some_and(|growth| growth.is_leak())
        });
        assert!(taken.count() <= 2, "of 400 series without a trend");
    }

    proptest! {
        #[test]
        fn any_readings_are_judged(pairs in prop::collection::vec((any::<u64>(), any::<u64>()), 0..60), at in 0usize..60) {
            let one = |(requests, bytes): &(u64, u64)| MemoryReading { requests: *requests, bytes: *bytes };
            let all: Vec<MemoryReading> = pairs.iter().map(one).collect();
            let (one, other) = all.split_at(at.min(all.len()));
            if let Some(growth) = of(&[one, other]) {
                prop_assert!((0.0..=1.0).contains(&growth.p_value));
            }
        }

        #[test]
        fn an_even_leak_is_always_found(each in 0.05f64..20.0, n in 24usize..300) {
            prop_assert!(of(&[&readings((0..n).map(|k| 500.0 + each * k as f64))]).unwrap().is_leak());
        }
    }
}
