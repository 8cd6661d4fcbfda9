//! Which onnxruntime library is the deployment's.

use crate::probe::Context;
use crate::probe::tree::Tree;
use crate::snapshot::{Facts, Unknown, Why};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The library and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The file `libonnxruntime.so*`.
    pub library: PathBuf,
    /// `--onnxruntime`, `--python`, or the maps of the server's process, with the place.
    pub found_by: String,
}

/// Finds the library: the one that was named, else the one in the deployment's packages, else the server's own.
///
/// # Errors
/// Says where was looked and what was seen there. [`Why::NotAsked`] if there was no place to look at all.
pub fn find(context: &Context, facts: &Facts) -> Result<Found, Unknown> {
    let version = facts.packages.onnxruntime_build.known().map(|build| build.version.as_str());
    if let Some(named) = &context.ask.onnxruntime {
        let library = at(named, version)?;
        return Ok(Found { library, found_by: "--onnxruntime".into() });
    }
    let python = context.ask.python.as_ref();
    // What the server has mapped is what it runs, whatever else its folders hold; an interpreter that was named wins.
    if python.is_none()
        && let Some(found) = mapped(facts, version)
    {
        return found;
    }
    // An interpreter was named, and where its packages are could not be told: no other place stands for it.
    let packages = facts.packages.site_packages.reason().filter(|unknown| unknown.why != Why::NotAsked);
    if let (Some(_), Some(unknown)) = (python, packages) {
        return Err(unknown.clone());
    }
    let mut refused = None;
    for (folder, found_by) in python_folders(context, facts) {
        match at(&folder, version) {
            Ok(library) => return Ok(Found { library, found_by }),
            // A package that is there and cannot be asked says more than one that is absent.
            Err(unknown) if unknown.why == Why::Absent => drop(refused.get_or_insert(unknown)),
            Err(unknown) => return Err(unknown),
        }
    }
    if let Some(found) = mapped(facts, version) {
        return found;
    }
    // A process that could not be read may have one.
    let process = facts.process.gpu_libraries.reason().filter(|unknown| unknown.why != Why::NotAsked);
    if let (None, Some(unknown)) = (&refused, process) {
        let detail = format!("no onnxruntime was named (--onnxruntime, --python); {}", unknown.detail);
        return Err(Unknown::new(unknown.why, detail));
    }
    // A deployment without onnxruntime is not at fault; there is just nothing to ask.
    let detail = match refused {
        Some(unknown) => format!("the deployment shows no onnxruntime: {}", unknown.detail),
        None => "no onnxruntime was named (--onnxruntime, --python), and the server's process shows none".into(),
    };
    Err(Unknown::new(Why::NotAsked, detail))
}

/// The library in the maps of the server's process; `None` if they show none.
fn mapped(facts: &Facts, version: Option<&str>) -> Option<Result<Found, Unknown>> {
    let libraries = facts.process.gpu_libraries.known()?;
    let (kind, mapped) =
        ["onnxruntime", "onnxruntime_python"].into_iter().find_map(|kind| libraries.get_key_value(kind))?;
    let place = match kind.as_str() {
        "onnxruntime" => PathBuf::from(mapped),
        // Python maps its extension module, which cannot be loaded elsewhere; the library lies beside it.
        _ => Path::new(mapped).parent().unwrap_or(Path::new("/")).to_path_buf(),
    };
    let process = facts.process.processes.known().and_then(|processes| processes.first());
    let tree = process.map_or_else(|| Tree::new("/"), |process| Tree::of_process(process.pid));
    let found = below(&tree, &place, version).map_err(|unknown| {
        let detail = format!("the server's process has {mapped} mapped, but here: {}", unknown.detail);
        // Unlinked once it was loaded, on purpose or by an upgrade: a copy of it can be named.
        let why = if unknown.why == Why::Absent { Why::NotAsked } else { unknown.why };
        Unknown::new(why, detail)
    });
    let found_by = format!("maps of the server's process ({mapped})");
    Some(found.map(|library| Found { library, found_by }))
}

/// The site-packages folders of the deployment's Python.
fn python_folders(context: &Context, facts: &Facts) -> Vec<(PathBuf, String)> {
    if let Some(folders) = facts.packages.site_packages.known() {
        let found_by = facts.packages.found_by.known().map_or("site-packages", String::as_str);
        return folders.iter().map(|folder| (PathBuf::from(folder), found_by.to_string())).collect();
    }
    // Not resolved: in a virtual environment the interpreter is a link out of it.
    let Some(prefix) = context.ask.python.as_deref().and_then(Path::parent).and_then(Path::parent) else {
        return Vec::new();
    };
    let Ok(prefix) = std::path::absolute(prefix) else { return Vec::new() };
    let (tree, prefix) = Tree::holding(&prefix);
    let names =
        tree.list(prefix.join("lib")).unwrap_or_default().into_iter().filter(|name| name.starts_with("python3"));
    let folder = |name: String| tree.outside(&prefix.join("lib").join(name).join("site-packages"));
    names.map(|name| (folder(name), "--python".to_string())).collect()
}

/// The library at `place`, a path of the doctor's own; in `/proc/PID/root` links are followed as that process has them.
fn at(place: &Path, version: Option<&str>) -> Result<PathBuf, Unknown> {
    // The dynamic linker would look a bare name up elsewhere.
    let place = std::path::absolute(place).map_err(|error| Unknown::from_io(&error, place.display()))?;
    let (tree, place) = Tree::holding(&place);
    below(&tree, &place, version)
}

/// The library at `place` of a tree: the file itself, or the one in a folder such as site-packages, `onnxruntime` or
/// `capi`. It is told as the doctor finds it.
fn below(tree: &Tree, place: &Path, version: Option<&str>) -> Result<PathBuf, Unknown> {
    let metadata = tree.stat(place)?;
    if metadata.is_file() {
        // Python's extension module cannot be loaded elsewhere; the library lies beside it.
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        if let (true, Some(folder)) = (name.starts_with("onnxruntime_pybind11_state"), place.parent()) {
            return below(tree, folder, version);
        }
        return told(tree, place);
    }
    if !metadata.is_dir() {
        let detail = format!("{} is neither a library nor a folder", tree.outside(place).display());
        return Err(Unknown::new(Why::Malformed, detail));
    }
    for folder in ["", "onnxruntime/capi", "capi", "lib"] {
        let folder = place.join(folder);
        let names = tree.list(&folder).unwrap_or_default();
        if let Some(library) = newest(tree, &folder, &names, version) {
            return told(tree, &library);
        }
        if let Some(module) = names.iter().find(|name| name.starts_with("onnxruntime_pybind11_state")) {
            let detail = format!(
                "{} has no libonnxruntime.so beside it: Python packages before 1.19 carry only this extension module, \
                 which no other program can load; name a libonnxruntime.so with --onnxruntime",
                tree.outside(&folder.join(module)).display()
            );
            return Err(Unknown::new(Why::Unsupported, detail));
        }
    }
    let outside = tree.outside(place);
    let detail = format!("{} holds no libonnxruntime.so, nor does onnxruntime/capi in it", outside.display());
    Err(Unknown::new(Why::Absent, detail))
}

/// Where the doctor finds a file of the tree. In another tree than its own no link is left in the path, since the dynamic
/// linker would follow it into the doctor's.
fn told(tree: &Tree, place: &Path) -> Result<PathBuf, Unknown> {
    if tree.is_whole() { Ok(place.to_owned()) } else { Ok(tree.outside(&tree.resolve(place)?)) }
}

/// Among several libraries the one of the package's own version, else the one that was written last: an installation
/// over another leaves both.
fn newest(tree: &Tree, folder: &Path, names: &[String], version: Option<&str>) -> Option<PathBuf> {
    let stat = |name: &String| tree.stat(folder.join(name)).ok();
    let libraries = || {
        names.iter().filter(|name| {
            name.strip_prefix("libonnxruntime.so").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                && stat(name).is_some_and(|metadata| metadata.is_file())
        })
    };
    let of_version = libraries().find(|name| version.is_some_and(|version| name.ends_with(&format!("so.{version}"))));
    let written = |name: &String| stat(name).and_then(|data| data.modified().ok()).unwrap_or(SystemTime::UNIX_EPOCH);
    of_version.or_else(|| libraries().max_by_key(|name| written(name))).map(|name| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Ask;
    use crate::snapshot::{Fact, Why};
    use std::collections::BTreeMap;
    use std::time::Instant;

    fn ask(ask: Ask, change: impl FnOnce(&mut Facts)) -> Result<Found, Unknown> {
        let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, ""));
        change(&mut facts);
        find(&Context { ask, deadline: Instant::now() }, &facts)
    }

    fn site_packages(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let capi = folder.path().join("lib/python3.11/site-packages/onnxruntime/capi");
        std::fs::create_dir_all(&capi).unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        for file in files {
            std::fs::write(capi.join(file), "").unwrap();
        }
        folder
    }

    #[test]
    fn the_named_folder_is_searched_in_its_usual_places() {
        let folder = site_packages(&["libonnxruntime.so.1.23.2", "libonnxruntime_providers_shared.so"]);
        for place in ["lib/python3.11/site-packages", "lib/python3.11/site-packages/onnxruntime/capi"] {
            let named = Ask { onnxruntime: Some(folder.path().join(place)), ..Ask::default() };
            let found = ask(named, |_| {}).unwrap();
            assert!(found.library.ends_with("onnxruntime/capi/libonnxruntime.so.1.23.2"));
            assert_eq!(found.found_by, "--onnxruntime");
        }
        let python = Ask { python: Some(folder.path().join("bin/python")), ..Ask::default() };
        assert_eq!(ask(python, |_| {}).unwrap().found_by, "--python");
        let module = "lib/python3.11/site-packages/onnxruntime/capi/onnxruntime_pybind11_state.cpython-311.so";
        std::fs::write(folder.path().join(module), "").unwrap();
        let named = Ask { onnxruntime: Some(folder.path().join(module)), ..Ask::default() };
        let found = ask(named, |_| {}).unwrap();
        assert!(found.library.ends_with("libonnxruntime.so.1.23.2"), "the extension module leads to the library");
    }

    #[test]
    fn what_could_not_be_read_is_not_said_to_lack_onnxruntime() {
        let denied = || Unknown::new(Why::Denied, "/proc/17/maps: run as uid 1000");
        let unknown = ask(Ask::default(), |facts| facts.process.gpu_libraries = Fact::Unknown(denied())).unwrap_err();
        assert_eq!(unknown.why, Why::Denied);
        assert!(unknown.detail.contains("/proc/17/maps"), "{unknown}");
        let folder = site_packages(&["libonnxruntime.so.1.23.2"]);
        let python = Ask { python: Some(folder.path().join("bin/python")), ..Ask::default() };
        let unknown = ask(python, |facts| facts.packages.site_packages = Fact::Unknown(denied())).unwrap_err();
        assert_eq!(unknown, denied());
    }

    #[test]
    fn an_old_wheel_is_explained() {
        let folder = site_packages(&["onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so"]);
        let python = Ask { python: Some(folder.path().join("bin/python")), ..Ask::default() };
        let unknown = ask(python, |_| {}).unwrap_err();
        assert_eq!(unknown.why, Why::Unsupported);
        assert!(unknown.detail.contains("before 1.19"), "{unknown}");
    }

    #[test]
    fn of_two_installations_the_package_says_which_is_the_last() {
        let folder = site_packages(&["libonnxruntime.so.1.23.2", "libonnxruntime.so.1.19.2"]);
        let python = Ask { python: Some(folder.path().join("bin/python")), ..Ask::default() };
        for version in ["1.23.2", "1.19.2"] {
            let build = crate::snapshot::OnnxruntimeBuild {
                package_name: "onnxruntime".into(),
                version: version.into(),
                cuda_version: Fact::unknown(Why::Absent, ""),
            };
            let found = ask(python.clone(), |facts| facts.packages.onnxruntime_build = Fact::Known(build)).unwrap();
            assert!(found.library.ends_with(format!("libonnxruntime.so.{version}")));
        }
    }

    #[test]
    fn the_server_s_maps_lead_to_the_library() {
        let folder = site_packages(&["libonnxruntime.so.1.23.2", "onnxruntime_pybind11_state.so"]);
        let module = folder.path().join("lib/python3.11/site-packages/onnxruntime/capi/onnxruntime_pybind11_state.so");
        let maps = BTreeMap::from([("onnxruntime_python".to_string(), module.display().to_string())]);
        let found = ask(Ask::default(), |facts| facts.process.gpu_libraries = Fact::Known(maps)).unwrap();
        assert!(found.library.ends_with("libonnxruntime.so.1.23.2"));
        let gone = BTreeMap::from([("onnxruntime".to_string(), "/nowhere/libonnxruntime.so.1".to_string())]);
        let unknown = ask(Ask::default(), |facts| facts.process.gpu_libraries = Fact::Known(gone)).unwrap_err();
        assert!(unknown.why == Why::NotAsked && unknown.detail.contains("server's process has /nowhere"), "{unknown}");
    }

    #[test]
    fn links_of_a_container_are_followed_in_it() {
        use std::os::unix::fs::symlink;
        let outer = tempfile::tempdir().unwrap();
        let capi = outer.path().join("root/venv/lib/python3.11/site-packages/onnxruntime/capi");
        std::fs::create_dir_all(&capi).unwrap();
        std::fs::create_dir(outer.path().join("root/srv")).unwrap();
        std::fs::write(capi.join("libonnxruntime.so.1.23.2"), "").unwrap();
        symlink("/venv/lib/python3.11/site-packages", outer.path().join("root/srv/packages")).unwrap();
        // What lies at that place of the doctor's own file system is another one.
        symlink(outer.path(), outer.path().join("root/srv/out")).unwrap();
        let tree = Tree::new(outer.path().join("root"));
        let found = below(&tree, Path::new("/srv/packages"), None).unwrap();
        assert_eq!(found, capi.join("libonnxruntime.so.1.23.2"), "no link is left for the dynamic linker to follow");
        let named = below(&tree, Path::new("/srv/packages/onnxruntime/capi/libonnxruntime.so.1.23.2"), None).unwrap();
        assert_eq!(named, found);
        assert_eq!(below(&tree, Path::new("/srv/out"), None).unwrap_err().why, Why::Absent);
    }

    #[test]
    fn nothing_to_look_at_is_not_asked() {
        assert_eq!(ask(Ask::default(), |_| {}).unwrap_err().why, Why::NotAsked);
        let absent = Ask { onnxruntime: Some("/nowhere/lib.so".into()), ..Ask::default() };
        assert_eq!(ask(absent, |_| {}).unwrap_err().why, Why::Absent);
    }
}
