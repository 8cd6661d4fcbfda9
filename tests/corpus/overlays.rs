//! Two faults at once: the facts of two cases joined to one deployment, where they fit.
//!
//! Of each fact one of the two may say nothing; where both say something else, the cases do not fit.

use crate::expect::Kind;
use crate::load::Case;
use gpu_doctor::check::Checks;
use gpu_doctor::diagnosis::{Diagnosed, diagnose};
use gpu_doctor::snapshot::Snapshot;
use serde_json::{Map, Value};

/// Pairs that are judged at most.
const PAIRS_MOST: usize = 200;

/// How the pairs went.
#[derive(Default)]
pub struct Joined {
    pub pairs: usize,
    pub faults: Vec<String>,
}

/// Joins every two cases of different stages that have one cause each.
pub fn all(checks: &Checks, cases: &[Case]) -> Joined {
    let mut joined = Joined::default();
    let fails: Vec<(&Case, Diagnosed, Value)> = cases
        .iter()
        .filter(|case| case.expect.kind == Kind::Cause)
        .filter_map(|case| {
            let said = diagnose(checks, &case.snapshot).ok()?;
            let first = said.diagnoses.first()?;
            let right = case.expect.first.as_ref() == Some(&first.cause);
            right.then(|| (case, said, serde_json::to_value(&case.snapshot).expect("a snapshot is JSON")))
        })
        .collect();
    for (n, (a, a_said, a_facts)) in fails.iter().enumerate() {
        for (b, b_said, b_facts) in &fails[n + 1..] {
            if a.expect.stage == b.expect.stage || joined.pairs >= PAIRS_MOST {
                continue;
            }
            let Some(snapshot) = both(a_facts, b_facts) else { continue };
            joined.pairs += 1;
            let said = diagnose(checks, &snapshot).unwrap_or_else(|error| panic!("{} and {}: {error}", a.name, b.name));
            let told = |cause: &str| {
                said.diagnoses.iter().any(|one| one.cause == cause || one.explains.iter().any(|e| e == cause))
            };
            let (a_first, b_first) = (&a_said.diagnoses[0].cause, &b_said.diagnoses[0].cause);
            let mut fault = |words: String| joined.faults.push(format!("{} and {}: {words}", a.name, b.name));
            for cause in [a_first, b_first].into_iter().filter(|cause| !told(cause)) {
                fault(format!("{cause} is not told"));
            }
            match said.diagnoses.first() {
                Some(first) if &first.cause == a_first || &first.cause == b_first => {}
                first => fault(format!("first {}", first.map_or("none", |one| one.cause.as_str()))),
            }
        }
    }
    joined
}

/// The snapshot of both, if they fit.
fn both(a: &Value, b: &Value) -> Option<Snapshot> {
    let mut merged = a.clone();
    merged["target"] = Value::Object(merge(&a["target"], &b["target"], |value| {
        value.is_null() || value == &Value::Bool(false) || value.as_array().is_some_and(Vec::is_empty)
    })?);
    for (room, facts) in merged["facts"].as_object_mut()? {
        *facts = Value::Object(merge(facts, &b["facts"][room.as_str()], |fact| fact.get("unknown").is_some())?);
    }
    serde_json::from_value(merged).ok()
}

/// The members of both; none where both say something and not the same.
fn merge(a: &Value, b: &Value, is_silent: impl Fn(&Value) -> bool) -> Option<Map<String, Value>> {
    let mut merged = Map::new();
    for (name, left) in a.as_object()? {
        let right = b.get(name)?;
        let one = match (is_silent(left), is_silent(right)) {
            (_, true) => left,
            (true, false) => right,
            _ if left == right => left,
            _ => return None,
        };
        merged.insert(name.clone(), one.clone());
    }
    Some(merged)
}
