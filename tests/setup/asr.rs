//! The user's speech server of `fixtures/servers/asr`, started for one test.

use super::venv::venv;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server; it is killed when this is dropped.
pub struct Asr {
    process: Child,
    port: u16,
    /// Folder with its code, a copy of the fixture's.
    pub code: tempfile::TempDir,
}

/// Starts the server in the environment `venv-NAME` with further variables, and waits until it answers.
/// `None` where the environment was not made.
pub fn start(name: &str, variables: &[(&str, PathBuf)]) -> Option<Asr> {
    start_code(name, "asr", variables)
}

/// The same with the code of another folder of `fixtures/servers`, of the same service.
pub fn start_code(name: &str, folder: &str, variables: &[(&str, PathBuf)]) -> Option<Asr> {
    let venv = venv(name)?;
    let code = tempfile::tempdir().expect("a temporary folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/servers").join(folder).join("app.py");
    std::fs::copy(source, code.path().join("app.py")).expect("the server's code is there");
    let port = free_port();
    let process = uvicorn(&venv, port)
        .current_dir(code.path())
        .envs(variables.iter().map(|(name, value)| (*name, value.as_path())))
        .spawn()
        .expect("python starts");
    let mut server = Asr { process, port, code };
    let patience = Instant::now() + Duration::from_secs(60);
    while !server.answers() {
        if let Ok(Some(status)) = server.process.try_wait() {
            panic!("the server ended: {status}");
        }
        assert!(Instant::now() < patience, "the server did not answer in time");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(server)
}

/// uvicorn of that environment, to serve `app:app` on the port.
pub fn uvicorn(venv: &Path, port: u16) -> Command {
    let mut command = Command::new(venv.join("bin/python"));
    command
        .args(["-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--log-level", "warning", "--port"])
        .arg(port.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        // Not the tests' own outputs: where those go to a file, gpu-doctor would read it as the server's log.
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

impl Asr {
    /// The server's base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A file with the client's request: `curl` with these arguments after the URL of `path`.
    pub fn client_request(&self, path: &str, arguments: &str) -> PathBuf {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/samples/speech.wav");
        std::fs::copy(sample, self.code.path().join("speech.wav")).expect("the sample is there");
        let file = self.code.path().join("request.txt");
        let text = format!("curl -X POST {}{path} \\\n  {arguments}\n", self.url());
        std::fs::write(&file, text).expect("the request can be written");
        file
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let _ = stream.write_all(b"GET /health HTTP/1.0\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.contains("healthy")
    }
}

impl Drop for Asr {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
