//! Whether a Python server loads a source file that lies in its folders.

use super::sources::Sources;
use crate::probe::tree::Tree;
use regex::Regex;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

/// Most bytes read of one source file.
const SOURCE_CAP: usize = 256 * 1024;

/// Whether the server may have loaded `path`: the command line names it, Python left its bytecode, or another of the
/// server's sources imports it. Where the command line names no source at all (`mlserver start .`), every file may be.
pub fn may_be_loaded(tree: &Tree, path: &Path, sources: &Sources, deadline: Instant) -> bool {
    let Some(module) = module_to_import(tree, path, sources) else { return true };
    let others = sources.changed.keys().filter(|other| *other != path && is_source(other));
    others.into_iter().any(|other| {
        // What could not be read may import it.
        Instant::now() >= deadline
            || tree.head(other, SOURCE_CAP).map_or(true, |text| words(&text).any(|word| word == module))
    })
}

/// The module that another source must import for `path` to be loaded; nothing where it is loaded, or may be, without.
pub fn module_to_import<'a>(tree: &Tree, path: &'a Path, sources: &Sources) -> Option<&'a str> {
    if sources.named.contains(path) || !is_source(path) || !sources.named.iter().any(|named| is_source(named)) {
        return None;
    }
    let (stem, folder) = (path.file_stem().and_then(|stem| stem.to_str())?, path.parent()?);
    let bytecode = format!("{stem}.");
    if tree.list(folder.join("__pycache__")).is_ok_and(|names| names.iter().any(|name| name.starts_with(&bytecode))) {
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

    fn imports(source: &str, module: &str) -> bool {
        words(source).any(|word| word == module)
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
            assert!(imports(source, "util"), "{source}");
        }
        for source in
            ["", "# see util", "util = 1", "import utility", "from x import utils", "print('the util is here')"]
        {
            assert!(!imports(source, "util"), "{source}");
        }
    }
}
