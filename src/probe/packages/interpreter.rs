//! From an interpreter's path to its site-packages, as site.py would have it, without running it.

use super::absent;
use crate::probe::tree::Tree;
use crate::snapshot::{Unknown, Why};
use std::path::{Path, PathBuf};

/// The site-packages folders of an interpreter (`/venv/bin/python`) or of a prefix (`/venv`), in the order of `sys.path`.
///
/// `home` is the home folder of the user who runs it, if known: pip puts packages there too.
pub fn site_packages(tree: &Tree, python: &Path, home: Option<&Path>) -> Result<Vec<PathBuf>, Unknown> {
    let python = located(tree, python)?;
    match tree.stat(&python) {
        Ok(metadata) if metadata.is_dir() => return of_prefix(tree, &python, None, home),
        Ok(metadata) if !metadata.is_file() => {
            let detail = format!("{} is neither an interpreter nor a folder", tree.outside(&python).display());
            return Err(Unknown::new(Why::Malformed, detail));
        }
        _ => {}
    }
    let called_python = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("py"));
    if !called_python(&python) && !tree.resolve(&python).is_ok_and(|resolved| called_python(&resolved)) {
        let detail = format!(
            "{} is no Python interpreter by its name; name PREFIX/bin/python or the prefix",
            tree.outside(&python).display()
        );
        return Err(Unknown::new(Why::Malformed, detail));
    }
    // The link in a virtual environment leads to the interpreter that it was made with, so it is not followed yet.
    let prefix = prefix(&python)?;
    if tree.exists(prefix.join("pyvenv.cfg"))? {
        return of_prefix(tree, &prefix, None, home);
    }
    let resolved = tree.resolve(&python)?;
    let version = minor_version(&resolved);
    of_prefix(tree, &self::prefix(&resolved)?, version.as_deref(), home)
}

/// The site-packages folders below a prefix: a virtual environment, `/usr`, or a prefix of pyenv or conda.
pub fn of_prefix(
    tree: &Tree,
    prefix: &Path,
    version: Option<&str>,
    home: Option<&Path>,
) -> Result<Vec<PathBuf>, Unknown> {
    let mut folders = Folders { tree, home, found: Vec::new() };
    match tree.read(prefix.join("pyvenv.cfg"), 64 * 1024) {
        Ok(config) => {
            folders.below(prefix, setting(&config, "version").as_deref().and_then(two_numbers).as_deref());
            let system = setting(&config, "include-system-site-packages").is_some_and(|value| value == "true");
            if let Some(base) = setting(&config, "home").filter(|_| system).and_then(|home| prefix_of_home(&home)) {
                folders.of_system(&base, version);
            }
        }
        Err(unknown) if unknown.why == Why::Absent => folders.of_system(prefix, version),
        Err(unknown) => return Err(unknown),
    }
    match folders.found.is_empty() {
        false => Ok(folders.found),
        true => Err(absent(format!(
            "no site-packages below {}; if the interpreter is a shim, name the environment's own",
            tree.outside(prefix).display()
        ))),
    }
}

struct Folders<'a> {
    tree: &'a Tree,
    home: Option<&'a Path>,
    found: Vec<PathBuf>,
}

impl Folders<'_> {
    /// Adds a folder once, however many links lead to it.
    fn add(&mut self, folder: PathBuf) {
        let Ok(resolved) = self.tree.resolve(&folder) else { return };
        let is_folder = self.tree.stat(&resolved).is_ok_and(|metadata| metadata.is_dir());
        let known = self.found.iter().any(|known| self.tree.resolve(known).is_ok_and(|known| known == resolved));
        if is_folder && !known {
            self.found.push(folder);
        }
    }

    /// `lib/python3.X/site-packages` and the like, of one version or of every one that is there.
    fn below(&mut self, prefix: &Path, version: Option<&str>) {
        for library in ["lib", "lib64"] {
            for name in self.tree.list(prefix.join(library)).unwrap_or_default() {
                let fits = match version {
                    Some(version) => {
                        name.strip_prefix("python").is_some_and(|rest| rest.trim_end_matches('t') == version)
                    }
                    None => name.starts_with("python3."),
                };
                if fits {
                    self.add(prefix.join(library).join(&name).join("site-packages"));
                    self.add(prefix.join(library).join(&name).join("dist-packages"));
                }
            }
        }
    }

    /// The folders of an interpreter outside of any virtual environment; Debian's are called dist-packages.
    fn of_system(&mut self, prefix: &Path, version: Option<&str>) {
        if let Some(home) = self.home {
            // Here pip puts packages where the user may not write to the system's folder.
            self.below(&home.join(".local"), version);
        }
        let prefix = if prefix == Path::new("/") { Path::new("/usr") } else { prefix };
        if prefix == Path::new("/usr") {
            self.below(Path::new("/usr/local"), version);
        }
        self.below(prefix, version);
        self.add(prefix.join("lib/python3/dist-packages"));
    }
}

/// The interpreter's path; a bare name is looked up in `PATH`, where the tree is the doctor's own.
fn located(tree: &Tree, python: &Path) -> Result<PathBuf, Unknown> {
    if python.is_absolute() || !tree.is_whole() {
        return Ok(python.to_owned());
    }
    if python.components().count() > 1 {
        return std::path::absolute(python).map_err(|error| Unknown::from_io(&error, python.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(python)).find(|path| path.is_file());
    found.ok_or_else(|| absent(format!("{}: not found in PATH", python.display())))
}

/// `/venv` of `/venv/bin/python`.
fn prefix(python: &Path) -> Result<PathBuf, Unknown> {
    let prefix = python.parent().and_then(Path::parent).map(Path::to_owned);
    prefix.ok_or_else(|| absent(format!("{}: not in a folder such as PREFIX/bin", python.display())))
}

/// `/usr` of `/usr/bin`, the `home` of a virtual environment.
fn prefix_of_home(home: &str) -> Option<PathBuf> {
    Path::new(home).parent().map(Path::to_owned)
}

/// `3.11` of `/usr/bin/python3.11`.
fn minor_version(python: &Path) -> Option<String> {
    two_numbers(python.file_name()?.to_str()?.strip_prefix("python")?)
}

/// `3.11` of `3.11.4`; nothing of `3`.
fn two_numbers(version: &str) -> Option<String> {
    let mut parts = version.split('.');
    let (major, minor) = (parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?);
    Some(format!("{major}.{minor}"))
}

/// A setting of pyvenv.cfg (PEP 405): `name = value`, names in any case.
fn setting(config: &str, name: &str) -> Option<String> {
    let lines = config.lines().filter_map(|line| line.split_once('='));
    let mut values = lines.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value.trim().to_owned())
}
