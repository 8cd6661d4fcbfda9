//! The kernel side of the driver: modules and version.

use super::SMALL_FILE_BYTES;
use crate::probe::tree::Tree;
use crate::snapshot::{Fact, Unknown, Why};
use regex::Regex;
use std::sync::LazyLock;

const VERSION_FILE: &str = "proc/driver/nvidia/version";

const PARAMETERS_FILE: &str = "proc/driver/nvidia/params";

/// Whether a kernel module is loaded, by `/sys/module`, `/proc/modules` or, for `nvidia`, the driver's version file.
pub fn module_loaded(tree: &Tree, module: &str) -> Result<bool, Unknown> {
    if tree.exists(format!("sys/module/{module}"))? || (module == "nvidia" && tree.exists(VERSION_FILE)?) {
        return Ok(true);
    }
    match tree.read("proc/modules", 1024 * 1024) {
        Ok(text) => Ok(text.lines().any(|line| line.split(' ').next() == Some(module))),
        // Kernels without loadable modules have neither file; an unmounted /sys looks the same.
        Err(_) if tree.list("sys/module").is_ok_and(|modules| !modules.is_empty()) => Ok(false),
        Err(unknown) => Err(Unknown::new(
            unknown.why,
            format!("module {module}: neither /sys/module nor /proc/modules is there ({})", unknown.detail),
        )),
    }
}

/// Version of the loaded kernel module.
pub fn version(tree: &Tree) -> Result<String, Unknown> {
    let text = match tree.head(VERSION_FILE, SMALL_FILE_BYTES) {
        Ok(text) => text,
        // Kernel modules tell their version in sysfs as well, also where /proc/driver is masked.
        Err(unknown) => match tree.read("sys/module/nvidia/version", 64) {
            Ok(version) if is_version(version.trim()) => return Ok(version.trim().to_owned()),
            _ => return Err(unknown),
        },
    };
    parse_version(&text).ok_or_else(|| {
        let first: String = text.lines().next().unwrap_or_default().chars().take(120).collect();
        Unknown::new(Why::Malformed, format!("/{VERSION_FILE}: no version in \"{first}\""))
    })
}

/// What the driver gives to the device nodes that it makes.
pub struct NodeParameters {
    pub uid: Fact<u64>,
    pub gid: Fact<u64>,
    /// Octal.
    pub mode: Fact<String>,
}

/// The parameters in force, from the loaded module's list (`Name: value` a line, in decimal).
pub fn node_parameters(tree: &Tree) -> NodeParameters {
    let text = tree.head(PARAMETERS_FILE, SMALL_FILE_BYTES);
    let number = |name: &str| {
        let text = text.as_ref().map_err(Unknown::clone)?;
        parameter(text, name)
            .ok_or_else(|| Unknown::new(Why::Malformed, format!("/{PARAMETERS_FILE} has no number for {name}")))
    };
    NodeParameters {
        uid: number("DeviceFileUID").map(u64::from).into(),
        gid: number("DeviceFileGID").map(u64::from).into(),
        mode: number("DeviceFileMode").map(|mode| format!("{mode:04o}")).into(),
    }
}

fn parameter(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| line.split_once(':').filter(|(left, _)| left.trim() == name)?.1.trim().parse().ok())
}

/// The version in the driver's version file. Known wordings of its first line:
/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.144.03  Thu ...` and
/// `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (...)`.
fn parse_version(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("NVRM version:"))?;
    let (_, after) = line.split_once("Kernel Module")?;
    after.split_whitespace().find(|word| is_version(word)).map(str::to_owned)
}

/// Whether the text is a driver version: `550.144.03`, `390.157`.
pub fn is_version(text: &str) -> bool {
    static VERSION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[0-9]{2,4}\.[0-9]{1,4}(\.[0-9]{1,4})?$").expect("a valid pattern"));
    VERSION.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_wordings_are_read() {
        let of = |line: &str| parse_version(&format!("{line}\nGCC version:  gcc version 12.3.0\n"));
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.144.03  Mon Dec 30 17:44:08 UTC 2024";
        let open =
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U16)";
        let arm = "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.3.0  Release Build  (buildbrain)";
        assert_eq!(of(closed).as_deref(), Some("550.144.03"));
        assert_eq!(of(open).as_deref(), Some("580.65.06"));
        assert_eq!(of(arm).as_deref(), Some("540.3.0"));
        assert_eq!(of("NVRM version: NVIDIA UNIX x86_64 Kernel Module").as_deref(), None);
        assert_eq!(of("").as_deref(), None, "the compiler's version is not the driver's");
    }

    #[test]
    fn parameters_are_numbers_by_name() {
        let text =
            "Mobile: 4294967295\nModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 44\nDeviceFileMode: 432\n";
        assert_eq!(parameter(text, "DeviceFileGID"), Some(44));
        assert_eq!(parameter(text, "DeviceFileMode"), Some(0o660));
        assert_eq!(parameter("DeviceFileMode: rw\n", "DeviceFileMode"), None);
    }

    proptest! {
        #[test]
        fn any_text_gives_a_version_or_nothing(text in "(NVRM version: )?(.|\n){0,200}") {
            if let Some(version) = parse_version(&text) {
                prop_assert!(is_version(&version) && text.contains(&version));
            }
        }

        #[test]
        fn a_version_is_found_in_either_wording(a in 300u32..999, b in 0u32..999, c in 0u32..99, open: bool) {
            let version = format!("{a}.{b}.{c:02}");
            let middle = if open { "Open Kernel Module for x86_64" } else { "x86_64 Kernel Module" };
            let text = format!("NVRM version: NVIDIA UNIX {middle}  {version}  Release Build\n");
            prop_assert_eq!(parse_version(&text), Some(version));
        }
    }
}
