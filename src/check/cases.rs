//! Cases of a check: recorded facts, some of them changed, and what the check is to say of them.

use crate::document::{self, SNAPSHOT};
use crate::regular_file;
use crate::snapshot::{Snapshot, json_schema};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Recorded snapshots by name, which the build script packed.
const BASES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bases.json.gz"));
/// Largest snapshot that a case starts from, bytes.
const SNAPSHOT_LIMIT_BYTES: u64 = 64 << 20;
/// Largest file of cases, bytes.
pub(super) const CASES_LIMIT_BYTES: u64 = 1 << 20;

/// The cases of one check.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// It is so.
    pub holds: Option<Case>,
    /// It is ruled out.
    pub clear: Option<Case>,
    /// It cannot be known.
    pub unknown: Option<Case>,
    /// Further cases by name, each with its verdict: traps, near misses, twins.
    #[serde(default)]
    pub more: BTreeMap<String, Case>,
}

/// One case.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The recorded snapshot that it starts from: the name of a built-in one, or a file.
    pub base: String,
    /// Facts that are set, by path: a plain value becomes a known fact, `{unknown: {why, detail}}` an unknown one.
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

/// Where cases find the snapshots that they start from.
pub struct Bases {
    folder: PathBuf,
    named: Option<PathBuf>,
}

impl Cases {
    /// The cases in a file.
    pub fn read(file: &Path) -> Result<Cases, String> {
        let text = regular_file::read_text(file, CASES_LIMIT_BYTES).map_err(|error| error.to_string())?;
        parsed(&text)
    }
}

/// A YAML text, with `<<` joined in.
pub fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let joined = || {
        let mut value = serde_yaml::from_str::<serde_yaml::Value>(text)?;
        // YAML's `<<`, for cases that differ in one counter; one that merges a merged one takes a turn more.
        for _ in 0..4 {
            value.apply_merge()?;
        }
        serde_yaml::from_value(value)
    };
    // What was joined has lost its places: the text itself tells them, where nothing was to be joined.
    joined().map_err(|error: serde_yaml::Error| match serde_yaml::from_str::<T>(text) {
        Err(placed) if placed.location().is_some() => placed.to_string(),
        _ => error.to_string(),
    })
}

impl Bases {
    /// Bases of cases in a file of this folder.
    pub fn beside(folder: &Path) -> Self {
        Self { folder: folder.into(), named: None }
    }

    /// The same with the snapshots of this folder for names, instead of the built-in ones.
    pub fn named_in(mut self, folder: &Path) -> Self {
        self.named = Some(folder.into());
        self
    }

    /// The names of the built-in ones.
    pub fn names() -> Vec<&'static str> {
        BUILT_IN.iter().flat_map(|bases| bases.keys()).map(String::as_str).collect()
    }

    /// The snapshot of that name.
    pub fn get(&self, base: &str) -> Result<Snapshot, String> {
        self.read(base).map(|read| read.content)
    }

    /// The snapshot of that name: a file, if there is a `/` or a `.` in it; and what a newer version wrote in it that this
    /// one does not know.
    pub fn read(&self, base: &str) -> Result<document::Read<Snapshot>, String> {
        let is_name = !base.contains(['/', '.']);
        if is_name && self.named.is_none() {
            let bases = BUILT_IN.as_ref().map_err(Clone::clone)?;
            let text = bases.get(base).ok_or_else(|| {
                let names = Self::names().join(", ");
                format!(
                    "base: there is no \"{base}\"; built in are {names}; any other is a file, as in base: ./my.json"
                )
            })?;
            let content = serde_json::from_str(text.get()).map_err(|error| format!("base {base}: {error}"))?;
            return Ok(document::Read { content, aside: Vec::new() });
        }
        let file = match &self.named {
            Some(named) if is_name => named.join(format!("{base}.json")),
            _ => self.folder.join(base),
        };
        let wrong = |problem: String| format!("base {}: {problem}", file.display());
        let bytes = regular_file::read(&file, SNAPSHOT_LIMIT_BYTES);
        let bytes = bytes.and_then(|bytes| document::unpacked(bytes, SNAPSHOT_LIMIT_BYTES));
        let bytes = bytes.map_err(|error| wrong(error.to_string()))?;
        document::read(&bytes, &SNAPSHOT, json_schema).map_err(|fault| wrong(fault.to_string()))
    }
}

static BUILT_IN: LazyLock<Result<BTreeMap<String, Box<RawValue>>, String>> = LazyLock::new(|| {
    let mut text = String::new();
    GzDecoder::new(BASES).read_to_string(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
});

impl Case {
    /// The recorded snapshot with the case's facts set.
    pub fn set_in(&self, recorded: Snapshot) -> Result<Snapshot, String> {
        // Written anew, so that facts younger than the recording have their place.
        let mut value = serde_json::to_value(recorded).map_err(|error| error.to_string())?;
        for (path, fact) in &self.facts {
            let wrong = || format!("facts: no fact is called \"{path}\"; a case sets whole facts, as in nvml.gpus: []");
            let (room, name) = path.split_once('.').ok_or_else(wrong)?;
            let facts = value.get_mut("facts").and_then(|facts| facts.get_mut(room));
            let place = facts.and_then(|room| room.get_mut(name)).ok_or_else(wrong)?;
            let unknown = fact.as_object().is_some_and(|object| object.len() == 1 && object.contains_key("unknown"));
            *place = if unknown { fact.clone() } else { json!({"known": fact}) };
        }
        // What a case maps or opens before the window stays so after it, unless it says otherwise.
        for (before, after) in
            [("process.gpu_libraries", "gpu_libraries_after"), ("process.device_nodes_open", "device_nodes_open_after")]
        {
            if self.facts.contains_key(before) && !self.facts.contains_key(&format!("execution.{after}")) {
                let pointer = format!("/facts/{}", before.replace('.', "/"));
                let fact = value.pointer(&pointer).cloned().unwrap_or_default();
                if let Some(place) = value.pointer_mut(&format!("/facts/execution/{after}")) {
                    *place = fact;
                }
            }
        }
        for (name, setting) in &self.target {
            if let Some(target) = value.get_mut("target").and_then(Value::as_object_mut) {
                target.insert(name.clone(), setting.clone());
            }
        }
        serde_json::from_value(value).map_err(|error| format!("facts: a value has not the form of its fact: {error}"))
    }

    /// Which of the facts has not the form that it should have, alone in a snapshot.
    pub fn misfit(&self, recorded: &Snapshot) -> Option<String> {
        self.facts.iter().find_map(|(path, fact)| {
            let facts = BTreeMap::from([(path.clone(), fact.clone())]);
            let problem = Case { facts, ..Case::default() }.set_in(recorded.clone()).err()?;
            Some(format!("{path}: {problem}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn bases_are_built_in_or_files() {
        let folder = tempfile::tempdir().unwrap();
        let bases = Bases::beside(folder.path());
        assert!(Bases::names().contains(&"healthy-server"));
        for name in Bases::names() {
            bases.get(name).unwrap();
        }
        let snapshot = bases.get("a1").unwrap();
        std::fs::write(folder.path().join("mine.json"), serde_json::to_vec(&snapshot).unwrap()).unwrap();
        assert_eq!(bases.get("mine.json").unwrap(), snapshot);
        assert!(bases.get("mine").unwrap_err().contains("built in are a1, "));
        assert!(bases.get("./none.json").unwrap_err().contains("none.json"));
        std::fs::write(folder.path().join("cut.json"), "{\"schema\":").unwrap();
        let cut = bases.get("cut.json").unwrap_err();
        assert!(cut.contains("cut.json: it ends in the middle, at line 1 column"), "{cut}");
    }

    #[test]
    fn bases_are_read_as_any_other_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        let bases = Bases::beside(folder.path());
        let snapshot = bases.get("a1").unwrap();
        let plain = serde_json::to_vec(&snapshot).unwrap();
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&plain).unwrap();
        std::fs::write(folder.path().join("packed.json.gz"), packer.finish().unwrap()).unwrap();
        assert_eq!(bases.get("packed.json.gz").unwrap(), snapshot);
        std::fs::write(folder.path().join("marked.json"), [b"\xef\xbb\xbf", plain.as_slice()].concat()).unwrap();
        assert_eq!(bases.get("marked.json").unwrap(), snapshot);

        let mut newer = serde_json::to_value(&snapshot).unwrap();
        newer["schema_minor"] = 9.into();
        newer["facts"]["quantum"] = json!({"entangled": {"known": true}});
        std::fs::write(folder.path().join("newer.json"), newer.to_string()).unwrap();
        let read = bases.read("newer.json").unwrap();
        assert_eq!((read.content == snapshot, read.aside.len()), (true, 1), "{:?}", read.aside);

        newer["schema_minor"] = 0.into();
        newer["schema"] = "gpu-doctor/snapshot/v9".into();
        std::fs::write(folder.path().join("major.json"), newer.to_string()).unwrap();
        let major = bases.get("major.json").unwrap_err();
        assert!(major.contains("major.json: its schema is \"gpu-doctor/snapshot/v9\"; this version"), "{major}");
        let mut wrong = serde_json::to_value(&snapshot).unwrap();
        wrong["probes"][0]["outcome"] = "okay".into();
        std::fs::write(folder.path().join("wrong.json"), wrong.to_string()).unwrap();
        let wrong = bases.get("wrong.json").unwrap_err();
        assert!(wrong.contains("wrong.json: probes[0].outcome (line 1 column"), "{wrong}");
    }

    #[test]
    fn facts_are_set_and_wrong_ones_named() {
        let set = |text: &str| {
            let case: Case = parsed(text).unwrap();
            let base = Bases::beside(Path::new("/")).get(&case.base)?;
            case.set_in(base)
        };
        let snapshot =
            set("{base: a1, facts: {host.nouveau_module_loaded: true}, target: {server_is_local: false}}").unwrap();
        assert_eq!(snapshot.facts.host.nouveau_module_loaded.known(), Some(&true));
        assert_eq!(snapshot.target.server_is_local, Some(false));
        assert!(set("{base: a1, facts: {host.nouveau: true}}").unwrap_err().contains("\"host.nouveau\""));
        assert!(
            set("{base: a1, facts: {host.nouveau_module_loaded: maybe}}").unwrap_err().contains("form of its fact")
        );
        let wrong = parsed::<Cases>("holds: {base: a1}\nclaer: {base: a1}\n").err().unwrap();
        assert!(wrong.contains("claer") && wrong.contains("line 2"), "{wrong}");
    }
}
