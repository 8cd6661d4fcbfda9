//! What Kubernetes knows of pods, their nodes and what happened to them.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// Pods, nodes and events, from outputs of `kubectl get ... -o json`.
    pub struct KubernetesFacts {
        /// The files that were read.
        pub files: Vec<String>,
        /// The pods in them.
        pub pods: Vec<KubernetesPod>,
        /// The nodes in them.
        pub nodes: Vec<KubernetesNode>,
        /// The warnings among the events in them, at most 200, the last of the files.
        pub events: Vec<KubernetesEvent>,
    }
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesPod {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Kind of what made it: `ReplicaSet`, `DaemonSet`, `Job`; empty if it was made by hand.
    pub owner: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: Fact<String>,
    /// The node that it was given to; empty if it has none yet.
    pub node: String,
    /// GPUs that its node offers, from the node's record among the files.
    pub node_gpus: Fact<u64>,
    /// `runtimeClassName`; empty if it names none.
    pub runtime_class: String,
    /// GPUs that its containers are limited to, all together: `nvidia.com/gpu`, slices and instances of GPUs alike.
    pub gpu_limit: Fact<u64>,
    /// Whether it claims devices in another way (`resourceClaims`).
    pub claims_devices: bool,
    /// What in it says that it is meant for a GPU, other than a limit: `runtimeClassName nvidia`, a variable, a toleration.
    pub meant_for_gpu_by: Vec<String>,
    /// Whether a container with a GPU limit is privileged or mounts the host's `/dev`, so that it reaches every GPU.
    pub reaches_every_gpu: bool,
    /// Why the scheduler did not place it, in its words; empty if it did.
    pub unschedulable: String,
    /// Why the kubelet refused it, in its words (`status.reason`, `status.message`); empty if it did not.
    pub refusal: String,
    /// Its containers, those that initialize it left out.
    pub containers: Vec<KubernetesContainer>,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesContainer {
    /// Its name.
    pub name: String,
    /// Its image as it was asked for.
    pub image: String,
    /// Limits on resources that are GPUs: `nvidia.com/gpu` to `1`.
    pub gpu_limits: BTreeMap<String, String>,
    /// Those of its variables that are about GPUs, where the pod itself gives their value.
    pub environment: BTreeMap<String, String>,
    /// Whether it is privileged.
    pub privileged: bool,
    /// Whether the host's `/dev` is mounted into it.
    pub mounts_host_dev: bool,
    /// Limit of the memory volume mounted at `/dev/shm` as written (`1Gi`); empty if none is mounted or it has no limit.
    pub shm_limit: String,
    /// Why it does not run yet: `CreateContainerError`, `CrashLoopBackOff`; empty if it runs.
    pub waiting_reason: String,
    /// The reason in words, and the last words of the container that ended before.
    pub waiting_message: String,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesNode {
    /// Its name.
    pub name: String,
    /// GPU resources that pods may use: `nvidia.com/gpu` to `8`.
    pub gpu_allocatable: BTreeMap<String, String>,
    /// GPUs and parts of GPUs that pods may use, all resources together.
    pub gpus_offered: u64,
    /// GPU resources that it has, those out of order included.
    pub gpu_capacity: BTreeMap<String, String>,
    /// Whether its labels say that it has an NVIDIA GPU.
    pub labelled_as_gpu_node: bool,
    /// Number of pods that each GPU is divided between, by the labels of time-slicing or MPS; 1 if it is not.
    pub pods_per_gpu: u64,
    /// Its labels about GPUs.
    pub labels: BTreeMap<String, String>,
    /// Its taints: `nvidia.com/gpu=present:NoSchedule`.
    pub taints: Vec<String>,
    /// Whether it is ready, by its condition.
    pub ready: Fact<bool>,
    /// Kernel release.
    pub kernel_release: Fact<String>,
    /// Container runtime: `containerd://1.7.22`.
    pub container_runtime: Fact<String>,
}

/// A warning among the events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesEvent {
    /// Kind of what it is about: `Pod`, `ReplicaSet`.
    pub about_kind: String,
    /// Name of what it is about.
    pub about: String,
    /// Its namespace.
    pub namespace: String,
    /// `FailedScheduling`, `FailedCreatePodSandBox`, ...
    pub reason: String,
    /// What happened, at most 1000 characters.
    pub message: String,
}
