//! Nodes that CUDA could take and that onnxruntime keeps on the CPU, because everything they read is there already:
//! computations with shapes.
//!
//! Source: `GetCpuPreferredNodes` (core/framework/fallback_cpu_capability.cc).

use super::network::{GraphId, Network, NodeId, Place, ValueId};
use super::order;
use super::partition::Kernels;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// Most elements of an initializer that counts as small.
const SMALL_ELEMENTS: u64 = 100;
/// Why they are on the CPU.
pub const WHY: &str =
    "part of a computation with shapes, which onnxruntime keeps on the CPU on purpose: nothing to change";

/// Those of `candidates`, nodes of `graph` with a kernel in `kernels`, that go to the CPU.
pub fn of<'t>(
    network: &Network,
    graph: GraphId,
    candidates: &[NodeId],
    kernels: &Kernels<'t>,
) -> HashMap<NodeId, &'static str> {
    let order: HashMap<NodeId, usize> =
        order::visited(network, graph).into_iter().enumerate().map(|(at, node)| (node, at)).collect();
    let cuda: HashSet<NodeId> = candidates.iter().copied().collect();
    let mut on_cpu: HashSet<ValueId> = HashSet::new();
    let mut waiting: BinaryHeap<Reverse<(usize, NodeId)>> = BinaryHeap::new();
    let push = |waiting: &mut BinaryHeap<_>, value: ValueId| {
        for reader in network.readers(value).filter_map(|reader| network.at_level(reader, graph)) {
            if let Some(at) = order.get(&reader) {
                waiting.push(Reverse((*at, reader)));
            }
        }
    };
    for node in candidates {
        let Some(kernel) = kernels.get(node) else { continue };
        for (at, output) in network.nodes[*node].outputs.iter().enumerate() {
            if let (Some(output), true) = (output, kernel.cpu_outputs.has(at)) {
                on_cpu.insert(*output);
                push(&mut waiting, *output);
            }
        }
    }
    let mut visited = HashSet::new();
    let mut preferred = HashMap::new();
    while let Some(Reverse((_, node))) = waiting.pop() {
        if !visited.insert(node) {
            continue;
        }
        let of = &network.nodes[node];
        let goes = match cuda.contains(&node) {
            // What CUDA does not take is expected on the CPU.
            false => of.place != Place::Cuda,
            true => of.place == Place::None && reads_only_the_cpu(network, node, kernels, &on_cpu),
        };
        if goes {
            if cuda.contains(&node) {
                preferred.insert(node, WHY);
            }
            for output in of.outputs.iter().flatten() {
                on_cpu.insert(*output);
                push(&mut waiting, *output);
            }
        }
    }
    preferred
}

fn reads_only_the_cpu(network: &Network, node: NodeId, kernels: &Kernels, on_cpu: &HashSet<ValueId>) -> bool {
    let Some(kernel) = kernels.get(&node) else { return false };
    let of = &network.nodes[node];
    of.inputs.iter().enumerate().all(|(at, input)| {
        let Some(input) = input else { return false };
        let value = &network.values[*input];
        // float16, bfloat16 and the kinds of float8 are slow there.
        if matches!(value.kind.code(), Some(10 | 16..=20)) {
            return false;
        }
        let is_small = value.tensor.as_ref().is_some_and(|tensor| tensor.elements.is_some_and(|n| n <= SMALL_ELEMENTS));
        let is_input = value.is_input && value.graph == of.graph;
        is_small || is_input || (on_cpu.contains(input) && !kernel.cpu_inputs.has(at))
    })
}
