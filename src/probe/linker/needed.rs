//! Which libraries a library needs and the dynamic linker would not find, all of them, without loading any.

use super::elf::{self, Dynamic};
use super::search::{Hit, Search};
use super::wheels;
use crate::snapshot::{MissingLibrary, Unknown, Why};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

/// Most libraries that are walked.
const LIBRARY_LIMIT: usize = 2048;

/// What came of a walk.
#[derive(Debug, Default, PartialEq)]
pub struct Walk {
    /// Every name that was asked for.
    pub asked: BTreeSet<String>,
    /// Files that would be loaded, the first asked for first.
    pub files: Vec<PathBuf>,
    /// What would not be found.
    pub missing: Vec<MissingLibrary>,
}

/// Every library that `root` needs, directly or not, and that would not be found. `elsewhere` are folders off the
/// search path where such a library may lie all the same. Paths are meant from the root of the search's file tree.
///
/// # Errors
/// If `root` itself cannot be read as a library.
pub fn missing(root: &Path, search: &Search, elsewhere: &[PathBuf]) -> Result<Vec<MissingLibrary>, Unknown> {
    walk(root, search, &[], elsewhere).map(|walk| walk.missing)
}

/// Walks all that `root` needs. `inherited` are folders of DT_RPATH of the library that loads `root`.
///
/// # Errors
/// If `root` itself cannot be read as a library.
pub fn walk(root: &Path, search: &Search, inherited: &[PathBuf], elsewhere: &[PathBuf]) -> Result<Walk, Unknown> {
    let top = elf::dynamic(&search.tree, root)?;
    let machine = top.machine;
    let mut queue = VecDeque::from([(top, inherited.to_vec(), vec![name(root)])]);
    let mut walk = Walk::default();
    let mut absent: Vec<(String, Vec<String>)> = Vec::new();
    while let Some((library, inherited, chain)) = queue.pop_front() {
        // The nearest library's RPATH comes first.
        let rpath: Vec<PathBuf> = library.rpath.iter().cloned().chain(inherited).collect();
        for soname in &library.needed {
            if walk.asked.len() >= LIBRARY_LIMIT {
                let detail = format!("{} needs more than {LIBRARY_LIMIT} libraries", root.display());
                return Err(Unknown::new(Why::Unsupported, detail));
            }
            if !walk.asked.insert(soname.clone()) {
                continue;
            }
            match search.find(soname, &library, &rpath, machine) {
                Some(Hit::Loaded) => {}
                Some(Hit::File(path)) => match elf::dynamic(&search.tree, &path) {
                    Ok(next) => {
                        let chain = chain.iter().cloned().chain([soname.clone()]).collect();
                        queue.push_back((next, rpath.clone(), chain));
                        walk.files.push(path);
                    }
                    Err(_) => absent.push((soname.clone(), chain.clone())),
                },
                None => absent.push((soname.clone(), chain.clone())),
            }
        }
    }
    walk.missing = told(absent, wheels::cuda_major(walk.asked.iter().map(String::as_str)), search, machine, elsewhere);
    Ok(walk)
}

/// Which of the names that `opener` opens while it runs would not be found.
pub fn missing_on_use(
    opener: &Path,
    names: &[String],
    cuda_major: Option<u32>,
    search: &Search,
    elsewhere: &[PathBuf],
) -> Result<Vec<MissingLibrary>, Unknown> {
    let library: Dynamic = elf::dynamic(&search.tree, opener)?;
    let found = |soname: &String| search.find(soname, &library, &library.rpath, library.machine).is_some();
    let absent = names.iter().filter(|soname| !found(soname)).map(|soname| (soname.clone(), vec![name(opener)]));
    Ok(told(absent.collect(), cuda_major, search, library.machine, elsewhere))
}

/// Absent names with the package that would bring them and the place where they lie all the same.
fn told(
    absent: Vec<(String, Vec<String>)>,
    cuda_major: Option<u32>,
    search: &Search,
    machine: u16,
    elsewhere: &[PathBuf],
) -> Vec<MissingLibrary> {
    let one = |(soname, needed_by): (String, Vec<String>)| {
        let at = elsewhere.iter().find_map(|folder| search.at(folder, Path::new(&soname), machine));
        let lies_at = at.map(|path| search.tree.outside(&path).display().to_string()).unwrap_or_default();
        MissingLibrary { package: wheels::package(&soname, cuda_major), soname, needed_by, lies_at }
    };
    absent.into_iter().map(one).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tree::Tree;

    fn own() -> PathBuf {
        std::env::current_exe().unwrap()
    }

    /// The folder of the C library, which this program needs.
    fn libc_folder() -> PathBuf {
        let search = Search::new(Tree::new("/"), None);
        let walk = walk(&own(), &search, &[], &[]).unwrap();
        let libc = walk.files.iter().find(|path| path.ends_with("libc.so.6")).expect("the C library is found");
        libc.parent().unwrap().to_owned()
    }

    #[test]
    fn this_program_misses_nothing_on_this_machine() {
        assert_eq!(missing(&own(), &Search::new(Tree::new("/"), None), &[]).unwrap(), []);
    }

    #[test]
    fn without_a_search_path_everything_is_missing_and_lies_elsewhere() {
        let folder = libc_folder();
        let mut search = Search::nowhere(Tree::new("/"));
        let found = missing(&own(), &search, std::slice::from_ref(&folder)).unwrap();
        let libc = found.iter().find(|library| library.soname == "libc.so.6").unwrap();
        assert_eq!(libc.needed_by, [own().file_name().unwrap().to_string_lossy()]);
        assert_eq!(libc.lies_at, folder.join("libc.so.6").display().to_string());
        assert_eq!(libc.package, "");
        search.library_path = vec![folder];
        assert!(!missing(&own(), &search, &[]).unwrap().iter().any(|library| library.soname == "libc.so.6"));
    }

    #[test]
    fn a_file_that_only_bears_the_name_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut search = Search::nowhere(Tree::new("/"));
        search.library_path = vec![folder.path().into()];
        let file = folder.path().join("libc.so.6");
        let missed = |search: &Search| missing(&own(), search, &[]).unwrap().iter().any(|l| l.soname == "libc.so.6");
        std::fs::write(&file, "/* GNU ld script */ GROUP ( /lib/libc.so.6 )").unwrap();
        assert!(missed(&search), "a linker script");
        let mut header = std::fs::read(own()).unwrap();
        header.truncate(64);
        for (at, byte, what) in [(4, 1, "of 32 bit"), (18, 0xb7, "of another machine")] {
            let mut other = header.clone();
            other[at] = byte;
            std::fs::write(&file, other).unwrap();
            assert!(missed(&search), "{what}");
        }
        std::fs::remove_file(&file).unwrap();
        let fifo = std::ffi::CString::new(file.display().to_string()).unwrap();
        // SAFETY: a valid C string; mkfifo makes a file and nothing else.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        assert!(missed(&search), "a FIFO, which must not be waited for");
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("libc.so.6", &file).unwrap();
        assert!(missed(&search), "a link to itself");
    }
}
