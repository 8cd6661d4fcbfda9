//! Whether another Docker daemon than the system's was seen in use. Not seen is no proof of absence.

use crate::snapshot::{Fact, Facts};

/// Whether the container runs in Docker Desktop's virtual machine, by its record or by the program behind the server's
/// port. On Windows that machine is WSL's, which has the GPU.
pub fn in_desktop(facts: &Facts) -> bool {
    if facts.host.wsl.known() == Some(&true) {
        return false;
    }
    let by_record = is(&facts.docker.record, "container") && is(&facts.docker.installation, "desktop");
    let mut commands = facts.process.processes.known().into_iter().flatten().filter_map(|one| one.command.known());
    by_record || commands.any(|command| command.contains("com.docker.backend"))
}

/// The installation in use: the one that holds the container, or else the one that the client talks to or that alone runs.
pub fn other(facts: &Facts) -> &'static str {
    let docker = &facts.docker;
    if in_desktop(facts) {
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
pub fn cannot_start(facts: &Facts) -> bool {
    let docker = &facts.docker;
    let mut configs = docker.daemon_configs.known().into_iter().flatten();
    docker.daemons.known().is_some_and(Vec::is_empty)
        && configs.any(|one| one.installation == "system" && one.error.known().is_some_and(|error| !error.is_empty()))
}

fn is(fact: &Fact<String>, value: &str) -> bool {
    fact.known().is_some_and(|known| known == value)
}
