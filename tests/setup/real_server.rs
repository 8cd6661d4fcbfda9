//! Real servers, started for one test.

use super::venv::venv;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server; it and the processes that it started end when this is dropped.
pub struct Server {
    child: Child,
    /// For its temporary files.
    _folder: tempfile::TempDir,
    /// Its base URL.
    pub url: String,
    /// Its port.
    pub port: u16,
}

impl Server {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let id = self.child.id() as i32;
        // Triton's backend processes and BentoML's workers end only if it may end by itself.
        // SAFETY: a signal to a child that was not waited for yet.
        unsafe { libc::kill(id, libc::SIGTERM) };
        let end = Instant::now() + Duration::from_secs(8);
        while Instant::now() < end && self.child.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        // LitServe's children would go on listening. SAFETY: the group is the child's own (see `start`).
        unsafe { libc::kill(-id, libc::SIGKILL) };
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// A folder of `fixtures/servers`.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/servers").join(name)
}

/// Starts `server.py` of a folder of `fixtures/servers` in the environment `target/venv-NAME`, with these switches, and
/// waits until the path answers 200. `None` where the environment was not made.
pub fn program(name: &str, code: &str, switches: &[&str], ready: &str) -> Option<Server> {
    let (command, port) = command_of(name, code, switches)?;
    Some(start(command, ready, port))
}

/// The same for one that answers no plain request: it is waited for until its port takes connections.
#[allow(dead_code)]
pub fn unready(name: &str, code: &str, switches: &[&str]) -> Option<Server> {
    let (command, port) = command_of(name, code, switches)?;
    Some(start_with(command, "", port, true))
}

fn command_of(name: &str, code: &str, switches: &[&str]) -> Option<(Command, u16)> {
    let venv = venv(name)?;
    let port = free_port();
    let mut command = Command::new(venv.join("bin/python"));
    command.arg(folder(code).join("server.py")).arg("--port").arg(port.to_string()).args(switches);
    Some((command, port))
}

/// The same with its output in a file, as a service has it; gpu-doctor reads it as the server's log.
pub fn program_with_log(name: &str, code: &str, switches: &[&str], ready: &str) -> Option<Server> {
    let (command, port) = command_of(name, code, switches)?;
    Some(start_with(command, ready, port, true))
}

/// Starts the real tritonserver of the environment with the models of `fixtures/servers/triton/models`, if the options
/// name no others, and waits until the path answers 200.
pub fn triton(venv: &Path, ready: &str, options: &[&str]) -> Server {
    triton_of("models", venv, ready, options)
}

/// The same with the models of another folder of `fixtures/servers/triton`.
pub fn triton_of(models: &str, venv: &Path, ready: &str, options: &[&str]) -> Server {
    let port = free_port();
    let mut command = Command::new("sh");
    command.arg(folder("triton/start.sh")).arg(port.to_string()).arg(venv).args(options).env("TRITON_MODELS", models);
    start(command, ready, port)
}

/// uvicorn of that environment, to serve `app:app` on the port.
pub fn uvicorn(venv: &Path, port: u16) -> Command {
    let mut command = Command::new(venv.join("bin/python"));
    command.args(["-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--log-level", "warning", "--port"]);
    command.arg(port.to_string());
    quiet(&mut command);
    command
}

/// A server's outputs are not the tests' own: where those go to a file, gpu-doctor would read it as the server's log.
fn quiet(command: &mut Command) {
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
}

/// Starts the command, a server on the port, in a process group of its own, and waits until the path answers 200.
pub fn start(command: Command, ready: &str, port: u16) -> Server {
    start_with(command, ready, port, false)
}

fn start_with(mut command: Command, ready: &str, port: u16, log: bool) -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    quiet(&mut command);
    if log {
        let file = File::create(folder.path().join("server.log")).expect("a log");
        command.env("PYTHONUNBUFFERED", "1").stdout(file.try_clone().expect("a log")).stderr(file);
    }
    command.env("TMPDIR", folder.path()).process_group(0);
    let child = command.spawn().expect("the server starts");
    let url = format!("http://127.0.0.1:{port}");
    let mut server = Server { child, _folder: folder, url, port };
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let status = server.child.try_wait().unwrap();
        assert!(status.is_none(), "the server ended: {status:?}: {command:?}");
        if answers(port, ready) {
            return server;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the server was not ready within a minute: {command:?}");
}

fn answers(port: u16, path: &str) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    if path.is_empty() {
        return true;
    }
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut head = [0; 12];
    stream.read_exact(&mut head).is_ok() && &head == b"HTTP/1.1 200"
}
