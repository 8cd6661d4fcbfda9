//! The deployment's Python packages, from the files on disk. Python is run only to import what the user names.

pub mod build_info;
mod builds;
mod distributions;
mod import;
mod interpreter;
mod ownership;
mod record;
mod server;
#[cfg(test)]
mod tests;

use super::tree::Tree;
use super::{Context, Probe, Ran};
use crate::snapshot::{Fact, Facts, PackagesFacts, Room, Stage, Unknown, Why};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use import::PROBE as IMPORTS;

/// Time kept for what comes after the hashing of files.
const HASHING_MARGIN: Duration = Duration::from_millis(500);

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
            facts.packages = read(&site, context.deadline);
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

fn read(site: &Site, deadline: Instant) -> PackagesFacts {
    let outside = |path: &Path| site.tree.outside(path).display().to_string();
    let base = PackagesFacts {
        site_packages: Fact::Known(site.folders.iter().map(|path| outside(path)).collect()),
        found_by: Fact::Known(site.found_by.clone()),
        ..PackagesFacts::default()
    };
    let found = match distributions::of(&site.tree, &site.folders) {
        Ok(found) => found,
        Err(unknown) => {
            let all_unknown = PackagesFacts::all_unknown(&unknown);
            return PackagesFacts { site_packages: base.site_packages, found_by: base.found_by, ..all_unknown };
        }
    };
    let onnxruntime_build = build_info::read(&site.tree, &site.folders);
    let builds = builds::of(&site.tree, &found, onnxruntime_build.as_ref());
    // What is hashed last may be left out; the rest is to be told in time.
    let patience = deadline.checked_sub(HASHING_MARGIN).unwrap_or(deadline);
    let (files, owner) = match ownership::of(&site.tree, &site.folders, &found, patience) {
        Ok(ownership) => (Ok(ownership.files), ownership.owner),
        Err(unknown) => (Err(unknown.clone()), Err(unknown)),
    };
    let required_by = found.iter().filter(|one| one.requires_onnxruntime).map(|one| one.name.clone());
    PackagesFacts {
        onnxruntime_distributions: Fact::Known(distributions::named_onnxruntime(&site.tree, &found)),
        distributions: Fact::Known(found.iter().map(|one| one.told(&site.tree)).collect()),
        onnxruntime_build: onnxruntime_build.into(),
        onnxruntime_files: files.into(),
        onnxruntime_owner: owner.into(),
        onnxruntime_required_by: Fact::Known(required_by.collect()),
        cuda_builds: Fact::Known(builds::for_cuda(&builds)),
        cuda_libraries: Fact::Known(builds::libraries(&found)),
        builds: Fact::Known(builds),
        ..base
    }
}

/// An unknown for a place where packages were looked for and not found.
fn absent(detail: impl Into<String>) -> Unknown {
    Unknown::new(Why::Absent, detail)
}
