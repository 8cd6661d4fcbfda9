//! How the container was made, by its engine's record, and how Docker is set up on this machine. No daemon is asked.

mod choice;
mod client;
mod compose;
mod daemon;
mod inspect;
#[cfg(test)]
mod tests;
mod toolkit;

use super::tree::Tree;
use super::{Context, Probe, Ran};
use crate::snapshot::{DockerFacts, Fact, Facts, Room, Stage, Unknown, Why};
use std::path::Path;
use std::time::Duration;

/// Reads the output of `docker inspect` and the configuration files of Docker.
pub const PROBE: Probe = Probe {
    id: "docker",
    stage: Stage::Container,
    rooms: &["docker"],
    needs: &["process", "container"],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let tree = Tree::new(&context.ask.root);
    let (mut docker, ran) = match &context.ask.docker_inspect {
        None => {
            let unknown = Unknown::new(Why::NotAsked, "--docker-inspect was not given");
            (DockerFacts::all_unknown(&unknown), Ran::ok())
        }
        Some(path) => match from_record(path, facts, &tree) {
            Ok(docker) => (docker, Ran::ok()),
            Err(unknown) => (DockerFacts::all_unknown(&unknown), Ran::from(&unknown)),
        },
    };
    let home = client::home(&tree);
    set_up(&tree, home.as_deref(), context, &mut docker);
    facts.docker = docker;
    ran
}

/// What the engine's record says, and the Compose files that it names.
fn from_record(path: &Path, facts: &Facts, tree: &Tree) -> Result<DockerFacts, Unknown> {
    let value = super::json_record::read(path, inspect::LIMIT_BYTES)?;
    let record = choice::of_deployment(&value, &path.display().to_string(), facts)?;
    let mut docker = inspect::read(&record);
    docker.source = Fact::Known(path.display().to_string());
    docker.compose_files = docker.labels.read().map(|labels| compose::files(tree, labels)).into();
    Ok(docker)
}

/// What the engine's record in the text says: of the only container, or of the only one that could not be started.
pub(super) fn of_record(bytes: &[u8], place: &str) -> Result<DockerFacts, Unknown> {
    let malformed = |error| Unknown::new(Why::Malformed, format!("{place}: {error}"));
    let value = super::json_record::parse(bytes).map_err(malformed)?;
    let nobody = Facts::all_unknown(&Unknown::new(Why::NotAsked, "no server was named"));
    let mut docker = inspect::read(&choice::of_deployment(&value, place, &nobody)?);
    docker.source = Fact::Known(place.into());
    Ok(docker)
}

/// What the file tree says of Docker, its client and the NVIDIA Container Toolkit.
fn set_up(tree: &Tree, home: Option<&Path>, context: &Context, docker: &mut DockerFacts) {
    docker.daemons = daemon::running(tree, context.deadline).into();
    docker.daemon_configs = Fact::Known(daemon::configs(tree, home, &docker.daemons));
    docker.other_installations = daemon::other_installations(tree).into();
    match client::of(tree, home) {
        Ok(client) => {
            docker.client_daemon = Fact::Known(client.daemon.into());
            docker.client_endpoint = Fact::Known(client.endpoint);
            docker.client_told_by = Fact::Known(client.told_by);
        }
        Err(unknown) => {
            docker.client_daemon = Fact::Unknown(unknown.clone());
            docker.client_endpoint = Fact::Unknown(unknown.clone());
            docker.client_told_by = Fact::Unknown(unknown);
        }
    }
    docker.toolkit_programs = toolkit::programs(tree).into();
    docker.cdi_specifications = toolkit::cdi_specifications(tree).into();
    let (no_cgroups, accepts_variable) = toolkit::settings(tree);
    docker.toolkit_no_cgroups = no_cgroups.into();
    docker.toolkit_accepts_variable = accepts_variable.into();
}
