//! A place where a recipe can be done: `gpu-doctor` is on the path, and a config file comes to the verdict that is wanted.

use crate::scripted_server::ScriptedServer;
use crate::setup::GPU_DOCTOR;
use crate::setup::real_server::free_port;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the doctor is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Healthy,
    Unhealthy,
    Undecided,
}

impl Verdict {
    pub const ALL: [Verdict; 3] = [Verdict::Healthy, Verdict::Unhealthy, Verdict::Undecided];

    /// The doctor's exit code.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The one stage that is judged.
    pub fn stage(self) -> &'static str {
        if self == Verdict::Undecided { "hardware" } else { "request" }
    }
}

/// The folder of the recipes.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes")
}

/// A file of them.
pub fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A place to do a recipe in.
pub struct Rehearsal {
    place: tempfile::TempDir,
    _server: Option<ScriptedServer>,
}

/// What came of a command.
pub struct Done {
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Both outputs.
    pub said: String,
}

impl Rehearsal {
    pub fn new(verdict: Verdict) -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(GPU_DOCTOR, place.path().join("bin/gpu-doctor")).unwrap();
        let mut server = None;
        let config = match verdict {
            Verdict::Healthy => {
                let started = serving();
                let config = format!("server: {}\nonly: [request]\nrequest: {{count: 2}}\n", started.url());
                server = Some(started);
                config
            }
            Verdict::Unhealthy => format!("server: http://127.0.0.1:{}\nonly: [request]\n", free_port()),
            // A tree in which nothing of a machine can be seen.
            Verdict::Undecided => {
                let started = serving();
                let config = format!("server: {}\nroot: bin\nonly: [hardware]\n", started.url());
                server = Some(started);
                config
            }
        };
        std::fs::write(place.path().join("gpu-doctor.yaml"), config).unwrap();
        Self { place, _server: server }
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> String {
        self.place.path().join(name).display().to_string()
    }

    /// Whether a file was written and is not empty.
    pub fn wrote(&self, name: &str) -> bool {
        std::fs::metadata(self.file(name)).is_ok_and(|file| file.len() > 0)
    }

    /// A text with this place's files for those that a machine would have.
    pub fn placed(&self, text: &str) -> String {
        let text = text.replace("/etc/gpu-doctor/gpu-doctor.yaml", "/etc/gpu-doctor.yaml");
        text.replace("/etc/gpu-doctor.yaml", &self.file("gpu-doctor.yaml"))
            .replace("/usr/local/bin/gpu-doctor", GPU_DOCTOR)
            .replace("/var/lib/prometheus/node-exporter/", &self.file(""))
    }

    /// Runs a command here. Waits are short.
    pub fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> Done {
        let path = format!("{}:{}", self.file("bin"), std::env::var("PATH").unwrap_or_default());
        let words: Vec<String> = words.iter().map(|word| word.replace("--wait=2m", "--wait=1s")).collect();
        let program = if words[0] == "gpu-doctor" { GPU_DOCTOR } else { words[0].as_str() };
        let output = Command::new(program)
            .args(&words[1..])
            .current_dir(self.place.path())
            .env("PATH", path)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Done { code: output.status.code().unwrap_or(-1), said: format!("{out}{err}"), out: out.into_owned() }
    }
}

/// A server that serves.
fn serving() -> ScriptedServer {
    let schema = r#"{"openapi":"3.1.0","paths":{"/asr":{"post":{"requestBody":{"content":{"application/json":{"schema":
        {"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}}}}}}}}"#;
    ScriptedServer::answering(move |request| match request.target.as_str() {
        "/openapi.json" => (200, "application/json", schema.into()),
        "/asr" => (200, "application/json", r#"{"text":"ok"}"#.into()),
        _ => (404, "application/json", "{}".into()),
    })
}
