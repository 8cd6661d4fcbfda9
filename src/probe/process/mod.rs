//! The process behind the server's port, from `/proc` alone: the server need not cooperate.

mod code;
pub(super) mod command;
mod evidence;
mod family;
pub(super) mod imports;
mod instances;
pub mod later;
mod libraries;
mod maps;
pub(super) mod own_code;
mod port;
mod proxy;
pub(super) mod sources;
#[cfg(test)]
mod tests;
pub mod threads;
mod weights;

use super::{Context, Probe, Ran};
use crate::snapshot::{Fact, Facts, ProcessFacts, Room, Stage, Unknown, Why};
use family::Family;
pub use port::all_listening;
use procfs::ProcError;
use std::time::Duration;

/// Finds the owners of the server's listening socket and all their descendants, and what they run.
pub const PROBE: Probe = Probe {
    id: "process",
    stage: Stage::Process,
    rooms: &["process"],
    needs: &[],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

/// Programs that listen here for a server on another machine: `ssh -L` and `-R`, `kubectl port-forward` and the like.
const FORWARDERS: &[&str] =
    &["ssh", "sshd", "sshd-session", "autossh", "kubectl", "oc", "k9s", "cloudflared", "telepresence"];

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let mut process = ProcessFacts::all_unknown(&Unknown::new(Why::NotAsked, "the server's process was not reached"));
    let done = read(context, &mut process);
    let ran = match &done {
        Ok(()) => Ran::ok(),
        Err(unknown) => {
            forget_the_unread(&mut process, unknown);
            Ran::from(unknown)
        }
    };
    facts.process = process;
    ran
}

/// Gives every fact that was not reached the reason why the probe stopped.
fn forget_the_unread(process: &mut ProcessFacts, unknown: &Unknown) {
    let read = std::mem::replace(process, ProcessFacts::all_unknown(unknown));
    if read.port.known().is_some() {
        process.port = read.port;
    }
    if read.listeners.known().is_some() {
        process.listeners = read.listeners;
    }
    if read.instances.known().is_some() {
        process.instances = read.instances;
    }
    if read.initial_pid_namespace.known().is_some() {
        process.initial_pid_namespace = read.initial_pid_namespace;
    }
}

fn read(context: &Context, process: &mut ProcessFacts) -> Result<(), Unknown> {
    let not_asked = |detail: &str| Unknown::new(Why::NotAsked, detail);
    let server = context.ask.server.as_ref().ok_or_else(|| not_asked("no server was named"))?;
    match context.ask.target().server_is_local {
        Some(true) => {}
        Some(false) => return Err(not_asked("the server is on another machine")),
        None => return Err(not_asked("the server's name does not resolve")),
    }
    let port = server.port_or_known_default().ok_or_else(|| not_asked("the server's URL names no port"))?;
    process.port = Fact::Known(port.into());
    let (sockets, place) = match &context.ask.connection.unix_socket {
        Some(path) => (port::listening_at(path)?, path.display().to_string()),
        None => (port::listening("self", port, &port::addresses(server))?, format!("port {port}")),
    };
    process.listeners = Fact::Known(sockets.iter().map(|socket| socket.listener.clone()).collect());
    process.initial_pid_namespace = initial_pid_namespace().into();
    if sockets.is_empty() {
        process.instances = Fact::Known(Vec::new());
        return Err(Unknown::new(
            Why::Absent,
            format!(
                "nothing listens on {place} in the doctor's network namespace; a server that answers there is in \
                 another one (a container with a published port): run gpu-doctor inside the container"
            ),
        ));
    }
    let found = family::find(&sockets, context.deadline);
    process.instances = match &found {
        Ok(family) => Fact::Known(instances::of(&sockets, family)),
        // Where no owner may be seen, the sockets themselves still tell whether there are several.
        Err(unknown) if unknown.why == Why::Denied => Fact::Known(instances::of(&sockets, &Family::default())),
        Err(unknown) => Fact::Unknown(unknown.clone()),
    };
    let family = found?;
    let owners = family.members.iter().filter(|member| member.owner);
    let forwards_to = owners.into_iter().find_map(|member| proxy::forwards_to(&arguments(member.pid)));
    let members = match forwards_to {
        Some((address, port)) => {
            family::find(&proxy::listening(address, port, context.deadline)?, context.deadline)?.members
        }
        None => family.members,
    };
    let evidence: Vec<_> = members.iter().filter_map(evidence::of).collect();
    if evidence.is_empty() {
        return Err(Unknown::new(Why::Absent, format!("the processes on {place} ended while they were read")));
    }
    let forwarder = evidence.iter().find(|one| one.member.owner && FORWARDERS.contains(&one.name.as_str()));
    process.forwarded_by = Fact::Known(forwarder.map_or(String::new(), |one| one.name.clone()));
    process.gpu_libraries = evidence::gpu_libraries(&evidence).into();
    process.deleted_libraries = evidence::deleted(&evidence).into();
    process.model_files = evidence::model_files(&evidence).into();
    process.device_nodes_open = evidence::device_nodes(&evidence).into();
    process.environment = evidence::environment(&evidence).into();
    process.code_newer_than_start = code::newer_than_start(&evidence, context.deadline).into();
    process.processes = Fact::Known(evidence.into_iter().map(|one| one.process).collect());
    Ok(())
}

/// Inode of the first process namespace (linux/proc_ns.h, PROC_PID_INIT_INO).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

fn initial_pid_namespace() -> Result<bool, Unknown> {
    let place = "/proc/self/ns/pid";
    let link = std::fs::read_link(place).map_err(|error| Unknown::from_io(&error, place))?;
    Ok(link.to_str() == Some(INITIAL_PID_NAMESPACE))
}

fn arguments(pid: i32) -> Vec<String> {
    procfs::process::Process::new(pid).and_then(|process| process.cmdline()).unwrap_or_default()
}

/// Classifies an error of procfs, naming `what` of process `pid` and, for a refusal, who may read it.
fn unknown(error: &ProcError, pid: i32, what: &str) -> Unknown {
    let place = format!("/proc/{pid}/{what}");
    let refused = || {
        let uid =
            std::fs::metadata(format!("/proc/{pid}")).map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata));
        match uid {
            Ok(uid) => Unknown::new(Why::Denied, format!("{place}: permission denied; run as uid {uid} or root")),
            Err(_) => Unknown::new(Why::Denied, format!("{place}: permission denied; run as root")),
        }
    };
    match error {
        ProcError::PermissionDenied(_) => refused(),
        ProcError::NotFound(_) => Unknown::new(Why::Absent, format!("{place}: the process has ended")),
        ProcError::Io(io, _) if io.kind() == std::io::ErrorKind::PermissionDenied => refused(),
        // A process that ends while it is read gives ESRCH.
        ProcError::Io(io, _) if io.raw_os_error() == Some(libc::ESRCH) => {
            Unknown::new(Why::Absent, format!("{place}: the process has ended"))
        }
        ProcError::Io(io, _) => Unknown::from_io(io, place),
        other => Unknown::new(Why::Malformed, format!("{place}: {other}")),
    }
}
