//! Cases: a recorded snapshot with some facts set.

pub use gpu_doctor::check::Case;
use gpu_doctor::check::{Bases, parsed_yaml};
use gpu_doctor::snapshot::Snapshot;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The cases of one check, of which none is missing.
pub struct Cases {
    /// It is so.
    pub holds: Case,
    /// It is ruled out.
    pub clear: Case,
    /// It cannot be known.
    pub unknown: Case,
    /// Further cases by name.
    pub more: BTreeMap<String, Case>,
}

/// The cases in `fixtures/checks/<id>.yaml`.
pub fn cases(file: &Path) -> Cases {
    let wrong = |problem: String| -> ! { panic!("{}: {problem}", file.display()) };
    let cases = gpu_doctor::check::Cases::read(file).unwrap_or_else(|problem| wrong(problem));
    match (cases.holds, cases.clear, cases.unknown) {
        (Some(holds), Some(clear), Some(unknown)) => Cases { holds, clear, unknown, more: cases.more },
        _ => wrong("one of holds, clear and unknown is missing".into()),
    }
}

/// The folder of fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The recorded snapshots, by name.
pub fn bases() -> Bases {
    let snapshots = fixtures().join("snapshots");
    Bases::beside(&snapshots).named_in(&snapshots)
}

/// A YAML file of fixtures, with `<<` joined in.
pub fn yaml<T: DeserializeOwned>(file: &Path) -> T {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("write {}: {error}", file.display()));
    parsed(&text, file)
}

/// A YAML text, which is that of a file or ends in it.
pub fn parsed<T: DeserializeOwned>(text: &str, file: &Path) -> T {
    parsed_yaml(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The recorded snapshot with the case's facts set.
pub fn snapshot(case: &Case) -> Snapshot {
    // A recording of the corpus is named by its path, without its ending.
    let base = if case.base.contains('/') { format!("{}.json", case.base) } else { case.base.clone() };
    let set = bases().get(&base).and_then(|base| case.set_in(base));
    set.unwrap_or_else(|error| panic!("case on {}: {error}", case.base))
}
