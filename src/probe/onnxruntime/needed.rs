//! Which libraries the CUDA provider needs and the dynamic linker would not find, all of them, without loading any.
//!
//! Follows ld.so(8): DT_RPATH of the library and of those that led to it, LD_LIBRARY_PATH, DT_RUNPATH, ld.so.cache,
//! default folders. Not known here: what the server's process has loaded already, and the RPATH of its executable.

use super::elf::{self, Dynamic};
use super::ld_cache::{self, Cache};
use super::wheels;
use crate::snapshot::{MissingLibrary, Unknown, Why};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// Most libraries that are walked.
const LIBRARY_LIMIT: usize = 2048;
/// Most folders that are looked through for a missing library.
const FOLDER_LIMIT: usize = 512;
/// What the dynamic linker searches at last, on Debian, Fedora and their kin.
const DEFAULT_FOLDERS: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// Where the server's dynamic linker looks.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Folders of LD_LIBRARY_PATH.
    library_path: Vec<PathBuf>,
    cache: Cache,
    defaults: Vec<PathBuf>,
}

impl Search {
    /// This machine's, with the given LD_LIBRARY_PATH.
    pub fn of_machine(library_path: Option<&str>) -> Self {
        Self {
            library_path: split(library_path.unwrap_or_default()),
            cache: ld_cache::read(Path::new("/etc/ld.so.cache")),
            defaults: DEFAULT_FOLDERS.iter().map(PathBuf::from).collect(),
        }
    }

    /// The file that the linker would take for `soname`, asked for by a library for `machine`.
    fn resolve(&self, soname: &str, asker: &Dynamic, rpath: &[PathBuf], machine: u16) -> Option<PathBuf> {
        let fits = |path: &PathBuf| elf::machine(path) == Some(machine);
        if soname.contains('/') {
            return Some(PathBuf::from(soname)).filter(fits);
        }
        let inherited = if asker.has_runpath { &[] } else { rpath };
        let before = inherited.iter().chain(&self.library_path).chain(&asker.runpath).map(|folder| folder.join(soname));
        let cached = self.cache.get(soname).into_iter().flatten().cloned();
        let after = self.defaults.iter().map(|folder| folder.join(soname));
        before.chain(cached).chain(after).find(fits)
    }
}

/// LD_LIBRARY_PATH's folders; relative and empty ones depend on the server's working directory and are left out.
fn split(library_path: &str) -> Vec<PathBuf> {
    library_path.split([':', ';']).filter(|folder| folder.starts_with('/')).map(PathBuf::from).collect()
}

/// Every library that `root` needs, directly or not, and that would not be found. `elsewhere` are folders off the
/// search path where such a library may lie all the same.
///
/// # Errors
/// If `root` itself cannot be read as a library.
pub fn missing(root: &Path, search: &Search, elsewhere: &[PathBuf]) -> Result<Vec<MissingLibrary>, Unknown> {
    let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let top = elf::dynamic(root).map_err(|error| {
        Unknown::new(Why::Malformed, format!("{} cannot be read as a library: {error}", root.display()))
    })?;
    let machine = top.machine;
    let mut queue = VecDeque::from([(top, Vec::new(), vec![name(root)])]);
    let mut seen = BTreeSet::new();
    let mut absent: Vec<(String, Vec<String>)> = Vec::new();
    while let Some((library, inherited, chain)) = queue.pop_front() {
        // The nearest library's RPATH comes first.
        let rpath: Vec<PathBuf> = library.rpath.iter().cloned().chain(inherited).collect();
        for soname in &library.needed {
            if seen.len() >= LIBRARY_LIMIT {
                let detail = format!("{} needs more than {LIBRARY_LIMIT} libraries", root.display());
                return Err(Unknown::new(Why::Unsupported, detail));
            }
            if !seen.insert(soname.clone()) {
                continue;
            }
            let found = search.resolve(soname, &library, &rpath, machine);
            match found.and_then(|path| elf::dynamic(&path).ok()) {
                Some(next) => {
                    let chain = chain.iter().cloned().chain([soname.clone()]).collect();
                    queue.push_back((next, rpath.clone(), chain));
                }
                None => absent.push((soname.clone(), chain.clone())),
            }
        }
    }
    let cuda_major = wheels::cuda_major(seen.iter().map(String::as_str));
    Ok(absent
        .into_iter()
        .map(|(soname, needed_by)| {
            let lies_at = elsewhere
                .iter()
                .map(|folder| folder.join(&soname))
                .find(|path| elf::machine(path) == Some(machine))
                .map(|path| path.display().to_string())
                .unwrap_or_default();
            MissingLibrary { package: wheels::package(&soname, cuda_major), soname, needed_by, lies_at }
        })
        .collect())
}

/// Folders off the search path where CUDA libraries usually lie: NVIDIA's Python packages, torch, CUDA toolkits.
pub fn usual_folders(site_packages: &[PathBuf], toolkits: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for site in site_packages {
        folders.extend(children(&site.join("nvidia")).map(|package| package.join("lib")));
        folders.push(site.join("torch/lib"));
    }
    for toolkit in children(toolkits).filter(|path| name_starts(path, "cuda")) {
        folders.push(toolkit.join("lib64"));
        folders.extend(children(&toolkit.join("targets")).map(|target| target.join("lib")));
    }
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    folders.truncate(FOLDER_LIMIT);
    folders
}

fn name_starts(path: &Path, start: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
}

fn children(folder: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().take(FOLDER_LIMIT).flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> PathBuf {
        std::env::current_exe().unwrap()
    }

    #[test]
    fn this_program_misses_nothing_on_this_machine() {
        assert_eq!(missing(&own(), &Search::of_machine(None), &[]).unwrap(), []);
    }

    #[test]
    fn without_a_search_path_everything_is_missing_and_lies_elsewhere() {
        let libc = Search::of_machine(None).cache.get("libc.so.6").and_then(|paths| paths.first()).cloned();
        let Some(folder) = libc.as_deref().and_then(Path::parent) else { return };
        let found = missing(&own(), &Search::default(), &[folder.to_path_buf()]).unwrap();
        let libc = found.iter().find(|library| library.soname == "libc.so.6").unwrap();
        assert_eq!(libc.needed_by, [own().file_name().unwrap().to_string_lossy()]);
        assert_eq!(libc.lies_at, folder.join("libc.so.6").display().to_string());
        assert_eq!(libc.package, "");
        // The same folder on LD_LIBRARY_PATH, written as people write it.
        let search = Search { library_path: split(&format!(":{}:relative", folder.display())), ..Search::default() };
        assert!(!missing(&own(), &search, &[]).unwrap().iter().any(|library| library.soname == "libc.so.6"));
    }

    #[test]
    fn a_file_that_only_bears_the_name_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libc.so.6"), "/* GNU ld script */ GROUP ( /lib/libc.so.6 )").unwrap();
        let search = Search { library_path: vec![folder.path().into()], ..Search::default() };
        let found = missing(&own(), &search, &[]).unwrap();
        assert!(found.iter().any(|library| library.soname == "libc.so.6"));
    }

    #[test]
    fn packages_and_toolkits_are_looked_through() {
        let root = tempfile::tempdir().unwrap();
        let site = root.path().join("site-packages");
        let local = root.path().join("local");
        let wanted = [site.join("nvidia/cublas/lib"), site.join("torch/lib"), local.join("cuda-12.4/lib64")];
        for folder in &wanted {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::create_dir_all(local.join("lib64")).unwrap();
        let mut expected = wanted.to_vec();
        expected.sort();
        assert_eq!(usual_folders(&[site], &local), expected);
    }
}
