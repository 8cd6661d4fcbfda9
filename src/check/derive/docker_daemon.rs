//! Whether another Docker daemon than the system's was seen in use. Not seen is no proof of absence.

use super::Basis;
use crate::snapshot::{Fact, Facts, Why, room};

room! {
    /// Which Docker is in use.
    pub struct DockerDaemons {
        /// Whether the container was seen to run in Docker Desktop's virtual machine, and not on Windows.
        pub container_in_docker_desktop: bool,
        /// The installation of Docker that was seen in use in place of the system's: `desktop`, `snap`; empty if none.
        pub other_docker_daemon: String,
        /// Whether no Docker daemon runs, and the system's was seen to have a configuration with which none can start.
        pub docker_daemon_cannot_start: bool,
    }
}

impl DockerDaemons {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self {
            container_in_docker_desktop: in_desktop(facts),
            other_docker_daemon: other(facts),
            docker_daemon_cannot_start: Fact::Known(cannot_start(facts)),
        }
    }
}

/// What was seen, once anything that could show it was looked at.
fn once_looked<T>(facts: &Facts, seen: T) -> Fact<T> {
    let looked = facts.docker.record.known().is_some() || facts.process.processes.known().is_some();
    match facts.docker.daemons.reason() {
        Some(unknown) if !looked => Fact::Unknown(unknown.clone()),
        _ => Fact::Known(seen),
    }
}

/// Whether the container runs in Docker Desktop's virtual machine, and not on Windows.
fn in_desktop(facts: &Facts) -> Fact<bool> {
    once_looked(facts, seen_in_desktop(facts))
}

/// The installation in use that is not the system's; empty if none was seen.
fn other(facts: &Facts) -> Fact<String> {
    let seen = other_seen(facts);
    match &facts.docker.installation {
        // Which Docker holds the container could not be read: not seen is not known then.
        Fact::Unknown(unknown)
            if seen.is_empty() && is(&facts.docker.record, "container") && unreadable(unknown.why) =>
        {
            Fact::Unknown(unknown.clone())
        }
        _ => once_looked(facts, seen.into()),
    }
}

fn unreadable(why: Why) -> bool {
    matches!(why, Why::Denied | Why::TimedOut | Why::Crashed | Why::Malformed)
}

/// Whether the container runs in Docker Desktop's virtual machine, by its record or by the program behind the server's
/// port. On Windows that machine is WSL's, which has the GPU.
fn seen_in_desktop(facts: &Facts) -> bool {
    if facts.host.wsl.known() == Some(&true) {
        return false;
    }
    let by_record = is(&facts.docker.record, "container") && is(&facts.docker.installation, "desktop");
    let mut commands = facts.process.processes.known().into_iter().flatten().filter_map(|one| one.command.known());
    by_record || commands.any(|command| command.contains("com.docker.backend"))
}

/// The installation in use: the one that holds the container, or else the one that the client talks to or that alone runs.
fn other_seen(facts: &Facts) -> &'static str {
    let docker = &facts.docker;
    if seen_in_desktop(facts) {
        return "desktop";
    }
    if is(&docker.record, "container") && docker.installation.known().is_some() {
        return if is(&docker.installation, "snap") { "snap" } else { "" };
    }
    if facts.host.wsl.known() != Some(&true) && is(&docker.client_daemon, "desktop") {
        return "desktop";
    }
    let runs = |name: &str| docker.daemons.known().into_iter().flatten().any(|daemon| daemon.installation == name);
    if runs("snap") && !runs("system") { "snap" } else { "" }
}

/// Whether the configuration of the system's daemon was seen to be broken while no daemon runs: none can start with it.
fn cannot_start(facts: &Facts) -> bool {
    let docker = &facts.docker;
    let mut configs = docker.daemon_configs.known().into_iter().flatten();
    docker.daemons.known().is_some_and(Vec::is_empty)
        && configs.any(|one| one.installation == "system" && one.error.known().is_some_and(|error| !error.is_empty()))
}

fn is(fact: &Fact<String>, value: &str) -> bool {
    fact.known().is_some_and(|known| known == value)
}
