//! Collects `checks/<stage>/<id>.yaml` into the binary, so that adding a check is adding one file.
//!
//! They become one JSON text, which the program reads faster than it would the YAML.

use serde_json::Value;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=checks");
    let mut checks: Vec<(String, Value)> = Vec::new();
    for stage in sorted(&Path::new(&root).join("checks"))? {
        println!("cargo::rerun-if-changed={}", stage.display());
        for file in sorted(&stage)? {
            let shown = file.strip_prefix(&root)?.display().to_string();
            println!("cargo::rerun-if-changed={shown}");
            let text = std::fs::read_to_string(&file)?;
            checks.push((shown.clone(), serde_yaml::from_str(&text).map_err(|error| format!("{shown}: {error}"))?));
        }
    }
    let text = serde_json::to_string(&checks)?;
    Ok(std::fs::write(Path::new(&std::env::var("OUT_DIR").expect("cargo sets it")).join("checks.json"), text)?)
}

fn sorted(folder: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    entries.retain(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "yaml"));
    entries.sort();
    Ok(entries)
}
