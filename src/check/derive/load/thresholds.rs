//! By what steps are judged, as data: each figure with what it means and where it comes from.

use serde::Deserialize;
use std::sync::LazyLock;

/// The file, as it is built in.
const FILE: &str = include_str!("thresholds.yaml");

/// How bad a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Healthy,
    Degraded,
    Overloaded,
}

impl Grade {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Grade::Healthy => "healthy",
            Grade::Degraded => "degraded",
            Grade::Overloaded => "overloaded",
        }
    }
}

/// From where on a figure is degraded, and from where on overloaded; the lower is worse if `degraded` is above
/// `overloaded`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// At this figure it is degraded.
    pub degraded: f64,
    /// Beyond this one it is overloaded.
    pub overloaded: f64,
    /// The same as times of the lightest load, where that is longer.
    pub degraded_times: Option<f64>,
    /// See `degraded_times`.
    pub overloaded_times: Option<f64>,
    /// Whether it makes a step overloaded by itself.
    pub alone: bool,
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the file"))]
    means: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the file"))]
    source: String,
}

impl Limits {
    /// The grade of a figure.
    pub fn grade(&self, value: f64) -> Grade {
        let (value, degraded, overloaded) = match self.degraded > self.overloaded {
            // The lower the worse; at the healthy limit itself it is healthy.
            true if value >= self.degraded => return Grade::Healthy,
            true => (-value, -self.degraded, -self.overloaded),
            false => (value, self.degraded, self.overloaded),
        };
        match (value >= degraded, value > overloaded) {
            (_, true) => Grade::Overloaded,
            (true, _) => Grade::Degraded,
            _ => Grade::Healthy,
        }
    }

    /// The same, which make a step overloaded by themselves under this condition only.
    pub fn alone_if(self, condition: bool) -> Limits {
        Limits { alone: self.alone && condition, ..self }
    }

    /// The limits beside what the lightest load takes: as times of that, where these are longer. A figure without such times
    /// tells nothing where the lightest load is beyond it.
    pub fn beside(&self, lightest: f64) -> Option<Limits> {
        let Some((some, many)) = self.degraded_times.zip(self.overloaded_times) else {
            return (lightest < self.degraded).then(|| self.clone());
        };
        let (degraded, overloaded) = (self.degraded.max(some * lightest), self.overloaded.max(many * lightest));
        Some(Limits { degraded, overloaded, ..self.clone() })
    }
}

/// A range of a figure with its name and advice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Below this; the last band has no end.
    pub below: Option<f64>,
    /// `excellent`, `good`, `acceptable`, `overloaded` or `slow`.
    pub name: String,
    /// What that means.
    pub says: String,
}

/// Ranges of a figure, from the best to the worst.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bands {
    bands: Vec<Band>,
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the file"))]
    means: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the file"))]
    source: String,
}

impl Bands {
    /// The one in which a figure lies.
    pub fn of(&self, value: f64) -> Option<&Band> {
        self.bands.iter().find(|band| band.below.is_none_or(|below| value < below))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Figure {
    value: f64,
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the file"))]
    means: String,
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the file"))]
    source: String,
}

/// Declares the names of a group, each an entry of the file and a function that gives it.
macro_rules! group {
    ($group:ident, $kind:ty, $gives:ty, $give:expr, [$($name:ident),* $(,)?]) => {
        pub mod $group {
            use super::*;

            #[derive(Debug, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(super) struct Group {
                $($name: $kind,)*
            }

            $(
                #[doc = concat!("`", stringify!($name), "` of thresholds.yaml.")]
                pub fn $name() -> $gives {
                    let give: fn(&'static $kind) -> $gives = $give;
                    give(&ALL.$group.$name)
                }
            )*

            #[cfg(test)]
            pub(super) fn each() -> Vec<(&'static str, &'static $kind)> {
                vec![$((stringify!($name), &ALL.$group.$name)),*]
            }
        }
    };
}

group!(
    grades,
    Limits,
    &'static Limits,
    |limits| limits,
    [success_percent, end_to_end_ms, inference_ms, utilization_percent, memory_percent, temperature_celsius]
);
group!(bands, Bands, &'static Bands, |bands| bands, [queue_ms, inference_ms]);
group!(
    figures,
    Figure,
    f64,
    |figure| figure.value,
    [
        littles_law_percent,
        marginal_gain,
        own_cpu_share,
        refused_share,
        cached_share,
        noise_percent,
        confidence_p,
        growth_bytes,
        dominant_share,
    ]
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct All {
    grades: grades::Group,
    bands: bands::Group,
    figures: figures::Group,
}

static ALL: LazyLock<All> =
    LazyLock::new(|| serde_yaml::from_str(FILE).expect("the thresholds that are built in are tested"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_explained_and_in_order() {
        let told = |name: &str, means: &str, source: &str| {
            assert!(means.len() > 20 && source.len() > 20, "{name} says neither what nor whence");
        };
        for (name, limits) in grades::each() {
            told(name, &limits.means, &limits.source);
            assert_ne!(limits.degraded, limits.overloaded, "{name}");
            assert_eq!(limits.degraded_times.is_some(), limits.overloaded_times.is_some(), "{name}");
            assert!(limits.degraded_times <= limits.overloaded_times, "{name}");
        }
        for (name, bands) in bands::each() {
            told(name, &bands.means, &bands.source);
            let ends: Vec<Option<f64>> = bands.bands.iter().map(|band| band.below).collect();
            let (last, others) = ends.split_last().unwrap();
            assert!(last.is_none() && others.iter().all(Option::is_some) && others.is_sorted(), "{name}: {ends:?}");
        }
        for (name, figure) in figures::each() {
            told(name, &figure.means, &figure.source);
            assert!(figure.value > 0.0, "{name}");
        }
    }

    #[test]
    fn figures_fall_into_the_guides_grades() {
        use Grade::{Degraded, Healthy, Overloaded};
        let success = [100.0, 99.96, 99.0, 95.0, 94.9].map(|value| grades::success_percent().grade(value));
        assert_eq!(success, [Healthy, Healthy, Degraded, Degraded, Overloaded]);
        let end_to_end = [499.0, 500.0, 1000.0, 1001.0].map(|value| grades::end_to_end_ms().grade(value));
        assert_eq!(end_to_end, [Healthy, Degraded, Degraded, Overloaded]);
        let slow = grades::end_to_end_ms().beside(1170.0).unwrap();
        assert_eq!([1300.0, 5000.0, 9000.0].map(|value| slow.grade(value)), [Healthy, Degraded, Overloaded]);
        assert!(grades::utilization_percent().beside(96.0).is_none(), "a busy GPU at rest says nothing of load");
        let queue = [3.0, 10.0, 99.0, 100.0].map(|value| bands::queue_ms().of(value).unwrap().name.as_str());
        assert_eq!(queue, ["excellent", "good", "acceptable", "overloaded"]);
    }
}
