//! The container around the deployment, and the GPUs that it was given.

mod kind;

use super::tree::Tree;
use super::{Context, Probe, Ran, environment};
use crate::snapshot::{ContainerFacts, Fact, Facts, Room, Stage, Why};
use kind::Signs;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Tells the container from the process's control group and from marker files in its root.
pub const PROBE: Probe = Probe {
    id: "container",
    stage: Stage::Container,
    rooms: &["container"],
    needs: &["process"],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let server = facts.process.processes.known().and_then(|processes| processes.first()).map(|process| process.pid);
    facts.container = match server {
        Some(pid) => {
            let signs = kind::signs(
                &Tree::new(format!("/proc/{pid}/root")),
                Tree::new("/").read(format!("/proc/{pid}/cgroup"), 64 * 1024),
                environment::value(facts, "KUBERNETES_SERVICE_HOST").is_some(),
            );
            let whose = format!("process {pid}");
            let variables = match &facts.process.environment {
                Fact::Unknown(unknown) => Fact::Unknown(unknown.clone()),
                Fact::Known(_) => Fact::Known(runtime_variables(facts)),
            };
            filled(&signs, &whose, variables)
        }
        None if context.ask.root == Path::new("/") => {
            let in_kubernetes = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
            let tree = Tree::new("/");
            let cgroup = tree.read("/proc/self/cgroup", 64 * 1024);
            let whose = "gpu-doctor itself";
            // The doctor's own variables say nothing of a server that was named but could not be looked into.
            let variables = match facts.process.environment.reason() {
                Some(unknown) if context.ask.server.is_some() => Fact::Unknown(unknown.clone()),
                _ => Fact::Known(runtime_variables(facts)),
            };
            filled(&kind::signs(&tree, cgroup, in_kubernetes), whose, variables)
        }
        None => {
            let tree = Tree::new(&context.ask.root);
            let cgroup = tree.read("proc/self/cgroup", 64 * 1024);
            let untold = Fact::unknown(Why::Unsupported, "not told by a file tree");
            filled(&kind::signs(&tree, cgroup, false), "the file tree", untold)
        }
    };
    Ran::ok()
}

fn filled(signs: &Signs, whose: &str, runtime_variables: Fact<BTreeMap<String, String>>) -> ContainerFacts {
    match kind::judge(signs) {
        Ok((kind, told_by)) => ContainerFacts {
            kind: Fact::Known(kind.to_owned()),
            told_by: Fact::Known(format!("{told_by} of {whose}")),
            runtime_variables,
        },
        Err(unknown) => ContainerFacts { runtime_variables, ..ContainerFacts::all_unknown(&unknown) },
    }
}

/// The variables of the NVIDIA container runtime that are set where the deployment runs.
fn runtime_variables(facts: &Facts) -> BTreeMap<String, String> {
    let names = ["NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"];
    names.iter().filter_map(|name| Some((name.to_string(), environment::value(facts, name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Ask;
    use crate::snapshot::{ServerProcess, Unknown};
    use std::time::Instant;

    fn container(root: &Path, facts: &mut Facts) -> ContainerFacts {
        let ask = Ask { root: root.into(), ..Ask::default() };
        run(&Context { ask, deadline: Instant::now() + PROBE.budget }, facts);
        facts.container.clone()
    }

    fn nothing() -> Facts {
        Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"))
    }

    #[test]
    fn the_servers_environment_counts_and_empty_is_not_unset() {
        let unknown = Unknown::new(Why::Absent, "test");
        let process = ServerProcess::all_unknown(std::process::id().into(), &unknown);
        let mut facts = nothing();
        facts.process.processes = Fact::Known(vec![process]);
        facts.process.environment = Fact::Known(BTreeMap::from([("NVIDIA_VISIBLE_DEVICES".into(), String::new())]));
        let container = container(Path::new("/"), &mut facts);
        let variables = container.runtime_variables.known().unwrap();
        assert_eq!(variables.get("NVIDIA_VISIBLE_DEVICES").map(String::as_str), Some(""));
        assert_eq!(variables.get("NVIDIA_DRIVER_CAPABILITIES"), None);
        assert!(container.told_by.known().unwrap().contains(&std::process::id().to_string()));
    }

    #[test]
    fn a_server_that_cannot_be_read_does_not_lend_the_doctors_variables() {
        let mut facts = nothing();
        facts.process.environment = Fact::unknown(Why::Denied, "test");
        let ask = Ask { server: Some("http://127.0.0.1:9".parse().unwrap()), ..Ask::default() };
        run(&Context { ask, deadline: Instant::now() + PROBE.budget }, &mut facts);
        assert_eq!(facts.container.runtime_variables.reason().unwrap().why, Why::Denied);
        assert!(facts.container.told_by.known().is_some_and(|told| told.ends_with("gpu-doctor itself")));
    }

    #[test]
    fn a_tree_tells_its_kind_and_no_environment() {
        let dir = tempfile::tempdir().unwrap();
        let unknown = container(dir.path(), &mut nothing());
        assert_eq!(unknown.kind.reason().unwrap().why, Why::Absent, "an empty tree is not the absence of a container");
        std::fs::write(dir.path().join(".dockerenv"), "").unwrap();
        let docker = container(dir.path(), &mut nothing());
        assert_eq!(docker.kind, Fact::Known("docker".into()));
        assert_eq!(docker.runtime_variables.reason().unwrap().why, Why::Unsupported);
    }
}
