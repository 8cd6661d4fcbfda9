//! A user without privileges: what only root may read must not make a healthy machine undecided.

use crate::setup::{GPU_DOCTOR, fake_driver, scenario};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const NOBODY: u32 = 65534;

/// A folder that everybody may read, with the program, the fake driver and a scenario.
fn readable_by_all() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = |path: &Path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("it is ours");
    open(folder.path());
    let files = [
        (Path::new(GPU_DOCTOR).to_path_buf(), "gpu-doctor"),
        (fake_driver().join("libnvidia-ml.so.1"), "libnvidia-ml.so.1"),
        (fake_driver().join("libcuda.so.1"), "libcuda.so.1"),
        (scenario("healthy-idle"), "scenario.yaml"),
    ];
    for (from, name) in files {
        std::fs::copy(&from, folder.path().join(name)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        open(&folder.path().join(name));
    }
    folder
}

#[test]
fn a_healthy_machine_is_healthy_for_everybody() {
    let folder = readable_by_all();
    let mut command = Command::new(folder.path().join("gpu-doctor"));
    command
        .args(["run", "--format", "json"])
        .current_dir("/")
        .env("LD_LIBRARY_PATH", folder.path())
        .env("GPU_DOCTOR_FAKE_DRIVER", folder.path().join("scenario.yaml"))
        .env_remove("CUDA_VISIBLE_DEVICES");
    // Whoever is not root is unprivileged already.
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().expect("gpu-doctor starts");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["verdict"], "healthy", "{}\n{}", report["headline"], report["unknown"]);
    assert_eq!(output.status.code(), Some(0));
}
