//! Python environments that `fixtures/venv.sh` makes.

use std::path::{Path, PathBuf};

/// The environment `target/venv-NAME`, or `None` where it was not made.
///
/// # Panics
/// Without the environment, if everything is to be tested (see [`super::left_out`]).
pub fn venv(name: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let venv = target.join(format!("venv-{name}"));
    if venv.join("made-from").is_file() {
        return Some(venv);
    }
    super::left_out::note(&format!("{} is missing: fixtures/venv.sh {name} makes it", venv.display()));
    None
}

/// The environment's site-packages.
pub fn site_packages(venv: &Path) -> PathBuf {
    let lib = venv.join("lib");
    let python = std::fs::read_dir(&lib)
        .unwrap_or_else(|error| panic!("{}: {error}", lib.display()))
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")));
    python.expect("a venv has lib/python3.N").join("site-packages")
}
