//! The doctor's own documents: reading them whatever was done to them, comparing two, and their schemas by a validator of
//! others.

mod compared;
#[path = "../corpus/expect.rs"]
#[allow(dead_code)]
mod expect;
mod fixed;
#[path = "../corpus/load.rs"]
#[allow(dead_code)]
mod load;
mod reading;
#[path = "../setup/mod.rs"]
mod setup;
mod validated;

use gpu_doctor::check::Checks;
use gpu_doctor::diagnosis::{Diagnosed, diagnose};
use gpu_doctor::snapshot::Snapshot;
use setup::cases;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The recorded snapshots, by name.
fn recorded() -> Vec<(String, Snapshot)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snapshots");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), serde_json::from_str(&text).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// The file of a recorded snapshot.
fn snapshot_file(name: &str) -> String {
    format!("{}/fixtures/snapshots/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

/// The cases of the corpus, judged once.
fn judged() -> &'static [(load::Case, Diagnosed)] {
    static JUDGED: OnceLock<Vec<(load::Case, Diagnosed)>> = OnceLock::new();
    JUDGED.get_or_init(|| {
        let checks = Checks::load(None).unwrap();
        let judged = |case: load::Case| {
            let diagnosed = diagnose(&checks, &case.snapshot).unwrap();
            (case, diagnosed)
        };
        load::all().into_iter().map(judged).collect()
    })
}
