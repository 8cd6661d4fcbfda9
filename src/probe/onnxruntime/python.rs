//! An onnxruntime that no other program can load (Python packages before 1.19 carry an extension module only), asked
//! through the deployment's own interpreter.
//!
//! Reading a deployment is free; running its Python needs the user's word. `--import onnxruntime` is one, and so is
//! `gpu-doctor model FILE --python EXE`, which is asked for nothing else.

use super::execution;
use super::placement_log::PlacementLog;
use super::session::Answer;
use crate::probe::isolation::{End, Report};
use crate::probe::{Ask, Context, python};
use crate::snapshot::{Facts, Unknown, Why};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The program that the interpreter runs.
const PROGRAM: &str = include_str!("session.py");
/// Beginning of the extension module's name.
const MODULE: &str = "onnxruntime_pybind11_state";

/// The interpreter, if the user named one and gave the word.
pub fn permitted(ask: &Ask) -> Option<PathBuf> {
    let python = ask.python.as_ref().filter(|_| ask.onnxruntime.is_none() && ask.root == Path::new("/"))?;
    let word = ask.placement.run_python || ask.imports.iter().any(|module| module == "onnxruntime");
    word.then(|| python::interpreter(python))
}

/// Whether the library is one that only Python can load.
pub fn only_here(library: &str) -> bool {
    Path::new(library).file_name().is_some_and(|name| name.to_string_lossy().starts_with(MODULE))
}

/// Has CUDA registered. The parts are those of the job `onnxruntime`, and `{"library"}`.
pub fn providers(python: &Path, context: &Context, facts: &Facts) -> Report {
    let one_node: String = super::child::ONE_NODE.iter().map(|byte| format!("{byte:02x}")).collect();
    let order = json!({ "one_node": one_node, "model": null, "cuda": true }).to_string();
    python::run(python, PROGRAM, &order, facts, context.deadline)
}

/// Creates a session of the model, dry where CUDA is asked for, and hears its log.
///
/// # Errors
/// The child's obstacle.
pub fn place(python: &Path, model: &str, cuda: bool, context: &Context, facts: &Facts) -> Result<Answer, Unknown> {
    let order = json!({ "one_node": "", "model": model, "cuda": cuda }).to_string();
    let report = python::run(python, PROGRAM, &order, facts, context.deadline);
    let result = report.result().map_err(|unknown| refusal(python, &report).unwrap_or(unknown))?;
    let mut log = PlacementLog::default();
    for lines in report.parts.iter().filter_map(|part| part.get("log")?.as_array()) {
        lines.iter().filter_map(|line| line.as_str()).for_each(|line| log.hear(line));
    }
    let log = log.finish();
    Ok(Answer {
        listed: execution::listed(&log, context.ask.placement.every_node),
        placement: log,
        no_execution: "onnxruntime was asked through Python, by its log alone".into(),
        dry: cuda,
        session_ms: result.get("session_ms").and_then(|value| value.as_f64()),
        error: result.get("error").and_then(|error| error.as_str()).map(super::error_text::cause),
        ..Answer::default()
    })
}

/// Why the program told nothing, where it is no interpreter or has no onnxruntime.
pub fn refusal(python: &Path, report: &Report) -> Option<Unknown> {
    python::no_interpreter(python, report).or_else(|| {
        let End::Exit(code) = report.end else { return None };
        let last = report.printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        let (python, last) = (python.display(), python::shortened(last));
        let detail = format!("{python} ended with status {code} ({}) and printed: {last}", report.last_stage);
        Some(Unknown::new(Why::Crashed, detail))
    })
}

#[cfg(test)]
#[path = "python_tests.rs"]
mod tests;
