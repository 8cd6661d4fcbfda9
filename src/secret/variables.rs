//! Which variables and headers are told with their values.

/// Headers of a request whose values are no secrets.
pub const PLAIN_HEADERS: &[&str] = &["accept", "accept-language", "content-type", "user-agent", "origin", "host"];
/// Headers of an answer that tell something of the server.
pub const TELLING_HEADERS: &[&str] = &[
    "server",
    "allow",
    "www-authenticate",
    "retry-after",
    "location",
    "content-type",
    "via",
    "x-cache",
    "x-compute-type",
    "cf-cache-status",
    "x-device",
    "x-compute-device",
    "x-inference-device",
    "x-model-device",
];

/// Variables that checks read, and those of the field that are read aloud when somebody asks for help.
const VARIABLES: &[&str] = &[
    "PATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "HF_HOME",
    "HF_MODULES_CACHE",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_HUB_ENABLE_HF_TRANSFER",
    "HF_DATASETS_CACHE",
    "HF_ENDPOINT",
    "HUGGINGFACE_HUB_CACHE",
    "VIRTUAL_ENV",
    "DEVICE",
    "N_GPU_LAYERS",
    "XDG_CACHE_HOME",
    "HOSTNAME",
    "LANG",
    "TZ",
    "TERM",
    "PWD",
    "HOME",
    "USER",
    "SHELL",
    "WORLD_SIZE",
    "RANK",
    "LOCAL_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
    "PORT",
    "HOST",
    "WORKERS",
    "WEB_CONCURRENCY",
    "MODEL",
    "MODEL_ID",
    "MODEL_NAME",
    "MODEL_PATH",
    "MODEL_REPOSITORY",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "XLA_FLAGS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "MAX_FORM_MEMORY_SIZE",
    "MAX_CONTENT_LENGTH",
    "PROMETHEUS_MULTIPROC_DIR",
    "TOKENIZERS_PARALLELISM",
    "CMAKE_ARGS",
    "FORCE_CMAKE",
];
/// Beginnings of such names.
const FAMILIES: &[&str] = &[
    "CUDA_",
    "NVIDIA_",
    "NV_",
    "OMP_",
    "ORT_",
    "TRANSFORMERS_",
    "TORCH_",
    "PYTORCH_",
    "NCCL_",
    "PYTHON",
    "CONDA_",
    "KUBERNETES_",
    "SLURM_",
    "MKL_",
    "OPENBLAS_",
    "LLAMA_",
    "GGML_",
    "OLLAMA_",
    "MLSERVER_",
    "VLLM_",
    "TRITON_",
    "TF_",
    "CUBLAS_",
    "CUDNN_",
    "UCX_",
    "RAY_",
    "XLA_",
    "JAX_",
    "CT2_",
    "GUNICORN_",
    "UVICORN_",
    "OLLAMA",
];

/// Whether the value of this variable may be told. A name that speaks of a secret is on no list.
pub fn variable_is_plain(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    !super::is_in_flag(name)
        && (VARIABLES.contains(&upper.as_str())
            || upper.ends_with("_DEVICE")
            || FAMILIES.iter().any(|family| upper.starts_with(family)))
}

/// Whether the value of this header may be told.
pub fn header_is_plain(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let more =
        ["accept-encoding", "content-length", "content-encoding", "date", "connection", "transfer-encoding", "referer"];
    [PLAIN_HEADERS, TELLING_HEADERS, &more].iter().any(|list| list.contains(&lower.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_field_are_told_and_others_are_not() {
        for name in
            ["CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "WHISPER_DEVICE", "KUBERNETES_SERVICE_HOST", "OLLAMA_MAX_QUEUE"]
        {
            assert!(variable_is_plain(name), "{name}");
        }
        for name in ["HF_TOKEN", "DATABASE_URL", "NVIDIA_API_KEY", "VLLM_API_KEY", "CUDA_SECRET", "MY_SETTING"] {
            assert!(!variable_is_plain(name), "{name}");
        }
    }
}
