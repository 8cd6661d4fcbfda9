//! The environment in which the deployment's libraries are asked: the server's, where it can be read.

use crate::snapshot::Facts;

/// Variables that decide which GPUs and libraries a process sees. Only these and [`TELLING`] are ever read from another
/// process.
pub const DECIDING: &[&str] = &[
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "CUDA_HOME",
    "CUDA_MODULE_LOADING",
    "CUDA_MPS_PIPE_DIRECTORY",
    "LD_LIBRARY_PATH",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "OMP_NUM_THREADS",
    "ORT_DISABLE_CUDA",
    "VIRTUAL_ENV",
];

/// Variables that tell where a process runs, where its model's own code is kept, how much of the model goes to the GPU,
/// how many requests it takes at once, and where its metrics are. They are read like the deciding ones, and not passed on. So are those of [`names_device`].
pub const TELLING: &[&str] = &[
    "HF_HOME",
    "HF_MODULES_CACHE",
    "KUBERNETES_SERVICE_HOST",
    "LLAMA_ARG_N_GPU_LAYERS",
    "MLSERVER_METRICS_PORT",
    "N_GPU_LAYERS",
    "OLLAMA_MAX_QUEUE",
    "OLLAMA_NUM_PARALLEL",
    "XDG_CACHE_HOME",
];

/// Whether a variable tells which device a program uses: it is called `DEVICE` or `.._DEVICE`, and its value is a word
/// such as `cuda:0`. One that holds anything else is not read.
pub fn names_device(name: &str, value: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == ':';
    (name == "DEVICE" || name.ends_with("_DEVICE")) && (1..=10).contains(&value.len()) && value.chars().all(word)
}

/// Changes that turn the doctor's environment into the server's, for the deciding variables.
/// Empty when the server's environment is not known: then the doctor's own stands in.
pub fn of_server(facts: &Facts) -> Vec<(&'static str, Option<String>)> {
    match facts.process.environment.known() {
        Some(environment) => DECIDING.iter().map(|name| (*name, environment.get(*name).cloned())).collect(),
        None => Vec::new(),
    }
}

/// The value of a deciding variable as the deployment sees it.
pub fn value(facts: &Facts, name: &str) -> Option<String> {
    match facts.process.environment.known() {
        Some(environment) => environment.get(name).cloned(),
        None => std::env::var(name).ok(),
    }
}
