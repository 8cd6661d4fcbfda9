//! Names that are nobody's, and words that a machine or a user may be called like.

use crate::secret::is_stand_in;
use regex::Regex;
use std::sync::LazyLock;

/// Domains that name nobody's machine: where software, models and documentation come from.
const PUBLIC: &[&str] = &[
    "huggingface.co",
    "hf.co",
    "github.com",
    "githubusercontent.com",
    "github.io",
    "gitlab.com",
    "pypi.org",
    "pythonhosted.org",
    "python.org",
    "nvcr.io",
    "nvidia.com",
    "nvidia.github.io",
    "docker.io",
    "docker.com",
    "ghcr.io",
    "quay.io",
    "pytorch.org",
    "tensorflow.org",
    "onnxruntime.ai",
    "onnx.ai",
    "microsoft.com",
    "aka.ms",
    "kubernetes.io",
    "k8s.io",
    "readthedocs.io",
    "stackoverflow.com",
    "swagger.io",
    "json-schema.org",
    "w3.org",
    "ietf.org",
    "openai.com",
    "vllm.ai",
    "ollama.com",
    "ollama.ai",
    "ray.io",
    "pydantic.dev",
    "fastapi.tiangolo.com",
    "starlette.io",
    "uvicorn.org",
    "palletsprojects.com",
    "ultralytics.com",
    "paddlepaddle.org",
    "modelscope.cn",
    "schema.org",
    "mozilla.org",
    "debian.org",
    "ubuntu.com",
    "kernel.org",
    "opencontainers.org",
    "prometheus.io",
    "grafana.com",
    "example.com",
    "example.org",
    "example.net",
    "conda.io",
    "anaconda.org",
    "anaconda.com",
    "apache.org",
    "google.com",
    "googleapis.com",
    "jax.dev",
    "gradio.app",
    "bentoml.com",
    "gcr.io",
    "pkg.dev",
    "public.ecr.aws",
    "lscr.io",
    "redhat.com",
    "redhat.io",
    "fedoraproject.org",
    "alpinelinux.org",
    "gnu.org",
    "arxiv.org",
    "wikipedia.org",
    "rust-lang.org",
    "crates.io",
    "docs.rs",
    "letsencrypt.org",
    "elastic.co",
    "opentelemetry.io",
    "mlflow.org",
    "wandb.ai",
    "zenodo.org",
    "kaggle.com",
    "fbaipublicfiles.com",
    "openaipublic.blob.core.windows.net",
    "amd.com",
    "intel.com",
    "helm.sh",
    "istio.io",
    "argoproj.io",
    "kserve.io",
    "knative.dev",
    "kubeflow.org",
    "volcano.sh",
    "karpenter.sh",
    "run.ai",
    "projectcalico.org",
    "cilium.io",
    "eks.amazonaws.com",
    "k8s.amazonaws.com",
    "cloudflare.com",
    "discord.gg",
    "curl.se",
    "locust.io",
    "nginx.org",
    "opennmt.net",
    "readthedocs.org",
    "shields.io",
    "badgen.net",
    "twitter.com",
    "rfc-editor.org",
    "man7.org",
    "stdout",
    "stderr",
];
/// Names that are nobody's, and words that are a machine's name only where nothing else can stand.
const WORDS: &[&str] = &[
    "localhost",
    "host.docker.internal",
    "gateway.docker.internal",
    "metadata.google.internal",
    "kubernetes",
    "host",
    "user",
    "server",
    "servers",
    "gpu",
    "gpus",
    "model",
    "models",
    "node",
    "docker",
    "container",
    "machine",
    "main",
    "local",
    "triton",
    "vllm",
    "ollama",
    "cuda",
    "nvidia",
    "worker",
    "workers",
    "master",
    "test",
    "tests",
    "runner",
    "build",
    "dev",
    "linux",
    "ubuntu",
    "debian",
    "fedora",
    "python",
    "app",
    "api",
    "web",
    "proxy",
    "backend",
    "frontend",
    "client",
    "home",
    "root",
    "none",
    "null",
    "unknown",
    "kernel",
    "whisper",
    "torch",
    "onnx",
    "onnxruntime",
    "runsc",
    "gvisor",
    "desktop",
    "laptop",
    "workstation",
    "service",
    "inference",
    "asr",
    "llm",
    "http",
    "https",
    "mac",
    "serial",
    "pod",
    "buildkitsandbox",
    "cpu",
    "device",
    "default",
    "hostname",
    "nodename",
    "redis",
    "postgres",
    "database",
    "aarch64",
    "arm64",
    "amd64",
    "x86",
    "true",
    "false",
    "self",
];
/// Whether this name is nobody's: it stays.
pub fn is_public(name: &str) -> bool {
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    let below = |domain: &&str| lower.strip_suffix(*domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    lower.is_empty()
        || is_stand_in(&lower)
        || lower.contains("..")
        || is_placeholder(name)
        || matches!(lower.as_str(), "localhost" | "host.docker.internal" | "metadata.google.internal" | "stdout")
        || lower.ends_with(".localhost")
        || lower.ends_with(".example")
        || lower.ends_with(".invalid")
        || PUBLIC.iter().any(below)
}

/// Whether it stands in an example for a name: `YOUR-HOST`, `X`.
fn is_placeholder(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "YOUR", "MY", "THE", "HOST", "HOSTNAME", "SERVER", "IP", "ADDRESS", "ADDR", "NAME", "NODE", "DOMAIN", "PORT",
        "URL", "ENDPOINT", "API", "EXAMPLE", "GPU", "POD", "USER", "MACHINE", "SERVICE", "MODEL", "REGISTRY",
    ];
    name.split(['-', '_'])
        .all(|part| PARTS.contains(&part) || part.len() < 3 && part.bytes().all(|b| b.is_ascii_uppercase()))
}

/// Whether it is a word that nobody's name is taken to be.
pub fn is_word(name: &str) -> bool {
    WORDS.contains(&name.to_ascii_lowercase().as_str())
}

/// Whether it is called like a kind of GPU (`a100`, `rtx4090`) or a device (`cuda0`), of which texts are full.
pub fn is_device(name: &str) -> bool {
    static DEVICE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?i)^(?:(?:[abhlptvk]|gh|gb|mi|rtx|gtx|tesla|quadro)-?[0-9]{1,4}[a-z]{0,3}|gpu[0-9]|",
            r"(?:cuda|cpu|numa|node|rank|npu|xpu|tpu|hip|rocm|mig|nvme|eth|ib|device|layer|conv|port|worker|arm|sm)[-_]?[0-9]+)$"
        ))
        .expect("a valid pattern")
    });
    DEVICE.is_match(name)
}

/// Whether the name may be replaced wherever it is met: no word, and long enough.
pub fn is_telling(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let marked = name.bytes().any(|b| b.is_ascii_digit() || b == b'-' || b == b'.');
    !WORDS.contains(&lower.as_str())
        && name.len() >= if marked { 4 } else { 6 }
        && !name.bytes().all(|b| b.is_ascii_digit())
}
