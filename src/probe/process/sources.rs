//! Which files make up a server: what its command line names, and the Python sources below its working directory.

use crate::probe::tree::Tree;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

/// Deepest folder below the working directory that is looked into.
const DEPTH_MAX: usize = 4;
/// Most folder entries looked at for one server.
const ENTRIES_MAX: usize = 4000;
/// Folders that hold other people's code, or code that no server runs.
const SKIPPED: &[&str] = &[
    "site-packages",
    "dist-packages",
    "node_modules",
    "__pycache__",
    "target",
    "tests",
    "test",
    "docs",
    "examples",
    "build",
    "dist",
    "venv",
    "env",
];
/// Kinds of configuration files that a command line may name.
const CONFIG: &[&str] = &["env", "yaml", "yml", "json", "toml", "ini", "cfg", "conf"];
/// Parts of a flag that name a file which the server writes.
const WRITTEN: &[&str] =
    &["out", "log", "save", "dump", "metric", "result", "cache", "state", "pid", "trace", "profile"];

/// The files found, with the time of their last change, seconds after 1970.
#[derive(Debug, Default)]
pub struct Sources {
    pub changed: BTreeMap<PathBuf, f64>,
    /// Those of them that the command line names.
    pub named: BTreeSet<PathBuf>,
    /// Why files may be missing, if so.
    pub cut_short: Option<String>,
    looked_at: usize,
}

/// How a server was started.
pub struct Start<'a> {
    pub arguments: &'a [String],
    pub working_directory: &'a Path,
    /// The user's home folder, whose contents are not the server's.
    pub home: Option<&'a Path>,
    pub is_python: bool,
}

/// Collects the files of a server inside its own view of the file system.
pub fn find(tree: &Tree, start: &Start, deadline: Instant) -> Sources {
    let mut sources = Sources::default();
    let mut folders = BTreeSet::new();
    for candidate in named(start) {
        match candidate {
            Candidate::File(path) => sources.add_named(tree, &path),
            Candidate::Folder(path) if start.is_python && is_own_folder(&path, start.home) => {
                folders.insert(path);
            }
            Candidate::Folder(_) => {}
            Candidate::Module { base, dotted } if start.is_python => {
                sources.add_named(tree, &base.join(format!("{}.py", dotted.replace('.', "/"))));
                sources.add_named(tree, &base.join(dotted.replace('.', "/")).join("__main__.py"));
                folders.insert(base.join(dotted.split('.').next().unwrap_or_default()));
            }
            Candidate::Module { .. } => {}
        }
    }
    if start.is_python && is_own_folder(start.working_directory, start.home) {
        folders.insert(start.working_directory.to_owned());
    }
    for folder in folders {
        sources.walk(tree, &folder, deadline);
    }
    sources
}

/// Whether all below the folder may be taken for the server's. In `/` or a home folder it may not.
fn is_own_folder(folder: &Path, home: Option<&Path>) -> bool {
    let shared = ["/", "/root", "/home", "/tmp", "/var", "/usr", "/opt", "/srv", "/mnt", "/etc", "/usr/bin"];
    let is_home = folder.parent() == Some(Path::new("/home")) || Some(folder) == home;
    !is_home && !shared.iter().any(|path| Path::new(path) == folder)
}

#[derive(Debug, PartialEq)]
enum Candidate {
    File(PathBuf),
    /// A folder from which Python imports.
    Folder(PathBuf),
    Module {
        base: PathBuf,
        dotted: String,
    },
}

/// What the arguments name: scripts, `module:app`, `-m module`, configuration files.
fn named(start: &Start) -> Vec<Candidate> {
    static APP: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):[A-Za-z_][\w.]*(?:\(.*\))?$").expect("a valid pattern")
    });
    let mut found = Vec::new();
    let mut bases = vec![start.working_directory.to_owned()];
    let mut modules: Vec<String> = Vec::new();
    let mut flag = "";
    for argument in start.arguments.iter().skip(1) {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) if argument.starts_with('-') => (name, value),
            _ if argument.starts_with('-') => {
                flag = argument;
                continue;
            }
            _ => (std::mem::take(&mut flag), argument.as_str()),
        };
        if ["--app-dir", "--chdir", "--pythonpath"].contains(&name) {
            bases.push(start.working_directory.join(value));
            found.push(Candidate::Folder(start.working_directory.join(value)));
        } else if name == "-m" {
            modules.push(value.to_owned());
        } else if let Some(module) = APP.captures(value).and_then(|captures| captures.get(1)) {
            modules.push(module.as_str().to_owned());
        } else if is_source_name(value) && !WRITTEN.iter().any(|part| name.contains(part)) {
            let path = start.working_directory.join(value);
            // A script's own folder is the first of sys.path.
            found.extend(path.parent().filter(|_| value.ends_with(".py")).map(|own| Candidate::Folder(own.to_owned())));
            found.push(Candidate::File(path));
        }
    }
    let is_module = |name: &String| name.split('.').all(|part| !part.is_empty() && !part.contains('/'));
    for dotted in modules.into_iter().filter(is_module) {
        found.extend(bases.iter().map(|base| Candidate::Module { base: base.clone(), dotted: dotted.clone() }));
    }
    found
}

fn is_source_name(value: &str) -> bool {
    let name = value.rsplit('/').next().unwrap_or(value);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    name.starts_with(".env") || extension.is_some_and(|extension| extension == "py" || CONFIG.contains(&extension))
}

impl Sources {
    /// Adds a regular file, or nothing if there is none.
    pub fn add_file(&mut self, tree: &Tree, path: &Path) {
        if let Ok(metadata) = tree.stat(path)
            && metadata.is_file()
        {
            self.changed.insert(path.to_owned(), changed(&metadata));
        }
    }

    fn add_named(&mut self, tree: &Tree, path: &Path) {
        self.add_file(tree, path);
        if self.changed.contains_key(path) {
            self.named.insert(path.to_owned());
        }
    }

    /// Adds every Python source below a folder, within the caps.
    fn walk(&mut self, tree: &Tree, folder: &Path, deadline: Instant) {
        let mut folders = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let Ok(resolved) = tree.resolve(&folder) else { continue };
            let Ok(entries) = tree.outside(&resolved).read_dir() else { continue };
            for entry in entries.flatten() {
                self.looked_at += 1;
                if self.looked_at > ENTRIES_MAX || Instant::now() >= deadline {
                    self.cut_short = Some(format!("only {ENTRIES_MAX} entries below {} were read", folder.display()));
                    return;
                }
                let Ok(kind) = entry.file_type() else { continue };
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = folder.join(&name);
                if kind.is_dir() && depth < DEPTH_MAX && is_own_code(&entry.path(), &name) {
                    folders.push((path, depth + 1));
                } else if name.ends_with(".py") && !is_test(&name) && !kind.is_dir() {
                    self.add_file(tree, &path);
                }
            }
        }
    }
}

fn is_own_code(outside: &Path, name: &str) -> bool {
    !name.starts_with('.') && !SKIPPED.contains(&name) && !outside.join("pyvenv.cfg").exists()
}

/// Files that pytest reads and servers do not.
fn is_test(name: &str) -> bool {
    name == "conftest.py" || name.starts_with("test_") || name.ends_with("_test.py")
}

/// When a file was last changed, seconds after 1970.
pub fn changed(metadata: &std::fs::Metadata) -> f64 {
    metadata.mtime() as f64 + metadata.mtime_nsec() as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn start<'a>(arguments: &'a [String], folder: &'a Path) -> Start<'a> {
        Start { arguments, working_directory: folder, home: None, is_python: true }
    }

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_command_line_names_modules_scripts_and_configuration() {
        let module = |base: &str, dotted: &str| Candidate::Module { base: base.into(), dotted: dotted.into() };
        let of = |line: &str| named(&start(&words(line), Path::new("/srv/x")));
        assert_eq!(of("python -m uvicorn app.main:app"), [module("/srv/x", "uvicorn"), module("/srv/x", "app.main")]);
        let in_source = of("uvicorn main:create_app() --app-dir src");
        let folder = |path: &str| Candidate::Folder(path.into());
        assert_eq!(in_source, [folder("/srv/x/src"), module("/srv/x", "main"), module("/srv/x/src", "main")]);
        let files = of("python serve.py --env-file=.env --config /etc/s.yaml --log-config l.json --host 0.0.0.0:80");
        let file = |path: &str| Candidate::File(path.into());
        let expected = [folder("/srv/x"), file("/srv/x/serve.py"), file("/srv/x/.env"), file("/etc/s.yaml")];
        assert_eq!(files, expected, "a file that a flag calls a log is not a source");
        assert_eq!(of("python http://h:1/x"), []);
    }

    #[test]
    fn only_the_servers_own_sources_are_walked() {
        let dir = tempfile::tempdir().unwrap();
        for path in [
            "app.py",
            "pkg/a.py",
            "pkg/test_a.py",
            "tests/b.py",
            ".git/c.py",
            ".venv/d.py",
            "v/pyvenv.cfg",
            "v/e.py",
            "lib/site-packages/f.py",
            "1/2/3/4/in.py",
            "1/2/3/4/5/deep.py",
            "notes.txt",
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        let arguments = words("python -m x");
        let found = find(&Tree::new("/"), &start(&arguments, dir.path()), deadline);
        let names: Vec<_> = found.changed.keys().map(|path| path.strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(names, ["1/2/3/4/in.py", "app.py", "pkg/a.py"].map(Path::new));
        assert_eq!(found.cut_short, None);
        let home = Start { home: Some(dir.path()), ..start(&arguments, dir.path()) };
        assert!(find(&Tree::new("/"), &home, deadline).changed.is_empty(), "a home folder is not the server's");
        let named = words("python -m uvicorn pkg.a:app");
        let home = Start { arguments: &named, ..home };
        assert_eq!(find(&Tree::new("/"), &home, deadline).changed.len(), 1, "but the package that it runs is");
    }

    #[test]
    fn a_large_folder_is_cut_short_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        (0..ENTRIES_MAX + 10).for_each(|n| drop(std::fs::File::create(dir.path().join(format!("{n}.txt"))).unwrap()));
        let arguments = words("python -m x");
        let found = find(&Tree::new("/"), &start(&arguments, dir.path()), Instant::now() + Duration::from_secs(5));
        assert!(found.cut_short.is_some());
    }

    #[test]
    fn a_service_started_in_the_root_folder_is_found_by_its_script() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("serve.py"), "").unwrap();
        std::fs::write(dir.path().join("model.py"), "").unwrap();
        let arguments = words(&format!("python {}/serve.py", dir.path().display()));
        let deadline = Instant::now() + Duration::from_secs(5);
        let found = find(&Tree::new("/"), &start(&arguments, Path::new("/")), deadline);
        assert_eq!(found.changed.len(), 2, "the script and what it imports from beside it: {found:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_arguments_name_a_bounded_number_of_files(
            arguments in proptest::collection::vec("(-{1,2}[a-z-]{0,9}=?)?.{0,20}", 0..9),
        ) {
            let start = start(&arguments, Path::new("/x"));
            proptest::prop_assert!(named(&start).len() <= arguments.len() * (arguments.len() + 2));
        }
    }
}
