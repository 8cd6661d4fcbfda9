//! Job "device-nodes": opens the nodes, with the server's rights if these are given.

use super::node::Root;
use crate::probe::isolation::{self, Reporter};
use crate::snapshot::{Fact, Unknown, Why};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// What the parent wants opened, and as whom.
#[derive(Serialize, Deserialize)]
pub struct Order {
    /// Folder below which the paths lie.
    pub root: PathBuf,
    /// Place in the room's list, and path, of each node.
    pub nodes: Vec<(usize, String)>,
    /// Whose rights to take on first.
    pub become_user: Option<User>,
}

/// User and groups of a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// Opens each node and reports the result at its place. Creates nothing.
pub fn job(argument: &Value, reporter: &mut Reporter) -> Value {
    isolation::account(open_all(argument, reporter).err().as_ref())
}

fn open_all(argument: &Value, reporter: &mut Reporter) -> Result<(), Unknown> {
    let order: Order = serde_json::from_value(argument.clone())
        .map_err(|error| Unknown::new(Why::Malformed, format!("the order to open device nodes: {error}")))?;
    reporter.stage(&format!("opening {}", order.root.display()));
    let root = Root::new(&order.root).map_err(|error| Unknown::from_io(&error, order.root.display()))?;
    if let Some(user) = &order.become_user {
        become_user(user).map_err(|error| Unknown::new(Why::Denied, format!("taking on uid {}: {error}", user.uid)))?;
    }
    for (index, path) in &order.nodes {
        // Opening a GPU's node may wake the GPU, and a broken one may never answer.
        reporter.stage(&format!("opening {path}"));
        reporter.fact(&format!("/opens/known/{index}/result"), &Fact::Known(root.open(path)));
    }
    Ok(())
}

/// Takes on user and groups for good. Root's capabilities go with its user id.
fn become_user(user: &User) -> std::io::Result<()> {
    let done = |code: i32| if code == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) };
    // SAFETY: plain system calls on this process, which has one thread and ends soon.
    unsafe {
        done(libc::setgroups(user.groups.len(), user.groups.as_ptr()))?;
        done(libc::setresgid(user.gid, user.gid, user.gid))?;
        done(libc::setresuid(user.uid, user.uid, user.uid))?;
        // The kernel forgets this one when the user changes.
        done(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))
    }
}
