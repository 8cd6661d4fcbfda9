//! One fact less: what the doctor says of a case when something in it could not be read.
//!
//! Knowing less may leave a check undecided, and an effect may then stand first whose cause is not seen any more. It must
//! not make the doctor name a cause that it did not see with more, nor accuse a healthy deployment, nor call a sick one
//! healthy. Whoever writes a check takes what is unknown for absent sooner or later; the corpus shows it at scale.

use crate::load::Case;
use gpu_doctor::check::{Checks, Severity};
use gpu_doctor::diagnosis::{Diagnosed, Verdict, diagnose};
use gpu_doctor::snapshot::Snapshot;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// What cases were put through.
#[derive(Default)]
pub struct Tried {
    mutations: usize,
    /// With another first cause, which held with more known too: an effect of the right one.
    effect_first: usize,
    /// With no cause any more where there was one.
    undecided: usize,
    /// With a further cause behind a right first one.
    beside: usize,
    /// False claims, in words.
    pub false_claims: Vec<String>,
}

impl Tried {
    pub fn add(&mut self, other: Tried) {
        self.mutations += other.mutations;
        self.effect_first += other.effect_first;
        self.undecided += other.undecided;
        self.beside += other.beside;
        self.false_claims.extend(other.false_claims);
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tried { mutations, effect_first, undecided, beside, false_claims } = self;
        write!(
            f,
            "{mutations} facts made unknown, one at a time: {effect_first} times an effect stands first, {undecided} times no \
             cause is named, {beside} times one more; {} false claims",
            false_claims.len()
        )
    }
}

/// Which facts of a case are taken away.
#[derive(Clone, Copy)]
pub enum Facts {
    /// One in so many, by a fixed draw.
    OneIn(u64),
    /// Every one.
    All,
    /// Every one, and every fact inside of lists and records, in all elements at once.
    Deep,
}

/// The paths of known facts, `[]` for every element.
fn known_facts(facts: &Value, deep: bool) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    collect(facts, "", deep, &mut paths);
    paths
}

fn collect(value: &Value, path: &str, deep: bool, paths: &mut BTreeSet<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        _ if is_known(value) => {
            paths.insert(path.to_owned());
            if deep {
                collect(&value["known"], path, deep, paths);
            }
        }
        Value::Object(object) => object.iter().for_each(|(name, inner)| collect(inner, &below(name), deep, paths)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, &below("[]"), deep, paths)),
        _ => {}
    }
}

fn is_known(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.len() == 1 && object.contains_key("known"))
}

/// Makes the fact at a path unknown, in every element.
fn forget(value: &mut Value, path: &[&str]) {
    match path {
        [] if is_known(value) => {
            *value = json!({"unknown": {"why": "denied", "detail": "could not be read this time"}});
        }
        [] => {}
        _ if is_known(value) => forget(&mut value["known"], path),
        ["[]", rest @ ..] => value.as_array_mut().into_iter().flatten().for_each(|item| forget(item, rest)),
        [name, rest @ ..] => {
            if let Some(inner) = value.get_mut(name) {
                forget(inner, rest);
            }
        }
    }
}

/// FNV-1a, so that the draw is the same everywhere.
fn draw(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Puts a case through it.
pub fn try_case(checks: &Checks, case: &Case, which: Facts) -> Tried {
    let whole = diagnose(checks, &case.snapshot).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let facts = serde_json::to_value(&case.snapshot.facts).expect("facts are JSON");
    let mut tried = Tried::default();
    for path in known_facts(&facts, matches!(which, Facts::Deep)) {
        if matches!(which, Facts::OneIn(n) if !(draw(&format!("{} {path}", case.name)) >> 8).is_multiple_of(n)) {
            continue;
        }
        let mut less = facts.clone();
        forget(&mut less, &path.split('.').collect::<Vec<_>>());
        let facts =
            serde_json::from_value(less).unwrap_or_else(|error| panic!("{} without {path}: {error}", case.name));
        let snapshot = Snapshot { facts, ..case.snapshot.clone() };
        tried.mutations += 1;
        let claims = match diagnose(checks, &snapshot) {
            Ok(said) => judged(checks, case, &whole, &said, &mut tried),
            Err(error) => vec![format!("no report: {}", error.chars().take(200).collect::<String>())],
        };
        tried.false_claims.extend(claims.into_iter().map(|words| format!("{} without {path}: {words}", case.name)));
    }
    tried
}

fn holding(diagnosed: &Diagnosed) -> impl Iterator<Item = &str> {
    diagnosed.findings.iter().filter(|one| one.verdict == "holds").map(|one| one.check.as_str())
}

/// What is claimed falsely with less known.
fn judged(checks: &Checks, case: &Case, whole: &Diagnosed, said: &Diagnosed, tried: &mut Tried) -> Vec<String> {
    let mut claims = Vec::new();
    let held: BTreeSet<&str> = holding(whole).collect();
    // A symptom of what is wrong is no cause, and no false one.
    let is_symptom = |cause: &String| checks.get(cause).is_some_and(|check| check.spec.symptom);
    let sick = whole.verdict == Verdict::Unhealthy;
    let known =
        |cause: &String| held.contains(cause.as_str()) || case.expect.may_be_listed(cause) || sick && is_symptom(cause);
    match said.diagnoses.first() {
        Some(first) if !known(&first.cause) => claims.push(format!("{} is named", first.cause)),
        first => {
            tried.beside += usize::from(said.diagnoses.iter().any(|one| !known(&one.cause)));
            match (whole.diagnoses.first(), first) {
                (Some(_), None) => tried.undecided += 1,
                (Some(was), Some(is)) => tried.effect_first += usize::from(was.cause != is.cause),
                (None, _) => {}
            }
        }
    }
    let failed = said.diagnoses.iter().find(|one| one.severity == Severity::Fail).map(|one| one.cause.as_str());
    match (whole.verdict, said.verdict) {
        (Verdict::Healthy, Verdict::Unhealthy) => {
            claims.push(format!("healthy, and accused of {}", failed.unwrap_or("nothing")));
        }
        (Verdict::Unhealthy, Verdict::Healthy) => claims.push("called healthy".into()),
        (Verdict::Undecided, Verdict::Healthy) => claims.push("called healthy, and undecided with more".into()),
        _ => {}
    }
    claims
}
