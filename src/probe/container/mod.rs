//! The container around the deployment: what its engine gave it, what its image brings, and its limits.

mod control_group;
mod kind;
mod libraries;
mod limits;
mod mounts;
mod subject;
#[cfg(test)]
mod tests;

pub use limits::{Throttling, throttling};

use super::{Context, Probe, Ran, environment, host};
use crate::snapshot::{ContainerFacts, DeviceNode, Fact, Facts, Room, Stage, Unknown, Why};
use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use subject::Subject;

/// Tells the container from the process's control group and from marker files in its root, and looks into that root.
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
    let subject = match server {
        Some(pid) => Subject::process(pid, environment::value(facts, "KUBERNETES_SERVICE_HOST").is_some()),
        None if context.ask.root == Path::new("/") => Subject::doctor(),
        None => Subject::tree(&context.ask.root),
    };
    let mut room = ContainerFacts::all_unknown(&Unknown::new(Why::NotAsked, "not looked for"));
    match kind::judge(&kind::signs(&subject.tree, subject.memberships.clone(), subject.kubernetes_variable)) {
        Ok((kind, told_by)) => {
            room.kind = Fact::Known(kind.to_owned());
            room.told_by = Fact::Known(format!("{told_by} of {}", subject.whose));
        }
        Err(unknown) => {
            room.kind = Fact::Unknown(unknown.clone());
            room.told_by = Fact::Unknown(unknown);
        }
    }
    room.runtime_variables = match (&subject.environment_untold, facts.process.environment.reason()) {
        (Some(untold), _) => Fact::Unknown(untold.clone()),
        // The doctor's own variables say nothing of a server that was named but could not be looked into.
        (None, Some(unknown)) if server.is_some() || context.ask.server.is_some() => Fact::Unknown(unknown.clone()),
        _ => Fact::Known(runtime_variables(facts)),
    };
    // Nor does the doctor's own container.
    match facts.process.processes.reason() {
        Some(unknown) if context.ask.server.is_some() => forget_what_was_looked_for(&mut room, unknown),
        _ => look(&subject, facts, &mut room),
    }
    facts.container = room;
    Ran::ok()
}

fn forget_what_was_looked_for(room: &mut ContainerFacts, unknown: &Unknown) {
    *room = ContainerFacts {
        kind: room.kind.clone(),
        told_by: room.told_by.clone(),
        runtime_variables: room.runtime_variables.clone(),
        ..ContainerFacts::all_unknown(unknown)
    };
}

fn look(subject: &Subject, facts: &Facts, room: &mut ContainerFacts) {
    let mounts = subject.mountinfo.as_deref().map_err(Unknown::clone).and_then(mounts::parse);
    room.id = kind::id(&subject.memberships, &mounts).into();
    room.doctor_inside = subject.doctor_inside.clone();
    room.device_nodes = device_nodes(subject).into();
    let first = match subject.doctor_is_it {
        // Its own folders are in the list already.
        true => Vec::new(),
        false => server_library_path(facts),
    };
    room.driver_libraries = libraries::driver_libraries(&subject.tree, &mounts, &first).into();
    let shm = subject.tree.mounted("/dev/shm").and_then(|shm| match shm.in_memory && shm.size_bytes > 0 {
        true => Ok(shm),
        false => Err(Unknown::new(Why::Unsupported, "/dev/shm is no memory file system of a fixed size")),
    });
    room.shm_size_bytes = shm.as_ref().map(|shm| shm.size_bytes).map_err(Unknown::clone).into();
    room.shm_used_bytes = shm.map(|shm| shm.used_bytes).into();
    limits::fill(subject, room);
    room.server_threads = limits::threads(facts).into();
}

/// In a live root a node is a device; a plain file of that name, which a failed mount leaves, is none.
fn device_nodes(subject: &Subject) -> Result<Vec<DeviceNode>, Unknown> {
    let mut nodes = host::nvidia_nodes(&subject.tree)?;
    if subject.is_live {
        nodes.retain(|node| subject.tree.stat(&node.path).is_ok_and(|found| found.file_type().is_char_device()));
    }
    Ok(nodes)
}

/// Folders of the server's `LD_LIBRARY_PATH`, where its environment can be read.
fn server_library_path(facts: &Facts) -> Vec<PathBuf> {
    let variables = facts.process.environment.known();
    let folders =
        variables.and_then(|variables| variables.get("LD_LIBRARY_PATH")).map(String::as_str).unwrap_or_default();
    std::env::split_paths(folders).filter(|folder| folder.is_absolute()).take(64).collect()
}

/// The variables of the NVIDIA container runtime that are set where the deployment runs.
fn runtime_variables(facts: &Facts) -> BTreeMap<String, String> {
    let names = ["NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"];
    names.iter().filter_map(|name| Some((name.to_string(), environment::value(facts, name)?))).collect()
}
