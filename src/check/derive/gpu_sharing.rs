//! GPUs that Kubernetes divides between pods, by time-slicing or MPS.

use super::Basis;
use crate::snapshot::{Fact, Facts, KubernetesNode, KubernetesPod, Unknown, Why, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// How Kubernetes' nodes share their GPUs.
    pub struct DividedNodes {
        /// Nodes of Kubernetes that are labelled as having an NVIDIA GPU and offer none to pods.
        pub gpu_nodes_without_gpus: Vec<String>,
        /// Nodes whose GPUs are divided between more pods than there are GPUs.
        pub oversubscribed_nodes: Vec<DividedNode>,
    }
}

impl DividedNodes {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self { gpu_nodes_without_gpus: gpu_nodes_without_gpus(facts), oversubscribed_nodes: oversubscribed(facts) }
    }
}

/// A node whose GPUs are divided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DividedNode {
    /// The node.
    pub node: String,
    /// Pods that one GPU is divided between.
    pub pods_per_gpu: u64,
    /// GPUs that the node has.
    pub gpus: u64,
    /// Shares that running pods of the files hold, all together.
    pub shares_in_use: u64,
    /// These pods.
    pub pods: Vec<String>,
}

/// Nodes on which running pods hold more shares than there are GPUs, so that some share one.
///
/// Other namespaces may hold more than the files show, so fewer shares on a divided node are no proof of the contrary.
fn oversubscribed(facts: &Facts) -> Fact<Vec<DividedNode>> {
    let (nodes, pods) = match (&facts.kubernetes.nodes, &facts.kubernetes.pods) {
        (Fact::Unknown(unknown), _) => return Fact::Unknown(unknown.clone()),
        (Fact::Known(nodes), Fact::Unknown(unknown)) => {
            let divided = nodes.iter().any(|node| node.pods_per_gpu > 1);
            return if divided { Fact::Unknown(unknown.clone()) } else { Fact::Known(Vec::new()) };
        }
        (Fact::Known(nodes), Fact::Known(pods)) => (nodes, pods),
    };
    let divided: Vec<DividedNode> =
        nodes.iter().filter(|node| node.pods_per_gpu > 1).map(|node| usage(node, pods)).collect();
    let crowded: Vec<DividedNode> = divided.iter().filter(|node| node.shares_in_use > node.gpus).cloned().collect();
    match (crowded.is_empty(), divided.iter().find(|node| node.shares_in_use > 0)) {
        (true, Some(node)) => Fact::Unknown(Unknown::new(
            Why::NotAsked,
            format!(
                "the GPUs of node {0} are divided between {1} pods each; whether others share one is told by `kubectl get \
                 pod -A --field-selector spec.nodeName={0} -o json`",
                node.node, node.pods_per_gpu
            ),
        )),
        _ => Fact::Known(crowded),
    }
}

/// Nodes that are labelled as having an NVIDIA GPU and offer none to pods. Where pods claim devices in the newer way
/// (`resourceClaims`), nodes need not offer them in the older.
fn gpu_nodes_without_gpus(facts: &Facts) -> Fact<Vec<String>> {
    let mut pods = facts.kubernetes.pods.known().into_iter().flatten();
    let claimed = pods.any(|pod| pod.claims_devices);
    facts.kubernetes.nodes.as_ref().map(|nodes| {
        let bare = nodes.iter().filter(|node| node.labelled_as_gpu_node && node.gpus_offered == 0 && !claimed);
        bare.map(|node| node.name.clone()).collect()
    })
}

fn usage(node: &KubernetesNode, pods: &[KubernetesPod]) -> DividedNode {
    let shares = |names: &std::collections::BTreeMap<String, String>| -> u64 {
        let shared = ["nvidia.com/gpu", "nvidia.com/gpu.shared"];
        shared.iter().filter_map(|name| names.get(*name)?.parse::<u64>().ok()).fold(0, u64::saturating_add)
    };
    let here = pods.iter().filter(|pod| {
        pod.node == node.name && pod.phase.known().is_some_and(|phase| phase == "Running" || phase == "Pending")
    });
    let mut divided = DividedNode {
        node: node.name.clone(),
        pods_per_gpu: node.pods_per_gpu,
        gpus: match node.labels.get("nvidia.com/gpu.count").and_then(|count| count.parse().ok()) {
            Some(count) => count,
            None => shares(&node.gpu_allocatable).div_ceil(node.pods_per_gpu),
        },
        shares_in_use: 0,
        pods: Vec::new(),
    };
    for pod in here {
        let held = pod.containers.iter().map(|container| shares(&container.gpu_limits)).fold(0, u64::saturating_add);
        if held > 0 {
            divided.shares_in_use = divided.shares_in_use.saturating_add(held);
            divided.pods.push(pod.name.clone());
        }
    }
    divided.pods.truncate(20);
    divided
}
