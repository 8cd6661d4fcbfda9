//! The deployment's Python packages, from the files on disk. Python is never run.

mod build_info;
mod distributions;
mod interpreter;
mod server;
#[cfg(test)]
mod tests;

use super::tree::Tree;
use super::{Context, Probe, Ran};
use crate::snapshot::{Fact, Facts, PackagesFacts, Room, Stage, Unknown, Why};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Finds the site-packages of the named interpreter or of the server's process, and reads what is installed there.
pub const PROBE: Probe = Probe {
    id: "packages",
    stage: Stage::Packages,
    rooms: &["packages"],
    needs: &["process"],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

/// Where the packages are.
struct Site {
    /// The file system in which the folders lie.
    tree: Tree,
    /// The folders, from the tree's root, in the order of `sys.path`.
    folders: Vec<PathBuf>,
    found_by: String,
}

fn run(context: &Context, facts: &mut Facts) -> Ran {
    match find(context, facts) {
        Ok(site) => {
            facts.packages = read(&site);
            Ran::ok()
        }
        Err(unknown) => {
            facts.packages = PackagesFacts::all_unknown(&unknown);
            Ran::from(&unknown)
        }
    }
}

fn find(context: &Context, facts: &Facts) -> Result<Site, Unknown> {
    match &context.ask.python {
        Some(python) => {
            let tree = Tree::new(&context.ask.root);
            // The interpreter was named by the doctor's user, who is taken for the one who runs it.
            let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| tree.is_whole() && home.is_absolute());
            let folders = interpreter::site_packages(&tree, python, home.as_deref())?;
            Ok(Site { tree, folders, found_by: "--python".into() })
        }
        None => server::site(facts),
    }
}

fn read(site: &Site) -> PackagesFacts {
    let outside = |path: &Path| site.tree.outside(path).display().to_string();
    let found = distributions::of(&site.tree, &site.folders);
    let onnxruntime = found.as_ref().map(|found| distributions::named_onnxruntime(&site.tree, found));
    let shown = |found: Vec<distributions::Found>| found.into_iter().map(|one| one.told(&site.tree)).collect();
    PackagesFacts {
        site_packages: Fact::Known(site.folders.iter().map(|path| outside(path)).collect()),
        found_by: Fact::Known(site.found_by.clone()),
        onnxruntime_distributions: onnxruntime.map_err(Unknown::clone).into(),
        distributions: found.map(shown).into(),
        onnxruntime_build: build_info::read(&site.tree, &site.folders).into(),
    }
}

/// The onnxruntime library inside a site-packages folder: `onnxruntime/capi/libonnxruntime.so.*`, highest version.
///
/// The folder is one of `packages.site_packages`. Wheels before 1.17 or so have none: there the library is a part of
/// `onnxruntime_pybind11_state*.so`.
pub fn onnxruntime_library(site_packages: &Path) -> Option<PathBuf> {
    let folder = site_packages.join("onnxruntime/capi");
    let names = Tree::new("/").list(std::path::absolute(&folder).ok()?).ok()?;
    let version = |name: &String| -> Option<Vec<u64>> {
        let rest = name.strip_prefix("libonnxruntime.so")?;
        let numbers = rest.split('.').skip(1).map(|part| part.parse().ok()).collect::<Option<Vec<_>>>()?;
        (rest.is_empty() || rest.starts_with('.')).then_some(numbers)
    };
    let newest = names.iter().filter_map(|name| version(name).map(|version| (version, name))).max()?;
    Some(folder.join(newest.1))
}

/// An unknown for a place where packages were looked for and not found.
fn absent(detail: impl Into<String>) -> Unknown {
    Unknown::new(Why::Absent, detail)
}
