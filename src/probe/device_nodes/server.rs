//! Who the server is, and how its nodes can be opened as it would open them.

use super::child::User;
use crate::snapshot::{Facts, Unknown, Why};
use procfs::process::Process;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bit of CAP_DAC_OVERRIDE in a capability set (linux/capability.h).
const DAC_OVERRIDE: u64 = 1 << 1;

/// The rights of the server's process.
pub struct Server {
    pub pid: u64,
    pub user: User,
    pub overrides_permissions: bool,
}

impl Server {
    /// All its groups, sorted.
    pub fn gids(&self) -> Vec<u64> {
        let mut gids: Vec<u64> = self.user.groups.iter().chain([&self.user.gid]).map(|gid| u64::from(*gid)).collect();
        gids.sort_unstable();
        gids.dedup();
        gids
    }
}

/// From where and as whom the nodes are opened.
pub struct Standpoint {
    pub root: PathBuf,
    /// Whose rights are to be taken on; none where the doctor's own are those of the server, or all that it has.
    pub become_user: Option<User>,
    /// Whether root and rights are the server's.
    pub for_server: bool,
}

/// The server's first process. `/proc/PID/status` is readable to every user, unless /proc is mounted with hidepid.
pub fn of(facts: &Facts) -> Result<Server, Unknown> {
    let processes = facts.process.processes.read()?;
    let process = processes.first().ok_or_else(|| Unknown::new(Why::Absent, "the server has no process"))?;
    let pid = i32::try_from(process.pid).map_err(|error| Unknown::new(Why::Malformed, error.to_string()))?;
    let status = Process::new(pid).and_then(|process| process.status());
    let status = status.map_err(|error| Unknown::new(Why::Denied, format!("/proc/{pid}/status: {error}")))?;
    Ok(Server {
        pid: process.pid,
        user: User { uid: status.euid, gid: status.egid, groups: status.groups },
        overrides_permissions: status.capeff & DAC_OVERRIDE != 0,
    })
}

/// The server's place where this process may take it, else the root that was asked about with the doctor's own rights.
pub fn standpoint(asked: &Path, server: Option<&Server>) -> Standpoint {
    let own = |root: &Path| Standpoint { root: root.into(), become_user: None, for_server: false };
    let Some(server) = server.filter(|_| asked == Path::new("/")) else { return own(asked) };
    let theirs = PathBuf::from(format!("/proc/{}/root", server.pid));
    // Whether the server lives in another root can be told by whoever may look into it.
    let root = match (identity(&theirs), identity(Path::new("/"))) {
        (Some(their), Some(ours)) if their == ours => PathBuf::from("/"),
        (Some(_), Some(_)) => theirs,
        _ => return own(asked),
    };
    let (become_user, for_server) = match own_uid() {
        // Root that overrides permissions is the same whichever process has it.
        0 if server.overrides_permissions => (None, true),
        0 => (Some(server.user.clone()), true),
        uid => (None, uid == server.user.uid && own_gids() == server.gids()),
    };
    Standpoint { root, become_user, for_server }
}

/// What makes a root the same one under two names: file system and number of its own folder and of its `dev`. A sandbox
/// may share the root's files with the host and still have a `/dev` of its own.
fn identity(root: &Path) -> Option<[(u64, u64); 2]> {
    let of = |path: &Path| std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    Some([of(root)?, of(&root.join("dev"))?])
}

/// The effective user id of this process.
pub fn own_uid() -> u32 {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() }
}

fn own_gids() -> Vec<u64> {
    let status = Process::myself().and_then(|process| process.status());
    let Ok(status) = status else { return Vec::new() };
    let user = User { uid: status.euid, gid: status.egid, groups: status.groups };
    Server { pid: 0, user, overrides_permissions: false }.gids()
}
