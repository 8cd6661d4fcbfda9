//! Real processes in roots and control groups of their own, looked at from outside.

use crate::setup::doctor::{Said, gpu_doctor, verdict};
use crate::setup::left_out;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const LIB: &str = "usr/lib/x86_64-linux-gnu";

/// What an engine does: mounts, then the change of root; then a server that knows no request.
const CONTAINER: &str = r#"
import ctypes, os, socket, subprocess, sys
root, options = sys.argv[1], sys.argv[2:]
def mount(*words):
    subprocess.run(["mount", *words], check=True)
# The root of a mount namespace is a mount.
mount("--bind", root, root)
for option in options:
    if option.startswith("members="):
        with open(option.removeprefix("members="), "w") as members:
            members.write(str(os.getpid()))
mount("-t", "tmpfs", "-o", "size=64m", "shm", root + "/dev/shm")
if "gpu" in options:
    # Not every user may make devices; a bound one looks the same.
    for node in ("nvidiactl", "nvidia0"):
        open(root + "/dev/" + node, "w").close()
        mount("--bind", "/dev/null", root + "/dev/" + node)
    library = root + "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.183.01"
    open(library, "w").close()
    mount("--bind", root + "/of-the-machine", library)
if "left" in options:
    open(root + "/dev/nvidia0", "w").close()
if "full" in options:
    with open(root + "/dev/shm/segment", "wb") as file:
        file.write(bytes(60 << 20))
os.mkdir(root + "/old")
subprocess.run(["pivot_root", root, root + "/old"], check=True)
os.chdir("/")
if ctypes.CDLL(None).umount2(b"/old", 2) != 0:
    sys.exit("the old root stays")
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
while True:
    connection = listener.accept()[0]
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    connection.close()
"#;

/// A server that burns CPU time for each request, in the control group whose file of members is named.
const BUSY: &str = r#"
import http.server, json, os, sys, time
with open(sys.argv[1], "w") as members:
    members.write(str(os.getpid()))
SCHEMA = {"openapi": "3.1.0", "paths": {"/p": {"post": {"requestBody": {"content": {"application/json": {"schema": {
    "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}}}}}}}}
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        known = self.path == "/openapi.json"
        self.answer(200 if known else 404, SCHEMA if known else {})
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        used = time.process_time()
        while time.process_time() < used + 0.15:
            pass
        self.answer(200, {"ok": True})
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// Ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts a program that prints its port; `None` if it ends before.
    fn start(command: &mut Command) -> Option<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        let _ = BufReader::new(child.stdout.take().unwrap()).read_line(&mut line);
        let port = line.trim().parse();
        let server = Server { child, port: *port.as_ref().unwrap_or(&0) };
        port.is_ok().then_some(server)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An image with a driver library of its own, run as an engine would.
fn container(root: &Path, options: &[&str]) -> Option<Server> {
    for folder in ["dev/shm", LIB, "var/lib/dpkg/info"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join(".dockerenv"), "").unwrap();
    std::fs::write(root.join("of-the-machine"), "ELF").unwrap();
    std::fs::write(root.join(LIB).join("libnvidia-ml.so.565.57.01"), "ELF").unwrap();
    std::os::unix::fs::symlink("libnvidia-ml.so.565.57.01", root.join(LIB).join("libnvidia-ml.so.1")).unwrap();
    let list = format!("/{LIB}/libnvidia-ml.so.565.57.01\n");
    std::fs::write(root.join("var/lib/dpkg/info/libnvidia-compute-565:amd64.list"), list).unwrap();
    let own_user: &[&str] = if is_root() { &[] } else { &["--map-root-user"] };
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).args(own_user).args(["--", "python3", "-c", CONTAINER]);
    command.arg(root).args(options).env("NVIDIA_DRIVER_CAPABILITIES", "utility");
    command.env_remove("NVIDIA_VISIBLE_DEVICES");
    let server = Server::start(&mut command);
    if server.is_none() {
        left_out::not_allowed("a container's root: no mount namespace may be made (unshare --mount)");
    }
    server
}

fn is_root() -> bool {
    // SAFETY: it only returns a number.
    unsafe { libc::geteuid() == 0 }
}

fn facts(server: &Server) -> Value {
    let said = gpu_doctor(&["collect", "--only", "container", "--server", &server.url()], &[]);
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err))
}

/// The report on the same facts, on a machine with a GPU and its driver.
fn on_a_gpu_machine(mut snapshot: Value) -> Value {
    let device =
        json!({"address": "0000:01:00.0", "device_id": "0x2330", "class": "0x030200", "driver": {"known": "nvidia"}});
    for (fact, value) in [
        ("nvidia_pci_devices", json!([device])),
        ("nvidia_module_loaded", json!(true)),
        ("driver_version", json!("535.183.01")),
        ("wsl", json!(false)),
        ("tegra", json!(false)),
    ] {
        snapshot["facts"]["host"][fact] = json!({ "known": value });
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot.json");
    std::fs::write(&file, snapshot.to_string()).unwrap();
    gpu_doctor(&["diagnose", "--format", "json", file.to_str().unwrap()], &[]).report()
}

fn known<'a>(snapshot: &'a Value, fact: &str) -> &'a Value {
    let found = &snapshot["facts"]["container"][fact];
    found.get("known").unwrap_or_else(|| panic!("container.{fact} is {found}"))
}

#[test]
fn what_an_engine_gave_a_process_is_seen_through_its_root() {
    let root = tempfile::tempdir().unwrap();
    let Some(server) = container(root.path(), &["gpu", "full"]) else { return };
    let snapshot = facts(&server);
    assert_eq!(known(&snapshot, "kind"), "docker");
    let nodes: Vec<_> = known(&snapshot, "device_nodes").as_array().unwrap().iter().map(|node| &node["path"]).collect();
    assert_eq!(nodes, ["/dev/nvidia0", "/dev/nvidiactl"]);
    assert_eq!(known(&snapshot, "runtime_variables"), &json!({"NVIDIA_DRIVER_CAPABILITIES": "utility"}));
    assert_eq!(known(&snapshot, "shm_size_bytes"), 64 << 20);
    assert_eq!(known(&snapshot, "shm_used_bytes"), 60 << 20);
    assert_eq!(known(&snapshot, "server_threads"), 1);
    let libraries = known(&snapshot, "driver_libraries").as_array().unwrap();
    let told: Vec<_> = libraries.iter().map(|one| (&one["path"], &one["injected"]["known"], &one["first"])).collect();
    let (images, engines) =
        (json!(format!("/{LIB}/libnvidia-ml.so.565.57.01")), json!(format!("/{LIB}/libnvidia-ml.so.535.183.01")));
    assert_eq!(told, [(&images, &json!(false), &json!(true)), (&engines, &json!(true), &json!(false))]);
    let report = on_a_gpu_machine(snapshot);
    for check in ["driver-capabilities-lack-compute", "image-ships-driver-userland", "shm-too-small"] {
        assert_eq!(verdict(&report, check), "holds", "{}", report["headline"]);
    }
    assert_eq!(verdict(&report, "docker-no-gpu-flag"), "clear");
}

#[test]
fn a_container_without_nodes_was_given_no_gpu() {
    let root = tempfile::tempdir().unwrap();
    let Some(server) = container(root.path(), &["left"]) else { return };
    let snapshot = facts(&server);
    assert_eq!(known(&snapshot, "device_nodes"), &json!([]), "a plain file of that name is no node");
    assert_eq!(known(&snapshot, "shm_used_bytes"), 0);
    let report = on_a_gpu_machine(snapshot);
    assert_eq!(verdict(&report, "docker-no-gpu-flag"), "holds", "{}", report["headline"]);
    for check in ["driver-capabilities-lack-compute", "image-ships-driver-userland", "shm-too-small"] {
        assert_eq!(verdict(&report, check), "clear", "{}", report["headline"]);
    }
}

#[test]
fn device_rules_of_version_one_show_from_outside() {
    let Some(group) = Group::make(&[("/sys/fs/cgroup/devices", "devices.deny", "a")]) else { return };
    // What every container may open: null, random numbers, and the making of nodes; no GPU, as after a reload.
    for rule in ["c 1:3 rwm", "c 1:9 rwm", "c *:* m"] {
        std::fs::write(group.0.join("devices.allow"), rule).unwrap();
    }
    let root = tempfile::tempdir().unwrap();
    let Some(server) = container(root.path(), &["gpu", &format!("members={}", group.members())]) else { return };
    let mut snapshot = facts(&server);
    assert_eq!(known(&snapshot, "doctor_inside"), false);
    assert!(known(&snapshot, "device_rules").as_array().unwrap().contains(&json!("c 1:3 rwm")));
    let report = on_a_gpu_machine(snapshot.clone());
    assert_eq!(verdict(&report, "container-lost-gpu-after-daemon-reload"), "holds", "{}", report["headline"]);
    std::fs::write(group.0.join("devices.allow"), "c 195:* rw").unwrap();
    snapshot = facts(&server);
    let report = on_a_gpu_machine(snapshot);
    assert_eq!(verdict(&report, "container-lost-gpu-after-daemon-reload"), "clear", "{}", report["headline"]);
}

#[test]
fn links_in_a_containers_root_do_not_lead_out_of_it() {
    let canary = "CANARY-51c0de";
    let outer = tempfile::tempdir().unwrap();
    let outside = outer.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("x.list"), format!("/usr/lib/x86_64-linux-gnu/{canary}.so.1\n")).unwrap();
    std::fs::write(outside.join("x.conf"), format!("/{canary}\n")).unwrap();
    std::fs::write(outside.join("libcuda.so.999.77.99"), "ELF").unwrap();
    let root = outer.path().join("root");
    for folder in ["etc/ld.so.conf.d", "var/lib/dpkg/info", "opt"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    // From the container's side these are absent; from the doctor's they would be there.
    for (link, target) in [
        ("etc/ld.so.conf.d/x.conf", outside.join("x.conf")),
        ("var/lib/dpkg/info/nvidia-x.list", outside.join("x.list")),
        ("opt/nvidia", outside.clone()),
        ("etc/os-release", PathBuf::from("/proc/1/environ")),
    ] {
        std::os::unix::fs::symlink(target, root.join(link)).unwrap();
    }
    std::fs::write(root.join("etc/ld.so.conf.d/a.conf"), "/opt/nvidia\n").unwrap();
    let Some(server) = container(&root, &["gpu"]) else { return };
    let saved = outer.path().join("snapshot.json").display().to_string();
    let said = gpu_doctor(&["run", "--format", "json", "--save", &saved, "--server", &server.url()], &[]);
    let text = std::fs::read_to_string(&saved).unwrap();
    for sign in [canary, "999.77.99"] {
        assert!(!text.contains(sign) && !said.out.contains(sign), "{text}");
    }
    let snapshot: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        known(&snapshot, "driver_libraries").as_array().map(Vec::len),
        Some(2),
        "what is inside is read all the same"
    );
}

/// A control group of the test's own; removed with it.
struct Group(PathBuf);

impl Group {
    /// Makes a group in the first hierarchy that has the file, and writes to it.
    fn make(hierarchies: &[(&str, &str, &str)]) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let made = hierarchies.iter().find_map(|(hierarchy, file, text)| {
            let name = format!("gpu-doctor-test-{}-{number}", std::process::id());
            let folder = Path::new(hierarchy).join(name);
            std::fs::create_dir(&folder).ok()?;
            let group = Group(folder);
            // The file system makes the files of a group; where it does not, it is none.
            group.0.join(file).exists().then_some(())?;
            std::fs::write(group.0.join(file), text).ok()?;
            Some(group)
        });
        if made.is_none() {
            left_out::not_allowed("a control group: none with the limit may be made below /sys/fs/cgroup");
        }
        made
    }

    fn members(&self) -> String {
        self.0.join("cgroup.procs").display().to_string()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has just ended may still count as a member.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
fn a_server_that_meets_its_cpu_limit_is_throttled_while_requests_run() {
    let hierarchies = [
        ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "20000"),
        ("/sys/fs/cgroup/cpu,cpuacct", "cpu.cfs_quota_us", "20000"),
        ("/sys/fs/cgroup", "cpu.max", "20000 100000"),
    ];
    let Some(group) = Group::make(&hierarchies) else { return };
    let Some(server) = Server::start(Command::new("python3").args(["-c", BUSY]).arg(group.members())) else {
        return left_out::not_allowed("a control group: no process may be moved into it");
    };
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("snapshot.json").display().to_string();
    let said: Said = gpu_doctor(&["run", "--format", "json", "--save", &saved, "--server", &server.url()], &[]);
    let report = said.report();
    let snapshot: Value = serde_json::from_str(&std::fs::read_to_string(&saved).unwrap()).unwrap();
    let execution = &snapshot["facts"]["execution"];
    assert_eq!(known(&snapshot, "cpu_limit"), 0.2);
    assert!(execution["cpu_periods"]["known"].as_u64() >= Some(5), "{execution}");
    assert!(execution["cpu_throttled_periods"]["known"].as_u64() >= Some(4), "{execution}");
    assert_eq!(verdict(&report, "cpu-quota-throttling"), "holds");
    let finding = report["findings"].as_array().unwrap().iter().find(|f| f["check"] == "cpu-quota-throttling").unwrap();
    assert!(finding["why"].as_str().unwrap().contains("while requests ran"), "{finding}");
}
