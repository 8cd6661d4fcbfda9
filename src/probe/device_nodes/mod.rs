//! The driver's device nodes, opened in a child: as the server, in the server's root, where that is allowed.

pub(super) mod child;
mod node;
mod server;
#[cfg(test)]
mod tests;

use super::isolation;
use super::tree::Tree;
use super::{Context, Probe, Ran};
use crate::snapshot::{DeviceNodesFacts, Fact, Facts, NodeOpen, Room, Stage, Unknown, Why};
use child::Order;
use serde_json::{Value, json};
use server::{Server, Standpoint};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// Opens every device node once and reports the errno.
pub const PROBE: Probe = Probe {
    id: "device_nodes",
    stage: Stage::Driver,
    rooms: &["device_nodes"],
    needs: &["host", "process"],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

/// Longest time that one child may take.
const CHILD_BUDGET: Duration = Duration::from_millis(1500);
/// A further child is not worth starting with less time than this.
const WORTH_STARTING: Duration = Duration::from_millis(300);
/// Most GPUs whose nodes are opened.
const MOST_GPUS: usize = 256;
/// Nodes that CUDA needs beside those of the GPUs. They come first, since those of GPUs may block.
const NEEDED: [&str; 2] = ["/dev/nvidiactl", "/dev/nvidia-uvm"];

/// Opens and closes a node with the doctor's own rights: `ok`, `not_a_device` or the errno's name. Creates nothing.
pub fn open_here(path: &str) -> String {
    node::Root::OWN.open(path)
}

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let server = server::of(facts);
    let mut at = server::standpoint(&context.ask.root, server.as_ref().ok());
    let paths = paths(&Tree::new(&at.root));
    let mut opened = open(&at, &paths, context.deadline);
    // Root without the capability to become another user, as in containers, still has rights of its own.
    if at.become_user.is_some() && opened.as_ref().is_err_and(|unknown| unknown.why == Why::Denied) {
        at = Standpoint { become_user: None, for_server: false, ..at };
        opened = open(&at, &paths, context.deadline);
    }
    facts.device_nodes = told(&at, &server);
    match opened {
        Ok((opens, first_fault)) => {
            facts.device_nodes.opens = Fact::Known(opens);
            first_fault.as_ref().map_or_else(Ran::ok, Ran::from)
        }
        Err(unknown) => {
            facts.device_nodes.opens = Fact::Unknown(unknown.clone());
            Ran::from(&unknown)
        }
    }
}

/// Who opened, and who the server is.
fn told(at: &Standpoint, server: &Result<Server, Unknown>) -> DeviceNodesFacts {
    let of_server = |of: fn(&Server) -> u64| Fact::from(server.as_ref().map(of).map_err(Unknown::clone));
    DeviceNodesFacts {
        opened_below: Fact::Known(at.root.display().to_string()),
        opened_for: Fact::Known(if at.for_server { "server" } else { "gpu-doctor" }.into()),
        opened_as_uid: Fact::Known(at.become_user.as_ref().map_or_else(server::own_uid, |user| user.uid).into()),
        server_pid: of_server(|server| server.pid),
        server_uid: of_server(|server| server.user.uid.into()),
        server_gids: server.as_ref().map(Server::gids).map_err(Unknown::clone).into(),
        server_overrides_permissions: server
            .as_ref()
            .map(|server| server.overrides_permissions)
            .map_err(Unknown::clone)
            .into(),
        ..DeviceNodesFacts::all_unknown(&Unknown::new(Why::Absent, "not opened"))
    }
}

/// The nodes to open, in the order of the room.
fn paths(tree: &Tree) -> Vec<String> {
    let number = |name: &String| name.strip_prefix("nvidia").and_then(|number| number.parse::<u32>().ok());
    let mut gpus: Vec<u32> = tree.list("dev").unwrap_or_default().iter().filter_map(number).collect();
    gpus.sort_unstable();
    let gpus = gpus.iter().take(MOST_GPUS).map(|number| format!("/dev/nvidia{number}"));
    NEEDED.iter().map(|path| path.to_string()).chain(gpus).collect()
}

/// Opens the nodes in as many children as it takes: one that blocks or dies must not hide those after it.
fn open(at: &Standpoint, paths: &[String], end: Instant) -> Result<(Vec<NodeOpen>, Option<Unknown>), Unknown> {
    let mut parts: Vec<Value> = Vec::new();
    let mut faults: BTreeMap<usize, Unknown> = BTreeMap::new();
    let mut next = 0;
    let rest = loop {
        let nodes = paths.iter().cloned().enumerate().skip(next).collect();
        let order = Order { root: at.root.clone(), nodes, become_user: at.become_user.clone() };
        let deadline = end.min(Instant::now() + CHILD_BUDGET);
        let report = isolation::run("device-nodes", &json!(order), &[], deadline);
        parts.extend_from_slice(&report.parts);
        let Err(fault) = report.result() else { break report.unreported() };
        let at_work = paths.iter().position(|path| report.last_stage == format!("opening {path}"));
        match at_work {
            Some(index) if index >= next => {
                faults.insert(index, fault.clone());
                next = index + 1;
                if next == paths.len() || end.saturating_duration_since(Instant::now()) < WORTH_STARTING {
                    break fault;
                }
            }
            _ => return Err(fault),
        }
    };
    let unknown = |index: usize| faults.get(&index).unwrap_or(&rest).clone();
    let tree = Tree::new(&at.root);
    let opens = paths.iter().enumerate().map(|(index, path)| unopened(&tree, path, unknown(index)));
    let base = DeviceNodesFacts { opens: Fact::Known(opens.collect()), ..DeviceNodesFacts::all_unknown(&rest) };
    let room = isolation::lay_over(&base, &parts)?;
    let opens = room.opens.read()?.clone();
    // A job that stopped before the first node has nothing to tell of any.
    match opens.iter().all(|open| open.result.reason() == Some(&rest)) {
        true => Err(rest),
        false => Ok((opens, faults.into_values().next())),
    }
}

/// A node with its owner and bits, of whose opening nothing is known for this reason.
fn unopened(tree: &Tree, path: &str, reason: Unknown) -> NodeOpen {
    let metadata = tree.stat(path);
    let of = |of: fn(&Metadata) -> u64| Fact::from(metadata.as_ref().map(of).map_err(Unknown::clone));
    let mode = of(|metadata| u64::from(metadata.mode() & 0o7777)).map(|mode| format!("{mode:04o}"));
    let (uid, gid) = (of(|metadata| metadata.uid().into()), of(|metadata| metadata.gid().into()));
    NodeOpen { path: path.into(), result: Fact::Unknown(reason), mode, uid, gid }
}
