//! The container around the deployment, and the GPUs that it was given.

mod kind;

use super::tree::Tree;
use super::{Context, Probe, Ran, environment};
use crate::snapshot::{ContainerFacts, Fact, Facts, Room, Unknown, Why};
use kind::Signs;
use std::path::Path;
use std::time::Duration;

/// Tells the container from the process's control group and from marker files in its root.
pub const PROBE: Probe = Probe {
    id: "container",
    stage: "container",
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
            let of = |name: &str| match &facts.process.environment {
                Fact::Unknown(unknown) => Fact::Unknown(unknown.clone()),
                Fact::Known(_) => variable(facts, name, &whose),
            };
            filled(&signs, &whose, of)
        }
        None if context.ask.root == Path::new("/") => {
            let in_kubernetes = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
            let tree = Tree::new("/");
            let cgroup = tree.read("/proc/self/cgroup", 64 * 1024);
            let whose = "gpu-doctor itself";
            filled(&kind::signs(&tree, cgroup, in_kubernetes), whose, |name| variable(facts, name, whose))
        }
        None => {
            let tree = Tree::new(&context.ask.root);
            let cgroup = tree.read("proc/self/cgroup", 64 * 1024);
            let untold = |_: &str| Fact::unknown(Why::Unsupported, "not told by a file tree");
            filled(&kind::signs(&tree, cgroup, false), "the file tree", untold)
        }
    };
    Ran::ok()
}

fn filled(signs: &Signs, whose: &str, variable: impl Fn(&str) -> Fact<String>) -> ContainerFacts {
    let mut facts = match kind::judge(signs) {
        Ok((kind, told_by)) => ContainerFacts {
            kind: Fact::Known(kind.to_owned()),
            told_by: Fact::Known(format!("{told_by} of {whose}")),
            ..ContainerFacts::all_unknown(&Unknown::new(Why::NotAsked, ""))
        },
        Err(unknown) => ContainerFacts::all_unknown(&unknown),
    };
    facts.nvidia_visible_devices = variable("NVIDIA_VISIBLE_DEVICES");
    facts.nvidia_driver_capabilities = variable("NVIDIA_DRIVER_CAPABILITIES");
    facts
}

/// A variable as the deployment sees it; absent if it is not set, which is not the same as empty.
fn variable(facts: &Facts, name: &str, whose: &str) -> Fact<String> {
    match environment::value(facts, name) {
        Some(value) => Fact::Known(value),
        None => Fact::unknown(Why::Absent, format!("{name} is not set in the environment of {whose}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Ask;
    use crate::snapshot::ServerProcess;
    use std::collections::BTreeMap;
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
        let unknown = Fact::unknown(Why::Absent, "test");
        let process = ServerProcess {
            pid: std::process::id().into(),
            role: "listener".into(),
            command: unknown.clone(),
            executable: unknown.clone(),
            working_directory: unknown.clone(),
            uid: Fact::Known(0),
            started_at: unknown,
            resident_bytes: Fact::Known(1),
            reloads: Fact::Known(false),
        };
        let mut facts = nothing();
        facts.process.processes = Fact::Known(vec![process]);
        facts.process.environment = Fact::Known(BTreeMap::from([("NVIDIA_VISIBLE_DEVICES".into(), String::new())]));
        let container = container(Path::new("/"), &mut facts);
        assert_eq!(container.nvidia_visible_devices, Fact::Known(String::new()));
        assert_eq!(container.nvidia_driver_capabilities.reason().unwrap().why, Why::Absent);
        assert!(container.told_by.known().unwrap().contains(&std::process::id().to_string()));
    }

    #[test]
    fn a_tree_tells_its_kind_and_no_environment() {
        let dir = tempfile::tempdir().unwrap();
        let unknown = container(dir.path(), &mut nothing());
        assert_eq!(unknown.kind.reason().unwrap().why, Why::Absent, "an empty tree is not the absence of a container");
        std::fs::write(dir.path().join(".dockerenv"), "").unwrap();
        let docker = container(dir.path(), &mut nothing());
        assert_eq!(docker.kind, Fact::Known("docker".into()));
        assert_eq!(docker.nvidia_visible_devices.reason().unwrap().why, Why::Unsupported);
    }
}
