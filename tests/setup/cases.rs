//! Cases: a recorded snapshot with some facts set.

use gpu_doctor::snapshot::Snapshot;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The cases of one check.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// It is so.
    pub holds: Case,
    /// It is ruled out.
    pub clear: Case,
    /// It cannot be known.
    pub unknown: Case,
    /// Further cases by name, each with its verdict: traps, near misses, twins.
    #[serde(default)]
    pub more: BTreeMap<String, Case>,
}

/// One case.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The recorded snapshot that it starts from.
    pub base: String,
    /// Facts that are set, by path.
    #[serde(default)]
    pub facts: BTreeMap<String, Value>,
    /// Settings of the target that are set, by name.
    #[serde(default)]
    pub target: BTreeMap<String, Value>,
    /// What the check must say, in a further case.
    pub verdict: Option<String>,
    /// How bad it must be where it holds, if it is not as bad as the check says.
    pub severity: Option<String>,
}

/// The folder of fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The cases in `fixtures/checks/<id>.yaml`.
pub fn cases(file: &Path) -> Cases {
    yaml(file)
}

/// A YAML file of fixtures, with `<<` joined in.
pub fn yaml<T: DeserializeOwned>(file: &Path) -> T {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("write {}: {error}", file.display()));
    parsed(&text, file)
}

/// A YAML text, which is that of a file or ends in it.
pub fn parsed<T: DeserializeOwned>(text: &str, file: &Path) -> T {
    let parsed = serde_yaml::from_str::<serde_yaml::Value>(text).and_then(|mut value| {
        // YAML's `<<`, for cases that differ in one counter; one that merges a merged one takes a turn more.
        for _ in 0..4 {
            value.apply_merge()?;
        }
        serde_yaml::from_value(value)
    });
    parsed.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The recorded snapshot with the case's facts set.
pub fn snapshot(case: &Case) -> Snapshot {
    let file = fixtures().join("snapshots").join(format!("{}.json", case.base));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    // Read and written anew, so that facts younger than the recording have their place.
    let recorded: Snapshot = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut value = serde_json::to_value(recorded).unwrap();
    for (path, fact) in &case.facts {
        let (room, name) = path.split_once('.').expect("a path is room.fact");
        let place = value["facts"][room].get_mut(name).unwrap_or_else(|| panic!("no fact is called {path}"));
        let unknown = fact.as_object().is_some_and(|object| object.len() == 1 && object.contains_key("unknown"));
        *place = if unknown { fact.clone() } else { json!({"known": fact}) };
    }
    // What a case maps or opens before the window stays so after it, unless it says otherwise.
    for (before, after) in
        [("process.gpu_libraries", "gpu_libraries_after"), ("process.device_nodes_open", "device_nodes_open_after")]
    {
        if case.facts.contains_key(before) && !case.facts.contains_key(&format!("execution.{after}")) {
            let (room, name) = before.split_once('.').expect("a path is room.fact");
            value["facts"]["execution"][after] = value["facts"][room][name].clone();
        }
    }
    for (name, setting) in &case.target {
        value["target"][name] = setting.clone();
    }
    serde_json::from_value(value).unwrap_or_else(|error| panic!("case on {}: {error}", case.base))
}
