//! The facts that changed: which of them matter, and how many do not.

use super::Run;
use super::causes::{Cause, Moved};
use super::leaves::{self, Leaf};
use super::worth::{Kind, Worth, worth};
use crate::check::{View, against, statistics};
use crate::diagnosis::Diagnosis;
use crate::snapshot::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Changes that are kept of each sort; the rest is counted.
const KEPT_MAX: usize = 2000;
/// Means of which chance makes as different ones less often than this differ.
const CHANCE_MOST: f64 = 0.01;
/// The fact whose single values are kept beside it.
const REQUEST_TIME: &str = "execution.request_ms_median";

/// One fact that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Its path; items of lists by their name or number: `packages.distributions[onnxruntime].version`.
    pub path: String,
    /// What it is about.
    pub kind: Kind,
    /// Causes that came or went and rest on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// Before; nothing where it was not there or not known.
    pub before: Option<Value>,
    /// After, likewise.
    pub after: Option<Value>,
    /// Why it is not known in one of the runs; empty where it is known in both, or is not there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unknown: String,
    /// Of a measurement, the test by which it is no noise; empty where only the difference counts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub because: String,
}

/// The facts that changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// Those that matter: first the proof of causes that came or went.
    pub changes: Vec<Change>,
    /// All others that are no noise.
    pub further: Vec<Change>,
    /// Facts that differ between any two runs: times, process ids, counters, measurements within noise.
    pub noise: u64,
    /// Changes that are not in the lists, which are full.
    #[serde(default, skip_serializing_if = "is_none")]
    pub left_out: u64,
    /// Why the facts could not be compared, or not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<String>,
}

fn is_none(number: &u64) -> bool {
    *number == 0
}

/// The changes between two runs of whose causes this became.
pub fn of(before: &Run, after: &Run, causes: &[Cause]) -> Changes {
    let proofs = proofs(before, after, causes);
    let views = [before, after].map(|run| run.snapshot.map(View::of));
    let mut sorter = Sorter {
        proofs: &proofs,
        views: &views,
        facts: [before, after].map(|run| run.snapshot.map(|s| &s.facts)),
        all: Changes::default(),
    };
    match &views {
        [Some(one), Some(other)] => {
            for leaf in leaves::differing(one.values(), other.values()) {
                sorter.put(leaf);
            }
            sorter.load();
        }
        _ => {
            let values = [before, after].map(|run| evidence(run.diagnoses));
            for fact in proofs.keys() {
                let value = |at: usize| match &views[at] {
                    Some(view) => view.value(fact),
                    None => values[at].get(fact.as_str()).copied(),
                };
                let (Some(one), Some(other)) = (value(0), value(1)) else { continue };
                for mut leaf in leaves::differing(one, other) {
                    let below = |path: &str| {
                        if path.is_empty() || path.starts_with('[') {
                            format!("{fact}{path}")
                        } else {
                            format!("{fact}.{path}")
                        }
                    };
                    (leaf.path, leaf.fact) = (below(&leaf.path), below(&leaf.fact));
                    sorter.put(leaf);
                }
            }
            let save = "save snapshots to have all facts compared (--save FILE)";
            let reports: Vec<&Run> = [before, after].into_iter().filter(|run| run.snapshot.is_none()).collect();
            sorter.all.not_compared = Some(match reports.as_slice() {
                [one] => format!("{} is a report, which holds the proof of its causes only: {save}", one.name),
                _ => format!("Both are reports, which hold the proof of their causes only: {save}"),
            });
        }
    }
    let mut all = sorter.all;
    all.changes.sort_by_key(|change| change.kind);
    for list in [&mut all.changes, &mut all.further] {
        all.left_out += list.len().saturating_sub(KEPT_MAX) as u64;
        list.truncate(KEPT_MAX);
    }
    all
}

/// The facts on which causes rest that came or went, each with these causes.
fn proofs(before: &Run, after: &Run, causes: &[Cause]) -> BTreeMap<String, Vec<String>> {
    let mut proofs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for cause in causes.iter().filter(|cause| cause.moved != Moved::Still) {
        let told = before.diagnoses.iter().chain(after.diagnoses).filter(|one| one.cause == cause.cause);
        let paths: BTreeSet<&String> = told.flat_map(|one| &one.evidence).map(|evidence| &evidence.path).collect();
        for path in paths {
            proofs.entry(path.clone()).or_default().push(cause.cause.clone());
        }
    }
    proofs
}

/// The evidence of all causes, by path.
fn evidence(diagnoses: &[Diagnosis]) -> BTreeMap<&str, &Value> {
    let all = diagnoses.iter().flat_map(|one| &one.evidence);
    all.filter_map(|evidence| Some((evidence.path.as_str(), evidence.value.as_ref()?))).collect()
}

struct Sorter<'a> {
    proofs: &'a BTreeMap<String, Vec<String>>,
    views: &'a [Option<View>; 2],
    facts: [Option<&'a Facts>; 2],
    all: Changes,
}

impl Sorter<'_> {
    fn put(&mut self, leaf: Leaf) {
        // What was asked is told apart from what was found.
        if leaf.fact.starts_with("target.") {
            return;
        }
        let of = self.proves(&leaf.fact);
        // What follows from facts changes with them.
        if of.is_empty() && leaf.fact.starts_with("derived.") {
            return;
        }
        let unknown = self.unknown(&leaf);
        let (kind, because) = match worth(&leaf.fact) {
            Worth::Noise => {
                self.all.noise += 1;
                return;
            }
            Worth::Measured { absolute, relative } => {
                match (leaf.before.and_then(Value::as_f64), leaf.after.and_then(Value::as_f64)) {
                    (Some(one), Some(other)) => match self.moved(&leaf.fact, one, other, absolute, relative) {
                        Some(because) => (Some(Kind::Measured), because),
                        None => {
                            self.all.noise += 1;
                            return;
                        }
                    },
                    _ => (None, String::new()),
                }
            }
            Worth::Told(kind) => (Some(kind), String::new()),
            Worth::Unlisted => (None, String::new()),
        };
        // Of what a cause rests on, that itself and those parts that the table names.
        let proves = !of.is_empty() && (kind.is_some() || self.proofs.contains_key(&leaf.fact));
        // What one of the runs could not know is no change of the deployment, unless a cause rests on it.
        let told = if proves { Some(Kind::Evidence) } else { kind.filter(|_| unknown.is_empty()) };
        let change = Change {
            path: leaf.path,
            kind: told.or(kind).unwrap_or(Kind::Other),
            of,
            before: leaf.before.cloned(),
            after: leaf.after.cloned(),
            unknown,
            because,
        };
        let list = if told.is_some() { &mut self.all.changes } else { &mut self.all.further };
        list.push(change);
    }

    /// Causes that rest on a fact, or on what it is a part of.
    fn proves(&self, fact: &str) -> Vec<String> {
        let is_part = |proof: &str| {
            fact.strip_prefix(proof)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with("[]"))
        };
        self.proofs.iter().filter(|(proof, _)| is_part(proof)).flat_map(|(_, causes)| causes.clone()).collect()
    }

    /// Why a leaf that one run has is not known in the other.
    fn unknown(&self, leaf: &Leaf) -> String {
        let lacks = match (leaf.before, leaf.after) {
            (None, _) => &self.views[0],
            (_, None) => &self.views[1],
            _ => return String::new(),
        };
        lacks.as_ref().and_then(|view| view.reason(&leaf.fact)).map_or(String::new(), ToString::to_string)
    }

    /// By what test a measurement moved by more than noise, empty if by the table alone; nothing if it did not.
    fn moved(&self, fact: &str, before: f64, after: f64, absolute: f64, relative: f64) -> Option<String> {
        let (apart, share) = ((after - before).abs(), relative * before.abs().max(after.abs()));
        // Also where one is no number.
        if !(apart >= absolute && apart >= share) {
            return None;
        }
        if fact != REQUEST_TIME {
            return Some(String::new());
        }
        let sample = |facts: &Facts| {
            let times: Vec<f64> = facts
                .execution
                .request_times
                .known()?
                .iter()
                .filter(|time| time.accepted)
                .map(|time| time.duration_ms)
                .collect();
            sample(&times)
        };
        let samples = self.facts[0].and_then(sample).zip(self.facts[1].and_then(sample));
        match samples.and_then(|(one, other)| statistics::welch(one, other)) {
            Some(chance) if chance >= CHANCE_MOST => None,
            Some(_) => Some("the means differ by more than chance (Welch's test)".into()),
            None => Some(String::new()),
        }
    }

    /// What the steps of a load differ by, as `bench --against` tells it.
    fn load(&mut self) {
        let [Some(before), Some(after)] = self.facts else { return };
        let Ok(compared) = against::compare(before, after) else { return };
        for one in compared.differences {
            if !matches!(one.verdict, "better" | "worse") {
                self.all.noise += u64::from(one.before != one.after);
                continue;
            }
            self.all.changes.push(Change {
                path: format!("{} at {}", one.figure, one.load),
                kind: Kind::Measured,
                of: Vec::new(),
                before: Some(one.before.into()),
                after: Some(one.after.into()),
                unknown: String::new(),
                because: format!("{}: {}", one.verdict, one.because),
            });
        }
    }
}

/// Mean, standard deviation and number.
fn sample(values: &[f64]) -> Option<statistics::Sample> {
    let count = values.len();
    if count < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / count as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some(statistics::Sample { mean, std_dev: (squares / (count - 1) as f64).sqrt(), count: count as u64 })
}
