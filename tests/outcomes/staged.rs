//! One staged deployment: the server of `fixtures/servers/outcomes`, and the scenario of the GPUs that it is on.

use crate::setup::asr::{free_port, uvicorn};
use crate::setup::doctor::{Said, gpu_doctor};
use crate::setup::real_server::{self, Server};
use crate::setup::venv::{site_packages, venv};
use crate::setup::{driver_variables, fake_driver};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub const WITHOUT_LANG: &str = "-F audio=@speech.wav";
pub const WITH_LANG: &str = "-F audio=@speech.wav -F lang=en";

/// Servers that compute on the CPU need a core for themselves.
static CPU: Mutex<()> = Mutex::new(());

/// Waits for the others that compute.
pub fn alone() -> MutexGuard<'static, ()> {
    CPU.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A deployment.
pub struct Stage {
    /// The server's code, what it has loaded, its request, its scenario.
    pub folder: tempfile::TempDir,
    server: Server,
    variables: Vec<(&'static str, PathBuf)>,
}

/// How the server is started.
#[derive(Default)]
pub struct Setting<'a> {
    /// Variables of the server alone.
    pub variables: &'a [(&'a str, &'a str)],
    /// Another folder of `fixtures/servers`.
    pub code: Option<&'a str>,
    /// The environment whose packages come before those of `venv-cpu`.
    pub packages: Option<&'a str>,
    /// Only the compiled code is there.
    pub without_source: bool,
    /// Processes that serve.
    pub workers: u32,
    /// Variables of the rig, in the place of the fake driver's.
    pub rig: bool,
}

impl Setting<'_> {
    /// Starts the server; `None` where its environment was not made.
    pub fn start(&self) -> Option<Stage> {
        let (environment, packages) = (venv("cpu")?, self.packages.map(venv));
        let folder = tempfile::tempdir().unwrap();
        let code = real_server::folder(self.code.unwrap_or("outcomes")).join("app.py");
        std::fs::copy(code, folder.path().join("app.py")).unwrap();
        if self.without_source {
            compile(&environment, folder.path());
        }
        let torch = folder.path().join("libtorch_cuda.so");
        std::fs::copy(fake_driver().join("libnvidia-ml.so.1"), &torch).unwrap();
        let scenario = folder.path().join("scenario.yaml");
        std::fs::copy(crate::setup::scenario("following-activity"), &scenario).unwrap();
        let mut variables = match self.rig {
            true => crate::setup::rig::variables(&scenario)?,
            false => driver_variables(&scenario).to_vec(),
        };
        variables.push(("GPU_DOCTOR_FAKE_ACTIVITY", folder.path().join("activity")));
        variables.push(("GPU_DOCTOR_FAKE_SERVER_PID", folder.path().join("pid")));
        if let Some(packages) = packages {
            variables.push(("PYTHONPATH", site_packages(&packages?)));
        }
        let port = free_port();
        let mut command = uvicorn(&environment, port);
        if self.workers > 1 {
            command.args(["--workers", &self.workers.to_string()]);
        }
        command.current_dir(folder.path()).envs(variables.iter().map(|(name, value)| (*name, value.as_path())));
        command.env("OUTCOMES_ACTIVITY", folder.path().join("activity")).env("OUTCOMES_LIBRARIES", &torch);
        command.env("STAND_IN_LIBRARY", &torch).env("ASR_ACTIVITY_FILE", folder.path().join("activity"));
        command.envs(self.variables.iter().copied());
        let server = real_server::start(command, "/health", port);
        std::fs::write(folder.path().join("pid"), server.pid().to_string()).unwrap();
        Some(Stage { folder, server, variables })
    }
}

/// Leaves nothing of the code but what Python makes of it.
fn compile(environment: &Path, folder: &Path) {
    let compiled = Command::new(environment.join("bin/python"))
        .args(["-c", "import py_compile; py_compile.compile('app.py', cfile='app.pyc')"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .status();
    assert!(compiled.is_ok_and(|status| status.success()));
    std::fs::remove_file(folder.join("app.py")).unwrap();
}

impl Stage {
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Ids of the processes that the server started to serve beside it.
    pub fn workers(&self) -> Vec<u32> {
        let list = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = std::fs::read_to_string(list).unwrap_or_default();
        let serves = |pid: &u32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains("spawn_main")
        };
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).filter(serves).collect()
    }

    /// Replaces parts of the scenario, which the server itself never reads.
    pub fn scenario(&self, change: impl Fn(&str) -> String) {
        let file = self.folder.path().join("scenario.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let changed = change(&text);
        assert_ne!(text, changed, "nothing of the scenario was changed");
        std::fs::write(file, changed).unwrap();
    }

    /// The whole program, with the client's request as `curl` with these arguments.
    pub fn doctor(&self, client: &str, options: &[&str]) -> (Said, Value) {
        let folder = self.folder.path();
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/samples/speech.wav");
        std::fs::copy(sample, folder.join("speech.wav")).unwrap();
        let request = folder.join("request.txt");
        std::fs::write(&request, format!("curl -X POST {}/asr \\\n  {client}\n", self.url())).unwrap();
        let arguments = ["run", "--format", "json", "--server", self.url(), "--client-request"];
        // What is on the server's path is not the doctor's.
        let variables: Vec<_> = self.variables.iter().filter(|(name, _)| *name != "PYTHONPATH").cloned().collect();
        let said = gpu_doctor(&[&arguments[..], &[request.to_str().unwrap()], options].concat(), &variables);
        let report = said.report();
        (said, report)
    }
}

/// Ids of all checks that hold.
pub fn holding(report: &Value) -> Vec<&str> {
    let all = report["findings"].as_array().unwrap().iter().filter(|finding| finding["verdict"] == "holds");
    all.map(|finding| finding["check"].as_str().unwrap()).collect()
}
