//! Shared set-up of the integration tests: the fake driver folder and temporary scenarios.
//!
//! `mod setup;` in a test file brings it in. Not every test uses all of it.
#![allow(dead_code)]

pub mod asr;
pub mod cases;
pub mod certificates;
pub mod doctor;
pub mod left_out;
pub mod onnx_writer;
pub mod real_server;
pub mod rig;
pub mod venv;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The built `gpu-doctor`.
pub const GPU_DOCTOR: &str = env!("CARGO_BIN_EXE_gpu-doctor");

/// A folder with `libnvidia-ml.so.1` and `libcuda.so.1` that play a scenario, for `LD_LIBRARY_PATH`.
/// Built on first use, once a test binary.
pub fn fake_driver() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "fake-nvml", "-p", "fake-cuda"])
            .current_dir(root)
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the fake drivers do not build");
        // The test's own executable lies in TARGET/PROFILE/deps, wherever the target folder is.
        let deps = PathBuf::from(GPU_DOCTOR);
        let profile = deps.parent().expect("the executable lies in a folder");
        let target = profile.parent().expect("the profile lies in the target folder");
        let folder = target.join("fake-driver");
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        for (built, name) in [("libfake_nvml.so", "libnvidia-ml.so.1"), ("libfake_cuda.so", "libcuda.so.1")] {
            // By renaming, since another test may be running on the old file.
            let copy = folder.join(format!("{name}.{}", std::process::id()));
            std::fs::copy(target.join("debug").join(built), &copy).expect("the fake library is there");
            std::fs::rename(copy, folder.join(name)).expect("the copy can be renamed");
        }
        folder
    })
}

/// A scenario of `fixtures/drivers/scenarios`, by its name without `.yaml`.
pub fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/drivers/scenarios").join(format!("{name}.yaml"))
}

/// Variables under which `gpu-doctor` meets the fake driver playing `scenario`.
pub fn driver_variables(scenario: &Path) -> [(&'static str, PathBuf); 2] {
    [("LD_LIBRARY_PATH", fake_driver().to_path_buf()), ("GPU_DOCTOR_FAKE_DRIVER", scenario.to_path_buf())]
}

/// A ready scenario without faults, with these faults (YAML mappings, one each) added. It lasts as long as the folder.
pub fn scenario_with_faults(base: &str, faults: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let mut text = std::fs::read_to_string(scenario(base)).expect("the scenario is there");
    text.push_str("faults:\n");
    faults.iter().for_each(|fault| text.push_str(&format!("  - {fault}\n")));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("scenario.yaml");
    std::fs::write(&path, text).expect("the scenario can be written");
    (folder, path)
}

/// The fake driver's folder anew, without these functions, as an older driver: `dlsym` does not find them.
///
/// The name is overwritten in the copied library's table of names, so its length stays.
pub fn driver_without(functions: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fakes = fake_driver();
    std::fs::copy(fakes.join("libcuda.so.1"), folder.path().join("libcuda.so.1")).expect("the fake library is there");
    let mut library = std::fs::read(fakes.join("libnvidia-ml.so.1")).expect("the fake library is there");
    for function in functions {
        let name = format!("\0{function}\0").into_bytes();
        let places: Vec<usize> =
            library.windows(name.len()).enumerate().filter(|(_, window)| *window == name).map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "the fake library has no {function}");
        // No name of NVML begins with x.
        places.into_iter().for_each(|at| library[at + 1] = b'x');
    }
    std::fs::write(folder.path().join("libnvidia-ml.so.1"), library).expect("the copy can be written");
    folder
}
