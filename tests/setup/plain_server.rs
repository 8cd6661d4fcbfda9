//! The servers of `fixtures/servers/plain` and `fixtures/servers/blocking`, started for one test.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server; it is killed when this is dropped.
pub struct PlainServer {
    child: Child,
    /// Its port.
    pub port: u16,
}

impl Drop for PlainServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server's program.
pub fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/servers/plain/server.py")
}

/// Starts the server with these arguments in this folder, and waits until it listens.
pub fn start(folder: &Path, arguments: &[&str]) -> PlainServer {
    start_with(folder, arguments, &[])
}

/// The same with variables of its own.
pub fn start_with(folder: &Path, arguments: &[&str], variables: &[(&str, PathBuf)]) -> PlainServer {
    let mut command = Command::new("python3");
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_path())));
    command.arg(program()).args(arguments).current_dir(folder);
    // Its errors must not go where the tests print: if that is a file, it would be read as the server's log.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("python3 starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("the server says its port");
    PlainServer { port: line.trim().parse().expect("a port"), child }
}

impl PlainServer {
    /// Takes a server over, so that it ends with the test whatever happens.
    pub fn adopt(child: Child, port: u16) -> Self {
        Self { child, port }
    }

    /// Its base URL on 127.0.0.1.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn pid(&self) -> u64 {
        self.child.id().into()
    }

    /// A file in the folder with the client's request to a path.
    pub fn client_request(&self, folder: &Path, path: &str) -> PathBuf {
        let file = folder.join("request.txt");
        let (url, body) = (self.url(), r#"{"text": "hello"}"#);
        let text = format!("curl {url}{path} -H 'content-type: application/json' -d '{body}'\n");
        std::fs::write(&file, text).expect("the request can be written");
        file
    }
}
