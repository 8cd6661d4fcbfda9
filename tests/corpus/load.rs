//! Reading the cases.

use crate::cases::{Case as Overlay, cases, fixtures, snapshot, yaml};
use crate::expect::Expect;
use gpu_doctor::snapshot::Snapshot;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// One case.
pub struct Case {
    pub name: String,
    pub snapshot: Snapshot,
    pub expect: Expect,
}

/// `facts.yaml`: a recording with facts set, for a case that was not staged as a whole.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Facts {
    /// The recording: a name in fixtures/snapshots, or `../cases/NAME/snapshot`.
    base: String,
    /// Names in traits.yaml, in order.
    traits: Vec<String>,
    /// Cases of fixtures/checks: a check's id for the one that holds, or `id / its name`.
    like: Vec<String>,
    /// Facts that are set, by path; see tests/checks.rs.
    facts: BTreeMap<String, Value>,
    /// Single members of facts: `execution.gpus.0.utilization_percent`.
    members: BTreeMap<String, Value>,
    /// Settings of the target.
    target: BTreeMap<String, Value>,
}

/// All cases, by name.
pub fn all() -> Vec<Case> {
    let folder = fixtures().join("cases");
    let traits: BTreeMap<String, Facts> = yaml(&folder.join("traits.yaml"));
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("fixtures/cases is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.join("expect.yaml").exists() || path.join("snapshot.json").exists())
        .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.into_iter().map(|name| case(&folder.join(&name), name, &traits)).collect()
}

fn case(folder: &Path, name: String, traits: &BTreeMap<String, Facts>) -> Case {
    let recorded = folder.join("snapshot.json");
    let snapshot = if recorded.exists() {
        let text = std::fs::read_to_string(&recorded).unwrap_or_else(|error| panic!("{name}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
    } else {
        constructed(&name, yaml(&folder.join("facts.yaml")), traits)
    };
    Case { snapshot, expect: yaml(&folder.join("expect.yaml")), name }
}

fn constructed(name: &str, facts: Facts, traits: &BTreeMap<String, Facts>) -> Snapshot {
    let mut overlay = Overlay { base: facts.base.clone(), ..Overlay::default() };
    let mut members = BTreeMap::new();
    for part in &facts.traits {
        let part = traits.get(part).unwrap_or_else(|| panic!("{name}: no trait is called {part}"));
        overlay.facts.extend(part.facts.clone());
        overlay.target.extend(part.target.clone());
        members.extend(part.members.clone());
    }
    for like in facts.like.iter().map(|like| like_case(like)) {
        overlay.facts.extend(like.facts);
        overlay.target.extend(like.target);
    }
    overlay.facts.extend(facts.facts);
    overlay.target.extend(facts.target);
    members.extend(facts.members);
    let mut made = serde_json::to_value(snapshot(&overlay)).expect("a snapshot is JSON");
    for (path, value) in members {
        set(&mut made["facts"], &path, value).unwrap_or_else(|| panic!("{name}: there is no {path}"));
    }
    serde_json::from_value(made).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Sets one member. What was a fact stays one.
fn set(facts: &mut Value, path: &str, value: Value) -> Option<()> {
    let mut place = facts;
    for step in path.split('.') {
        if place.get("known").is_some() {
            place = place.get_mut("known")?;
        }
        place = match step.parse::<usize>() {
            Ok(index) => place.get_mut(index)?,
            Err(_) => place.get_mut(step)?,
        };
    }
    let is_fact =
        |one: &Value| one.as_object().is_some_and(|one| one.contains_key("known") || one.contains_key("unknown"));
    *place = if is_fact(place) && !is_fact(&value) { json!({ "known": value }) } else { value };
    Some(())
}

/// The case called `id`, the one that holds, or `id / its name`.
fn like_case(name: &str) -> Overlay {
    let (id, label) = name.split_once(" / ").unwrap_or((name, ""));
    let mut cases = cases(&fixtures().join("checks").join(format!("{id}.yaml")));
    match label {
        "" => cases.holds,
        label => cases.more.remove(label).unwrap_or_else(|| panic!("{id} has no case \"{label}\"")),
    }
}
