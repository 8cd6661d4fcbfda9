//! Whose container it is: a process's, the doctor's own, or that of a file tree.

use super::mounts::MOUNTINFO_BYTES;
use crate::probe::tree::Tree;
use crate::snapshot::{Fact, Unknown, Why};
use std::path::Path;

/// Most bytes read of a list of control groups.
const MEMBERSHIPS_BYTES: usize = 64 * 1024;

/// What is looked at, and through what.
pub struct Subject {
    /// In words: `process 17`.
    pub whose: String,
    /// Its root.
    pub tree: Tree,
    /// Whether the root is that of a running process.
    pub is_live: bool,
    /// Whether it is the doctor itself.
    pub doctor_is_it: bool,
    /// Its control groups (cgroups(7)), as the doctor's namespace names them.
    pub memberships: Result<String, Unknown>,
    /// Its mounts.
    pub mountinfo: Result<String, Unknown>,
    /// Where the control groups are mounted: a tree and its mounts.
    pub hierarchy: (Tree, Result<String, Unknown>),
    /// Whether the doctor is in the same control group.
    pub doctor_inside: Fact<bool>,
    /// Whether Kubernetes set its variable.
    pub kubernetes_variable: bool,
    /// Why its environment cannot be told, if so.
    pub environment_untold: Option<Unknown>,
}

impl Subject {
    /// A process of the server.
    pub fn process(pid: u64, kubernetes_variable: bool) -> Self {
        let whole = Tree::new("/");
        let memberships = whole.read(format!("/proc/{pid}/cgroup"), MEMBERSHIPS_BYTES);
        Subject {
            whose: format!("process {pid}"),
            tree: Tree::new(format!("/proc/{pid}/root")),
            is_live: true,
            doctor_is_it: false,
            mountinfo: whole.read(format!("/proc/{pid}/mountinfo"), MOUNTINFO_BYTES),
            doctor_inside: together(&memberships, &own_memberships(&whole)).into(),
            memberships,
            hierarchy: doctors_hierarchy(whole),
            kubernetes_variable,
            environment_untold: None,
        }
    }

    /// The doctor.
    pub fn doctor() -> Self {
        let whole = Tree::new("/");
        Subject {
            whose: "gpu-doctor itself".into(),
            tree: whole.clone(),
            is_live: true,
            doctor_is_it: true,
            memberships: own_memberships(&whole),
            mountinfo: own_mountinfo(&whole),
            doctor_inside: Fact::Known(true),
            hierarchy: doctors_hierarchy(whole),
            kubernetes_variable: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
            environment_untold: None,
        }
    }

    /// A file tree: an unpacked image, a mounted disk, a fixture.
    pub fn tree(root: &Path) -> Self {
        let tree = Tree::new(root);
        let mountinfo = tree.read("/proc/self/mountinfo", MOUNTINFO_BYTES);
        Subject {
            whose: "the file tree".into(),
            is_live: false,
            doctor_is_it: false,
            memberships: tree.read("/proc/self/cgroup", MEMBERSHIPS_BYTES),
            mountinfo: mountinfo.clone(),
            doctor_inside: Fact::Known(false),
            hierarchy: (tree.clone(), mountinfo),
            kubernetes_variable: false,
            environment_untold: Some(Unknown::new(Why::Unsupported, "not told by a file tree")),
            tree,
        }
    }
}

fn doctors_hierarchy(whole: Tree) -> (Tree, Result<String, Unknown>) {
    let mountinfo = own_mountinfo(&whole);
    (whole, mountinfo)
}

fn own_memberships(whole: &Tree) -> Result<String, Unknown> {
    whole.read("/proc/self/cgroup", MEMBERSHIPS_BYTES)
}

fn own_mountinfo(whole: &Tree) -> Result<String, Unknown> {
    whole.read("/proc/self/mountinfo", MOUNTINFO_BYTES)
}

fn together(memberships: &Result<String, Unknown>, own: &Result<String, Unknown>) -> Result<bool, Unknown> {
    Ok(memberships.as_ref().map_err(Unknown::clone)? == own.as_ref().map_err(Unknown::clone)?)
}
