//! Names of machines: which are anybody's, which are ordinary words, and where they stand.

use super::addresses;
use super::token::is_token;
use regex::Regex;
use std::ops::Range;
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
];
/// Schemes behind which a host stands. `containerd://1.7.22` and `unix:///run/x` are no addresses of machines.
static URL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i)\b(?:https?|wss?|grpcs?|tcp|tls|udp|rediss?|postgres(?:ql)?|mysql|mongodb(?:\+srv)?|amqps?|kafka|nats|mqtt",
        r"|s?ftp|ssh|git\+https?|git\+ssh|socks5h?|zmq|nfs|smb|otlp|sb|registry|oci)://(?:[^\s/?#\x22'<>@]*@)?",
        r"(\[[0-9a-fA-F:.%]+\]|[\w.-]+)"
    ))
    .expect("a valid pattern")
});
static OTHERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        // Names that a network gives out inside of itself.
        r"(?i)\b((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:svc\.cluster\.local|svc|ec2\.internal|compute\.internal|c\.[a-z0-9-]+\.internal|home\.arpa|intranet|corp|lan))\b",
        r"|\b((?:[a-z0-9-]*[0-9-][a-z0-9-]*\.)(?:[a-z0-9-]+\.)*(?:internal|local))\b",
        r"|\b(ip-[0-9]{1,3}-[0-9]{1,3}-[0-9]{1,3}-[0-9]{1,3}(?:\.[a-z0-9.-]*[a-z0-9])?)\b",
        // A mail address, or a login on a machine.
        r"|\b[a-z0-9._%+-]+@((?:[a-z0-9-]+\.)+[a-z]{2,10})\b",
    ))
    .expect("a valid pattern")
});
/// A line of syslog: its time, the machine, the program.
static SYSLOG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?m)^(?:<[0-9]+>)?(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.,]+(?:Z|[+-][0-9:]{4,6})) ([A-Za-z0-9][\w.-]*) (?:kernel|systemd|dockerd|containerd|kubelet|nv-fabricmanager|[\w.-]+\[[0-9]+\]):",
    )
    .expect("a valid pattern")
});

/// Whether this name is nobody's: it stays.
pub fn is_public(name: &str) -> bool {
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    let below = |domain: &&str| lower.strip_suffix(*domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let placeholder = name.bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b'_' | b'-')) || lower.contains("..");
    lower.is_empty()
        || is_token(&lower)
        || placeholder
        || matches!(lower.as_str(), "localhost" | "host.docker.internal" | "metadata.google.internal" | "stdout")
        || lower.ends_with(".localhost")
        || lower.ends_with(".example")
        || PUBLIC.iter().any(below)
}

/// Whether the name may be replaced wherever it is met: no word, and long enough.
pub fn is_telling(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let marked = name.bytes().any(|b| b.is_ascii_digit() || b == b'-' || b == b'.');
    !WORDS.contains(&lower.as_str())
        && name.len() >= if marked { 4 } else { 6 }
        && !name.bytes().all(|b| b.is_ascii_digit())
}

/// Hosts of URLs.
pub fn in_urls(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    URL.captures_iter(text).filter_map(|found| found.get(1)).filter_map(|host| {
        let written = host.as_str().trim_end_matches('.');
        let bare = written.trim_start_matches('[').trim_end_matches(']');
        let public = match (addresses::v4(bare), bare.parse()) {
            (Some(address), _) => addresses::is_public_v4(address),
            (None, Ok(address)) => addresses::is_public_v6(address),
            (None, Err(_)) => is_public(bare) || !bare.bytes().any(|b| b.is_ascii_alphanumeric()),
        };
        (!public).then(|| host.start()..host.start() + written.len())
    })
}

/// Names elsewhere that can be nothing else.
pub fn elsewhere(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let others = OTHERS.captures_iter(text).filter_map(|found| found.iter().skip(1).flatten().next());
    let syslog = SYSLOG.captures_iter(text).filter_map(|found| found.get(1));
    others.chain(syslog).filter(|name| !is_public(name.as_str())).map(|name| name.range())
}
