//! Models of Triton's Python backend: their processes, and whether their code ever speaks of a GPU.
//!
//! Triton hands the kind of an instance to `initialize(args)` and does no more: where a Python model computes is its own
//! choice (triton-inference-server/server#5889).

use super::ASKED_MAX;
use super::ports::{is_program, values, words};
use super::triton::is_name;
use crate::probe::process::later;
use crate::probe::tree::Tree;
use crate::snapshot::{EngineModel, Fact, Facts, PythonSource, PythonStub, Unknown, Why};
use std::path::{Path, PathBuf};

/// Bytes read of a model's code.
const SOURCE_BYTES: usize = 1 << 20;
/// Processes that are looked into.
const STUBS_MAX: usize = 32;
/// What takes or names the GPU, in lower case.
const NAMES: &[&str] =
    &["model_instance_device_id", "cuda", "gpu", "nvidia", "tensorrt", "cupy", "jax", "tensorflow", "vllm", "paddle"];
/// What picks a device. Beside the word "cpu" it picks that one.
const PICKS: &[&str] = &[".to(", "device"];

/// The stub processes: `triton_python_backend_stub MODEL.PY SHARED-MEMORY ...`.
pub fn stubs(facts: &Facts) -> Result<Vec<PythonStub>, Unknown> {
    let processes = facts.process.processes.read()?;
    let mut stubs = Vec::new();
    for process in processes {
        let Some(words) = words(process).filter(|words| is_program(words, "triton_python_backend_stub")) else {
            continue;
        };
        let Some(file) = words.get(1).filter(|_| stubs.len() < STUBS_MAX) else { continue };
        // REPOSITORY/MODEL/VERSION/model.py
        let model = Path::new(file).ancestors().nth(2).and_then(Path::file_name);
        let model = model.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let device_nodes_open = later::device_nodes(&[process.pid]).into();
        stubs.push(PythonStub { pid: process.pid, file: file.clone(), model, device_nodes_open });
    }
    Ok(stubs)
}

/// Reads the code of the Python models.
pub fn read_sources(models: &mut [EngineModel], stubs: &Result<Vec<PythonStub>, Unknown>, facts: &Facts) {
    let python = |model: &&mut EngineModel| model.backend.known().is_some_and(|backend| backend == "python");
    for model in models.iter_mut().filter(python).take(ASKED_MAX) {
        let of_model = stubs.as_ref().map(|stubs| stubs.iter().find(|stub| stub.model == model.name));
        model.python_source = match of_model {
            Err(unknown) => Fact::Unknown(unknown.clone()),
            Ok(Some(stub)) => source(stub.pid, Path::new(&stub.file)).into(),
            Ok(None) => in_repository(model, facts).into(),
        };
    }
}

/// The code in the repository that the server was started with.
fn in_repository(model: &EngineModel, facts: &Facts) -> Result<PythonSource, Unknown> {
    let absent = |detail: &str| Unknown::new(Why::Absent, detail);
    let processes = facts.process.processes.read()?;
    let server = processes
        .iter()
        .find_map(|process| Some((process, words(process).filter(|words| is_program(words, "tritonserver"))?)));
    let (process, words) = server.ok_or_else(|| absent("none of the server's processes is tritonserver"))?;
    let version = model.version.known().map_or("1", String::as_str);
    if !is_name(&model.name) || !is_name(version) {
        return Err(absent("the model's name or version is none that a folder has"));
    }
    let folder = process.working_directory.known().map_or(PathBuf::from("/"), PathBuf::from);
    let mut last = absent("tritonserver was started without --model-repository");
    for repository in values(&words, &["--model-repository", "--model-store"]).take(ASKED_MAX) {
        let file = folder.join(repository).join(&model.name).join(version).join("model.py");
        match source(process.pid, &file) {
            Ok(source) => return Ok(source),
            Err(unknown) => last = unknown,
        }
    }
    Err(last)
}

fn source(pid: u64, file: &Path) -> Result<PythonSource, Unknown> {
    let text = Tree::of_process(pid).read(file, SOURCE_BYTES)?;
    Ok(PythonSource { path: file.display().to_string(), names_gpu: names_gpu(&text) })
}

/// What in the code speaks of a GPU or picks a device, each once.
pub fn names_gpu(code: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in code.lines().map(str::trim_start).filter(|line| !line.starts_with('#')) {
        let line = line.to_ascii_lowercase();
        let cpu = line.contains("\"cpu") || line.contains("'cpu");
        let picks = PICKS.iter().filter(|_| !cpu);
        for word in NAMES.iter().chain(picks).filter(|word| line.contains(**word)) {
            if !found.iter().any(|known| known == word) {
                found.push((*word).into());
            }
        }
    }
    found
}
