//! Runs the binary and reads what it says.

use super::GPU_DOCTOR;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one invocation came to.
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Wall time.
    pub took: Duration,
}

/// Runs `gpu-doctor` with these arguments and variables, without a terminal.
pub fn gpu_doctor(arguments: &[&str], variables: &[(&str, PathBuf)]) -> Said {
    let started = Instant::now();
    let output = Command::new(GPU_DOCTOR)
        .args(arguments)
        .env_remove("CUDA_VISIBLE_DEVICES")
        .envs(variables.iter().map(|(name, value)| (*name, value.as_path())))
        .stdin(Stdio::null())
        .output()
        .expect("gpu-doctor starts");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("it writes UTF-8"),
        err: String::from_utf8(output.stderr).expect("it writes UTF-8"),
        took: started.elapsed(),
    }
}

impl Said {
    /// The report, with `--format json`.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.out, self.err))
    }
}

/// Ids of the causes of a report, in order.
pub fn causes(report: &Value) -> Vec<&str> {
    report["diagnoses"].as_array().expect("diagnoses").iter().map(|d| d["cause"].as_str().expect("a cause")).collect()
}

/// The diagnosis of that cause.
pub fn diagnosis<'a>(report: &'a Value, cause: &str) -> &'a Value {
    let found = report["diagnoses"].as_array().and_then(|list| list.iter().find(|d| d["cause"] == cause));
    found.unwrap_or_else(|| panic!("{cause} is not among {:?}: {}", causes(report), report["headline"]))
}

/// The verdict of a check.
pub fn verdict<'a>(report: &'a Value, check: &str) -> &'a str {
    let found = report["findings"].as_array().and_then(|list| list.iter().find(|f| f["check"] == check));
    found.unwrap_or_else(|| panic!("no check is called {check}"))["verdict"].as_str().expect("a verdict")
}

/// The outcome of a probe.
pub fn outcome<'a>(report: &'a Value, probe: &str) -> &'a str {
    let found = report["probes"].as_array().and_then(|list| list.iter().find(|p| p["id"] == probe));
    found.unwrap_or_else(|| panic!("no probe is called {probe}"))["outcome"].as_str().expect("an outcome")
}

/// What was seen at a stage.
pub fn seen<'a>(report: &'a Value, stage: &str) -> &'a str {
    let found = report["stages"].as_array().and_then(|list| list.iter().find(|s| s["stage"] == stage));
    found.unwrap_or_else(|| panic!("no stage is called {stage}"))["seen"].as_str().expect("words")
}
