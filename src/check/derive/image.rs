//! What the name of the image and the engine's record say about the GPU that the container was meant to have.

use super::Basis;
use crate::snapshot::{Fact, Facts, Unknown, Why, room};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

room! {
    /// What the images were made for.
    pub struct Images {
        /// Whether the container was asked to have a GPU, by the engine's record.
        pub container_asks_for_gpu: bool,
        /// Whether the container runs and its engine's record asks for no GPU.
        pub container_recorded_without_gpu: bool,
        /// Images of the deployment whose names say that they are built for the CPU.
        pub cpu_images: Vec<CpuImage>,
    }
}

impl Images {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self {
            container_asks_for_gpu: asks_for_gpu(facts),
            container_recorded_without_gpu: recorded_without_gpu(facts).into(),
            cpu_images: for_cpu(facts),
        }
    }
}

/// An image that is built for the CPU, by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuImage {
    /// The image as it was asked for.
    pub image: String,
    /// What says so: its name, or a label.
    pub told_by: String,
    /// The container, and its pod, that runs it; empty if the record is of the image itself.
    pub run_by: String,
    /// Whether a GPU was asked for all the same.
    pub asks_for_gpu: bool,
}

/// Labels of images that hold a tag.
const LABELS: &[&str] = &["org.opencontainers.image.version", "org.opencontainers.image.ref.name"];

/// Images of the container, and of those containers of pods that have a limit of GPUs: another container of the pod may
/// well be built for the CPU.
fn for_cpu(facts: &Facts) -> Fact<Vec<CpuImage>> {
    let docker = &facts.docker;
    let mut found = Vec::new();
    if let Some(image) = docker.image.known() {
        let labels = docker.labels.known();
        let label = |name: &&&str| labels.and_then(|labels| labels.get(**name)).is_some_and(|value| is_for_cpu(value));
        let told_by = match LABELS.iter().find(label) {
            _ if is_for_cpu(image) => Some("its name".to_owned()),
            Some(label) => Some(format!("label {label}")),
            None => None,
        };
        found.extend(told_by.map(|told_by| CpuImage {
            image: image.clone(),
            told_by,
            run_by: docker.name.known().map_or(String::new(), |name| format!("container {name}")),
            asks_for_gpu: asks_for_gpu(facts).known() == Some(&true),
        }));
    }
    for pod in facts.kubernetes.pods.known().into_iter().flatten() {
        let on_gpus = pod.containers.iter().filter(|container| !container.gpu_limits.is_empty());
        found.extend(on_gpus.filter(|container| is_for_cpu(&container.image)).map(|container| CpuImage {
            image: container.image.clone(),
            told_by: "its name".into(),
            run_by: format!("container {} of pod {}", container.name, pod.name),
            asks_for_gpu: true,
        }));
    }
    match (docker.image.reason(), facts.kubernetes.pods.reason()) {
        (Some(image), Some(pods)) => Fact::Unknown(if image.why == Why::NotAsked { pods } else { image }.clone()),
        _ => Fact::Known(found),
    }
}

/// Whether the last part of an image's name, or its tag, says "cpu" and nothing else says "gpu".
fn is_for_cpu(image: &str) -> bool {
    static CPU: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(^|[-_.:])cpu([-_.:]|$)").expect("a valid pattern"));
    static GPU: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"gpu|cuda|rocm|(^|[-_.:])cu\d{2,3}([-_.:]|$)").expect("a valid pattern"));
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default().to_lowercase();
    CPU.is_match(&last) && !GPU.is_match(&last)
}

/// Whether the engine was asked to give the container a GPU. A privileged one has the device nodes, without the libraries.
fn asks_for_gpu(facts: &Facts) -> Fact<bool> {
    let docker = &facts.docker;
    let by_cdi =
        docker.cdi_devices.known().is_some_and(|names| names.iter().any(|name| name.starts_with("nvidia.com/")));
    let by_device =
        docker.devices.known().is_some_and(|paths| paths.iter().any(|path| path.starts_with("/dev/nvidia")));
    let by_runtime = docker.runtime.known().is_some_and(|name| name.contains("nvidia"));
    if by_cdi || by_device || by_runtime {
        return Fact::Known(true);
    }
    docker.gpu_requests.as_ref().map(|requests| {
        let of_gpu = |names: &Vec<String>| names.iter().any(|name| name == "gpu" || name == "nvidia");
        requests.iter().any(|request| request.driver == "nvidia" || request.capabilities.iter().any(of_gpu))
    })
}

/// Whether the engine's record shows a running container for which no GPU was asked. A privileged one has every device.
/// Where no record was given, none shows it.
fn recorded_without_gpu(facts: &Facts) -> Result<bool, Unknown> {
    let docker = &facts.docker;
    match &docker.record {
        Fact::Known(record) if record == "container" => {}
        Fact::Known(_) | Fact::Unknown(Unknown { why: Why::NotAsked, .. }) => return Ok(false),
        Fact::Unknown(unknown) => return Err(unknown.clone()),
    }
    if docker.state.read()? != "running" || docker.privileged.known() == Some(&true) {
        return Ok(false);
    }
    match asks_for_gpu(facts) {
        Fact::Known(asks) => Ok(!asks),
        Fact::Unknown(unknown) => Err(unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cpu_images_are_told_from_others() {
        for image in [
            "ghcr.io/huggingface/text-embeddings-inference:cpu-1.5",
            "registry:5000/asr:1.2-cpu",
            "pytorch/torchserve:0.9.0-cpu",
            "tritonserver:24.01-py3-cpu-only-x",
            "onerahmet/openai-whisper-asr-cpu:latest",
            "x/asr-cpu@sha256:0123",
        ] {
            assert!(is_for_cpu(image), "{image}");
        }
        for image in [
            "ghcr.io/huggingface/text-embeddings-inference:1.5",
            "cpu-tools.example.com/asr:1.2",
            "x/cpufreq:1",
            "x/asr:cpu-gpu-1.2",
            "x/asr-cpu:cuda12",
            "x/asr:cpu-cu124",
            "nvcr.io/nvidia/tritonserver:24.01-py3",
            "",
        ] {
            assert!(!is_for_cpu(image), "{image}");
        }
    }
}
