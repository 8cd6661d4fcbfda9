//! Machines whose driver is not as it should be: a file tree stands for the machine, the fake driver for its libraries.

use crate::scripted_server::ScriptedServer;
use crate::setup::doctor::{Said, causes, diagnosis, gpu_doctor, verdict};
use crate::setup::{driver_variables, fake_driver, scenario, scenario_with_faults};
use serde_json::Value;
use std::os::unix::fs::symlink;
use std::path::Path;

const KERNEL: &str = "6.8.0-45-generic";
const OLD_KERNEL: &str = "6.8.0-41-generic";

struct Machine(tempfile::TempDir);

impl Machine {
    /// A machine with one H100 on the bus, outside of any container.
    fn new(driver: Option<&str>) -> Self {
        let machine = Machine(tempfile::tempdir().unwrap());
        machine.write("proc/sys/kernel/osrelease", KERNEL);
        machine.write("proc/modules", "");
        machine.write("proc/1/comm", "systemd\n");
        machine.write("proc/self/cgroup", "0::/init.scope\n");
        machine.write("etc/os-release", "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\n");
        machine.write("sys/module/ext4/refcnt", "1\n");
        machine.write("sys/firmware/dmi/tables/DMI", "");
        machine.write("usr/lib/x86_64-linux-gnu/libc.so.6", "");
        machine.write("var/lib/dpkg/status", "");
        machine.write("dev/null", "");
        machine.device("0000:01:00.0", "0x030200", "0x2330", driver);
        machine
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn device(&self, address: &str, class: &str, id: &str, driver: Option<&str>) {
        let folder = format!("sys/bus/pci/devices/{address}");
        for (name, value) in [("vendor", "0x10de"), ("device", id), ("class", class)] {
            self.write(&format!("{folder}/{name}"), &format!("{value}\n"));
        }
        if let Some(driver) = driver {
            let link = self.path().join(folder).join("driver");
            symlink(format!("../../../../bus/pci/drivers/{driver}"), link).unwrap();
        }
    }

    /// The driver is loaded, with its memory module or without.
    fn loaded(&self, uvm: bool) {
        self.write("sys/module/nvidia/version", "550.163.01\n");
        let version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Mon Dec 30 17:44:08 UTC 2024\n";
        self.write("proc/driver/nvidia/version", version);
        if uvm {
            self.write("sys/module/nvidia_uvm/refcnt", "0\n");
        }
    }

    fn module_for(&self, kernel: &str) {
        self.write(&format!("lib/modules/{kernel}/updates/dkms/nvidia.ko"), "ELF");
    }

    /// Runs the doctor on the machine, under the fake driver that plays a scenario.
    fn examine(&self, scenario: &Path) -> Said {
        let root = self.path().to_str().unwrap();
        gpu_doctor(&["run", "--root", root, "--format", "json"], &driver_variables(scenario))
    }

    fn report_without_driver(&self) -> Value {
        self.examine(&scenario("nvml-not-loaded")).report()
    }

    /// With cuInit answering `code`, and NVML in good health.
    fn report_with_cuda(&self, code: i64) -> Value {
        let (_folder, scenario) =
            scenario_with_faults("healthy-idle", &[&format!("{{call: cuInit, returns: {code}}}")]);
        self.examine(&scenario).report()
    }
}

fn explained(report: &Value, cause: &str) -> Vec<String> {
    serde_json::from_value(diagnosis(report, cause)["explains"].clone()).unwrap()
}

#[test]
fn the_module_was_built_for_the_kernel_before() {
    let machine = Machine::new(None);
    machine.module_for(OLD_KERNEL);
    machine.write("var/lib/dkms/nvidia/550.163.01/build/make.log", "error");
    machine.write(&format!("var/lib/dkms/nvidia/550.163.01/{OLD_KERNEL}/x86_64/log/make.log"), "");
    let upgrade = "Start-Date: 2024-11-12  06:41:07\nCommandline: /usr/bin/unattended-upgrade\n\
                   Install: linux-image-6.8.0-45-generic:amd64 (6.8.0-45.45, automatic)\n";
    machine.write("var/log/apt/history.log", upgrade);
    let report = machine.report_without_driver();
    let id = "driver-module-missing-for-running-kernel";
    assert_eq!(causes(&report), [id]);
    assert_eq!(explained(&report, id), ["driver-not-loaded"]);
    let because = diagnosis(&report, id)["because"].as_str().unwrap();
    for words in [OLD_KERNEL, "550.163.01/build/make.log", "2024-11-12 06:41:07 by /usr/bin/unattended-upgrade"] {
        assert!(because.contains(words), "{words}: {because}");
    }
    // With the module for this kernel, only its not being loaded is left.
    machine.module_for(KERNEL);
    assert_eq!(causes(&machine.report_without_driver()), ["driver-not-loaded"]);
}

#[test]
fn secure_boot_refuses_the_module() {
    let machine = Machine::new(None);
    machine.module_for(KERNEL);
    let variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    machine.write(variable, "\u{6}\0\0\0\u{1}");
    let report = machine.report_without_driver();
    assert_eq!(causes(&report), ["secure-boot-blocks-module"]);
    assert_eq!(explained(&report, "secure-boot-blocks-module"), ["driver-not-loaded"]);
    let because = diagnosis(&report, "secure-boot-blocks-module")["because"].as_str().unwrap();
    assert!(because.contains("carries no signature"), "{because}");
    machine.write(variable, "\u{6}\0\0\0\0");
    assert_eq!(causes(&machine.report_without_driver()), ["driver-not-loaded"]);
}

#[test]
fn nouveau_holds_the_card() {
    let machine = Machine::new(Some("nouveau"));
    machine.write("sys/module/nouveau/refcnt", "1\n");
    machine.write("etc/modprobe.d/blacklist-nouveau.conf", "blacklist nouveau\n");
    let report = machine.report_without_driver();
    assert_eq!(causes(&report), ["nouveau-bound"]);
    assert_eq!(explained(&report, "nouveau-bound"), ["driver-not-loaded"]);
    let because = diagnosis(&report, "nouveau-bound")["because"].as_str().unwrap();
    assert!(because.contains("/etc/modprobe.d/blacklist-nouveau.conf"), "{because}");
}

#[test]
fn the_fabric_manager_does_not_run() {
    let machine = Machine::new(Some("nvidia"));
    machine.loaded(true);
    machine.device("0000:05:00.0", "0x068000", "0x22a3", Some("nvidia-nvswitch"));
    let package = "Package: nvidia-fabricmanager-550\nStatus: install ok installed\nVersion: 550.144.03-1\n";
    machine.write("var/lib/dpkg/status", package);
    machine.write("usr/lib/systemd/system/nvidia-fabricmanager.service", "[Unit]\n");
    let report = machine.report_with_cuda(802);
    assert_eq!(causes(&report), ["fabric-manager-not-running"]);
    assert_eq!(explained(&report, "fabric-manager-not-running"), ["cuda-init-failed"]);
    let because = diagnosis(&report, "fabric-manager-not-running")["because"].as_str().unwrap();
    assert!(because.contains("No process nv-fabricmanager was seen; version 550.144.03 is installed"), "{because}");
    machine.write("proc/812/comm", "nv-fabricmanage\n");
    let report = machine.report_with_cuda(802);
    let because = diagnosis(&report, "fabric-manager-not-running")["because"].as_str().unwrap();
    assert!(because.contains("runs, but the fabric is not ready: it is of version 550.144.03"), "{because}");
    // It is not missed while CUDA starts.
    std::fs::remove_dir_all(machine.path().join("proc/812")).unwrap();
    assert_eq!(causes(&machine.examine(&scenario("healthy-idle")).report()), Vec::<&str>::new());
}

#[test]
fn the_memory_module_is_missing() {
    let machine = Machine::new(Some("nvidia"));
    machine.loaded(false);
    let report = machine.report_with_cuda(999);
    assert_eq!(causes(&report), ["uvm-module-missing"]);
    assert_eq!(explained(&report, "uvm-module-missing"), ["cuda-init-failed"]);
    // Where a setuid nvidia-modprobe loads it for the next program, this is not a failure.
    machine.write("usr/bin/nvidia-modprobe", "ELF");
    let program = machine.path().join("usr/bin/nvidia-modprobe");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
    let report = machine.report_with_cuda(999);
    assert_eq!(diagnosis(&report, "uvm-module-missing")["severity"], "warn");
    assert_eq!(causes(&report), ["uvm-module-missing"]);
}

#[test]
fn cuda_fails_for_a_reason_of_its_own() {
    let machine = Machine::new(Some("nvidia"));
    machine.loaded(true);
    for node in ["nvidiactl", "nvidia-uvm", "nvidia0"] {
        machine.write(&format!("dev/{node}"), "");
    }
    for (code, words) in [(46, "busy or not available"), (999, "a call to the kernel driver failed"), (12345, "12345")]
    {
        let report = machine.report_with_cuda(code);
        assert_eq!(causes(&report), ["cuda-init-failed"], "{code}");
        let because = diagnosis(&report, "cuda-init-failed")["because"].as_str().unwrap();
        assert!(because.contains(words), "{because}");
    }
}

#[test]
fn nodes_are_opened_for_the_server_that_was_named() {
    // The server is a thread of this test, so its user is the one that runs the doctor.
    let server = ScriptedServer::answering(|_| (200, "text/plain", "well".into()));
    let arguments = ["collect", "--only", "driver", "--server", &server.url()];
    let said = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle")));
    let nodes = &said.report()["facts"]["device_nodes"];
    assert_eq!(nodes["opened_for"]["known"], "server", "{nodes}");
    assert_eq!(nodes["opened_below"]["known"], "/");
    assert_eq!(nodes["server_pid"]["known"], std::process::id());
    assert_eq!(nodes["server_uid"], nodes["opened_as_uid"]);
    let paths: Vec<&str> =
        nodes["opens"]["known"].as_array().unwrap().iter().map(|open| open["path"].as_str().unwrap()).collect();
    assert_eq!(paths[..2], ["/dev/nvidiactl", "/dev/nvidia-uvm"]);
    assert!(nodes["opens"]["known"][0]["result"]["known"].is_string(), "{nodes}");
    let looked_at = ["mode", "uid", "gid"].map(|name| nodes["opens"]["known"][0][name].is_object());
    assert_eq!(looked_at, [true; 3], "{nodes}");
}

#[test]
fn libcuda_is_not_installed() {
    let machine = Machine::new(Some("nvidia"));
    machine.loaded(true);
    let libraries = tempfile::tempdir().unwrap();
    std::fs::copy(fake_driver().join("libnvidia-ml.so.1"), libraries.path().join("libnvidia-ml.so.1")).unwrap();
    let root = machine.path().to_str().unwrap();
    let variables =
        [("LD_LIBRARY_PATH", libraries.path().to_path_buf()), ("GPU_DOCTOR_FAKE_DRIVER", scenario("healthy-idle"))];
    let report = gpu_doctor(&["run", "--root", root, "--format", "json"], &variables).report();
    assert_eq!(causes(&report), ["libcuda-missing-for-server"]);
}

#[test]
fn a_healthy_machine_stays_healthy_without_roots_rights() {
    let machine = Machine::new(Some("nvidia"));
    machine.loaded(true);
    machine.module_for(KERNEL);
    for node in ["nvidiactl", "nvidia-uvm", "nvidia0"] {
        machine.write(&format!("dev/{node}"), "");
        let node = machine.path().join("dev").join(node);
        std::fs::set_permissions(node, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    }
    // No efivars, no package log, and processes of others are hidden.
    std::fs::remove_dir_all(machine.path().join("proc/1")).unwrap();
    let report = machine.examine(&scenario("healthy-idle")).report();
    for check in [
        "driver-module-missing-for-running-kernel",
        "secure-boot-blocks-module",
        "nouveau-bound",
        "fabric-manager-not-running",
        "uvm-module-missing",
        "device-node-permission",
        "cuda-init-failed",
        "libcuda-missing-for-server",
    ] {
        assert_eq!(verdict(&report, check), "clear", "{check}");
    }
    assert_eq!(causes(&report), Vec::<&str>::new());
}
