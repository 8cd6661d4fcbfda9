//! A user without privileges: what only root may read must not make a healthy machine undecided.

use crate::health::{busy_server, client_request};
use crate::setup::{GPU_DOCTOR, fake_driver, scenario};
use serde_json::Value;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const NOBODY: u32 = 65534;

/// A folder that everybody may read, with the program, the fake driver and a scenario.
fn readable_by_all(played: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = |path: &Path| std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("it is ours");
    open(folder.path());
    let files = [
        (Path::new(GPU_DOCTOR).to_path_buf(), "gpu-doctor"),
        (fake_driver().join("libnvidia-ml.so.1"), "libnvidia-ml.so.1"),
        (fake_driver().join("libcuda.so.1"), "libcuda.so.1"),
        (scenario(played), "scenario.yaml"),
    ];
    for (from, name) in files {
        std::fs::copy(&from, folder.path().join(name)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        open(&folder.path().join(name));
    }
    folder
}

/// A sound model in the folder.
fn model_in(folder: &Path) -> std::path::PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models");
    for name in ["tiny.onnx", "tiny.onnx.data"] {
        std::fs::copy(models.join(name), folder.join(name)).expect("the model is there");
    }
    folder.join("tiny.onnx")
}

/// What `run` with these arguments says to a user without privileges.
fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &Path)]) -> (Value, Option<i32>) {
    let mut command = Command::new(folder.join("gpu-doctor"));
    command
        .args(["run", "--format", "json"])
        .args(arguments)
        .current_dir("/")
        .env("LD_LIBRARY_PATH", folder)
        .env("GPU_DOCTOR_FAKE_DRIVER", folder.join("scenario.yaml"))
        .envs(variables.iter().copied())
        .env_remove("CUDA_VISIBLE_DEVICES");
    // Whoever is not root is unprivileged already.
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = loop {
        match command.output() {
            // A process that another test started at this moment may still have the copy open for writing.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(20))
            }
            output => break output.expect("gpu-doctor starts"),
        }
    };
    (serde_json::from_slice(&output.stdout).expect("a report"), output.status.code())
}

#[test]
fn a_healthy_machine_is_healthy_for_everybody() {
    let folder = readable_by_all("healthy-idle");
    let (report, code) = run(folder.path(), &[], &[]);
    assert_eq!(report["verdict"], "healthy", "{}\n{}", report["headline"], report["unknown"]);
    assert_eq!(code, Some(0));
    let model = model_in(folder.path());
    let (report, code) = run(folder.path(), &["--model", model.to_str().unwrap()], &[]);
    assert_eq!(report["verdict"], "healthy", "{}\n{}", report["headline"], report["unknown"]);
    assert_eq!(code, Some(0));
}

#[test]
fn another_users_server_whose_gpu_works_is_healthy() {
    let folder = readable_by_all("following-activity");
    let activity = folder.path().join("activity");
    std::fs::write(&activity, "").unwrap();
    // The server is the test itself; as nobody, the doctor may not look into it.
    let server = busy_server(activity.clone());
    let request = client_request(folder.path(), &server);
    let pid = folder.path().join("pid");
    std::fs::write(&pid, "1").unwrap();
    let arguments = ["--client-request", request.to_str().unwrap()];
    let variables = [("GPU_DOCTOR_FAKE_ACTIVITY", activity.as_path()), ("GPU_DOCTOR_FAKE_SERVER_PID", pid.as_path())];
    let model = model_in(folder.path());
    for further in [&[][..], &["--model", model.to_str().unwrap()]] {
        let (report, code) = run(folder.path(), &[&arguments, further].concat(), &variables);
        assert_eq!(report["verdict"], "healthy", "{}\n{}", report["headline"], report["unknown"]);
        assert_eq!(code, Some(0));
    }
}

#[test]
fn an_idle_gpu_whose_reason_may_not_be_seen_says_what_to_do() {
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return; // The server would be of the same user.
    }
    let folder = readable_by_all("healthy-idle");
    let server = busy_server(folder.path().join("activity"));
    let request = client_request(folder.path(), &server);
    let (report, code) = run(folder.path(), &["--client-request", request.to_str().unwrap()], &[]);
    let headline = report["headline"].as_str().unwrap();
    let asked = "whether the GPU works while requests run could not be known (denied: the counters stayed at rest; ";
    assert!(headline.contains(asked) && headline.contains("run as uid 0 or root"), "{headline}");
    assert_eq!(code, Some(2));
}
