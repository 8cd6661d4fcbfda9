//! When the driver's packages and the kernel's were changed, from the logs of apt and dnf.

use super::daemons::upstream;
use crate::probe::tree::Tree;
use crate::snapshot::{PackageChange, Unknown};
use regex::Regex;
use std::sync::LazyLock;

/// Most bytes read of one log, from its end.
const LOG_BYTES: usize = 1 << 20;
/// Most changes kept.
const CHANGES_MAX: usize = 20;
/// Most words of a command kept.
const COMMAND_WORDS: usize = 3;
/// Logs of apt, the older first. Rotated ones before that are compressed.
const APT: &[&str] = &["var/log/apt/history.log.1", "var/log/apt/history.log"];
/// Logs of dnf; the first lists single packages and nothing else.
const DNF: &[&str] = &["var/log/dnf.rpm.log", "var/log/dnf.log"];

/// The newest changes. Unknown where neither tool has left a log.
pub fn changes(tree: &Tree) -> Result<Vec<PackageChange>, Unknown> {
    let mut found = Vec::new();
    let mut obstacle = None;
    let mut read = |path: &str, parse: fn(&str) -> Vec<PackageChange>, found: &mut Vec<PackageChange>| match tree
        .tail(path, LOG_BYTES)
    {
        Ok(bytes) => {
            found.extend(parse(&String::from_utf8_lossy(&bytes)));
            true
        }
        Err(unknown) => {
            obstacle = Some(unknown);
            false
        }
    };
    let mut any = false;
    for path in APT {
        any |= read(path, of_apt, &mut found);
    }
    any = any || DNF.iter().any(|path| read(path, of_dnf, &mut found));
    match obstacle {
        Some(unknown) if !any => Err(Unknown::new(unknown.why, format!("no log of apt or dnf: {}", unknown.detail))),
        _ => {
            found.reverse();
            found.truncate(CHANGES_MAX);
            Ok(found)
        }
    }
}

/// What a package is to the GPU, if anything. Libraries for programs that build against the driver are not it.
fn kind(package: &str) -> Option<&'static str> {
    const DRIVER: &[&str] = &[
        "nvidia-driver",
        "nvidia-dkms",
        "nvidia-kernel",
        "nvidia-utils",
        "nvidia-compute-utils",
        "nvidia-headless",
        "nvidia-open",
        "nvidia-smi",
        "libnvidia-",
        "libcuda1",
        "cuda-drivers",
        "kmod-nvidia",
        "akmod-nvidia",
        "xorg-x11-drv-nvidia",
        "linux-modules-nvidia",
        "nvidia-persistenced",
        "nvidia-firmware",
    ];
    const KERNEL: &[&str] = &["linux-image-", "kernel-core", "kernel-default"];
    let starts = |names: &[&str]| names.iter().any(|name| package.starts_with(name));
    match package {
        // Of the container runtime, with versions of its own.
        _ if package.starts_with("libnvidia-container") => None,
        _ if package.starts_with("nvidia-fabricmanager") => Some("fabric_manager"),
        _ if starts(DRIVER) => Some("driver"),
        "kernel" => Some("kernel"),
        _ if starts(KERNEL) => Some("kernel"),
        _ => None,
    }
}

/// apt's history: paragraphs with a date, a command, and a list of packages for each action, oldest first.
fn of_apt(text: &str) -> Vec<PackageChange> {
    static PACKAGE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9]+)? \(([^()]*)\)").expect("a valid pattern"));
    let mut changes = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut at = String::new();
        let mut by = String::new();
        for line in paragraph.lines() {
            let Some((field, value)) = line.split_once(": ") else { continue };
            let action = match field {
                "Start-Date" => {
                    at = value.split_whitespace().collect::<Vec<_>>().join(" ");
                    continue;
                }
                "Commandline" => {
                    by = command(value);
                    continue;
                }
                "Install" | "Reinstall" => "install",
                "Upgrade" => "upgrade",
                "Downgrade" => "downgrade",
                "Remove" | "Purge" => "remove",
                _ => continue,
            };
            for found in PACKAGE.captures_iter(value) {
                let (package, versions) = (&found[1], &found[2]);
                let Some(kind) = kind(package) else { continue };
                let mut versions = versions.split(", ").filter(|version| *version != "automatic");
                let (first, second) = (versions.next().unwrap_or_default(), versions.next());
                let (from, to) = match (action, second) {
                    ("remove", _) => (first, ""),
                    (_, Some(second)) => (first, second),
                    (_, None) => ("", first),
                };
                changes.push(PackageChange {
                    kind: kind.into(),
                    at: at.clone(),
                    action: action.into(),
                    package: package.into(),
                    from_version: upstream_of(kind, from),
                    to_version: upstream_of(kind, to),
                    by: by.clone(),
                });
            }
        }
    }
    changes
}

/// The program and what it was to do. Options are left out: one may hold a proxy's password.
fn command(line: &str) -> String {
    let plain = |word: &&str| !word.starts_with('-') && !word.contains(['=', '@']) && !word.contains("://");
    line.split_whitespace().filter(plain).take(COMMAND_WORDS).collect::<Vec<_>>().join(" ")
}

/// The driver's own version; a kernel's package is told whole.
fn upstream_of(kind: &str, version: &str) -> String {
    if kind == "kernel" { version.to_owned() } else { upstream(version).to_owned() }
}

/// dnf's logs: `2024-01-15T06:25:11+0000 SUBDEBUG Upgrade: nvidia-driver-3:550.54.14-1.el9.x86_64`, oldest first. What an
/// upgrade replaced stands on a line of its own (`Upgraded:`) and is not paired up.
fn of_dnf(text: &str) -> Vec<PackageChange> {
    static LINE: LazyLock<Regex> = LazyLock::new(|| {
        let line = r"^(\S+) \w+ (Upgrade|Installed|Downgrade|Erase|Removed): (\S+)-(?:\d+:)?([^-\s]+)-([^-\s]+)$";
        Regex::new(line).expect("a valid pattern")
    });
    let mut changes = Vec::new();
    for found in text.lines().filter_map(|line| LINE.captures(line.trim_end())) {
        let Some(kind) = kind(&found[3]) else { continue };
        let action = match &found[2] {
            "Upgrade" => "upgrade",
            "Installed" => "install",
            "Downgrade" => "downgrade",
            _ => "remove",
        };
        let version = if kind == "kernel" { format!("{}-{}", &found[4], &found[5]) } else { found[4].to_owned() };
        let (from_version, to_version) =
            if action == "remove" { (version, String::new()) } else { (String::new(), version) };
        changes.push(PackageChange {
            kind: kind.into(),
            at: found[1].into(),
            action: action.into(),
            package: found[3].into(),
            from_version,
            to_version,
            by: "dnf".into(),
        });
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::host::tests::write;
    use crate::snapshot::Why;
    use proptest::prelude::*;

    const HISTORY: &str = "\nStart-Date: 2024-11-12  06:41:07\nCommandline: /usr/bin/unattended-upgrade\n\
        Upgrade: libnvidia-compute-550:amd64 (550.120-0ubuntu0.24.04.1, 550.144.03-0ubuntu0.24.04.1), \
        curl:amd64 (8.5.0-2ubuntu10.4, 8.5.0-2ubuntu10.5), libnvidia-container1:amd64 (1.16.1-1, 1.17.0-1)\n\
        Install: linux-image-6.8.0-49-generic:amd64 (6.8.0-49.49, automatic)\nEnd-Date: 2024-11-12  06:41:30\n\n\
        Start-Date: 2024-11-13  09:00:00\nCommandline: apt purge nvidia-driver-535\nRequested-By: ops (1000)\n\
        Purge: nvidia-driver-535:amd64 (535.183.01-0ubuntu1)\nEnd-Date: 2024-11-13  09:00:02\n";

    #[test]
    fn apts_history_tells_what_was_upgraded_when_and_by_what() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(changes(&Tree::new(dir.path())).unwrap_err().why, Why::Absent);
        write(dir.path(), "var/log/apt/history.log", HISTORY);
        let older = "Start-Date: 2024-10-01  10:00:00\nCommandline: apt install nvidia-fabricmanager-550\n\
                     Install: nvidia-fabricmanager-550:amd64 (550.120-1)\n";
        write(dir.path(), "var/log/apt/history.log.1", older);
        let found = changes(&Tree::new(dir.path())).unwrap();
        let told: Vec<_> = found.iter().map(|c| (c.kind.as_str(), c.action.as_str(), c.package.as_str())).collect();
        assert_eq!(
            told,
            [
                ("driver", "remove", "nvidia-driver-535"),
                ("kernel", "install", "linux-image-6.8.0-49-generic"),
                ("driver", "upgrade", "libnvidia-compute-550"),
                ("fabric_manager", "install", "nvidia-fabricmanager-550"),
            ]
        );
        let upgrade = &found[2];
        assert_eq!((upgrade.from_version.as_str(), upgrade.to_version.as_str()), ("550.120", "550.144.03"));
        assert_eq!((upgrade.at.as_str(), upgrade.by.as_str()), ("2024-11-12 06:41:07", "/usr/bin/unattended-upgrade"));
        assert_eq!((found[0].from_version.as_str(), found[0].to_version.as_str()), ("535.183.01", ""));
    }

    #[test]
    fn a_command_is_told_without_its_options() {
        let line = "apt-get -o Acquire::http::Proxy=http://ops:secret@proxy:3128 upgrade -y nvidia-driver-550 curl";
        assert_eq!(command(line), "apt-get upgrade nvidia-driver-550");
        assert_eq!(command("packagekit role='update-packages'"), "packagekit");
    }

    #[test]
    fn dnfs_log_tells_the_new_versions() {
        let dir = tempfile::tempdir().unwrap();
        let log = "2024-01-15T06:25:11+0000 SUBDEBUG Upgrade: nvidia-driver-3:550.54.14-1.el9.x86_64\n\
                   2024-01-15T06:25:12+0000 SUBDEBUG Upgraded: nvidia-driver-3:545.23.08-1.el9.x86_64\n\
                   2024-01-15T06:25:13+0000 SUBDEBUG Installed: kernel-core-5.14.0-427.el9.x86_64\n\
                   2024-01-15T06:25:13+0000 INFO --- logging initialized ---\n";
        write(dir.path(), "var/log/dnf.rpm.log", log);
        let found = changes(&Tree::new(dir.path())).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((found[1].package.as_str(), found[1].to_version.as_str()), ("nvidia-driver", "550.54.14"));
        assert_eq!(found[0].to_version, "5.14.0-427.el9.x86_64");
    }

    proptest! {
        #[test]
        fn any_log_is_survived(text in "((Start-Date|Upgrade|Purge|x)?:? ?(libnvidia-x:amd64 )?\\(?.{0,20}\\)?\n{1,2}){0,10}") {
            for change in of_apt(&text).into_iter().chain(of_dnf(&text)) {
                prop_assert!(text.contains(&change.package));
            }
        }
    }
}
