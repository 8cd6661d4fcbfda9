//! Which Python files are read: the server's own, the code that came with its model, and packages that wrap a runtime.

use super::syntax::Source;
use crate::probe::process::imports::{imports, is_source, module_to_import, words};
use crate::probe::process::own_code::OwnCode;
use crate::probe::tree::Tree;
use crate::snapshot::{Unknown, Why};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most bytes of one file.
const FILE_MAX: usize = 512 * 1024;
/// Most imported names that are looked for beside one file.
const NAMES_MAX: usize = 500;
/// Most bytes of a console script.
const SCRIPT_MAX: usize = 16 * 1024;
/// Most bytes of all files together.
const BYTES_MAX: usize = 8 << 20;
/// Most files read.
const FILES_MAX: usize = 1000;
/// Most folder entries looked at below one folder, and the deepest folder looked into.
const ENTRIES_MAX: usize = 2000;
const DEPTH_MAX: usize = 5;

/// A source that was read.
pub struct Text {
    /// The file, as the process sees it.
    pub path: PathBuf,
    pub text: String,
}

/// Reads files within the limits, and keeps account of what it could not.
pub struct Reader {
    deadline: Instant,
    bytes: usize,
    files: usize,
    pub not_read: Vec<String>,
    pub cut_short: String,
}

impl Reader {
    /// A reader that stops at the deadline.
    pub fn new(deadline: Instant) -> Self {
        Self { deadline, bytes: 0, files: 0, not_read: Vec::new(), cut_short: String::new() }
    }

    /// The sources of a server that it loads: what its command line names, and what is imported from there.
    pub fn own(&mut self, own: &OwnCode) -> Vec<Text> {
        if let Some(detail) = &own.sources.cut_short {
            self.cut_short.clone_from(detail);
        }
        let paths = own.sources.changed.keys().filter(|path| is_source(path));
        let texts: Vec<Text> = paths.filter_map(|path| self.read(&own.tree, path)).collect();
        let mut loaded = vec![false; texts.len()];
        let mut waiting: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut ready = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            match module_to_import(&own.tree, &text.path, &own.sources) {
                Some(module) => waiting.entry(module).or_default().push(index),
                None => ready.push(index),
            }
        }
        while let Some(index) = ready.pop() {
            let (Some(mark), Some(text)) = (loaded.get_mut(index), texts.get(index)) else { continue };
            *mark = true;
            let words: BTreeSet<&str> = words(&text.text).collect();
            for word in &words {
                let Some(named) = waiting.get_mut(word) else { continue };
                let found = |index: &mut usize| {
                    texts.get(*index).is_some_and(|other| imports(&text.path, &words, &other.path, word))
                };
                ready.extend(named.extract_if(.., found));
            }
        }
        drop(waiting);
        let mut texts: Vec<Text> =
            texts.into_iter().zip(loaded).filter_map(|(text, loaded)| loaded.then_some(text)).collect();
        // Of a script in a home folder or in /tmp the folder was not listed.
        if own.sources.changed.len() == own.sources.named.len() {
            self.follow(&own.tree, &mut texts);
        }
        texts
    }

    /// Adds what the texts import from beside them, and what that imports in turn.
    fn follow(&mut self, tree: &Tree, texts: &mut Vec<Text>) {
        let mut known: BTreeSet<PathBuf> = texts.iter().map(|text| text.path.clone()).collect();
        let mut next = 0;
        while let Some(text) = texts.get(next) {
            let folder = text.path.parent().unwrap_or(Path::new("/"));
            let names: BTreeSet<&str> = words(&text.text).filter(|name| !name.is_empty()).take(NAMES_MAX).collect();
            let beside = |name: &str| [folder.join(format!("{name}.py")), folder.join(name).join("__init__.py")];
            let paths: Vec<PathBuf> = names.into_iter().flat_map(beside).collect();
            for path in paths {
                if known.insert(path.clone()) && tree.stat(&path).is_ok_and(|metadata| metadata.is_file()) {
                    texts.extend(self.read(tree, &path));
                }
            }
            next += 1;
        }
        texts.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// The Python files below a folder that hold one of the words.
    pub fn below(&mut self, tree: &Tree, folder: &Path, holding: &[&str]) -> Vec<Text> {
        let mut texts = Vec::new();
        let mut folders = vec![(folder.to_owned(), 0)];
        let mut looked_at = 0;
        while let Some((folder, depth)) = folders.pop() {
            // Each package of a hub's repository is a folder; those of other kinds do not matter.
            let names = match tree.list(&folder) {
                Ok(names) => names,
                Err(unknown) => {
                    if unknown.why != Why::Absent {
                        self.not_read.push(unknown.detail);
                    }
                    continue;
                }
            };
            for name in names {
                looked_at += 1;
                if looked_at > ENTRIES_MAX || Instant::now() >= self.deadline {
                    self.cut_short = format!("only {looked_at} entries below {} were looked at", folder.display());
                    return texts;
                }
                let path = folder.join(&name);
                if is_source(&path) {
                    texts.extend(
                        self.read(tree, &path).filter(|text| holding.iter().any(|word| text.text.contains(word))),
                    );
                } else if depth < DEPTH_MAX
                    && !name.contains('.')
                    && !["__pycache__", "tests", "test"].contains(&name.as_str())
                    && tree.stat(&path).is_ok_and(|metadata| metadata.is_dir())
                {
                    folders.push((path, depth + 1));
                }
            }
        }
        texts
    }

    fn read(&mut self, tree: &Tree, path: &Path) -> Option<Text> {
        if self.bytes >= BYTES_MAX || self.files >= FILES_MAX || Instant::now() >= self.deadline {
            self.cut_short = format!("{} files of {} bytes were read, and no more", self.files, self.bytes);
            return None;
        }
        match tree.read(path, FILE_MAX) {
            Ok(text) => {
                self.bytes += text.len();
                self.files += 1;
                Some(Text { path: path.to_owned(), text })
            }
            Err(Unknown { detail, .. }) => {
                self.not_read.push(detail);
                None
            }
        }
    }
}

/// First names of the modules that the command line starts: by `-m`, or by a console script's import.
pub fn entry_modules(own: &OwnCode) -> Vec<String> {
    let mut found = Vec::new();
    let mut arguments = own.arguments.iter().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "-m" {
            found.extend(arguments.next().and_then(|name| name.split('.').next()).map(str::to_owned));
            break;
        }
        if !argument.starts_with('-') {
            // Python's own options end here; pip writes such scripts into PREFIX/bin.
            let path = Path::new(argument);
            let in_bin = path.parent().and_then(Path::file_name).is_some_and(|name| name == "bin");
            if in_bin
                && path.extension().is_none()
                && let Ok(text) = own.tree.read(path, SCRIPT_MAX)
            {
                found.extend(Source::of(&text).imported.iter().map(|name| (*name).to_owned()));
            }
            break;
        }
    }
    found
}

/// Where the code of models from the hub is kept, by what the process's environment and home folder say.
pub fn remote_code(environment: Option<&BTreeMap<String, String>>, home: Option<&Path>) -> Vec<PathBuf> {
    let set = |name: &str| environment.and_then(|all| all.get(name)).map(PathBuf::from);
    let hub = set("HF_HOME").or_else(|| {
        let cache = set("XDG_CACHE_HOME").or_else(|| home.map(|home| home.join(".cache")));
        cache.map(|cache| cache.join("huggingface"))
    });
    let modules = set("HF_MODULES_CACHE").or_else(|| hub.map(|hub| hub.join("modules")));
    modules.into_iter().map(|modules| modules.join("transformers_modules")).collect()
}

/// The repository of a file of remote code, as the hub calls it: `transformers_modules/ai4bharat/a_hyphen_b/0f3c/x.py` is
/// of `ai4bharat/a-b`. A folder of the user's own has no owner in front.
pub fn repository(modules: &Path, file: &Path) -> Option<String> {
    let inside = file.strip_prefix(modules).ok()?.parent()?;
    let names: Vec<_> =
        inside.iter().map(|name| name.to_string_lossy().replace("_hyphen_", "-").replace("_dot_", ".")).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [owner, name, ..] => Some(format!("{owner}/{name}")),
    }
}

/// Names of repositories of which files were found, each once.
pub fn repositories(modules: &Path, texts: &[Text]) -> BTreeSet<String> {
    texts.iter().filter_map(|text| repository(modules, &text.path)).collect()
}
