use super::*;
use crate::snapshot::{Fact, Why};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

pub fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub fn link(root: &Path, path: &str, target: &str) {
    fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
    symlink(target, root.join(path)).unwrap();
}

fn pci(root: &Path, address: &str, vendor: &str, class: &str, driver: Option<&str>) {
    let folder = format!("sys/devices/pci0000:00/{address}");
    for (name, value) in [("vendor", vendor), ("device", "0x2330"), ("class", class)] {
        write(root, &format!("{folder}/{name}"), &format!("{value}\n"));
    }
    if let Some(driver) = driver {
        link(root, &format!("{folder}/driver"), &format!("../../../bus/pci/drivers/{driver}"));
    }
    link(root, &format!("sys/bus/pci/devices/{address}"), &format!("../../../devices/pci0000:00/{address}"));
}

fn healthy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    pci(root, "0000:00:1f.0", "0x8086", "0x060100", None);
    pci(root, "0000:01:00.0", "0x10de", "0x030200", Some("nvidia"));
    pci(root, "0000:01:00.1", "0x10de", "0x040300", Some("snd_hda_intel"));
    pci(root, "0000:05:00.0", "0x10de", "0x068000", Some("nvidia-nvswitch"));
    write(root, "sys/module/nvidia/version", "550.144.03\n");
    write(root, "sys/module/nvidia_uvm/refcnt", "0\n");
    let version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.144.03  Mon Dec 30 17:44:08 UTC 2024\n";
    write(root, "proc/driver/nvidia/version", version);
    let parameters = "ModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 44\nDeviceFileMode: 432\n";
    write(root, "proc/driver/nvidia/params", parameters);
    write(root, "proc/1/comm", "systemd\n");
    write(root, "proc/900/comm", "nvidia-persiste\n");
    write(root, "proc/sys/kernel/osrelease", "6.8.0-45-generic\n");
    write(root, "proc/modules", "nvidia 56717312 2 - Live 0x0\n");
    write(root, "etc/os-release", "NAME=\"Ubuntu\"\nPRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\n");
    for node in ["nvidiactl", "nvidia0", "nvidia-uvm", "nvidia-caps/nvidia-cap1", "null"] {
        write(root, &format!("dev/{node}"), "");
        fs::set_permissions(root.join("dev").join(node), fs::Permissions::from_mode(0o666)).unwrap();
    }
    let lib = "usr/lib/x86_64-linux-gnu";
    write(root, &format!("{lib}/libcuda.so.550.144.03"), "ELF");
    link(root, &format!("{lib}/libcuda.so.1"), "libcuda.so.550.144.03");
    link(root, &format!("{lib}/libnvidia-ml.so.1"), "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.120");
    write(root, &format!("{lib}/libnvidia-ml.so.550.120"), "");
    link(root, "lib", "usr/lib");
    dir
}

#[test]
fn a_healthy_tree_tells_all() {
    let dir = healthy();
    let host = read(&Tree::new(dir.path()));
    let devices = host.nvidia_pci_devices.known().unwrap();
    assert_eq!(devices.len(), 1, "no bridge, no sound function, no other vendor: {devices:?}");
    assert_eq!((devices[0].address.as_str(), devices[0].class.as_str()), ("0000:01:00.0", "0x030200"));
    assert_eq!(devices[0].driver, Fact::Known("nvidia".into()));
    let bridges: Vec<_> = host.nvswitch_bridges.known().unwrap().iter().map(|one| one.address.as_str()).collect();
    assert_eq!(bridges, ["0000:05:00.0"]);
    assert_eq!((host.device_file_gid, host.device_file_mode), (Fact::Known(44), Fact::Known("0660".into())));
    assert_eq!(host.running_daemons, Fact::Known(vec!["nvidia-persistenced".into()]));
    assert_eq!(host.nouveau_module_loaded, Fact::Known(false));
    assert_eq!(host.nvidia_module_loaded, Fact::Known(true));
    assert_eq!(host.nvidia_uvm_module_loaded, Fact::Known(true));
    assert_eq!(host.driver_version, Fact::Known("550.144.03".into()));
    assert_eq!(host.kernel_release, Fact::Known("6.8.0-45-generic".into()));
    assert_eq!(host.os_name, Fact::Known("Ubuntu 24.04.1 LTS".into()));
    assert_eq!(host.cpu_count.reason().unwrap().why, Why::Unsupported);
    assert_eq!((host.wsl, host.tegra), (Fact::Known(false), Fact::Known(false)));
    let nodes: Vec<_> = host.device_nodes.known().unwrap().iter().map(|n| (n.path.as_str(), n.mode.as_str())).collect();
    let caps = "/dev/nvidia-caps/nvidia-cap1";
    let expected = [caps, "/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidiactl"].map(|path| (path, "0666"));
    assert_eq!(nodes, expected);
    let libraries = host.driver_libraries.known().unwrap();
    assert_eq!(libraries.len(), 2, "the same file under /lib counts once: {libraries:?}");
    assert_eq!(libraries[0].path, "/usr/lib/x86_64-linux-gnu/libcuda.so.550.144.03");
    assert_eq!((libraries[1].version.clone(), libraries[1].size_bytes), (Fact::Known("550.120".into()), 0));
}

#[test]
fn nouveau_and_unbound_devices_are_seen() {
    let dir = tempfile::tempdir().unwrap();
    pci(dir.path(), "0000:01:00.0", "0x10de", "0x030000", Some("nouveau"));
    pci(dir.path(), "0000:02:00.0", "0x10de", "0x030000", None);
    write(dir.path(), "sys/module/nouveau/refcnt", "1\n");
    let host = read(&Tree::new(dir.path()));
    let devices = host.nvidia_pci_devices.known().unwrap();
    assert_eq!(devices[0].driver, Fact::Known("nouveau".into()));
    assert_eq!(devices[1].driver.reason().unwrap().why, Why::Absent);
    assert_eq!(host.nvidia_module_loaded, Fact::Known(false));
    assert_eq!(host.nouveau_module_loaded, Fact::Known(true));
    assert_eq!(host.driver_version.reason().unwrap().why, Why::Absent);
}

#[test]
fn a_bridge_of_an_old_mainboard_is_no_switch() {
    let dir = tempfile::tempdir().unwrap();
    pci(dir.path(), "0000:00:0a.0", "0x10de", "0x068000", Some("forcedeth"));
    write(dir.path(), "sys/devices/pci0000:00/0000:00:0a.0/device", "0x00df\n");
    assert_eq!(read(&Tree::new(dir.path())).nvswitch_bridges, Fact::Known(Vec::new()));
}

#[test]
fn an_empty_tree_says_nothing_rather_than_no() {
    let dir = tempfile::tempdir().unwrap();
    let host = read(&Tree::new(dir.path()));
    let facts = serde_json::to_value(&host).unwrap();
    for (name, fact) in facts.as_object().unwrap() {
        assert!(fact.get("unknown").is_some(), "{name} = {fact}");
    }
    fs::create_dir_all(dir.path().join("sys/bus/pci/devices")).unwrap();
    assert_eq!(read(&Tree::new(dir.path())).nvidia_pci_devices, Fact::Known(Vec::new()), "a bus without GPU is known");
}

#[test]
fn wsl_and_tegra_are_recognized() {
    let dir = healthy();
    write(dir.path(), "proc/sys/kernel/osrelease", "5.15.167.4-microsoft-standard-WSL2\n");
    write(dir.path(), "proc/device-tree/compatible", "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0");
    let host = read(&Tree::new(dir.path()));
    assert_eq!((host.wsl, host.tegra), (Fact::Known(true), Fact::Known(true)));
}

#[test]
fn links_that_loop_or_leave_the_tree_are_no_facts() {
    let dir = healthy();
    let root = dir.path();
    fs::remove_file(root.join("proc/driver/nvidia/version")).unwrap();
    fs::remove_file(root.join("sys/module/nvidia/version")).unwrap();
    link(root, "proc/driver/nvidia/version", "version");
    fs::remove_file(root.join("etc/os-release")).unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs::write(outside.path(), "PRETTY_NAME=stolen\n").unwrap();
    link(root, "etc/os-release", outside.path().to_str().unwrap());
    let host = read(&Tree::new(root));
    assert_eq!(host.driver_version.reason().unwrap().why, Why::Malformed);
    assert_eq!(host.os_name.reason().unwrap().why, Why::Absent);
}

#[test]
fn this_machine_is_read() {
    let host = read(&Tree::new("/"));
    let expected = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(host.kernel_release, Fact::Known(expected.trim().to_owned()));
    assert!(host.cpu_count.known().is_some_and(|count| *count >= 1));
    assert!(host.memory_total_bytes.known().is_some_and(|bytes| *bytes > 100 << 20));
}
