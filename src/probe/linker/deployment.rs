//! Whose dynamic linker: the server's, or that of the named file tree and Python.

use super::mapped::{self, Loaded, Mapped};
use super::search::{self, Search};
use super::{driver, elf, runtimes};
use crate::probe::tree::Tree;
use crate::probe::{Context, environment};
use crate::snapshot::{CudaDriverLibrary, Facts, GpuRuntime, Unknown, Why};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the deployment's libraries are looked for, and what is loaded of them.
#[derive(Debug)]
pub struct Deployment {
    /// Where its dynamic linker looks.
    pub search: Search,
    /// Folders off the search path where CUDA libraries usually lie, from the root of the search's file tree.
    pub elsewhere: Vec<PathBuf>,
    /// What the server's processes have mapped; the reason where there is no server or its maps may not be read.
    pub mapped: Result<Mapped, Unknown>,
    /// Folders of site-packages, from the root of the search's file tree.
    site_packages: Vec<PathBuf>,
}

impl Deployment {
    /// The server's, where there is one that can be looked into; else the examined file tree's.
    pub fn of(context: &Context, facts: &Facts) -> Self {
        let processes = facts.process.processes.known().map(Vec::as_slice).unwrap_or_default();
        let pids: Vec<u64> = processes.iter().map(|process| process.pid).collect();
        let mapped = match (facts.process.processes.reason(), facts.process.gpu_libraries.reason()) {
            _ if forwards(facts) => Err(Unknown::new(Why::NotAsked, "the port belongs to a tunnel to another machine")),
            // Whoever read the maps before says best who may.
            (Some(unknown), _) | (_, Some(unknown)) => Err(unknown.clone()),
            _ if pids.is_empty() => Err(Unknown::new(Why::Absent, "the server has no process")),
            _ => mapped::read(&pids),
        };
        let tree = match pids.first() {
            Some(pid) => Tree::of_process(*pid),
            None => Tree::new(&context.ask.root),
        };
        // The doctor's own variables say nothing of another file tree.
        let own = pids.is_empty() && !tree.is_whole();
        let library_path = environment::value(facts, "LD_LIBRARY_PATH").filter(|_| !own);
        let mut search = Search::new(tree, library_path.as_deref());
        search.loaded = mapped.as_ref().map(Loaded::of).unwrap_or_default();
        let program = processes.first().and_then(|process| process.executable.known()).map(PathBuf::from);
        let program = program.or_else(|| context.ask.python.clone()).filter(|path| path.is_absolute());
        search.program_rpath = program.map(|program| program_rpath(&search.tree, &program)).unwrap_or_default();
        let site_packages = site_packages(&search.tree, facts);
        let elsewhere = search::usual_folders(&search.tree, &site_packages, Path::new("/usr/local"));
        Self { search, elsewhere, mapped, site_packages }
    }

    /// A path that the doctor can open, from the root of the search's file tree; `None` if it lies outside.
    pub fn inside(&self, path: &Path) -> Option<PathBuf> {
        inside(&self.search.tree, path).or_else(|| {
            // Where the server has mapped something of the folder, the path is the server's own.
            let mapped = self.mapped.as_ref().map(|mapped| mapped.0.as_slice()).unwrap_or_default();
            let is_servers = mapped.iter().any(|(_, library)| library.parent() == path.parent());
            is_servers.then(|| path.to_owned())
        })
    }

    /// The GPU runtimes that the server has loaded; without a server, those that the named Python has.
    ///
    /// # Errors
    /// If neither can be looked at.
    pub fn runtimes(&self, context: &Context, facts: &Facts) -> Result<Vec<GpuRuntime>, Unknown> {
        let candidates = match &self.mapped {
            Ok(mapped) => runtimes::loaded(mapped, &self.search),
            Err(unknown) if context.ask.python.is_none() => return Err(unknown.clone()),
            Err(_) => {
                facts.packages.site_packages.read()?;
                runtimes::installed(&self.site_packages, &self.search)
            }
        };
        let distributions = facts.packages.distributions.known().map(Vec::as_slice).unwrap_or_default();
        let mut found = Vec::new();
        for candidate in &candidates {
            if Instant::now() >= context.deadline {
                return Err(Unknown::new(Why::TimedOut, "the libraries of the runtimes were not read in time"));
            }
            found.push(runtimes::look(candidate, &self.search, &self.site_packages, &self.elsewhere, distributions));
        }
        Ok(found)
    }

    /// The driver library of the server, or that of the file tree where no server was named.
    ///
    /// # Errors
    /// If a server was named and its maps cannot be read: then nothing else stands for it.
    pub fn cuda_driver(&self, context: &Context) -> Result<CudaDriverLibrary, Unknown> {
        match &self.mapped {
            Err(unknown) if context.ask.server.is_some() => Err(unknown.clone()),
            mapped => Ok(driver::of(mapped.as_ref().ok(), &self.search)),
        }
    }
}

/// Whether what listens only carries requests to another machine.
fn forwards(facts: &Facts) -> bool {
    facts.process.forwarded_by.known().is_some_and(|program| !program.is_empty())
}

/// DT_RPATH of a program; none if it has none or cannot be read.
fn program_rpath(tree: &Tree, program: &Path) -> Vec<PathBuf> {
    // The kernel tells a program's path with links followed, and so does $ORIGIN.
    let resolved = tree.resolve(program).unwrap_or_else(|_| program.to_owned());
    elf::dynamic(tree, &resolved).map(|program| program.rpath).unwrap_or_default()
}

fn site_packages(tree: &Tree, facts: &Facts) -> Vec<PathBuf> {
    let folders = facts.packages.site_packages.known().into_iter().flatten();
    folders.filter_map(|folder| inside(tree, Path::new(folder))).collect()
}

fn inside(tree: &Tree, path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.strip_prefix(tree.outside(Path::new("/"))).ok().map(|rest| Path::new("/").join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Ask;
    use crate::snapshot::{Fact, ServerProcess};
    use std::collections::BTreeMap;

    fn context(server: bool, python: Option<&Path>) -> Context {
        let server = server.then(|| "http://127.0.0.1:8000".parse().unwrap());
        let ask = Ask { server, python: python.map(Path::to_path_buf), ..Ask::default() };
        Context { ask, deadline: Instant::now() + std::time::Duration::from_secs(5) }
    }

    /// Facts about a server that is this very process.
    fn facts() -> Facts {
        let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "no server was named"));
        facts.process.processes = Fact::Known(vec![ServerProcess {
            executable: Fact::Known(std::env::current_exe().unwrap().display().to_string()),
            ..ServerProcess::all_unknown(std::process::id().into(), &Unknown::new(Why::Absent, "not read"))
        }]);
        facts.process.gpu_libraries = Fact::Known(BTreeMap::new());
        facts.process.environment = Fact::Known(BTreeMap::from([("LD_LIBRARY_PATH".into(), "/opt/cuda/lib64".into())]));
        facts
    }

    #[test]
    fn the_server_s_view_is_taken() {
        let deployment = Deployment::of(&context(true, None), &facts());
        assert_eq!(deployment.search.library_path, [Path::new("/opt/cuda/lib64")]);
        assert!(
            deployment.search.tree.is_whole() && deployment.search.loaded.has(&deployment.search.tree, "libc.so.6")
        );
        assert_eq!(deployment.runtimes(&context(true, None), &facts()), Ok(Vec::new()));
        assert!(!deployment.cuda_driver(&context(true, None)).unwrap().seen_loaded);
        assert_eq!(deployment.inside(Path::new("/a/b")), Some(PathBuf::from("/a/b")));
    }

    #[test]
    fn nothing_stands_for_a_server_that_may_not_be_looked_into() {
        let denied = Unknown::new(Why::Denied, "/proc/17/maps: permission denied; run as uid 1000 or root");
        let mut facts = facts();
        facts.process.gpu_libraries = Fact::Unknown(denied.clone());
        let context = context(true, None);
        let deployment = Deployment::of(&context, &facts);
        assert_eq!(deployment.mapped.as_ref().err(), Some(&denied));
        assert_eq!(deployment.runtimes(&context, &facts), Err(denied.clone()));
        assert_eq!(deployment.cuda_driver(&context), Err(denied));
    }

    #[test]
    fn a_tunnel_is_no_server() {
        let mut facts = facts();
        facts.process.forwarded_by = Fact::Known("ssh".into());
        let mapped = Deployment::of(&context(true, None), &facts).mapped;
        assert_eq!(mapped.map_err(|unknown| unknown.why).err(), Some(Why::NotAsked));
    }

    #[test]
    fn without_a_server_the_named_python_counts() {
        let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "no server was named"));
        let python = context(false, Some(Path::new("/nowhere/bin/python")));
        let absent = Unknown::new(Why::Absent, "/nowhere/bin/python: No such file or directory");
        facts.packages.site_packages = Fact::Unknown(absent.clone());
        assert_eq!(Deployment::of(&python, &facts).runtimes(&python, &facts), Err(absent));
        let nobody = context(false, None);
        let reason = Deployment::of(&nobody, &facts).runtimes(&nobody, &facts).unwrap_err();
        assert_eq!(reason.why, Why::NotAsked);
        assert!(Deployment::of(&nobody, &facts).cuda_driver(&nobody).is_ok(), "the machine's own is told");
    }
}
