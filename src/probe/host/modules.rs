//! The kernel module `nvidia` on disk: its files for every installed kernel, and what DKMS built.

use crate::probe::tree::Tree;
use crate::snapshot::{DkmsDriver, ModuleFile, Unknown, Why};
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Where kernels keep their modules; NixOS keeps those of the running one elsewhere.
const MODULE_ROOTS: &[&str] = &["lib/modules", "usr/lib/modules", "run/booted-system/kernel-modules/lib/modules"];
/// Folders of one kernel that hold drivers from outside its tree, and where old drivers put themselves inside it.
const FOLDERS: &[&str] =
    &["updates", "extra", "weak-updates", "misc", "kernel/drivers/video", "kernel/drivers/char/drm"];
const DKMS: &str = "var/lib/dkms";
/// Most kernels, and most versions, looked at.
const KERNELS_MAX: usize = 64;
/// Most folders looked into for one kernel.
const FOLDERS_MAX: usize = 400;
/// Deepest folder below one of [`FOLDERS`].
const DEPTH_MAX: usize = 5;
/// What a signed module ends with (kernel: include/linux/module_signature.h).
const SIGNATURE: &[u8] = b"~Module signature appended~\n";

/// Every file of the module, by kernel. Unknown where no folder of modules can be read.
pub fn files(tree: &Tree) -> Result<Vec<ModuleFile>, Unknown> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut reason = None;
    let mut looked = false;
    for root in MODULE_ROOTS {
        let kernels = match tree.list(root) {
            Ok(kernels) => kernels,
            Err(unknown) => {
                // The usual folder's absence says more than that of the others.
                if reason.as_ref().is_none_or(|old: &Unknown| old.why == Why::Absent && unknown.why != Why::Absent) {
                    reason = Some(unknown);
                }
                continue;
            }
        };
        looked = true;
        for kernel in kernels.iter().take(KERNELS_MAX) {
            for path in of_kernel(tree, &format!("{root}/{kernel}")) {
                // `/lib` is often a link to `/usr/lib`.
                let Ok(resolved) = tree.resolve(&path) else { continue };
                if seen.insert((kernel.clone(), resolved)) {
                    let signed = signed(tree, &path).into();
                    found.push(ModuleFile { kernel: kernel.clone(), path: format!("/{path}"), signed });
                }
            }
        }
    }
    match reason {
        Some(unknown) if !looked => Err(unknown),
        _ => Ok(found),
    }
}

/// Files of the module below one kernel's folder.
fn of_kernel(tree: &Tree, kernel: &str) -> Vec<String> {
    let mut todo: Vec<(String, usize)> = FOLDERS.iter().map(|folder| (format!("{kernel}/{folder}"), 0)).collect();
    // Ubuntu's ready-built modules lie in kernel/nvidia-550 and the like.
    let names = tree.list(format!("{kernel}/kernel")).unwrap_or_default();
    todo.extend(names.iter().filter(|n| n.starts_with("nvidia")).map(|n| (format!("{kernel}/kernel/{n}"), 0)));
    let mut files = Vec::new();
    let mut looked = 0;
    while let Some((folder, depth)) = todo.pop() {
        looked += 1;
        if looked > FOLDERS_MAX {
            break;
        }
        for name in tree.list(&folder).unwrap_or_default() {
            let path = format!("{folder}/{name}");
            if is_module(&name) {
                files.push(path);
            } else if depth < DEPTH_MAX && !name.contains('.') && tree.stat(&path).is_ok_and(|it| it.is_dir()) {
                todo.push((path, depth + 1));
            }
        }
    }
    files.sort();
    files
}

/// Whether a file of this name is the driver's main module. Debian calls it `nvidia-current.ko`, Ubuntu once called it
/// `nvidia_384.ko`; `nvidia-drm.ko` and `nvidiafb.ko` are others.
fn is_module(name: &str) -> bool {
    static NAME: LazyLock<Regex> = LazyLock::new(|| {
        let names = r"^nvidia([-_](current|tesla([-_]\d+)?|legacy[-_]\d+xx|\d{3}))?\.ko(\.(xz|zst|gz))?$";
        Regex::new(names).expect("a valid pattern")
    });
    NAME.is_match(name)
}

fn signed(tree: &Tree, path: &str) -> Result<bool, Unknown> {
    if !path.ends_with(".ko") {
        return Err(Unknown::new(Why::Unsupported, format!("/{path} is compressed; its signature is not looked at")));
    }
    Ok(tree.tail(path, SIGNATURE.len())? == SIGNATURE)
}

/// The driver in DKMS's tree: `/var/lib/dkms/nvidia/VERSION/KERNEL/ARCHITECTURE` once it is built.
pub fn dkms_drivers(tree: &Tree) -> Result<Vec<DkmsDriver>, Unknown> {
    let names = match tree.list(DKMS) {
        Ok(names) => names,
        Err(unknown) if unknown.why == Why::Absent && tree.exists("var/lib")? => return Ok(Vec::new()),
        Err(unknown) => return Err(unknown),
    };
    let mut drivers = Vec::new();
    // nvidia-fs (GPUDirect Storage) is another module.
    for name in names.iter().filter(|name| name.starts_with("nvidia") && *name != "nvidia-fs") {
        for version in
            tree.list(format!("{DKMS}/{name}"))?.into_iter().filter(|v| starts_with_digit(v)).take(KERNELS_MAX)
        {
            let folder = format!("{DKMS}/{name}/{version}");
            let inside = tree.list(&folder)?;
            let log = format!("{folder}/build/make.log");
            let build_log = if tree.exists(&log)? { format!("/{log}") } else { String::new() };
            let kernels = inside.into_iter().filter(|kernel| starts_with_digit(kernel)).take(KERNELS_MAX).collect();
            drivers.push(DkmsDriver { name: name.clone(), version, kernels, build_log });
        }
    }
    Ok(drivers)
}

/// Kernel releases and versions do; `build`, `source` and `kernel-...` do not.
fn starts_with_digit(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::host::tests::{link, write};

    #[test]
    fn the_main_module_is_told_from_its_companions() {
        let main =
            ["nvidia.ko", "nvidia.ko.zst", "nvidia.ko.xz", "nvidia-current.ko", "nvidia_384.ko", "nvidia-tesla-470.ko"];
        let others =
            ["nvidia-drm.ko", "nvidia-uvm.ko.xz", "nvidiafb.ko", "nvidia-current-uvm.ko", "nvidia.ko.bak", "nvidia"];
        assert_eq!(main.map(is_module), [true; 6]);
        assert_eq!(others.map(is_module), [false; 6]);
    }

    #[test]
    fn every_kernel_has_its_own_files_and_a_linked_folder_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let (old, new) = ("usr/lib/modules/6.8.0-41-generic", "usr/lib/modules/6.8.0-45-generic");
        write(root, &format!("{old}/updates/dkms/nvidia.ko"), "ELF~Module signature appended~\n");
        write(root, &format!("{old}/updates/dkms/nvidia-uvm.ko"), "ELF");
        write(root, &format!("{new}/kernel/nvidia-550/nvidia.ko"), "ELF");
        write(root, &format!("{new}/kernel/drivers/video/fbdev/nvidia/nvidiafb.ko.zst"), "ELF");
        write(root, "usr/lib/modules/5.14.0-427.el9.x86_64/extra/drivers/video/nvidia/nvidia.ko.xz", "xz");
        write(root, "usr/lib/modules/6.1.0-18-amd64/kernel/fs/ext4/ext4.ko", "ELF");
        link(root, "lib", "usr/lib");
        link(root, &format!("{old}/updates/loop"), "../updates");
        let files = files(&Tree::new(root)).unwrap();
        let told: Vec<_> = files.iter().map(|file| (file.kernel.as_str(), file.signed.known().copied())).collect();
        assert_eq!(
            told,
            [("5.14.0-427.el9.x86_64", None), ("6.8.0-41-generic", Some(true)), ("6.8.0-45-generic", Some(false)),]
        );
        assert_eq!(files[2].path, "/lib/modules/6.8.0-45-generic/kernel/nvidia-550/nvidia.ko");
    }

    #[test]
    fn without_a_folder_of_modules_nothing_is_claimed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new(dir.path());
        let absent = files(&tree).unwrap_err();
        assert!(absent.why == Why::Absent && absent.detail.contains("/lib/modules:"), "{absent}");
        assert_eq!(dkms_drivers(&tree).unwrap_err().why, Why::Absent);
        std::fs::create_dir_all(dir.path().join("lib/modules")).unwrap();
        std::fs::create_dir_all(dir.path().join("var/lib")).unwrap();
        assert_eq!((files(&tree), dkms_drivers(&tree)), (Ok(Vec::new()), Ok(Vec::new())));
        std::fs::write(dir.path().join("var/lib/dkms"), "no folder").unwrap();
        assert!(dkms_drivers(&tree).is_ok_and(|drivers| drivers.is_empty()));
    }

    #[test]
    fn dkms_tells_versions_kernels_and_failed_builds() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "var/lib/dkms/nvidia/550.144.03/6.8.0-41-generic/x86_64/module/nvidia.ko", "ELF");
        write(root, "var/lib/dkms/nvidia/550.144.03/build/make.log", "error: implicit declaration");
        write(root, "var/lib/dkms/nvidia/kernel-6.8.0-41-generic-x86_64/module/nvidia.ko", "ELF");
        write(root, "var/lib/dkms/nvidia-fs/2.17/6.8.0-45-generic/x86_64/module/nvidia-fs.ko", "ELF");
        write(root, "var/lib/dkms/zfs/2.2/6.8.0-45-generic/x86_64/module/zfs.ko", "ELF");
        let drivers = dkms_drivers(&Tree::new(root)).unwrap();
        let expected = DkmsDriver {
            name: "nvidia".into(),
            version: "550.144.03".into(),
            kernels: vec!["6.8.0-41-generic".into()],
            build_log: "/var/lib/dkms/nvidia/550.144.03/build/make.log".into(),
        };
        assert_eq!(drivers, [expected]);
    }
}
