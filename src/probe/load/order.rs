//! Between which of the sorted values a percentile lies.

/// What is left on either side of a range that holds 95 %.
const BESIDE: f64 = 0.025;
/// Up to so many values the binomial distribution is summed up; above, the normal one stands for it.
const SUMMED: u64 = 10_000;
/// 95 % of a normal distribution lie within so many standard deviations.
const WITHIN_95: f64 = 1.959_964;

/// Ranks, from 1, of the sorted values between which a percentile lies with 95 % confidence at least: how many values lie
/// below it is binomially distributed, whatever the distribution of the values (David and Nagaraja, Order Statistics, 7.1).
/// `None` where there are too few values for both ends.
pub fn ranks(count: u64, share: f64) -> Option<(u64, u64)> {
    if count == 0 || !(0.0..1.0).contains(&share) || share == 0.0 {
        return None;
    }
    let (low, high) = if count <= SUMMED { summed(count, share) } else { approximated(count, share) };
    (low >= 1 && high <= count).then_some((low, high))
}

/// The highest rank below and the lowest above, each of which is beyond the percentile by chance in 2.5 % of all cases.
fn summed(count: u64, share: f64) -> (u64, u64) {
    // The probability of `below` values below the percentile, from one to the next, as logarithms.
    let odds = (share / (1.0 - share)).ln();
    let mut chance = count as f64 * (1.0 - share).ln();
    let (mut sum, mut low, mut high) = (0.0, 0, count + 1);
    for below in 0..=count {
        sum += chance.exp();
        if sum <= BESIDE {
            low = below + 1;
        }
        if sum >= 1.0 - BESIDE {
            high = below + 1;
            break;
        }
        chance += odds + ((count - below) as f64).ln() - ((below + 1) as f64).ln();
    }
    (low, high)
}

fn approximated(count: u64, share: f64) -> (u64, u64) {
    let (middle, reach) = (count as f64 * share, WITHIN_95 * (count as f64 * share * (1.0 - share)).sqrt());
    ((middle - reach).floor().max(0.0) as u64, (middle + reach).ceil() as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The tables of nonparametric intervals (Conover, Practical Nonparametric Statistics, A3).
    #[test]
    fn the_ranks_of_small_samples_are_those_of_the_tables() {
        assert_eq!(ranks(10, 0.5), Some((2, 9)));
        assert_eq!(ranks(20, 0.5), Some((6, 15)));
        assert_eq!(ranks(100, 0.5), Some((40, 61)));
        assert_eq!(ranks(5, 0.5), None, "the median lies outside of five values in 6 % of all cases");
        assert_eq!(ranks(6, 0.5), Some((1, 6)));
        assert_eq!(ranks(0, 0.5), None);
    }

    #[test]
    fn the_far_end_needs_many_values() {
        // 0.999^3688 is the first below 2.5 %.
        assert_eq!(ranks(3687, 0.999), None);
        assert_eq!(ranks(3688, 0.999).map(|(_, high)| high), Some(3688));
        assert_eq!(ranks(367, 0.99), None);
        assert_eq!(ranks(368, 0.99).map(|(_, high)| high), Some(368));
    }

    /// Both ways tell the same where the one gives way to the other.
    #[test]
    fn the_approximation_joins_the_sum() {
        for share in [0.5, 0.9, 0.99, 0.999] {
            let ((a, b), (c, d)) = (summed(SUMMED, share), approximated(SUMMED, share));
            assert!(a.abs_diff(c) <= 2 && b.abs_diff(d) <= 2, "{share}: {a} {b}, {c} {d}");
        }
    }

    proptest! {
        #[test]
        fn the_range_holds_the_percentile(count in 1u64..100_000, share in 0.01f64..0.9995) {
            if let Some((low, high)) = ranks(count, share) {
                prop_assert!(1 <= low && low < high && high <= count);
                let middle = count as f64 * share;
                prop_assert!(low as f64 <= middle + 1.0 && high as f64 >= middle, "{low} {high} of {count}");
            }
        }
    }
}
