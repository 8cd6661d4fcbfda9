//! What onnxruntime's build wrote about itself: `capi/build_and_package_info.py`, written by onnxruntime's setup.py.

use super::absent;
use crate::probe::tree::Tree;
use crate::snapshot::{Fact, OnnxruntimeBuild, Unknown, Why};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FILE: &str = "onnxruntime/capi/build_and_package_info.py";
const FILE_BYTES: usize = 64 * 1024;

/// The identity of the first `onnxruntime` package in the folders, which is the one that an import finds.
pub fn read(tree: &Tree, folders: &[PathBuf]) -> Result<OnnxruntimeBuild, Unknown> {
    let home = super::ownership::home(tree, folders)?;
    let folder = home.ok_or_else(|| absent("no folder onnxruntime in site-packages"))?;
    let shown = tree.outside(&folder.join(FILE)).display().to_string();
    let values = assignments(&tree.read(folder.join(FILE), FILE_BYTES)?);
    let value = |name: &str| values.get(name).filter(|value| !value.is_empty()).cloned();
    let missing = |name: &str| Unknown::new(Why::Malformed, format!("{shown} does not set {name}"));
    Ok(OnnxruntimeBuild {
        package_name: value("package_name").ok_or_else(|| missing("package_name"))?,
        version: value("__version__").or_else(|| init_version(tree, folder)).ok_or_else(|| missing("__version__"))?,
        cuda_version: match value("cuda_version") {
            Some(version) => Fact::Known(version),
            None => Fact::unknown(Why::Absent, format!("{shown} names no CUDA version")),
        },
    })
}

/// Version in the package's `__init__.py`.
fn init_version(tree: &Tree, folder: &Path) -> Option<String> {
    let text = tree.head(folder.join("onnxruntime/__init__.py"), FILE_BYTES).ok()?;
    assignments(&text).remove("__version__")
}

/// Lines of the form `name = 'value'`, of which such files consist. The last assignment counts, as in Python.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let (name, value) = (name.trim_end(), value.trim());
        let is_name = !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        let unquoted = ['\'', '"'].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        if let (true, Some(value)) = (is_name, unquoted) {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_builds_own_words_are_read() {
        let values = assignments("package_name = 'onnxruntime-gpu'\n__version__ = '1.22.0'\ncuda_version = \"12.8\"\n");
        assert_eq!(values["package_name"], "onnxruntime-gpu");
        assert_eq!(values["cuda_version"], "12.8");
        assert!(assignments("x = 1\n  y = 'indented'\nz == 'a'\nif q = 'b'\nw = '\n").is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(.|\n){0,200}") {
            for (name, value) in assignments(&text) {
                prop_assert!(text.contains(&name) && text.contains(&value));
            }
        }

        #[test]
        fn what_was_written_is_read(values in prop::collection::btree_map("[a-z_]{1,10}", "[0-9a-z.+-]{0,12}", 0..6)) {
            let text: String = values.iter().map(|(name, value)| format!("{name} = '{value}'\n")).collect();
            prop_assert_eq!(assignments(&text), values);
        }
    }
}
