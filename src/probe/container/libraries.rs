//! The driver's libraries as a container holds them: put there by its engine, or shipped by its image.

use super::mounts::{self, Mount};
use crate::probe::host;
use crate::probe::tree::Tree;
use crate::snapshot::{ContainerLibrary, DriverLibrary, Fact, Unknown, Why};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The compiler of PTX code, which programs load like the driver's other libraries.
const PTX_COMPILER: &str = "libnvidia-ptxjitcompiler.so.1";
/// Most files of one library.
const LIBRARIES_MAX: usize = 100;
/// Where Debian's package manager keeps a list of the files of each package.
const PACKAGE_LISTS: &str = "/var/lib/dpkg/info";
/// Most bytes read of one such list, and most lists read.
const LIST_BYTES: usize = 256 * 1024;
const LISTS_MAX: usize = 100;

/// Every file of the driver's libraries, by name, in the order in which the linker looks. `first` are folders that it
/// looks into before all others (`LD_LIBRARY_PATH`). Unknown if no folder could be looked into.
pub fn driver_libraries(
    tree: &Tree,
    mounts: &Result<Vec<Mount>, Unknown>,
    first: &[PathBuf],
) -> Result<Vec<ContainerLibrary>, Unknown> {
    let mut folders = first.to_vec();
    folders.extend(host::folders(tree));
    let owners = owners(tree);
    let mut libraries = Vec::new();
    let mut refused = None;
    let mut looked = false;
    let listed: Vec<(PathBuf, Vec<String>)> = folders
        .into_iter()
        .filter_map(|folder| match tree.list(&folder) {
            Ok(names) => {
                looked = true;
                Some((folder, names))
            }
            Err(unknown) if unknown.why == Why::Absent => None,
            Err(unknown) => {
                refused = Some(unknown);
                None
            }
        })
        .collect();
    for soname in host::SONAMES.iter().copied().chain([PTX_COMPILER]) {
        let mut found: Vec<DriverLibrary> = Vec::new();
        let mut led_to = None;
        for (folder, names) in &listed {
            for name in names_of(soname, names) {
                if found.len() >= LIBRARIES_MAX {
                    break;
                }
                match host::library(tree, folder, name) {
                    Ok(library) => {
                        if name == soname && led_to.is_none() {
                            led_to = Some(library.path.clone());
                        }
                        if !found.iter().any(|known| known.path == library.path) {
                            found.push(library);
                        }
                    }
                    // A link to what the engine was to put there, and did not.
                    Err(unknown) if unknown.why == Why::Absent => {}
                    Err(unknown) => refused = Some(unknown),
                }
            }
        }
        libraries.extend(found.into_iter().map(|library| ContainerLibrary {
            soname: soname.into(),
            first: led_to.as_ref() == Some(&library.path),
            injected: injected(mounts, Path::new(&library.path)),
            package: package(&owners, &library.path),
            path: library.path,
            version: library.version,
            size_bytes: library.size_bytes,
        }));
    }
    match refused {
        Some(unknown) if libraries.is_empty() => Err(unknown),
        None if !looked => Err(Unknown::new(Why::Absent, "none of the usual library folders exists")),
        _ => Ok(libraries),
    }
}

/// The names of one library in a folder: `libcuda.so.1` itself first, then `libcuda.so.550.163.01`.
fn names_of<'a>(soname: &'a str, names: &'a [String]) -> impl Iterator<Item = &'a str> {
    let stem = soname.strip_suffix('1').unwrap_or(soname);
    let versioned = move |name: &&str| name.strip_prefix(stem).is_some_and(host::is_version);
    let own = names.iter().map(String::as_str).filter(move |name| *name == soname);
    own.chain(names.iter().map(String::as_str).filter(versioned))
}

fn injected(mounts: &Result<Vec<Mount>, Unknown>, path: &Path) -> Fact<bool> {
    let mounts = mounts.as_ref().map_err(Unknown::clone);
    mounts.map(|mounts| mounts::on_a_mount_of_its_own(mounts, path)).into()
}

/// Name of the package that has a file, by the file's name.
fn owners(tree: &Tree) -> Result<BTreeMap<String, String>, Unknown> {
    let mut owners = BTreeMap::new();
    let lists = tree.list(PACKAGE_LISTS)?;
    let lists = lists.iter().filter_map(|list| Some((list, list.strip_suffix(".list")?)));
    let drivers = lists.filter(|(_, package)| package.contains("nvidia") || package.starts_with("libcuda"));
    for (list, package) in drivers.take(LISTS_MAX) {
        let text = tree.read(Path::new(PACKAGE_LISTS).join(list), LIST_BYTES)?;
        let package = package.split(':').next().unwrap_or(package);
        let files = text.lines().filter_map(|line| line.rsplit('/').next()).filter(|name| name.contains(".so."));
        owners.extend(files.map(|name| (name.to_owned(), package.to_owned())));
    }
    Ok(owners)
}

fn package(owners: &Result<BTreeMap<String, String>, Unknown>, path: &str) -> Fact<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let owners = owners.as_ref().map_err(Unknown::clone);
    owners.map(|owners| owners.get(name).cloned().unwrap_or_default()).into()
}
