//! The table of metric families, `families.yaml`: whose they are and which figure each one fills.

use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

/// When the process started, by prometheus_client's collector.
pub const START: &str = "process_start_time_seconds";

/// What software calls its metrics.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Software {
    /// As in the facts: `triton`, `vllm`.
    pub software: String,
    /// Beginnings of names by which its pages are told.
    pub signs: Vec<String>,
    /// Labels that name the model, the first one that a sample has.
    #[serde(default)]
    pub model: Vec<String>,
    /// A batch's time is told of each of its requests, so that it counts once an execution.
    #[serde(default)]
    pub batches_share_time: bool,
    /// Counters, as differences.
    #[serde(default)]
    pub counts: BTreeMap<Count, Family>,
    /// Times of a request, as means.
    #[serde(default)]
    pub times: BTreeMap<Time, Family>,
    /// Time in which the model computed, all of them together.
    #[serde(default)]
    pub busy: Vec<Family>,
    /// Gauges, the highest reading.
    #[serde(default)]
    pub gauges: BTreeMap<Gauge, Family>,
    /// What it tells of GPUs.
    #[serde(default)]
    pub gpu: Option<Gpu>,
}

/// A figure that only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    RequestsTaken,
    RequestsOk,
    RequestsFailed,
    RequestsRefused,
    Inferences,
    Executions,
    CacheHits,
    Preemptions,
}

/// A time of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Time {
    Queue,
    Compute,
    Request,
}

/// A figure of the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gauge {
    Running,
    Waiting,
    KvCache,
}

/// What tells of GPUs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Labels that name the GPU.
    pub label: Vec<String>,
    pub utilization: Option<Family>,
    pub memory_used: Option<Family>,
    pub power: Option<Family>,
}

/// One family by its names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Names, the present one first, then older ones: the first that stands on a page counts.
    pub names: Vec<String>,
    #[serde(default)]
    pub unit: Unit,
    /// Only samples whose label has one of these values.
    #[serde(default)]
    pub only: BTreeMap<String, Vec<String>>,
    /// Not samples whose label has one of these values.
    #[serde(default)]
    pub without: BTreeMap<String, Vec<String>>,
    /// Of a time that is a plain counter, the counts by which it is divided: the first less the others. Without it the
    /// family is a histogram or a summary, and brings its own count.
    #[serde(default)]
    pub per: Vec<Count>,
}

/// Units of the names.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    #[default]
    One,
    Seconds,
    Milliseconds,
    Microseconds,
    Ratio,
    Percent,
    Bytes,
    Mebibytes,
    Watts,
}

impl Unit {
    /// By what a value is multiplied to be in milliseconds, percent, bytes or milliwatts.
    pub fn factor(self) -> f64 {
        match self {
            Unit::One | Unit::Milliseconds | Unit::Percent | Unit::Bytes => 1.0,
            Unit::Seconds | Unit::Watts => 1e3,
            Unit::Microseconds => 1e-3,
            Unit::Ratio => 100.0,
            Unit::Mebibytes => 1_048_576.0,
        }
    }
}

/// The table.
pub static TABLE: LazyLock<Vec<Software>> = LazyLock::new(|| {
    serde_yaml::from_str(include_str!("families.yaml")).expect("families.yaml is a table of families")
});

/// Every name of a sample that is kept.
static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut names = HashSet::from([START.to_owned()]);
    for software in TABLE.iter() {
        for family in software.times.values().filter(|family| family.per.is_empty()) {
            names.extend(family.names.iter().flat_map(|name| [format!("{name}_sum"), format!("{name}_count")]));
        }
        names.extend(software.plain().flat_map(|family| family.names.iter().cloned()));
    }
    names
});

/// Whether samples of this name are kept.
pub fn is_read(name: &str) -> bool {
    NAMES.contains(name)
}

impl Software {
    /// Families whose samples have just their name.
    pub fn plain(&self) -> impl Iterator<Item = &Family> {
        let times = self.times.values().filter(|family| !family.per.is_empty());
        let gpu = self.gpu.iter().flat_map(|gpu| [&gpu.utilization, &gpu.memory_used, &gpu.power]).flatten();
        self.counts.values().chain(times).chain(&self.busy).chain(self.gauges.values()).chain(gpu)
    }

    /// Names of samples that only rise.
    pub fn rising(&self) -> impl Iterator<Item = String> {
        let times = self.times.values().flat_map(|family| {
            let suffixes: &[&str] = if family.per.is_empty() { &["_sum", "_count"] } else { &[""] };
            family.names.iter().flat_map(move |name| suffixes.iter().map(move |suffix| format!("{name}{suffix}")))
        });
        let counts = self.counts.values().chain(&self.busy).flat_map(|family| family.names.iter().cloned());
        times.chain(counts)
    }
}
