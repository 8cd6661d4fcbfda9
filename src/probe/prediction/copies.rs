//! Copies between host and device that onnxruntime inserts.
//!
//! Source: `TransformerMemcpyImpl::ModifyGraph` (core/optimizer/transformer_memcpy.cc).

use super::network::{GraphId, Network, NodeId, Place, ValueId};
use super::partition::Kernels;
use std::collections::HashSet;

/// Which side a node's input or output is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The host's memory.
    Host,
    /// The GPU's.
    Device,
}

/// Where a node wants an input.
pub fn input(network: &Network, kernels: &Kernels, node: NodeId, at: usize) -> Side {
    let wants_host = kernels.get(&node).is_some_and(|kernel| kernel.cpu_inputs.has(at));
    side(network, node, wants_host)
}

/// Where a node leaves an output.
pub fn output(network: &Network, kernels: &Kernels, node: NodeId, at: usize) -> Side {
    let leaves_on_host = kernels.get(&node).is_some_and(|kernel| kernel.cpu_outputs.has(at));
    side(network, node, leaves_on_host)
}

fn side(network: &Network, node: NodeId, is_host_slot: bool) -> Side {
    if network.nodes[node].place == Place::Cuda && !is_host_slot { Side::Device } else { Side::Host }
}

/// How many copies are inserted, all graphs together.
pub fn count(network: &Network, kernels: &Kernels) -> u64 {
    (0..network.graphs.len()).map(|graph| within(network, kernels, graph)).sum()
}

fn within(network: &Network, kernels: &Kernels, graph: GraphId) -> u64 {
    let (mut host_inputs, mut device_inputs) = (HashSet::new(), HashSet::new());
    let (mut host_outputs, mut device_outputs): (HashSet<ValueId>, HashSet<ValueId>) = Default::default();
    for node in network.present(graph) {
        let of = &network.nodes[node];
        for (at, value) in of.inputs.iter().enumerate() {
            // An initializer that both sides read is held twice instead.
            let Some(value) = value.filter(|value| network.values[*value].tensor.is_none()) else { continue };
            match input(network, kernels, node, at) {
                Side::Host => host_inputs.insert(value),
                Side::Device => device_inputs.insert(value),
            };
        }
        for (at, value) in of.outputs.iter().enumerate() {
            let Some(value) = value else { continue };
            match output(network, kernels, node, at) {
                Side::Host => host_outputs.insert(*value),
                Side::Device => device_outputs.insert(*value),
            };
        }
    }
    // Inputs of the graph, and values from around it, come on either side as they are needed, and are copied if on both.
    let is_own = |value: &ValueId| host_outputs.contains(value) || device_outputs.contains(value);
    let from_outside = host_inputs.intersection(&device_inputs).filter(|value| !is_own(value)).count();
    let to_device = host_outputs.intersection(&device_inputs).count();
    let to_host = device_outputs.intersection(&host_inputs).count();
    (from_outside + to_device + to_host) as u64
}
