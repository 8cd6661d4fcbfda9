//! From the server's process to its site-packages.

use super::{Site, absent, interpreter};
use crate::probe::tree::Tree;
use crate::snapshot::{Facts, ServerProcess, Unknown, Why};
use std::path::{Path, PathBuf};

/// The site-packages of the server: those from which it maps libraries, else those of its environment.
pub fn site(facts: &Facts) -> Result<Site, Unknown> {
    let processes = facts.process.processes.read().map_err(|unknown| {
        let detail = format!("no --python was given, and the server's process is unknown: {}", unknown.detail);
        Unknown::new(unknown.why, detail)
    })?;
    let Some(process) = processes.first() else { return Err(absent("the server has no process")) };
    let tree = Tree::of_process(process.pid);
    let site = |folders, found_by: String| Ok(Site { tree: tree.clone(), folders, found_by });
    let mapped = mapped(&tree, facts);
    if !mapped.is_empty() {
        return site(mapped, "libraries that the server's processes map".into());
    }
    if let Some(prefix) = facts.process.environment.known().and_then(|environment| environment.get("VIRTUAL_ENV"))
        && let Ok(folders) = interpreter::of_prefix(&tree, Path::new(prefix), None, None)
    {
        return site(folders, format!("VIRTUAL_ENV of process {}", process.pid));
    }
    // A server that is no Python program has no Python packages; that is no obstacle.
    let no_python = format!("process {} shows no Python interpreter, hence no Python packages", process.pid);
    let mut last = Unknown::new(Why::NotAsked, no_python);
    for (python, found_by) in interpreters(process) {
        match interpreter::site_packages(&tree, &python, None) {
            Ok(folders) => return site(folders, format!("{found_by} of process {}", process.pid)),
            Err(unknown) => last = unknown,
        }
    }
    Err(last)
}

/// The folders from which GPU libraries are mapped.
fn mapped(tree: &Tree, facts: &Facts) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in facts.process.gpu_libraries.known().into_iter().flat_map(|libraries| libraries.values()) {
        let folder = Path::new(path)
            .ancestors()
            .find(|folder| folder.file_name().is_some_and(|name| name == "site-packages" || name == "dist-packages"));
        if let Some(folder) = folder
            && !folders.iter().any(|known| known == folder)
            && tree.exists(folder).unwrap_or(false)
        {
            folders.push(folder.to_owned());
        }
    }
    folders
}

/// The interpreter as the process was called, then as the kernel resolved it, which in a virtual environment is the
/// one that the environment was made with.
fn interpreters(process: &ServerProcess) -> Vec<(PathBuf, &'static str)> {
    let mut found = Vec::new();
    let words = process.command.known().and_then(|command| shlex::split(command)).unwrap_or_default();
    let folder = process.working_directory.known().map(PathBuf::from).unwrap_or_default();
    // A script such as /venv/bin/uvicorn stands beside its interpreter, which is what counts here.
    let called = words.iter().take(2).filter(|word| word.contains('/') && !word.starts_with('-'));
    for word in called.filter(|word| word.contains("bin/")) {
        found.push((folder.join(word), "the command line"));
    }
    let executable = process.executable.known().map(PathBuf::from);
    let python =
        executable.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("py")));
    found.extend(python.map(|path| (path, "the executable")));
    found
}
