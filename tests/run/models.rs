//! A model of each format in a whole run: one that is read and sound leaves the verdict alone, and so does one that is of
//! another program. One whose files are missing is a cause.

use crate::setup::doctor::{Said, gpu_doctor};
use crate::setup::{driver_variables, scenario};
use std::path::{Path, PathBuf};

fn run(model: &Path) -> Said {
    let arguments = ["run", "--format", "json", "--only", "model", "--model", model.to_str().unwrap()];
    gpu_doctor(&arguments, &[])
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models").join(name)
}

#[test]
fn a_sound_model_of_each_format_is_healthy() {
    for name in ["tiny.onnx", "tiny.safetensors", "tiny.gguf", "split-00001-of-00002.gguf"] {
        let said = run(&fixture(name));
        assert_eq!((said.report()["verdict"].as_str(), said.code), (Some("healthy"), 0), "{name}: {}", said.report());
    }
}

#[test]
fn a_checkpoint_is_never_unpickled_and_makes_nobody_ill() {
    let folder = tempfile::tempdir().unwrap();
    let touched = folder.path().join("touched");
    // A pickle that runs a command when it is loaded.
    let command = format!("touch {}", touched.display());
    let length = (command.len() as u32).to_le_bytes();
    let pickle = [&b"\x80\x02cposix\nsystem\nX"[..], &length, command.as_bytes(), b"\x85R."].concat();
    let path = folder.path().join("model.pt");
    std::fs::write(&path, pickle).unwrap();
    let arguments = ["run", "--format", "json", "--model", path.to_str().unwrap()];
    let said = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle")));
    assert_eq!(said.code, 0, "{}", said.report()["headline"]);
    assert!(said.report().to_string().contains("never unpickled"));
    let audit = gpu_doctor(&["model", path.to_str().unwrap()], &[]);
    assert!(audit.code == 64 && audit.err.contains("never unpickled"), "{}", audit.err);
    assert!(!touched.exists());
}

#[test]
fn a_missing_part_is_the_cause_and_the_audit_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = "split-00001-of-00002.gguf";
    std::fs::copy(fixture(first), folder.path().join(first)).unwrap();
    let report = run(folder.path()).report();
    assert_eq!(report["verdict"], "unhealthy");
    assert!(report.to_string().contains("external-data-missing"), "{report}");
    let audit = gpu_doctor(&["model", folder.path().to_str().unwrap(), "--format", "json"], &[]);
    assert_eq!(audit.code, 0, "{}", audit.err);
    let model = &audit.report()["model"];
    assert_eq!(model["external_files"][0]["location"], "split-00002-of-00002.gguf");
    assert_eq!(model["external_files"][0]["sound"], false);
}
