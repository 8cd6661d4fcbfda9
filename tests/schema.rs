//! The committed JSON Schemas are those of the types.

use gpu_doctor::{config, report, snapshot};
use serde_json::Value;
use std::path::Path;

/// `GPU_DOCTOR_UPDATE=1 cargo test --test schema` writes the file anew.
fn committed(name: &str, schema: &Value) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(name);
    let text = format!("{schema:#}\n");
    if std::env::var_os("GPU_DOCTOR_UPDATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(committed == text, "{} is out of date: GPU_DOCTOR_UPDATE=1 cargo test --test schema", file.display());
}

#[test]
fn the_committed_schema_of_the_snapshot_is_that_of_the_types() {
    committed("snapshot.v1.json", &snapshot::json_schema());
}

#[test]
fn the_committed_schema_of_the_report_is_that_of_the_types() {
    committed("report.v1.json", &report::json_schema());
}

#[test]
fn the_committed_schema_of_the_difference_is_that_of_the_types() {
    committed("diff.v1.json", &report::difference_json_schema());
}

#[test]
fn the_committed_schema_of_the_config_is_that_of_the_types() {
    committed("config.v1.json", &config::json_schema());
}
