//! One node (Kubernetes API, core/v1 Node).

use super::pod::{devices, is_gpu};
use crate::probe::json_record::Record;
use crate::snapshot::{KubernetesNode, Unknown};
use std::collections::BTreeMap;

/// Beginnings of the labels that are kept: GPU feature discovery, node feature discovery (10de is NVIDIA), GKE.
const LABELS: &[&str] = &[
    "nvidia.com/",
    "feature.node.kubernetes.io/pci-10de",
    "cloud.google.com/gke-gpu",
    "cloud.google.com/gke-accelerator",
];
/// Labels of the number of pods that one GPU is divided between: time-slicing and MPS of the device plugin, and GKE's.
const SHARES: &[&str] = &["nvidia.com/gpu.replicas", "cloud.google.com/gke-max-shared-clients-per-gpu"];

/// The node.
pub fn read(record: &Record) -> Result<KubernetesNode, Unknown> {
    let mut labels = record.texts_by_name("metadata.labels")?;
    labels.retain(|name, _| LABELS.iter().any(|start| name.starts_with(start)));
    let gpus = |path: &str| -> Result<BTreeMap<String, String>, Unknown> {
        Ok(record.texts_by_name(path)?.into_iter().filter(|(name, _)| is_gpu(name)).collect())
    };
    let gpu_allocatable = gpus("status.allocatable")?;
    let conditions = record.records("status.conditions")?;
    let ready = conditions.iter().find(|one| one.text("type").is_ok_and(|name| name == "Ready"));
    let ready = match ready {
        Some(condition) => condition.text("status").map(|status| status == "True"),
        None => record.text("status.conditions.Ready").map(|_| false),
    };
    let taint = |taint: &Record| {
        let (key, value) = (taint.text("key")?, taint.text_or_none("value")?);
        let equals = if value.is_empty() { "" } else { "=" };
        Ok(format!("{key}{equals}{value}:{}", taint.text_or_none("effect")?))
    };
    Ok(KubernetesNode {
        name: record.text("metadata.name")?,
        gpus_offered: devices(&gpu_allocatable),
        gpu_allocatable,
        gpu_capacity: gpus("status.capacity")?,
        labelled_as_gpu_node: labelled(&labels),
        pods_per_gpu: SHARES.iter().filter_map(|name| labels.get(*name)?.parse().ok()).max().unwrap_or(1),
        taints: record.records("spec.taints")?.iter().map(taint).collect::<Result<_, Unknown>>()?,
        ready: ready.into(),
        kernel_release: record.text("status.nodeInfo.kernelVersion").into(),
        container_runtime: record.text("status.nodeInfo.containerRuntimeVersion").into(),
        labels,
    })
}

fn labelled(labels: &BTreeMap<String, String>) -> bool {
    let says = |(name, value): (&String, &String)| match name.as_str() {
        "nvidia.com/gpu.present" => value == "true",
        "nvidia.com/gpu.count" => value != "0",
        "cloud.google.com/gke-accelerator" => value.starts_with("nvidia"),
        name => {
            name.starts_with("feature.node.kubernetes.io/pci-10de") && name.ends_with(".present") && value == "true"
        }
    };
    labels.iter().any(says)
}
