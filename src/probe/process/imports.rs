//! Whether a Python server loads a source file that lies in its folders.

use super::sources::Sources;
use crate::probe::tree::Tree;
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

/// Most bytes read of one source file.
const SOURCE_CAP: usize = 256 * 1024;
/// Folders from which modules are imported without naming them.
const SOURCE_FOLDERS: &[&str] = &["src", "lib", "python"];

/// Whether the server may have loaded `path`: the command line names it, Python left its bytecode, or another of the
/// server's sources imports it. Where the command line names no source at all (`mlserver start .`), every file may be.
pub fn may_be_loaded(tree: &Tree, path: &Path, sources: &Sources, deadline: Instant) -> bool {
    let Some(module) = module_to_import(tree, path, sources) else { return true };
    let others = sources.changed.keys().filter(|other| *other != path && is_source(other));
    others.into_iter().any(|other| {
        // What could not be read may import it.
        Instant::now() >= deadline
            || tree.head(other, SOURCE_CAP).map_or(true, |text| imports(other, &words(&text).collect(), path, module))
    })
}

/// Whether a source with these words may import the module of `path`. A word alone is not enough: a repository of many
/// programs has many a `server.py`. The module lies beside the source, in a folder around it or in one that is named.
pub fn imports(source: &Path, words: &BTreeSet<&str>, path: &Path, module: &str) -> bool {
    let is_package = path.file_stem().is_some_and(|stem| stem == "__init__" || stem == "__main__");
    let folder = if is_package { path.parent().and_then(Path::parent) } else { path.parent() };
    let (Some(folder), Some(from)) = (folder, source.parent()) else { return false };
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    words.contains(module) && (from.starts_with(folder) || words.contains(name) || SOURCE_FOLDERS.contains(&name))
}

/// The module that another source must import for `path` to be loaded; nothing where it is loaded, or may be, without.
pub fn module_to_import<'a>(tree: &Tree, path: &'a Path, sources: &Sources) -> Option<&'a str> {
    if sources.named.contains(path) || !is_source(path) || !sources.named.iter().any(|named| is_source(named)) {
        return None;
    }
    let (stem, folder) = (path.file_stem().and_then(|stem| stem.to_str())?, path.parent()?);
    let bytecode = format!("{stem}.");
    // Another program of the same repository leaves its bytecode elsewhere.
    let is_near = sources.named.iter().any(|named| named.parent().is_some_and(|near| folder.starts_with(near)));
    if is_near
        && tree.list(folder.join("__pycache__")).is_ok_and(|names| names.iter().any(|name| name.starts_with(&bytecode)))
    {
        return None;
    }
    // A package is imported by the name of its folder.
    match stem {
        "__init__" | "__main__" => Some(folder.file_name().and_then(|name| name.to_str()).unwrap_or(stem)),
        stem => Some(stem),
    }
}

/// Whether the file is a Python source.
pub fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "py")
}

/// The names in a source's import statements, and in texts such as `"app.main:app"`.
pub fn words(source: &str) -> impl Iterator<Item = &str> {
    static IMPORTS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?m)^[ \t]*(?:from[ \t]+[\w.]+[ \t]+)?import[ \t]+(?:\([^)]*\)|[^\n]*)|["'][\w.:]+["']"#)
            .expect("a valid pattern")
    });
    IMPORTS.find_iter(source).flat_map(|found| found.as_str().split(|c: char| !c.is_alphanumeric() && c != '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str, module: &str) -> bool {
        words(source).any(|word| word == module)
    }

    #[test]
    fn a_module_of_another_program_is_not_imported_by_its_name() {
        for (source, text, path, module, expected) in [
            ("/r/a/server.py", "import util", "/r/a/util.py", "util", true),
            ("/r/a/server.py", "import util", "/r/util.py", "util", true),
            ("/r/a/server.py", "import util", "/r/b/util.py", "util", false),
            ("/r/a/server.py", "from b.util import f", "/r/b/util.py", "util", true),
            ("/r/a/server.py", "import b", "/r/b/__init__.py", "b", true),
            ("/r/a/server.py", "import b", "/r/c/b/__init__.py", "b", false),
            ("/r/a/server.py", "import engine", "/r/src/engine.py", "engine", true),
            ("/r/a/server.py", "sys.path.insert(0, 'models')\nimport vad", "/r/models/vad.py", "vad", true),
        ] {
            let words = words(text).collect();
            let said = imports(Path::new(source), &words, Path::new(path), module);
            assert_eq!(said, expected, "{text} in {source}, {path}");
        }
    }

    #[test]
    fn a_module_is_imported_in_many_ways_and_a_mere_word_is_none() {
        for source in [
            "import util",
            "import os, util as u",
            "def f():\n    from util import g",
            "from pkg.util import g",
            "from . import util",
            "from .util import g",
            "from pkg import (\n    other,\n    util,\n)",
            "importlib.import_module('pkg.util')",
            "uvicorn.run(\"util:app\")",
        ] {
            assert!(names(source, "util"), "{source}");
        }
        for source in
            ["", "# see util", "util = 1", "import utility", "from x import utils", "print('the util is here')"]
        {
            assert!(!names(source, "util"), "{source}");
        }
    }
}
