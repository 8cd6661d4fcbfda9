//! Real servers on 127.0.0.1, looked at through the probe.

use super::*;
use crate::probe::Ask;
use std::fs::{File, FileTimes};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Instant, SystemTime};

/// Ends the process, and its children, with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: a signal to the group of a child that this test started and has not waited for.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
        let _ = self.child.wait();
    }
}

const SERVE: &str = "
import os, socket, sys, time
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()
if 'fork' in sys.argv:
    if os.fork() == 0:
        while True: time.sleep(1)
print(listener.getsockname()[1], flush=True)
while True: time.sleep(1)
";

fn start(folder: &Path, arguments: &[&str]) -> Server {
    start_program(Path::new("/usr/bin/python3"), folder, arguments)
}

fn start_program(program: &Path, folder: &Path, arguments: &[&str]) -> Server {
    use std::os::unix::process::CommandExt;
    std::fs::write(folder.join("app.py"), SERVE).unwrap();
    std::fs::write(folder.join("twin.py"), "x = 1").unwrap();
    let mut command = Command::new(program);
    command.arg("app.py").args(arguments).current_dir(folder).process_group(0);
    command
        .env_clear()
        .env("CUDA_VISIBLE_DEVICES", "-1")
        .env("NVIDIA_VISIBLE_DEVICES", "")
        .env("DB_PASSWORD", "S3cret");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Server { child, port: line.trim().parse().unwrap() }
}

fn touch(path: &Path, seconds_from_now: u64) {
    let time = SystemTime::now() + Duration::from_secs(seconds_from_now);
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn age(path: &Path) {
    let time = SystemTime::now() - Duration::from_secs(3600);
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn probe(port: u16) -> (ProcessFacts, Ran) {
    let server = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let ask = Ask { server: Some(server), ..Ask::default() };
    let context = Context { ask, deadline: Instant::now() + PROBE.budget };
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"));
    let ran = run(&context, &mut facts);
    (facts.process, ran)
}

#[test]
fn a_server_is_found_by_its_port_and_described() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &["--api-key", "S3cret"]);
    let (facts, ran) = probe(server.port);
    assert_eq!(ran, Ran::ok());
    assert_eq!(facts.listeners.known().unwrap()[0].address, format!("127.0.0.1:{}", server.port));
    let processes = facts.processes.known().unwrap();
    assert_eq!(processes.len(), 1, "{processes:?}");
    let process = &processes[0];
    assert_eq!((process.pid, process.role.as_str()), (server.child.id().into(), "listener"));
    assert_eq!(process.command.known().unwrap(), "/usr/bin/python3 app.py --api-key '***'");
    assert_eq!(process.working_directory.known().unwrap(), dir.path().to_str().unwrap());
    assert_eq!(process.reloads, Fact::Known(false));
    let environment = facts.environment.known().unwrap();
    let expected = [("CUDA_VISIBLE_DEVICES", "-1"), ("NVIDIA_VISIBLE_DEVICES", "")];
    assert_eq!(environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
    assert_eq!(facts.gpu_libraries, Fact::Known(Default::default()));
    assert_eq!(facts.device_nodes_open, Fact::Known(Vec::new()));
    assert!(!serde_json::to_string(&facts).unwrap().contains("S3cret"));
}

#[test]
fn changed_code_is_found_and_its_untouched_twin_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[]);
    assert_eq!(probe(server.port).0.code_newer_than_start, Fact::Known(Vec::new()));
    age(&dir.path().join("twin.py"));
    touch(&dir.path().join("app.py"), 30);
    let (facts, _) = probe(server.port);
    let newer = facts.code_newer_than_start.known().unwrap();
    assert_eq!(newer.len(), 1, "{newer:?}");
    assert_eq!(newer[0].path, dir.path().join("app.py").display().to_string());
    assert_eq!(newer[0].pid, u64::from(server.child.id()));
    assert!((27.0..40.0).contains(&newer[0].newer_by_seconds), "{newer:?}");
}

#[test]
fn a_script_that_only_lies_beside_the_server_is_not_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &[]);
    touch(&dir.path().join("twin.py"), 30);
    assert_eq!(probe(server.port).0.code_newer_than_start, Fact::Known(Vec::new()), "nothing imports it");
    std::fs::create_dir(dir.path().join("__pycache__")).unwrap();
    std::fs::write(dir.path().join("__pycache__/twin.cpython-311.pyc"), "").unwrap();
    let (facts, _) = probe(server.port);
    assert_eq!(facts.code_newer_than_start.known().unwrap().len(), 1, "its bytecode tells that it was imported");
    std::fs::remove_dir_all(dir.path().join("__pycache__")).unwrap();
    std::fs::write(dir.path().join("app.py"), "import twin").unwrap();
    age(&dir.path().join("app.py"));
    let (facts, _) = probe(server.port);
    assert_eq!(facts.code_newer_than_start.known().unwrap().len(), 1, "the server's script imports it");
}

#[test]
fn a_live_reloader_makes_changed_code_no_matter() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &["--reload"]);
    touch(&dir.path().join("app.py"), 30);
    let (facts, _) = probe(server.port);
    assert_eq!(facts.code_newer_than_start, Fact::Known(Vec::new()));
    assert_eq!(facts.processes.known().unwrap()[0].reloads, Fact::Known(true));
}

#[test]
fn a_program_that_was_replaced_under_its_process_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("inference-server");
    // A copy by another process: a descriptor of this one might still be open for writing when the program is started.
    assert!(Command::new("cp").args(["-L", "/usr/bin/python3"]).arg(&program).status().unwrap().success());
    let server = start_program(&program, dir.path(), &[]);
    assert_eq!(probe(server.port).0.code_newer_than_start, Fact::Known(Vec::new()));
    std::fs::remove_file(&program).unwrap();
    std::fs::write(&program, "the next version").unwrap();
    touch(&program, 30);
    let (facts, _) = probe(server.port);
    let newer = facts.code_newer_than_start.known().unwrap();
    assert_eq!(newer.len(), 1, "{newer:?}");
    assert_eq!(newer[0].path, program.display().to_string(), "told without the kernel's mark for a deleted file");
}

/// `cargo run` and start scripts become the server by exec, which keeps the start of the process that built it.
#[test]
fn a_program_that_was_built_after_its_starter_started_is_no_old_code() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("inference-server");
    assert!(Command::new("cp").args(["-L", "/usr/bin/python3"]).arg(&program).status().unwrap().success());
    let server = start_program(&program, dir.path(), &[]);
    touch(&program, 30);
    assert_eq!(probe(server.port).0.code_newer_than_start, Fact::Known(Vec::new()));
    touch(&dir.path().join("app.py"), 60);
    let (facts, _) = probe(server.port);
    assert_eq!(facts.code_newer_than_start.known().unwrap().len(), 1, "what was changed after the program is old code");
}

#[test]
fn a_tunnel_is_not_the_server() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(probe(start(dir.path(), &[]).port).0.forwarded_by, Fact::Known(String::new()));
    let program = dir.path().join("kubectl");
    assert!(Command::new("cp").args(["-L", "/usr/bin/python3"]).arg(&program).status().unwrap().success());
    let tunnel = start_program(&program, dir.path(), &[]);
    assert_eq!(probe(tunnel.port).0.forwarded_by, Fact::Known("kubectl".into()));
}

#[test]
fn workers_belong_to_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &["fork"]);
    touch(&dir.path().join("app.py"), 30);
    let (facts, _) = probe(server.port);
    let processes = facts.processes.known().unwrap();
    assert_eq!(processes.len(), 2);
    assert!(processes.iter().all(|process| process.role == "listener"), "a forked worker owns the socket as well");
    let newest = processes.iter().max_by_key(|process| process.pid).unwrap().pid;
    assert_eq!(facts.code_newer_than_start.known().unwrap()[0].pid, newest);
}

#[test]
fn a_port_on_which_nothing_listens_is_told() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (facts, ran) = probe(port);
    assert_eq!(facts.port, Fact::Known(port.into()));
    assert_eq!(facts.listeners, Fact::Known(Vec::new()));
    assert_eq!(facts.processes.reason().unwrap().why, Why::Absent);
    assert!(facts.processes.reason().unwrap().detail.contains("namespace"));
    assert_eq!(ran.outcome, crate::snapshot::Outcome::Failed);
}

#[test]
fn a_server_that_dies_in_the_middle_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &["fork"]);
    let sockets = port::listening("self", server.port, &["127.0.0.1".parse().unwrap()]).unwrap();
    let family = family::find(&sockets, Instant::now() + Duration::from_secs(5)).unwrap();
    let members = family.members;
    assert_eq!(members.len(), 2);
    let port = server.port;
    drop(server);
    assert!(evidence::of(&members[0]).is_none(), "a process that has ended is left out");
    // Its forked half ends a moment later.
    let patience = Instant::now() + Duration::from_secs(10);
    while probe(port).0.processes.known().is_some() {
        assert!(Instant::now() < patience, "a process is still found behind the port");
    }
}

#[test]
fn servers_elsewhere_are_not_looked_for() {
    let ask = Ask { server: Some("http://192.0.2.1:8000".parse().unwrap()), ..Ask::default() };
    let context = Context { ask, deadline: Instant::now() + PROBE.budget };
    let mut facts = Facts::all_unknown(&Unknown::new(Why::Absent, "test"));
    assert_eq!(run(&context, &mut facts).outcome, crate::snapshot::Outcome::Skipped);
    assert_eq!(facts.process.processes.reason().unwrap().why, Why::NotAsked);
    let context = Context { ask: Ask::default(), ..context };
    assert_eq!(run(&context, &mut facts), Ran::skipped("no server was named"));
}
