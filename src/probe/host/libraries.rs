//! The driver's user-space libraries on disk, in the order in which the dynamic linker would look.

use super::SMALL_FILE_BYTES;
use super::driver::is_version;
use crate::probe::tree::Tree;
use crate::snapshot::{DriverLibrary, Fact, Unknown, Why};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Names of the driver's libraries that are looked for.
pub const SONAMES: &[&str] = &["libcuda.so.1", "libnvidia-ml.so.1"];

/// Folders where distributions, runfiles, container runtimes, WSL, Jetson and NixOS put the driver's libraries.
const FOLDERS: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib64/nvidia",
    "/usr/lib/wsl/lib",
    "/usr/lib/aarch64-linux-gnu/nvidia",
    "/usr/lib/aarch64-linux-gnu/tegra",
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
    "/usr/lib/nvidia",
    "/run/opengl-driver/lib",
    "/run/nvidia/driver/usr/lib/x86_64-linux-gnu",
    "/home/kubernetes/bin/nvidia/lib64",
];

/// Most folders looked into.
const FOLDERS_MAX: usize = 256;

/// The libraries found, one entry a file. Unknown if no folder could be looked into.
pub fn driver_libraries(tree: &Tree) -> Result<Vec<DriverLibrary>, Unknown> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut refused = None;
    let mut looked = false;
    for folder in folders(tree) {
        match tree.exists(&folder) {
            Ok(true) => looked = true,
            Ok(false) => continue,
            Err(unknown) => {
                refused = Some(unknown);
                continue;
            }
        }
        for soname in SONAMES {
            match library(tree, &folder, soname) {
                Ok(library) if seen.insert((library.soname.clone(), library.path.clone())) => found.push(library),
                Ok(_) => {}
                Err(unknown) if unknown.why == Why::Absent => {}
                Err(unknown) => refused = Some(unknown),
            }
        }
    }
    match refused {
        Some(unknown) if found.is_empty() => Err(unknown),
        None if !looked => Err(Unknown::new(Why::Absent, "none of the usual library folders exists")),
        _ => Ok(found),
    }
}

/// The file that the name `soname` in a folder leads to.
pub fn library(tree: &Tree, folder: &Path, soname: &str) -> Result<DriverLibrary, Unknown> {
    let path = tree.resolve(folder.join(soname))?;
    let size_bytes = tree.stat(&path)?.len();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let version = match name.split_once(".so.") {
        Some((_, version)) if is_version(version) => Fact::Known(version.to_owned()),
        _ => Fact::unknown(Why::Absent, format!("the file name {} carries no driver version", path.display())),
    };
    Ok(DriverLibrary { soname: soname.into(), path: path.display().to_string(), version, size_bytes })
}

/// `LD_LIBRARY_PATH` (of the doctor, hence only for its own file system), then ld.so.conf.d, then the usual folders.
pub fn folders(tree: &Tree) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if tree.is_whole() {
        let own = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&own).filter(|path| path.is_absolute()));
    }
    // The usual folders keep their place, however many the configuration names.
    let most = FOLDERS_MAX - FOLDERS.len();
    for name in tree.list("etc/ld.so.conf.d").unwrap_or_default().iter().filter(|name| name.ends_with(".conf")) {
        if folders.len() >= most {
            break;
        }
        let text = tree.read(format!("etc/ld.so.conf.d/{name}"), SMALL_FILE_BYTES).unwrap_or_default();
        let named = text.lines().map(str::trim).filter(|line| line.starts_with('/')).take(FOLDERS_MAX);
        folders.extend(named.map(PathBuf::from));
    }
    folders.truncate(most);
    folders.extend(FOLDERS.iter().map(PathBuf::from));
    folders
}
