//! Collects `checks/<stage>/<id>.yaml` into the binary, so that adding a check is adding one file.

use std::fmt::Write;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=checks");
    let mut list = String::from("&[\n");
    for stage in sorted(&Path::new(&root).join("checks"))? {
        println!("cargo::rerun-if-changed={}", stage.display());
        for file in sorted(&stage)? {
            let shown = file.strip_prefix(&root).expect("it lies below").display().to_string();
            writeln!(list, "    ({shown:?}, include_str!({:?})),", file.display().to_string()).expect("a string grows");
        }
    }
    list.push(']');
    std::fs::write(Path::new(&std::env::var("OUT_DIR").expect("cargo sets it")).join("checks.rs"), list)
}

fn sorted(folder: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    entries.retain(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "yaml"));
    entries.sort();
    Ok(entries)
}
