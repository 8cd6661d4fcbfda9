//! The NVIDIA Container Toolkit: its programs, its configuration and the devices that it describes.

use crate::probe::tree::Tree;
use crate::snapshot::{CdiSpecification, Fact, Unknown, Why};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Programs of the toolkit. The first is what Docker calls.
const PROGRAMS: &[&str] = &[
    "nvidia-container-runtime",
    "nvidia-container-runtime-hook",
    "nvidia-container-cli",
    "nvidia-ctk",
    "nvidia-cdi-hook",
];
/// Folders in which daemons look for programs; the last ones are those of the GPU operator, snaps and NixOS.
const FOLDERS: &[&str] = &[
    "/usr/bin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/local/sbin",
    "/bin",
    "/sbin",
    "/usr/local/nvidia/toolkit",
    "/snap/bin",
    "/run/current-system/sw/bin",
];
/// Where specifications of the Container Device Interface lie.
const CDI_FOLDERS: &[&str] = &["/etc/cdi", "/var/run/cdi"];
/// Most specifications read.
const CDI_FILES_MAX: usize = 64;
/// Largest specification or configuration read, bytes.
const LIMIT_BYTES: usize = 4 << 20;
/// The toolkit's configuration.
const SETTINGS: &str = "/etc/nvidia-container-runtime/config.toml";

/// One path for each program of the toolkit that is found.
pub fn programs(tree: &Tree) -> Result<Vec<String>, Unknown> {
    let folders: Vec<&str> = FOLDERS.iter().copied().filter(|folder| tree.exists(folder).unwrap_or(false)).collect();
    if folders.is_empty() {
        let place = tree.outside(Path::new(FOLDERS[0])).display().to_string();
        return Err(Unknown::new(Why::Absent, format!("{place} and the other folders of programs are not there")));
    }
    let path = |name: &&str| {
        folders.iter().map(|folder| format!("{folder}/{name}")).find(|path| tree.exists(path) == Ok(true))
    };
    Ok(PROGRAMS.iter().filter_map(path).collect())
}

/// The part of a specification that is read (CDI 0.x and 1.x).
#[derive(Deserialize)]
struct Specification {
    kind: String,
    #[serde(default)]
    devices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    name: String,
}

/// The specifications that lie where engines look for them.
pub fn cdi_specifications(tree: &Tree) -> Result<Vec<CdiSpecification>, Unknown> {
    let mut found = Vec::new();
    for folder in CDI_FOLDERS {
        let names = match tree.list(folder) {
            Err(unknown) if unknown.why == Why::Absent => continue,
            other => other?,
        };
        let is_one = |name: &String| [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending));
        for name in names.into_iter().filter(is_one).take(CDI_FILES_MAX) {
            let path = PathBuf::from(folder).join(name);
            let read = tree.read(&path, LIMIT_BYTES).and_then(|text| {
                let malformed = |error| Unknown::new(Why::Malformed, format!("{}: {error}", path.display()));
                serde_yaml::from_str::<Specification>(&text).map_err(malformed)
            });
            let (kind, devices) = match read {
                Ok(read) => {
                    let names = read.devices.into_iter().take(256).map(|device| device.name).collect();
                    (Fact::Known(read.kind), Fact::Known(names))
                }
                Err(unknown) => (Fact::Unknown(unknown.clone()), Fact::Unknown(unknown)),
            };
            found.push(CdiSpecification { path: path.display().to_string(), kind, devices });
        }
    }
    Ok(found)
}

/// `no-cgroups` and `accept-nvidia-visible-devices-envvar-when-unprivileged` of the toolkit's configuration.
pub fn settings(tree: &Tree) -> (Result<bool, Unknown>, Result<bool, Unknown>) {
    let text = match tree.read(SETTINGS, LIMIT_BYTES) {
        Ok(text) => text,
        Err(unknown) => return (Err(unknown.clone()), Err(unknown)),
    };
    let key = "accept-nvidia-visible-devices-envvar-when-unprivileged";
    (setting(&text, "nvidia-container-cli", "no-cgroups", false), setting(&text, "", key, true))
}

/// A truth value in a TOML text; `default` is the toolkit's own where the key is not written or commented out. A line
/// reader: the file is written by nvidia-ctk, a key a line.
fn setting(text: &str, section: &str, key: &str, default: bool) -> Result<bool, Unknown> {
    let mut here = "";
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            here = name.trim();
        }
        let Some((name, value)) = line.split_once('=') else { continue };
        if here == section && name.trim().trim_matches('"') == key {
            return match value.trim() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(Unknown::new(
                    Why::Malformed,
                    format!("{SETTINGS}, line {}: {key} is not true or false", index + 1),
                )),
            };
        }
    }
    Ok(default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONFIG: &str = "#accept-nvidia-visible-devices-as-volume-mounts = false\n\
        #accept-nvidia-visible-devices-envvar-when-unprivileged = true\ndisable-require = false\n\n\
        [nvidia-container-cli]\n#debug = \"/var/log/nvidia-container-toolkit.log\"\nldconfig = \"@/sbin/ldconfig.real\"\n\
        no-cgroups = true # rootless\n\n[nvidia-container-runtime]\nmode = \"auto\"\nno-cgroups = false\n";

    #[test]
    fn settings_are_those_of_their_section() {
        assert_eq!(setting(CONFIG, "nvidia-container-cli", "no-cgroups", false), Ok(true));
        assert_eq!(setting(CONFIG, "", "accept-nvidia-visible-devices-envvar-when-unprivileged", true), Ok(true));
        assert_eq!(
            setting("x = 1\n[nvidia-container-cli]\n#no-cgroups = true\n", "nvidia-container-cli", "no-cgroups", false),
            Ok(false)
        );
        let wrong =
            setting("[nvidia-container-cli]\nno-cgroups = maybe\n", "nvidia-container-cli", "no-cgroups", false);
        assert!(wrong.unwrap_err().detail.contains("line 2"));
    }

    #[test]
    fn a_bare_tree_has_no_toolkit_and_no_tree_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new(dir.path());
        assert_eq!(programs(&tree).unwrap_err().why, Why::Absent);
        std::fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        assert_eq!(programs(&tree), Ok(vec![]));
        std::fs::write(dir.path().join("usr/bin/nvidia-ctk"), "").unwrap();
        assert_eq!(programs(&tree), Ok(vec!["/usr/bin/nvidia-ctk".to_owned()]));
        assert_eq!(cdi_specifications(&tree), Ok(vec![]));
        let nvidia = "---\ncdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n  containerEdits:\n    \
                      deviceNodes:\n    - path: /dev/nvidia0\n- name: all\n";
        std::fs::create_dir_all(dir.path().join("etc/cdi")).unwrap();
        std::fs::write(dir.path().join("etc/cdi/nvidia.yaml"), nvidia).unwrap();
        std::fs::write(dir.path().join("etc/cdi/broken.json"), "{\"kind\": 7").unwrap();
        std::fs::write(dir.path().join("etc/cdi/README"), "no specification").unwrap();
        let found = cdi_specifications(&tree).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].kind.reason().unwrap().why, Why::Malformed);
        assert_eq!(found[1].kind, Fact::Known("nvidia.com/gpu".into()));
        assert_eq!(found[1].devices, Fact::Known(vec!["0".into(), "all".into()]));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(.|\n){0,200}") {
            let _ = setting(&text, "", "a", false);
        }
    }
}
