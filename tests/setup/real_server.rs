//! Real servers, started for one test.

use super::asr::free_port;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that is stopped when this is dropped.
pub struct Server {
    child: Child,
    /// Its base URL.
    pub url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Triton's backend processes end only if it may end by itself.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let end = Instant::now() + Duration::from_secs(8);
        while Instant::now() < end {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the real tritonserver of the environment with the models of `fixtures/servers/triton` and further options.
pub fn triton(venv: &Path, ready: &str, options: &[&str]) -> Server {
    let port = free_port();
    let mut command = Command::new("sh");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/servers/triton/start.sh"));
    command.arg(port.to_string()).arg(venv).args(options);
    start(command, ready, port)
}

/// Starts the command, a server on the port, and waits until this path answers 200.
pub fn start(mut command: Command, ready: &str, port: u16) -> Server {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut server = Server { child, url: format!("http://127.0.0.1:{port}") };
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        let status = server.child.try_wait().unwrap();
        assert!(status.is_none(), "the server ended: {status:?}");
        if answers(port, ready) {
            return server;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the server was not ready within a minute");
}

fn answers(port: u16, path: &str) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut head = [0; 12];
    stream.read_exact(&mut head).is_ok() && &head == b"HTTP/1.1 200"
}
