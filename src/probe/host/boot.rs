//! What the machine's start decides about modules: Secure Boot, and modprobe's blacklists.

use super::SMALL_FILE_BYTES;
use crate::probe::tree::Tree;
use crate::snapshot::{BlacklistedModule, Unknown, Why};

const FIRMWARE: &str = "sys/firmware";
/// The variable of UEFI's own namespace (EFI_GLOBAL_VARIABLE), in efivarfs.
const SECURE_BOOT: &str = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Folders of modprobe.d(5), the one that wins first.
const MODPROBE_FOLDERS: &[&str] = &["etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"];
/// Most files read of one folder.
const FILES_MAX: usize = 200;

/// Whether Secure Boot is enforced. A machine that was not started by UEFI has none.
pub fn secure_boot(tree: &Tree) -> Result<bool, Unknown> {
    match tree.head(SECURE_BOOT, 16) {
        Ok(text) => value(&text)
            .ok_or_else(|| Unknown::new(Why::Malformed, format!("/{SECURE_BOOT}: expected 4 bytes and a 0 or 1"))),
        Err(unknown) if unknown.why != Why::Absent => Err(unknown),
        Err(unknown) => {
            // An empty /sys/firmware is a masked one, as in containers.
            let firmware = tree.list(FIRMWARE).unwrap_or_default();
            let legacy = !firmware.is_empty() && !firmware.iter().any(|name| name == "efi");
            if legacy { Ok(false) } else { Err(unknown) }
        }
    }
}

/// The fifth byte; four of attributes come before it (kernel: Documentation/filesystems/efivarfs.rst).
fn value(text: &str) -> Option<bool> {
    let mut after = text.chars().skip(4);
    match (after.next(), after.next()) {
        (Some('\0'), None) => Some(false),
        (Some('\u{1}'), None) => Some(true),
        _ => None,
    }
}

/// Lines `blacklist MODULE`, and `install MODULE /bin/false` and the like, about the two drivers of NVIDIA's cards.
pub fn blacklisted_modules(tree: &Tree) -> Result<Vec<BlacklistedModule>, Unknown> {
    let mut found = Vec::new();
    let mut read = Vec::new();
    for folder in MODPROBE_FOLDERS {
        let names = match tree.list(folder) {
            Ok(names) => names,
            Err(unknown) if unknown.why == Why::Absent => continue,
            Err(unknown) => return Err(unknown),
        };
        for name in names.into_iter().filter(|name| name.ends_with(".conf")).take(FILES_MAX) {
            // A file of the same name in an earlier folder stands instead of this one.
            if read.contains(&name) {
                continue;
            }
            let text = match tree.head(format!("{folder}/{name}"), SMALL_FILE_BYTES) {
                Ok(text) => text,
                // A link to /dev/null switches a file off.
                Err(unknown) if matches!(unknown.why, Why::Absent | Why::Malformed) => String::new(),
                Err(unknown) => return Err(unknown),
            };
            let file = format!("/{folder}/{name}");
            let modules = text.lines().filter_map(blacklisted);
            found.extend(modules.map(|module| BlacklistedModule { module: module.into(), file: file.clone() }));
            read.push(name);
        }
    }
    // Without any configuration folder this may be no whole tree.
    if read.is_empty() && !tree.exists("etc")? {
        return Err(Unknown::new(Why::Absent, "no folder of modprobe.d exists"));
    }
    found.dedup();
    Ok(found)
}

/// The driver that a line keeps from being loaded.
fn blacklisted(line: &str) -> Option<&'static str> {
    let mut words = line.split_whitespace();
    let (keyword, module) = (words.next()?, words.next()?);
    let module = ["nvidia", "nouveau"].into_iter().find(|name| *name == module)?;
    let refused = match keyword {
        "blacklist" => true,
        "install" => words.next().is_some_and(|command| command.ends_with("/false") || command.ends_with("/true")),
        _ => false,
    };
    refused.then_some(module)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::host::tests::{link, write};
    use proptest::prelude::*;

    #[test]
    fn secure_boot_is_the_fifth_byte() {
        let dir = tempfile::tempdir().unwrap();
        let (root, tree) = (dir.path(), Tree::new(dir.path()));
        assert_eq!(secure_boot(&tree).unwrap_err().why, Why::Absent);
        std::fs::create_dir_all(root.join("sys/firmware")).unwrap();
        assert_eq!(secure_boot(&tree).unwrap_err().why, Why::Absent, "a masked folder tells nothing");
        write(root, "sys/firmware/dmi/tables/DMI", "");
        assert_eq!(secure_boot(&tree), Ok(false), "no UEFI, no Secure Boot");
        std::fs::create_dir_all(root.join("sys/firmware/efi")).unwrap();
        assert_eq!(secure_boot(&tree).unwrap_err().why, Why::Absent, "efivarfs is not mounted");
        for (bytes, expected) in [("\u{6}\0\0\0\u{1}", Some(true)), ("\u{6}\0\0\0\0", Some(false)), ("\u{1}", None)] {
            write(root, SECURE_BOOT, bytes);
            assert_eq!(secure_boot(&tree).ok(), expected, "{bytes:?}");
        }
        assert_eq!(secure_boot(&tree).unwrap_err().why, Why::Malformed);
    }

    #[test]
    fn blacklists_are_found_and_overridden_files_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let (root, tree) = (dir.path(), Tree::new(dir.path()));
        assert_eq!(blacklisted_modules(&tree).unwrap_err().why, Why::Absent);
        write(
            root,
            "etc/modprobe.d/blacklist-nvidia.conf",
            "# blacklist nouveau\nblacklist nvidia\nblacklist nvidia-drm\n",
        );
        write(root, "usr/lib/modprobe.d/nvidia-graphics-drivers.conf", "blacklist nouveau\nalias nouveau off\n");
        write(root, "usr/lib/modprobe.d/off.conf", "blacklist nvidia\n");
        link(root, "etc/modprobe.d/off.conf", "/dev/null");
        write(root, "lib/modprobe.d/install.conf", "install nvidia /sbin/modprobe --ignore-install nvidia\n");
        let found = blacklisted_modules(&tree).unwrap();
        let told: Vec<_> = found.iter().map(|one| (one.module.as_str(), one.file.as_str())).collect();
        assert_eq!(
            told,
            [
                ("nvidia", "/etc/modprobe.d/blacklist-nvidia.conf"),
                ("nouveau", "/usr/lib/modprobe.d/nvidia-graphics-drivers.conf")
            ]
        );
        assert_eq!(blacklisted("install nvidia /bin/false"), Some("nvidia"));
    }

    proptest! {
        #[test]
        fn any_line_and_any_variable_are_survived(text in ".{0,80}") {
            let _ = value(&text);
            if let Some(module) = blacklisted(&text) {
                prop_assert!(text.contains(module));
            }
        }
    }
}
