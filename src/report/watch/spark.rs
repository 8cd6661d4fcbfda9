//! A row of little bars.

use std::collections::VecDeque;

/// Readings kept of a row: more columns than a terminal has.
const KEPT: usize = 512;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Stands where nothing was read: never a bar, which would be a number.
const UNREAD: char = '·';

/// Readings in the order of time, the newest last, in bounded memory.
#[derive(Debug, Default)]
pub struct Spark {
    values: VecDeque<Option<f64>>,
}

impl Spark {
    /// Takes the next reading.
    pub fn push(&mut self, value: Option<f64>) {
        if self.values.len() == KEPT {
            self.values.pop_front();
        }
        self.values.push_back(value.filter(|value| value.is_finite()));
    }

    /// The highest of the readings that a row of this width shows.
    pub fn most(&self, width: usize) -> Option<f64> {
        self.last(width).flatten().copied().reduce(f64::max)
    }

    /// The newest readings as bars, the newest at the right; `full` is the value of a whole bar.
    pub fn draw(&self, width: usize, full: f64) -> String {
        let bar = |value: &Option<f64>| match value {
            None => UNREAD,
            Some(value) => {
                let share = if full > 0.0 { (value / full).clamp(0.0, 1.0) } else { 0.0 };
                LEVELS[((share * 8.0).ceil() as usize).clamp(1, 8) - 1]
            }
        };
        let bars: String = self.last(width).map(bar).collect();
        let before = width.saturating_sub(self.values.len());
        format!("{}{bars}", " ".repeat(before))
    }

    fn last(&self, width: usize) -> impl Iterator<Item = &Option<f64>> {
        self.values.iter().skip(self.values.len().saturating_sub(width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_not_read_is_no_bar() {
        let mut spark = Spark::default();
        [Some(0.0), None, Some(50.0), Some(100.0), Some(12.5), Some(13.0)].into_iter().for_each(|one| spark.push(one));
        assert_eq!(spark.draw(8, 100.0), "  ▁·▄█▁▂");
        assert_eq!((spark.draw(2, 100.0), spark.most(2), spark.most(9)), ("▁▂".into(), Some(13.0), Some(100.0)));
        assert_eq!(Spark::default().most(3), None);
    }

    proptest! {
        #[test]
        fn a_row_has_its_width(values in prop::collection::vec(prop::option::of(any::<f64>()), 0..700), width in 0usize..300) {
            let mut spark = Spark::default();
            values.into_iter().for_each(|value| spark.push(value));
            let full = spark.most(width).unwrap_or(0.0);
            prop_assert_eq!(spark.draw(width, full).chars().count(), width);
            prop_assert!(spark.values.len() <= KEPT);
        }
    }
}
