//! A file tree in which nothing is what it should be: the doctor ends in time, says why, and stays inside.

use crate::setup::GPU_DOCTOR;
use gpu_doctor::probe::{Ask, Observer, Probe, collect};
use gpu_doctor::snapshot::{Outcome, ProbeRecord, Why};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What stands in the canary file outside of the root, and in no other place.
const CANARY: &str = "CANARY-7f3a91";
/// A name that stands nowhere but outside, and that a probe would tell if it looked there.
const CANARY_LIBRARY: &str = "libonnxruntime.so.7391.7391";
/// For hangs, not for speed.
const PATIENCE: Duration = Duration::from_secs(90);

/// Files that some probe reads below the root, with what a good one may hold.
const FILES: &[(&str, &str)] = &[
    (".dockerenv", ""),
    ("dev/dxg", ""),
    ("dev/nvidia-caps/nvidia-cap1", ""),
    ("dev/nvidia-uvm", ""),
    ("dev/nvidia0", ""),
    ("dev/nvidiactl", ""),
    ("etc/cdi/nvidia.yaml", "cdiVersion: 0.5.0\n"),
    ("etc/containerd/config.toml", "version = 2\n"),
    ("etc/docker/daemon.json", "{}"),
    ("etc/ld.so.cache", ""),
    ("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n"),
    ("etc/ld.so.conf.d/nvidia.conf", "/opt/nvidia\n"),
    ("etc/nv_tegra_release", "# R36\n"),
    ("etc/nvidia-container-runtime/config.toml", "no-cgroups = false\n"),
    ("etc/os-release", "PRETTY_NAME=\"A system\"\n"),
    ("etc/modprobe.d/nvidia.conf", "blacklist nouveau\n"),
    ("lib/modules/6.8.0-45-generic/modules.dep", ""),
    ("opt/venv/bin/python3.11", ""),
    ("opt/venv/lib/python3.11/site-packages/onnxruntime/capi/build_and_package_info.py", "version = \"1.20.0\"\n"),
    ("opt/venv/lib/python3.11/site-packages/onnxruntime/capi/libonnxruntime.so.1.20.0", "ELF"),
    ("opt/venv/lib/python3.11/site-packages/onnxruntime-1.20.0.dist-info/INSTALLER", "pip\n"),
    (
        "opt/venv/lib/python3.11/site-packages/onnxruntime-1.20.0.dist-info/METADATA",
        "Name: onnxruntime\nVersion: 1.20.0\n",
    ),
    ("opt/venv/lib/python3.11/site-packages/onnxruntime-1.20.0.dist-info/RECORD", "onnxruntime/__init__.py,,\n"),
    ("opt/venv/lib/python3.11/site-packages/torch/version.py", "cuda = None\n"),
    ("opt/venv/pyvenv.cfg", "home = /usr/bin\nversion = 3.11.2\n"),
    ("proc/cmdline", "quiet\n"),
    ("proc/cpuinfo", ""),
    ("proc/device-tree/compatible", "nvidia,tegra234"),
    ("proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: H100\n"),
    ("proc/driver/nvidia/params", "DeviceFileMode: 438\n"),
    ("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.144.03  Mon\n"),
    ("proc/meminfo", "MemTotal: 1 kB\n"),
    ("proc/modules", "nvidia 1 2 - Live 0x0\n"),
    ("proc/self/cgroup", "0::/a.scope\n"),
    ("proc/self/mountinfo", "1 0 0:1 / / rw - overlay o rw\n2 1 0:2 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"),
    ("proc/sys/kernel/osrelease", "6.8.0-45-generic\n"),
    ("run/.containerenv", "engine=\"podman\"\n"),
    ("sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n"),
    ("sys/bus/pci/devices/0000:01:00.0/device", "0x2330\n"),
    ("sys/bus/pci/devices/0000:01:00.0/driver", ""),
    ("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"),
    ("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "\0\0\0\0\u{1}"),
    ("sys/fs/cgroup/a.scope/cpu.max", "100000 100000\n"),
    ("sys/fs/cgroup/a.scope/cpu.stat", "nr_periods 1\n"),
    ("sys/fs/cgroup/a.scope/memory.current", "1\n"),
    ("sys/fs/cgroup/a.scope/memory.events", "oom_kill 0\n"),
    ("sys/fs/cgroup/a.scope/memory.max", "max\n"),
    ("sys/module/nvidia/version", "550.144.03\n"),
    ("sys/module/nvidia_uvm/refcnt", "0\n"),
    ("usr/lib/os-release", "PRETTY_NAME=\"A system\"\n"),
    ("usr/lib/x86_64-linux-gnu/libcuda.so.1", "ELF"),
    ("usr/lib/x86_64-linux-gnu/libcuda.so.550.144.03", "ELF"),
    ("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "ELF"),
    ("var/lib/dpkg/info/libnvidia-compute-550.list", "/usr/lib/x86_64-linux-gnu/libcuda.so.550.144.03\n"),
    ("var/lib/dpkg/status", "Package: libnvidia-compute-550\n"),
    ("var/log/dmesg", "NVRM: Xid (PCI:0000:01:00): 79\n"),
    ("var/log/kern.log", "NVRM: Xid (PCI:0000:01:00): 79\n"),
    ("var/log/syslog", "NVRM: Xid (PCI:0000:01:00): 79\n"),
];
/// Folders that become something else, each with all that would be below it.
const FOLDERS: &[&str] = &[
    "dev",
    "dev/shm",
    "etc",
    "etc/ld.so.conf.d",
    "lib",
    "opt/venv/lib/python3.11/site-packages/onnxruntime/capi",
    "proc",
    "proc/self",
    "sys",
    "sys/bus/pci/devices/0000:01:00.0",
    "sys/fs/cgroup",
    "sys/module/nvidia",
    "usr/lib/x86_64-linux-gnu",
    "var",
];

/// What a place becomes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Nasty {
    Loop,
    LinkOut,
    LinkUp,
    LinkToPasswd,
    Fifo,
    Folder,
    Sealed,
    Huge,
    Junk,
    LongLine,
}

const ALL: &[Nasty] = &[
    Nasty::Loop,
    Nasty::LinkOut,
    Nasty::LinkUp,
    Nasty::LinkToPasswd,
    Nasty::Fifo,
    Nasty::Folder,
    Nasty::Sealed,
    Nasty::Huge,
    Nasty::Junk,
    Nasty::LongLine,
];

/// A tree and the canary beside it.
struct Scene {
    outer: tempfile::TempDir,
    sealed: Vec<PathBuf>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Else an ordinary user could not remove them.
        for path in &self.sealed {
            let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
        }
    }
}

impl Scene {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        // Examined by another user where this one may do everything.
        std::fs::set_permissions(outer.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir_all(outer.path().join("outside")).unwrap();
        for name in ["canary", "version", "os-release", "cgroup", "nvidia.conf", "cpu.max", CANARY_LIBRARY] {
            std::fs::write(outer.path().join("outside").join(name), format!("{CANARY}\n")).unwrap();
        }
        std::fs::create_dir(outer.path().join("root")).unwrap();
        Scene { outer, sealed: Vec::new() }
    }

    fn root(&self) -> PathBuf {
        self.outer.path().join("root")
    }

    fn good(&self, path: &str, text: &str) {
        let at = self.root().join(path);
        // A folder above it may have become something else.
        if std::fs::create_dir_all(at.parent().unwrap()).is_ok() {
            let _ = std::fs::write(at, text);
        }
    }

    fn nasty(&mut self, path: &str, what: Nasty, is_folder: bool) {
        let at = self.root().join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        let outside = self.outer.path().join("outside");
        let outside = if is_folder { outside } else { outside.join("canary") };
        let up = format!("{}outside{}", "../".repeat(path.split('/').count()), if is_folder { "" } else { "/canary" });
        match what {
            Nasty::Loop => symlink(at.file_name().unwrap(), &at).unwrap(),
            Nasty::LinkOut => symlink(outside, &at).unwrap(),
            Nasty::LinkUp => symlink(up, &at).unwrap(),
            Nasty::LinkToPasswd => symlink("../../../../../../../../../../../../etc/passwd", &at).unwrap(),
            Nasty::Fifo => {
                let name = std::ffi::CString::new(at.display().to_string()).unwrap();
                // SAFETY: a valid C string; mkfifo makes a file and nothing else.
                assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o666) }, 0, "{}", at.display());
            }
            Nasty::Folder => std::fs::create_dir(&at).unwrap(),
            Nasty::Sealed => {
                if is_folder {
                    std::fs::create_dir(&at).unwrap()
                } else {
                    std::fs::write(&at, CANARY).unwrap()
                }
                std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o000)).unwrap();
                self.sealed.push(at);
            }
            Nasty::Huge => std::fs::File::create(&at).unwrap().set_len(1 << 30).unwrap(),
            Nasty::Junk => std::fs::write(&at, b"\xff\xfe\x00caf\xe9\x1b[2J\xf0\x9f".repeat(500)).unwrap(),
            Nasty::LongLine => std::fs::write(&at, "9".repeat(300_000)).unwrap(),
        }
    }
}

/// Where this user may do everything, nothing is refused: then another one examines, with a copy of the doctor.
fn doctor() -> (PathBuf, Option<u32>) {
    // SAFETY: it only returns a number.
    if unsafe { libc::geteuid() } != 0 {
        return (GPU_DOCTOR.into(), None);
    }
    static COPY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = COPY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("gpu-doctor");
        std::fs::copy(GPU_DOCTOR, &path).unwrap();
        (folder, path)
    });
    (path.clone(), Some(65534))
}

/// Runs the doctor on the tree and holds it against what every run must keep.
fn examine(scene: &Scene, told: &str) -> Value {
    let root = scene.root().display().to_string();
    let (program, user) = doctor();
    let mut command = Command::new(program);
    command.args(["collect", "--root", &root, "--python", "/opt/venv/bin/python3.11", "--timeout", "30s"]);
    command.current_dir("/").env_remove("LD_LIBRARY_PATH").stdin(Stdio::null());
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let started = Instant::now();
    let output = command.output().unwrap();
    assert!(started.elapsed() < PATIENCE, "{told}: {:?}", started.elapsed());
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(matches!(output.status.code(), Some(0..=2)), "{told}: {:?} {err}", output.status);
    for text in [&out, &err] {
        assert!(!text.contains(CANARY), "{told}: it read outside of the root: {text}");
        assert!(!text.contains(CANARY_LIBRARY), "{told}: it looked outside of the root: {text}");
        assert!(!text.contains("root:x:0:0"), "{told}: it read /etc/passwd: {text}");
        assert!(!text.contains('\u{1b}'), "{told}: what it read steers the terminal: {text}");
    }
    let snapshot: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{told}: {error}: {out} {err}"));
    assert!(out.len() < 4 << 20, "{told}: a snapshot of {} bytes", out.len());
    for probe in snapshot["probes"].as_array().unwrap() {
        let outcome = probe["outcome"].as_str().unwrap();
        assert!(!["crashed", "timed_out"].contains(&outcome), "{told}: {probe}");
    }
    reasons(&snapshot["facts"], told);
    snapshot
}

/// Every fact that is not known says why, in words.
fn reasons(value: &Value, told: &str) {
    if let Some(unknown) = value.get("unknown").filter(|unknown| unknown.get("why").is_some()) {
        assert!(!unknown["detail"].as_str().unwrap_or_default().is_empty(), "{told}: {value}");
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|field| reasons(field, told)),
        Value::Array(items) => items.iter().for_each(|item| reasons(item, told)),
        _ => {}
    }
}

#[test]
fn a_tree_of_plain_files_is_read() {
    let scene = Scene::new();
    FILES.iter().for_each(|(path, text)| scene.good(path, text));
    let snapshot = examine(&scene, "plain");
    let known = |room: &str, fact: &str| snapshot["facts"][room][fact]["known"].clone();
    assert_eq!(known("host", "driver_version"), "550.144.03", "else the nasty trees prove nothing");
    assert_eq!(known("container", "kind"), "podman");
    assert_eq!(known("container", "cpu_limit"), 1.0);
    assert_eq!(known("host", "device_nodes").as_array().map(Vec::len), Some(4));
}

#[test]
fn files_that_are_none_neither_block_nor_lead_out() {
    for what in ALL {
        let mut scene = Scene::new();
        for (path, _) in FILES {
            scene.nasty(path, *what, false);
        }
        let snapshot = examine(&scene, &format!("every file: {what:?}"));
        assert!(snapshot["facts"]["host"]["driver_version"].get("known").is_none(), "{what:?}");
        assert!(snapshot["facts"]["container"]["cpu_limit"].get("known").is_none(), "{what:?}");
    }
}

#[test]
fn folders_that_are_none_neither_block_nor_lead_out() {
    for what in ALL {
        let mut scene = Scene::new();
        for path in FOLDERS.iter().filter(|path| !FOLDERS.iter().any(|above| path.starts_with(&format!("{above}/")))) {
            scene.nasty(path, *what, true);
        }
        examine(&scene, &format!("every folder at the top: {what:?}"));
        let mut scene = Scene::new();
        for path in FOLDERS.iter().filter(|path| !FOLDERS.iter().any(|below| below.starts_with(&format!("{path}/")))) {
            scene.nasty(path, *what, true);
        }
        FILES.iter().for_each(|(path, text)| scene.good(path, text));
        examine(&scene, &format!("every folder at the bottom: {what:?}"));
    }
}

#[test]
fn folders_beyond_all_measure_cost_neither_time_nor_memory() {
    let scene = Scene::new();
    FILES.iter().for_each(|(path, text)| scene.good(path, text));
    // One file under all these names: ext4 allows it 65 000.
    let many = 9_000;
    let one = scene.root().join("one");
    std::fs::write(&one, "/of/no/use/at/all.so.1\n".repeat(2_700)).unwrap();
    for (folder, name, ending) in [
        ("dev", "nvidia", ""),
        ("dev/nvidia-caps", "nvidia-cap", ""),
        ("etc/ld.so.conf.d", "", ".conf"),
        ("sys/bus/pci/devices", "0000:", ""),
        ("usr/lib/x86_64-linux-gnu", "libcuda.so.550.", ""),
        ("var/lib/dpkg/info", "libnvidia-", ".list"),
        ("opt/venv/lib/python3.11/site-packages", "x-", ".dist-info"),
    ] {
        for number in 10..many {
            let at = scene.root().join(folder).join(format!("{name}{number}{ending}"));
            std::fs::hard_link(&one, at).unwrap();
        }
    }
    let snapshot = examine(&scene, "crowded");
    let libraries = snapshot["facts"]["container"]["driver_libraries"]["known"].as_array().unwrap();
    assert!((100..300).contains(&libraries.len()), "{}", libraries.len());
    let nodes = &snapshot["facts"]["host"]["device_nodes"]["unknown"];
    assert!(nodes["detail"].as_str().unwrap().contains("more than 4096"), "{nodes}");
}

#[test]
fn what_is_refused_is_denied_and_not_absent() {
    let mut scene = Scene::new();
    for path in ["proc/driver/nvidia/version", "sys/fs/cgroup/a.scope/cpu.max"] {
        scene.nasty(path, Nasty::Sealed, false);
    }
    scene.nasty("sys/module", Nasty::Sealed, true);
    scene.nasty("dev", Nasty::Sealed, true);
    FILES.iter().filter(|(path, _)| !path.starts_with("dev")).for_each(|(path, text)| scene.good(path, text));
    let snapshot = examine(&scene, "sealed");
    for (room, fact) in [
        ("host", "driver_version"),
        ("host", "device_nodes"),
        ("host", "nvidia_module_loaded"),
        ("container", "device_nodes"),
        ("container", "cpu_limited"),
        ("container", "shm_size_bytes"),
    ] {
        let unknown = &snapshot["facts"][room][fact]["unknown"];
        assert_eq!(unknown["why"], "denied", "{room}.{fact}: {unknown}");
        assert!(unknown["detail"].as_str().unwrap().contains("ermission denied"), "{unknown}");
    }
}

/// Ends the server as soon as the probe of its process has run.
struct Killer(Child);

impl Observer for Killer {
    fn starts(&mut self, _: &Probe) {}

    fn ended(&mut self, probe: &Probe, _: &ProbeRecord) {
        if probe.id == "process" {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
}

#[test]
fn a_server_that_ends_between_two_probes_leaves_reasons() {
    let serve = "import socket, time\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n\
                 print(s.getsockname()[1], flush=True)\ntime.sleep(600)";
    let mut child = Command::new("python3").args(["-c", serve]).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let server = format!("http://127.0.0.1:{}", port.trim()).parse().unwrap();
    let ask = Ask { server: Some(server), ..Ask::default() };
    let snapshot = collect(&ask, &BTreeSet::from(["container", "packages"]), &mut Killer(child));
    assert_eq!(snapshot.facts.process.processes.known().map(Vec::len), Some(1), "{:?}", snapshot.facts.process);
    let container = &snapshot.facts.container;
    for reason in [container.kind.reason(), container.device_nodes.reason(), container.driver_libraries.reason()] {
        assert_eq!(reason.map(|unknown| unknown.why), Some(Why::Absent), "{container:?}");
    }
    assert!(snapshot.probes.iter().all(|probe| !matches!(probe.outcome, Outcome::Crashed | Outcome::TimedOut)));
}

#[test]
fn the_canary_would_be_found() {
    let scene = Scene::new();
    scene.good("etc/os-release", &format!("PRETTY_NAME=\"{CANARY}\"\n"));
    let program = Path::new(GPU_DOCTOR);
    let root = scene.root().display().to_string();
    let output = Command::new(program).args(["collect", "--only", "hardware", "--root", &root]).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains(CANARY), "what stands inside is read and shown");
}
