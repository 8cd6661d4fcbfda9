//! The driver's helpers in user space: its daemons, and the program that loads modules for others.

use crate::probe::tree::Tree;
use crate::snapshot::{Unknown, Why};
use std::os::unix::fs::MetadataExt;

/// Daemons of the driver, by their whole name. The kernel keeps the first 15 characters.
const DAEMONS: &[&str] = &[
    "nv-fabricmanager",
    "nv-hostengine",
    "nvidia-cuda-mps-control",
    "nvidia-cuda-mps-server",
    "nvidia-gridd",
    "nvidia-imex",
    "nvidia-persistenced",
    "nvidia-powerd",
];
const NAME_BYTES: usize = 15;
/// Most processes looked at.
const PROCESSES_MAX: usize = 20_000;
/// The fabric manager's unit and program, as its packages install them.
const FABRIC_MANAGER: &[&str] = &[
    "usr/bin/nv-fabricmanager",
    "usr/lib/systemd/system/nvidia-fabricmanager.service",
    "lib/systemd/system/nvidia-fabricmanager.service",
    "etc/systemd/system/nvidia-fabricmanager.service",
];
const DPKG_STATUS: &str = "var/lib/dpkg/status";
/// Largest package database that is read.
const DPKG_BYTES: usize = 32 << 20;
const MODPROBE: &[&str] = &["usr/bin/nvidia-modprobe", "run/wrappers/bin/nvidia-modprobe"];

/// The daemons among all processes, in [`DAEMONS`]' order. In a container only its own processes are seen.
pub fn running(tree: &Tree) -> Result<Vec<String>, Unknown> {
    let all = tree.list("proc")?;
    let pids = all.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).take(PROCESSES_MAX);
    let names: Vec<String> = pids
        .filter_map(|pid| tree.head(format!("proc/{pid}/comm"), 64).ok())
        .map(|name| name.trim_end().to_owned())
        .collect();
    // Mounted with hidepid, /proc shows a user only processes of their own.
    if let Err(hidden) = tree.head("proc/1/comm", 64) {
        let detail = format!("/proc does not show the processes of other users ({})", hidden.detail);
        return Err(Unknown::new(Why::Denied, detail));
    }
    let runs = |daemon: &&&str| names.iter().any(|name| name == daemon.get(..NAME_BYTES).unwrap_or(daemon));
    let mut found: Vec<String> = DAEMONS.iter().filter(runs).map(|daemon| daemon.to_string()).collect();
    // Both of MPS have the same 15 characters.
    found.retain(|daemon| daemon != "nvidia-cuda-mps-server");
    Ok(found)
}

/// Whether the fabric manager is installed in the tree.
pub fn fabric_manager_installed(tree: &Tree) -> Result<bool, Unknown> {
    for path in FABRIC_MANAGER {
        if tree.exists(path)? {
            return Ok(true);
        }
    }
    match tree.exists("usr")? {
        true => Ok(false),
        false => Err(Unknown::new(Why::Absent, "/usr is not there")),
    }
}

/// The installed version, from Debian's package database.
pub fn fabric_manager_version(tree: &Tree) -> Result<String, Unknown> {
    let text = match tree.read(DPKG_STATUS, DPKG_BYTES) {
        Ok(text) => text,
        Err(unknown) if unknown.why == Why::Absent => {
            let detail = format!("{}; other package databases are not read", unknown.detail);
            return Err(Unknown::new(Why::Unsupported, detail));
        }
        Err(unknown) => return Err(unknown),
    };
    installed_version(&text).ok_or_else(|| {
        Unknown::new(Why::Absent, format!("/{DPKG_STATUS} lists no installed package of the fabric manager"))
    })
}

/// The upstream version of the fabric manager in a dpkg database: paragraphs of `Field: value`.
fn installed_version(text: &str) -> Option<String> {
    text.split("\n\n").find_map(|paragraph| {
        let field = |name: &str| {
            let mut lines = paragraph.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(left, _)| *left == name).map(|(_, value)| value.trim())
        };
        let package = field("Package")?;
        let ours = package.starts_with("nvidia-fabricmanager") || package.starts_with("cuda-drivers-fabricmanager");
        if !ours || package.contains("-dev") || !field("Status")?.ends_with(" installed") {
            return None;
        }
        Some(upstream(field("Version")?).to_owned())
    })
}

/// `1:550.163.01-0ubuntu1` is `550.163.01` of upstream.
pub fn upstream(version: &str) -> &str {
    let after_epoch = version.split_once(':').map_or(version, |(_, after)| after);
    after_epoch.split_once('-').map_or(after_epoch, |(before, _)| before)
}

/// Whether `nvidia-modprobe` can act as root for whoever starts it.
pub fn nvidia_modprobe_setuid(tree: &Tree) -> Result<bool, Unknown> {
    for path in MODPROBE {
        match tree.stat(path) {
            Ok(metadata) => return Ok(metadata.mode() & 0o4000 != 0 && metadata.is_file()),
            Err(unknown) if unknown.why == Why::Absent => {}
            Err(unknown) => return Err(unknown),
        }
    }
    match tree.exists("usr")? {
        true => Ok(false),
        false => Err(Unknown::new(Why::Absent, "/usr is not there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::host::tests::write;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn daemons_are_known_by_the_kernels_short_names() {
        let dir = tempfile::tempdir().unwrap();
        let (root, tree) = (dir.path(), Tree::new(dir.path()));
        assert_eq!(running(&tree).unwrap_err().why, Why::Absent);
        write(root, "proc/812/comm", "nv-fabricmanage\n");
        assert_eq!(running(&tree).unwrap_err().why, Why::Denied, "process 1 is hidden");
        write(root, "proc/1/comm", "systemd\n");
        write(root, "proc/900/comm", "nvidia-persiste\n");
        write(root, "proc/901/comm", "nvidia-cuda-mps\n");
        write(root, "proc/902/comm", "nv-fabric\n");
        let expected = ["nv-fabricmanager", "nvidia-cuda-mps-control", "nvidia-persistenced"];
        assert_eq!(running(&tree).unwrap(), expected);
    }

    #[test]
    fn a_removed_package_is_not_installed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, tree) = (dir.path(), Tree::new(dir.path()));
        assert_eq!(fabric_manager_version(&tree).unwrap_err().why, Why::Unsupported);
        let removed = "Package: nvidia-fabricmanager-535\nStatus: deinstall ok config-files\nVersion: 535.183.01-1\n\n";
        write(root, DPKG_STATUS, removed);
        assert_eq!(fabric_manager_version(&tree).unwrap_err().why, Why::Absent);
        let present = "Package: nvidia-fabricmanager-550\nStatus: install ok installed\nDescription: a: b\n c\n\
                       Version: 1:550.144.03-0ubuntu1\n";
        write(root, DPKG_STATUS, &format!("Package: bash\nVersion: 5\n\n{removed}{present}"));
        assert_eq!(fabric_manager_version(&tree).as_deref(), Ok("550.144.03"));
        assert_eq!(fabric_manager_installed(&tree).unwrap_err().why, Why::Absent);
        write(root, "usr/lib/systemd/system/nvidia-fabricmanager.service", "[Unit]\n");
        assert_eq!(fabric_manager_installed(&tree), Ok(true));
    }

    #[test]
    fn only_a_setuid_program_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (root, tree) = (dir.path(), Tree::new(dir.path()));
        assert!(nvidia_modprobe_setuid(&tree).is_err());
        write(root, MODPROBE[0], "ELF");
        assert_eq!(nvidia_modprobe_setuid(&tree), Ok(false));
        std::fs::set_permissions(root.join(MODPROBE[0]), std::fs::Permissions::from_mode(0o4755)).unwrap();
        assert_eq!(nvidia_modprobe_setuid(&tree), Ok(true));
    }

    proptest! {
        #[test]
        fn any_database_is_survived(text in "((Package|Status|Version|X)?: ?(nvidia-fabricmanager|installed)?.{0,9}\n{1,2}){0,12}") {
            if let Some(version) = installed_version(&text) {
                prop_assert!(text.contains(&version));
            }
        }
    }
}
