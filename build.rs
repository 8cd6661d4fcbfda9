//! Collects `checks/<stage>/<id>.yaml` into the binary, so that adding a check is adding one file.
//!
//! They become one JSON text, which the program reads faster than it would the YAML. A few recorded snapshots go along,
//! packed: the bases of cases for a user's own checks.

use serde_json::Value;
use std::io::Write;
use std::path::Path;

/// Snapshots of `fixtures/snapshots/` that a user's cases may start from by name.
const BASES: &[&str] = &["a1", "cpu-package", "down", "gpu-wheel", "healthy-machine", "healthy-server"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
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
    std::fs::write(Path::new(&out).join("checks.json"), serde_json::to_string(&checks)?)?;
    let mut bases = serde_json::Map::new();
    for name in BASES {
        let file = format!("fixtures/snapshots/{name}.json");
        println!("cargo::rerun-if-changed={file}");
        bases.insert((*name).into(), serde_json::from_slice(&std::fs::read(Path::new(&root).join(file))?)?);
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&serde_json::to_vec(&bases)?)?;
    Ok(std::fs::write(Path::new(&out).join("bases.json.gz"), packed.finish()?)?)
}

fn sorted(folder: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    entries.retain(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "yaml"));
    entries.sort();
    Ok(entries)
}
