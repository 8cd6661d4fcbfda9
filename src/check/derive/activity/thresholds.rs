//! The thresholds of the verdict, as data: each with what it means, where it comes from, and whether it was measured.

use serde::Deserialize;
use std::sync::LazyLock;

/// The file, as it is built in.
const FILE: &str = include_str!("thresholds.yaml");

/// One threshold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The figure.
    pub value: f64,
    /// What it decides, with its unit.
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the file"))]
    means: String,
    /// Where it comes from.
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the file"))]
    source: String,
    /// Whether it was set from traces of real cards.
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the file"))]
    calibrated: bool,
}

/// Declares the names, each an entry of the file and a function that gives its figure.
macro_rules! thresholds {
    ($($name:ident,)*) => {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct All {
            $($name: Threshold,)*
        }

        $(
            #[doc = concat!("The threshold `", stringify!($name), "` of thresholds.yaml.")]
            pub fn $name() -> f64 {
                ALL.$name.value
            }
        )*

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        #[cfg(test)]
        impl All {
            fn each(&self) -> Vec<(&'static str, &Threshold)> {
                vec![$((stringify!($name), &self.$name)),*]
            }
        }
    };
}

thresholds! {
    sm_activity_rise_percent,
    sm_activity_none_percent,
    in_flight_share,
    process_utilization_percent,
    utilization_rise_percent,
    idle_utilization_percent,
    busy_rise_percent,
    energy_rise_share,
    energy_burst_share,
    power_rise_share,
    power_rise_milliwatts,
    clock_rise_mhz,
    p_state_rise,
    gpu_idle_share_percent,
    driver_lag_ms,
    requests_without_work,
    start_share,
    correlation_t,
    control_busy_ms,
    cpu_busy_share,
    inconclusive_busy_share,
}

static ALL: LazyLock<All> =
    LazyLock::new(|| serde_yaml::from_str(FILE).expect("the thresholds that are built in are tested"));

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn each_is_explained_positive_and_used() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check/derive");
        let texts: Vec<String> = ["activity", ""]
            .iter()
            .flat_map(|room| std::fs::read_dir(folder.join(room)).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("thresholds.rs"))
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        for (name, threshold) in ALL.each() {
            assert!(threshold.value > 0.0, "{name}");
            assert!(threshold.means.len() > 20 && threshold.source.len() > 20, "{name} says neither what nor whence");
            assert!(!threshold.calibrated, "{name}: say in fixtures/recorded/ from which traces it was set");
            let call = format!("thresholds::{name}()");
            assert!(texts.iter().any(|text| text.contains(&call)), "nothing uses {name}");
        }
        assert_eq!(NAMES.len(), FILE.lines().filter(|line| line.starts_with("  value:")).count());
    }
}
