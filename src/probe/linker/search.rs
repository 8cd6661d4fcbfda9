//! Where the server's dynamic linker looks for a library.
//!
//! Follows ld.so(8): what is loaded already, DT_RPATH of the library, of those that led to it and of the program,
//! LD_LIBRARY_PATH, DT_RUNPATH, ld.so.cache, default folders.

use super::elf::{self, Dynamic};
use super::ld_cache::{self, Cache};
use super::mapped::Loaded;
use crate::probe::tree::Tree;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

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
/// Most folders that are looked through for a missing library.
const FOLDER_LIMIT: usize = 512;

/// Where one process's dynamic linker looks, in the file tree that it sees.
#[derive(Debug)]
pub struct Search {
    /// The file tree.
    pub tree: Tree,
    /// Folders of LD_LIBRARY_PATH.
    pub library_path: Vec<PathBuf>,
    /// DT_RPATH of the program, which is asked for every library: conda's Python has one.
    pub program_rpath: Vec<PathBuf>,
    /// What the process has loaded already.
    pub loaded: Loaded,
    cache: Cache,
    defaults: Vec<PathBuf>,
    /// Folders with links followed; nothing for those that are not there.
    folders: RefCell<HashMap<PathBuf, Option<PathBuf>>>,
}

/// A library that would be found.
#[derive(Debug, PartialEq)]
pub enum Hit {
    /// The process has it loaded, and with it all that it needs.
    Loaded,
    /// The file that would be loaded, from the tree's root.
    File(PathBuf),
}

impl Search {
    /// In a file tree, with the given LD_LIBRARY_PATH and nothing loaded.
    pub fn new(tree: Tree, library_path: Option<&str>) -> Self {
        Self {
            library_path: split(library_path.unwrap_or_default()),
            program_rpath: Vec::new(),
            loaded: Loaded::default(),
            cache: ld_cache::read(&tree),
            defaults: DEFAULT_FOLDERS.iter().map(PathBuf::from).collect(),
            folders: RefCell::default(),
            tree,
        }
    }

    /// Nowhere at all.
    #[cfg(test)]
    pub fn nowhere(tree: Tree) -> Self {
        Self { cache: Cache::new(), defaults: Vec::new(), ..Self::new(tree, None) }
    }

    /// What the linker would take for `soname`, asked for by a library for `machine`; `rpath` holds the folders of
    /// DT_RPATH of the libraries that led to it, the nearest first.
    pub fn find(&self, soname: &str, asker: &Dynamic, rpath: &[PathBuf], machine: u16) -> Option<Hit> {
        if soname.contains('/') {
            let path = PathBuf::from(soname);
            return (elf::machine(&self.tree, &path) == Some(machine)).then_some(Hit::File(path));
        }
        if self.loaded.has(&self.tree, soname) {
            return Some(Hit::Loaded);
        }
        let rpath = rpath.iter().chain(&self.program_rpath).take_while(|_| !asker.has_runpath);
        let before =
            rpath.chain(&self.library_path).chain(&asker.runpath).map(|folder| (folder.clone(), soname.into()));
        let cached = self.cache.get(soname).into_iter().flatten();
        let cached = cached.filter_map(|path| Some((path.parent()?.to_owned(), PathBuf::from(path.file_name()?))));
        let after = self.defaults.iter().map(|folder| (folder.clone(), PathBuf::from(soname)));
        before.chain(cached).chain(after).find_map(|(folder, name)| self.at(&folder, &name, machine)).map(Hit::File)
    }

    /// The library `name` for `machine` in `folder`.
    pub fn at(&self, folder: &Path, name: &Path, machine: u16) -> Option<PathBuf> {
        // A walk asks for hundreds of names in the same folders: each folder's links are followed once.
        let mut folders = self.folders.borrow_mut();
        let real = folders.entry(folder.to_owned()).or_insert_with(|| self.tree.resolve(folder).ok());
        self.tree.outside(&real.as_ref()?.join(name)).symlink_metadata().ok()?;
        let path = folder.join(name);
        (elf::machine(&self.tree, &path) == Some(machine)).then_some(path)
    }
}

/// LD_LIBRARY_PATH's folders; relative and empty ones depend on the server's working directory and are left out.
fn split(library_path: &str) -> Vec<PathBuf> {
    library_path.split([':', ';']).filter(|folder| folder.starts_with('/')).map(PathBuf::from).collect()
}

/// Folders off the search path where CUDA libraries usually lie: NVIDIA's Python packages, torch, CUDA toolkits.
/// `toolkits` is the folder of the toolkits, `/usr/local`; all are meant from the tree's root.
pub fn usual_folders(tree: &Tree, site_packages: &[PathBuf], toolkits: &Path) -> Vec<PathBuf> {
    let mut folders = nvidia_folders(tree, site_packages);
    folders.extend(site_packages.iter().map(|site| site.join("torch/lib")));
    for toolkit in children(tree, toolkits, "cuda") {
        folders.push(toolkit.join("lib64"));
        folders.extend(children(tree, &toolkit.join("targets"), "").map(|target| target.join("lib")));
    }
    folders.retain(|folder| tree.stat(folder).is_ok_and(|metadata| metadata.is_dir()));
    folders.sort();
    folders.truncate(FOLDER_LIMIT);
    folders
}

/// `nvidia/*/lib` in site-packages, where NVIDIA's Python packages put their libraries.
pub fn nvidia_folders(tree: &Tree, site_packages: &[PathBuf]) -> Vec<PathBuf> {
    let packages = site_packages.iter().flat_map(|site| children(tree, &site.join("nvidia"), ""));
    packages.map(|package| package.join("lib")).collect()
}

/// Entries of a folder whose names begin with `start`; none where it cannot be read.
pub fn children(tree: &Tree, folder: &Path, start: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let names = tree.list(folder).unwrap_or_default();
    let (folder, start) = (folder.to_owned(), start.to_owned());
    names.into_iter().filter(move |name| name.starts_with(&start)).take(FOLDER_LIMIT).map(move |name| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_and_empty_folders_are_left_out() {
        assert_eq!(split(":/a/lib:relative:/b;/c:"), [Path::new("/a/lib"), Path::new("/b"), Path::new("/c")]);
    }

    proptest::proptest! {
        #[test]
        fn any_search_path_gives_absolute_folders(path in "[a-z/:;. ]{0,60}") {
            proptest::prop_assert!(split(&path).iter().all(|folder| folder.is_absolute()));
        }
    }

    #[test]
    fn packages_and_toolkits_are_looked_through() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::new(root.path());
        let wanted = ["/site-packages/nvidia/cublas/lib", "/site-packages/torch/lib", "/local/cuda-12.4/lib64"];
        for folder in wanted.iter().chain(&["/local/lib64"]) {
            std::fs::create_dir_all(tree.outside(Path::new(folder))).unwrap();
        }
        let mut expected: Vec<PathBuf> = wanted.iter().map(PathBuf::from).collect();
        expected.sort();
        assert_eq!(usual_folders(&tree, &["/site-packages".into()], Path::new("/local")), expected);
    }
}
