//! File trees as containers, and the doctor's own process. Real roots and control groups: `tests/run/container.rs`.

use super::*;
use crate::probe::Ask;
use std::os::unix::fs::symlink;
use std::time::Instant;

fn container(root: &Path, facts: &mut Facts) -> ContainerFacts {
    let ask = Ask { root: root.into(), ..Ask::default() };
    run(&Context { ask, deadline: Instant::now() + PROBE.budget }, facts);
    facts.container.clone()
}

fn nothing() -> Facts {
    Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"))
}

fn with_server(pid: u64) -> Facts {
    let absent = serde_json::json!({"unknown": {"why": "absent", "detail": "test"}});
    let process = serde_json::json!({
        "pid": pid, "role": "listener", "command": absent, "executable": absent, "working_directory": absent,
        "uid": absent, "started_at": absent, "resident_bytes": absent, "reloads": absent,
    });
    let mut facts = nothing();
    facts.process.processes = Fact::Known(vec![serde_json::from_value(process).unwrap()]);
    facts
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn the_servers_environment_counts_and_empty_is_not_unset() {
    let mut facts = with_server(std::process::id().into());
    facts.process.environment = Fact::Known(BTreeMap::from([("NVIDIA_VISIBLE_DEVICES".into(), String::new())]));
    let container = container(Path::new("/"), &mut facts);
    let variables = container.runtime_variables.known().unwrap();
    assert_eq!(variables.get("NVIDIA_VISIBLE_DEVICES").map(String::as_str), Some(""));
    assert_eq!(variables.get("NVIDIA_DRIVER_CAPABILITIES"), None);
    assert!(container.told_by.known().unwrap().contains(&std::process::id().to_string()));
    assert_eq!(container.doctor_inside, Fact::Known(true), "this process stands for the server");
    assert!(container.server_threads.known() > Some(&0));
}

#[test]
fn a_server_that_cannot_be_read_is_lent_nothing_of_the_doctors() {
    let mut facts = nothing();
    facts.process.environment = Fact::unknown(Why::Denied, "test");
    facts.process.processes = Fact::unknown(Why::Denied, "test");
    let ask = Ask { server: Some("http://127.0.0.1:9".parse().unwrap()), ..Ask::default() };
    run(&Context { ask, deadline: Instant::now() + PROBE.budget }, &mut facts);
    let container = &facts.container;
    assert!(container.told_by.known().is_some_and(|told| told.ends_with("gpu-doctor itself")));
    assert_eq!(container.runtime_variables.reason().unwrap().why, Why::Denied);
    assert_eq!(container.device_nodes.reason().unwrap().why, Why::Denied);
    assert_eq!(container.shm_size_bytes.reason().unwrap().why, Why::Denied);
    assert_eq!(container.cpu_limited.reason().unwrap().why, Why::Denied);
}

#[test]
fn a_server_that_has_ended_leaves_reasons() {
    let mut ended = std::process::Command::new("true").spawn().unwrap();
    let pid = ended.id();
    ended.wait().unwrap();
    let container = container(Path::new("/"), &mut with_server(pid.into()));
    for (what, reason) in [
        ("kind", container.kind.reason()),
        ("device_nodes", container.device_nodes.reason()),
        ("driver_libraries", container.driver_libraries.reason()),
        ("shm_size_bytes", container.shm_size_bytes.reason()),
        ("cpu_limited", container.cpu_limited.reason()),
        ("server_threads", container.server_threads.reason()),
    ] {
        let reason = reason.unwrap_or_else(|| panic!("{what} is known of a process that has ended"));
        assert_eq!(reason.why, Why::Absent, "{what}: {}", reason.detail);
    }
    assert_eq!(throttling(pid.into()).unwrap_err().why, Why::Absent);
}

#[test]
fn a_tree_tells_its_kind_and_no_environment() {
    let dir = tempfile::tempdir().unwrap();
    let unknown = container(dir.path(), &mut nothing());
    assert_eq!(unknown.kind.reason().unwrap().why, Why::Absent, "an empty tree is not the absence of a container");
    write(dir.path(), ".dockerenv", "");
    std::fs::create_dir_all(dir.path().join("dev/shm")).unwrap();
    let docker = container(dir.path(), &mut nothing());
    assert_eq!(docker.kind, Fact::Known("docker".into()));
    assert_eq!(docker.runtime_variables.reason().unwrap().why, Why::Unsupported);
    let shm = docker.shm_size_bytes.reason().unwrap();
    assert!(shm.detail.contains("no file system is mounted"), "not that of the disk around it: {shm}");
}

/// An image that brings a newer libnvidia-ml of its own, an engine that puts the machine's beside it, a CPU limit.
fn image_with_libraries() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let lib = "usr/lib/x86_64-linux-gnu";
    for name in
        ["libnvidia-ml.so.565.57.01", "libnvidia-ml.so.535.183.01", "libnvidia-ml.so.other", "libnvidia-mlx.so.1"]
    {
        write(root, &format!("{lib}/{name}"), "ELF");
    }
    symlink("libnvidia-ml.so.565.57.01", root.join(lib).join("libnvidia-ml.so.1")).unwrap();
    symlink("libcuda.so.535.183.01", root.join(lib).join("libcuda.so.1")).unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    let files = "/.\n/usr\n/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.565.57.01\n";
    write(root, "var/lib/dpkg/info/libnvidia-compute-565:amd64.list", files);
    write(root, "var/lib/dpkg/info/libc6:amd64.list", "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.183.01\n");
    for node in ["nvidia0", "nvidiactl"] {
        write(root, &format!("dev/{node}"), "");
    }
    let id = "0123456789abcdef".repeat(4);
    write(root, "proc/self/cgroup", &format!("0::/system.slice/docker-{id}.scope\n"));
    let mounted = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.183.01";
    let mountinfo = format!(
        "1 0 0:1 / / rw - overlay overlay rw\n2 1 8:1 {mounted} {mounted} ro - ext4 /dev/sda1 rw\n\
         3 1 0:2 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
    );
    write(root, "proc/self/mountinfo", &mountinfo);
    let group = format!("sys/fs/cgroup/system.slice/docker-{id}.scope");
    write(root, &format!("{group}/cpu.max"), "50000 100000\n");
    write(root, &format!("{group}/cpu.stat"), "nr_periods 1000\nnr_throttled 900\nthrottled_usec 1500\n");
    write(root, &format!("{group}/memory.max"), "max\n");
    dir
}

#[test]
fn what_the_image_brings_is_told_from_what_the_engine_put_there() {
    let dir = image_with_libraries();
    let container = container(dir.path(), &mut nothing());
    assert_eq!(container.kind, Fact::Known("docker".into()));
    assert_eq!(container.id, Fact::Known("0123456789abcdef".repeat(4)));
    let libraries = container.driver_libraries.known().unwrap();
    let told: Vec<_> = libraries
        .iter()
        .map(|one| {
            let name = one.path.rsplit('/').next().unwrap();
            (name, one.first, one.injected.known().copied(), one.package.known().map(String::as_str))
        })
        .collect();
    let expected = [
        ("libnvidia-ml.so.565.57.01", true, Some(false), Some("libnvidia-compute-565")),
        ("libnvidia-ml.so.535.183.01", false, Some(true), Some("")),
    ];
    assert_eq!(told, expected, "a link to nothing is no library, nor is a name that carries no version");
    assert_eq!(container.device_nodes.known().map(Vec::len), Some(2));
    assert_eq!((container.cpu_limited, container.cpu_limit), (Fact::Known(true), Fact::Known(0.5)));
    assert_eq!(container.cpu_throttled_periods, Fact::Known(900));
    assert_eq!(container.memory_limited, Fact::Known(false));
    assert_eq!(container.memory_limit_bytes.reason().unwrap().why, Why::NotAsked);
    assert_eq!(container.oom_kills.reason().unwrap().why, Why::Absent);
    assert_eq!(container.device_rules.reason().unwrap().why, Why::Unsupported);
}

#[test]
fn the_servers_own_library_path_comes_first() {
    let dir = image_with_libraries();
    write(dir.path(), "opt/driver/libnvidia-ml.so.1", "ELF");
    let mounts = Err(Unknown::new(Why::Denied, "test"));
    let tree = crate::probe::tree::Tree::new(dir.path());
    let found = libraries::driver_libraries(&tree, &mounts, &[PathBuf::from("/opt/driver")]).unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!((found[0].path.as_str(), found[0].first), ("/opt/driver/libnvidia-ml.so.1", true));
    assert!(found.iter().skip(1).all(|library| !library.first), "{found:?}");
    assert_eq!(found[0].injected.reason().unwrap().why, Why::Denied);
}
