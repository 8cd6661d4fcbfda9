//! The rig of `fixtures/rig`: onnxruntime's real CUDA provider on stand-ins for the CUDA libraries.

use super::{driver_variables, left_out};
use std::path::{Path, PathBuf};

/// Variables under which the GPU wheel's provider registers beside the fake driver that plays `scenario`.
/// `None` where the rig was not made.
pub fn variables(scenario: &Path) -> Option<Vec<(&'static str, PathBuf)>> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"));
    let rig = target.join("rig");
    if !rig.join("libcudart.so.12").is_file() {
        left_out::note("onnxruntime's CUDA provider on the rig (make rig)");
        return None;
    }
    let mut variables = driver_variables(scenario).to_vec();
    let folders = std::env::join_paths([rig.as_path(), variables[0].1.as_path()]).expect("no colon in a folder");
    variables[0].1 = folders.into();
    Some(variables)
}
