//! The user's speech server of `fixtures/servers/asr`, started for one test.

use super::real_server::{self, Server};
use super::venv::venv;
use std::path::{Path, PathBuf};

pub use super::real_server::{free_port, uvicorn};

/// A running server; it is killed when this is dropped.
pub struct Asr {
    server: Server,
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
    let source = real_server::folder(folder).join("app.py");
    std::fs::copy(source, code.path().join("app.py")).expect("the server's code is there");
    let port = free_port();
    let mut command = uvicorn(&venv, port);
    command.current_dir(code.path()).envs(variables.iter().map(|(name, value)| (*name, value.as_path())));
    Some(Asr { server: real_server::start(command, "/health", port), code })
}

impl Asr {
    /// The server's base URL.
    pub fn url(&self) -> String {
        self.server.url.clone()
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.server.pid()
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
}
