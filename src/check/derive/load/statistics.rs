//! The tests behind "more than chance": Welch's, that of two shares, and Mann and Kendall's for a trend.

/// Probability that a standard normal deviate is further from 0 than `z` (Abramowitz and Stegun 7.1.26, to 1.5e-7).
pub fn normal_two_sided(z: f64) -> f64 {
    if z.is_nan() {
        return 1.0;
    }
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (series * (-x * x).exp()).clamp(0.0, 1.0)
}

/// Mean, standard deviation and number of some values.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub std_dev: f64,
    /// How many there are.
    pub count: u64,
}

/// Probability that two means differ as much by chance (Welch 1947), two-sided; `None` where one sample is too small.
pub fn welch(one: Sample, other: Sample) -> Option<f64> {
    let square = |sample: Sample| {
        let enough = sample.count >= 2 && sample.mean.is_finite() && sample.std_dev.is_finite();
        enough.then(|| sample.std_dev.powi(2) / sample.count as f64)
    };
    let (a, b) = (square(one)?, square(other)?);
    if a + b <= 0.0 {
        return Some(if one.mean == other.mean { 1.0 } else { 0.0 });
    }
    let t = (one.mean - other.mean) / (a + b).sqrt();
    let freedom = (a + b).powi(2) / (a * a / (one.count - 1) as f64 + b * b / (other.count - 1) as f64);
    Some(student_two_sided(t, freedom))
}

/// Probability that Student's t with so many degrees of freedom is further from 0.
pub fn student_two_sided(t: f64, freedom: f64) -> f64 {
    if !t.is_finite() || !freedom.is_finite() || freedom > 1e6 {
        return normal_two_sided(t);
    }
    incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// The regularized incomplete beta function, by its continued fraction.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    match x < (a + 1.0) / (a + b + 2.0) {
        true => (front * fraction(x, a, b) / a).clamp(0.0, 1.0),
        false => (1.0 - front * fraction(1.0 - x, b, a) / b).clamp(0.0, 1.0),
    }
}

/// Lentz's way through the continued fraction.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let far = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut d = 1.0 / far(1.0 - (a + b) * x / (a + 1.0));
    let (mut c, mut sum) = (1.0, d);
    for step in 1..=300 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = sum;
        for term in [even, odd] {
            d = 1.0 / far(1.0 + term * d);
            c = far(1.0 + term / c);
            sum *= d * c;
        }
        if (sum / before - 1.0).abs() < 1e-12 {
            break;
        }
    }
    sum
}

/// The logarithm of the gamma function of a positive number (Stirling's series, after moving up).
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut below) = (x, 0.0);
    while x < 10.0 {
        below += x.ln();
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - below
}

/// Probability that two shares, so many of so many, differ as much by chance; `None` where one is of nothing.
pub fn shares(one: (u64, u64), other: (u64, u64)) -> Option<f64> {
    if one.1 == 0 || other.1 == 0 {
        return None;
    }
    let (a, b) = (one.0 as f64 / one.1 as f64, other.0 as f64 / other.1 as f64);
    let all = one.0.saturating_add(other.0) as f64 / one.1.saturating_add(other.1) as f64;
    let error = (all * (1.0 - all) * (1.0 / one.1 as f64 + 1.0 / other.1 as f64)).sqrt();
    // Yates' correction: one of few more or less is no difference.
    let least = 0.5 * (1.0 / one.1 as f64 + 1.0 / other.1 as f64);
    Some(if error > 0.0 { normal_two_sided(((a - b).abs() - least).max(0.0) / error) } else { 1.0 })
}

/// Kendall's sum of signs over values in their order, and its variance without a trend, ties told apart (Mann 1945,
/// Kendall 1975). Sums over stretches of a series add up, and their variances do (Hirsch and Slack 1984).
pub fn kendall(values: &[f64]) -> (f64, f64) {
    let sign = |earlier: f64, later: f64| match later.total_cmp(&earlier) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Less => -1.0,
        std::cmp::Ordering::Equal => 0.0,
    };
    let pairs = values.iter().enumerate();
    let sum = pairs.map(|(at, earlier)| values[at + 1..].iter().map(|later| sign(*earlier, *later)).sum::<f64>()).sum();
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let of = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0) / 18.0;
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|tie| of(tie.len() as f64)).sum();
    (sum, of(values.len() as f64) - ties)
}

/// The deviate of such a sum: above 0 for a rise.
pub fn kendall_z(sum: f64, variance: f64) -> f64 {
    match variance > 0.0 && sum != 0.0 {
        true => (sum - sum.signum()) / variance.sqrt(),
        false => 0.0,
    }
}

/// The middle of some values; `None` of none.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (below, above) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some((below + above) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(told: f64, known: f64) {
        assert!((told - known).abs() < 2e-4, "{told} for {known}");
    }

    #[test]
    fn probabilities_are_those_of_the_tables() {
        close(normal_two_sided(1.959_964), 0.05);
        close(normal_two_sided(-2.575_829), 0.01);
        close(student_two_sided(2.228, 10.0), 0.05);
        close(student_two_sided(12.706, 1.0), 0.05);
        close(student_two_sided(2.704, 40.0), 0.01);
        close(student_two_sided(0.0, 5.0), 1.0);
        let sample = |mean, std_dev, count| Sample { mean, std_dev, count };
        // t = -1.9269 with 14.28 degrees of freedom, integrated numerically.
        close(welch(sample(20.6, 3.0, 15), sample(22.1, 0.3, 15)).unwrap(), 0.07413);
        assert_eq!(welch(sample(1.0, 0.0, 5), sample(1.0, 0.0, 5)), Some(1.0));
        assert_eq!(welch(sample(1.0, 1.0, 1), sample(1.0, 1.0, 5)), None);
        close(shares((95, 100), (85, 100)).unwrap(), 0.0339);
        assert_eq!(shares((0, 0), (1, 2)), None);
        // One failure in the shorter of two runs; exactly 0.09.
        assert!(shares((1000, 1000), (99, 100)).unwrap() > 0.05);
    }

    #[test]
    fn a_trend_is_told_by_signs() {
        assert_eq!(kendall(&[1.0, 2.0, 3.0, 4.0]), (6.0, 4.0 * 3.0 * 13.0 / 18.0));
        assert_eq!(kendall(&[2.0; 12]), (0.0, 0.0));
        assert_eq!(kendall_z(0.0, 0.0), 0.0);
        assert_eq!((median(vec![3.0, 1.0, 2.0]), median(vec![1.0, 2.0]), median(vec![])), (Some(2.0), Some(1.5), None));
    }

    proptest! {
        #[test]
        fn probabilities_are_probabilities(t in -1e3f64..1e3, freedom in 0.5f64..1e5, k in 0u64..50, n in 50u64..90) {
            let p = student_two_sided(t, freedom);
            prop_assert!((0.0..=1.0).contains(&p), "{p}");
            prop_assert!(student_two_sided(t.abs() + 1.0, freedom) <= p + 1e-9);
            prop_assert!((0.0..=1.0).contains(&shares((k, n), (n - k, n)).unwrap()));
        }

        #[test]
        fn turning_a_series_turns_its_trend(values in prop::collection::vec(0u8..9, 2..40)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let turned: Vec<f64> = values.iter().rev().copied().collect();
            let ((sum, variance), (back, same)) = (kendall(&values), kendall(&turned));
            prop_assert_eq!((sum, variance), (-back, same));
            prop_assert!(variance >= 0.0);
        }
    }
}
