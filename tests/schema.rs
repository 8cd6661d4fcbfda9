//! The committed JSON Schema is the one of the types.

use std::path::Path;

/// `GPU_DOCTOR_UPDATE=1 cargo test --test schema` writes the file anew.
#[test]
fn the_committed_schema_of_the_snapshot_is_that_of_the_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/snapshot.v1.json");
    let text = format!("{:#}\n", gpu_doctor::snapshot::json_schema());
    if std::env::var_os("GPU_DOCTOR_UPDATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(committed == text, "{} is out of date: GPU_DOCTOR_UPDATE=1 cargo test --test schema", file.display());
}
