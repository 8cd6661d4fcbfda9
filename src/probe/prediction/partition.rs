//! Who gets which node: the providers are asked in turn, CUDA first; what nobody takes and is a function is replaced by
//! its body, and the providers are asked again.
//!
//! Source: `PartitionOnnxFormatModel` (core/framework/graph_partitioner.cc), for sessions with the providers CUDA and CPU.

use super::inline::Bodies;
use super::network::{GraphId, Network, NodeId, Place};
use super::tables::{Kernel, Tables};
use super::{cpu_preferred, exclusion, inference, kernel};
use std::collections::HashMap;

/// Most rounds of replacing functions by their bodies.
const ROUNDS_LIMIT: usize = 16;

/// Kernels of nodes that CUDA could take.
pub type Kernels<'t> = HashMap<NodeId, &'t Kernel>;

/// Gives every node a place. Returns the kernels of those on CUDA.
pub fn place<'m, 't>(network: &mut Network<'m>, tables: &'t Tables, bodies: &Bodies<'m>) -> Kernels<'t> {
    let mut kernels = Kernels::new();
    for _ in 0..ROUNDS_LIMIT {
        for graph in (0..network.graphs.len()).rev() {
            cuda(network, tables, graph, &mut kernels);
        }
        for node in 0..network.nodes.len() {
            if !network.nodes[node].gone && network.nodes[node].place == Place::None {
                let takes = kernel::has_cpu(network, tables, node);
                let of = &mut network.nodes[node];
                if takes {
                    of.place = Place::Cpu;
                }
            }
        }
        let homeless = |network: &Network, node: NodeId| {
            let of = &network.nodes[node];
            !of.gone && of.place == Place::None
        };
        let rest: Vec<NodeId> = (0..network.nodes.len()).filter(|node| homeless(network, *node)).collect();
        let mut changed = false;
        for node in rest {
            changed |= bodies.inline(network, tables, node);
        }
        network.settle();
        if !changed {
            break;
        }
        inference::whole(network, tables);
    }
    for node in 0..network.nodes.len() {
        let of = &network.nodes[node];
        if !of.gone && of.place == Place::None && kernel::has_cpu_in_float32(network, tables, node) {
            let why = network.nodes[node].why.take().unwrap_or_default();
            network.nodes[node].why = Some(format!("{why}; the CPU computes it in float32, between Casts"));
            network.nodes[node].place = Place::Cpu;
        }
    }
    kernels
}

/// Asks the CUDA provider for one graph.
fn cuda<'t>(network: &mut Network, tables: &'t Tables, graph: GraphId, kernels: &mut Kernels<'t>) {
    let mut candidates: Vec<NodeId> = Vec::new();
    for node in network.present(graph) {
        if network.nodes[node].place == Place::Cuda {
            candidates.push(node);
            continue;
        }
        if network.nodes[node].place != Place::None {
            continue;
        }
        let why = match (kernel::cuda(network, tables, node), exclusion::of(network, node)) {
            (Ok(kernel), None) => {
                kernels.insert(node, kernel);
                candidates.push(node);
                continue;
            }
            (Ok(_), Some(reason)) => reason,
            (Err(lack), _) => lack.told(&network.nodes[node].op) + &kernel::remedy(network, tables, node),
        };
        network.nodes[node].why = Some(why);
    }
    let preferred = cpu_preferred::of(network, graph, &candidates, kernels);
    for node in candidates {
        if network.nodes[node].place == Place::None {
            match preferred.get(&node) {
                None => network.nodes[node].place = Place::Cuda,
                Some(why) => {
                    network.nodes[node].why = Some((*why).to_string());
                    kernels.remove(&node);
                }
            }
        }
    }
}

/// Whether a provider takes the node as it is, functions expanded by nobody: asked before the optimizations
/// (`InlineFunctionsAOT`).
pub fn is_taken(network: &Network, tables: &Tables, node: NodeId) -> bool {
    (kernel::cuda(network, tables, node).is_ok() && exclusion::of(network, node).is_none())
        || kernel::has_cpu(network, tables, node)
}
