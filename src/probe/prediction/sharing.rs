//! Nodes that compute the same: onnxruntime keeps the first.
//!
//! Sources: constant_sharing.cc (scalar constants of one value become one) and common_subexpression_elimination.cc in
//! core/optimizer.

use super::element::Kind;
use super::folding::is_deterministic;
use super::network::{GraphId, Network, NodeId, Shape, ValueId};
use super::order;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Most elements of a constant that is shared (`TENSOR_ELEM_COUNT_THRESHOLD`).
const ELEMENTS_LIMIT: usize = 8;

/// Operator, its version, attributes, inputs, number of outputs.
type Computation = (String, i64, String, Vec<Option<ValueId>>, usize);

/// Lets the first of equal small constants of the main graph stand for all that no subgraph reads.
pub fn constants(network: &mut Network) {
    let mut seen: HashMap<(GraphId, Kind, Option<Shape>, Vec<u64>), ValueId> = HashMap::new();
    for id in 0..network.values.len() {
        let value = &network.values[id];
        let Some(values) = network.elements(Some(id)).filter(|values| (1..=ELEMENTS_LIMIT).contains(&values.len()))
        else {
            continue;
        };
        let is_shared_kind = matches!(value.kind.code(), Some(1 | 6 | 7 | 10 | 11));
        let is_read_here = network.readers(id).all(|reader| network.nodes[reader].graph == value.graph);
        if !is_shared_kind || !is_read_here || value.is_output || value.graph != 0 {
            continue;
        }
        let bits = values.iter().map(|number| number.to_bits()).collect();
        match seen.entry((value.graph, value.kind, value.shape.clone(), bits)) {
            Entry::Vacant(free) => drop(free.insert(id)),
            Entry::Occupied(first) => network.redirect(id, *first.get()),
        }
    }
}

/// Lets the first of equal nodes stand for all, in every graph.
pub fn apply(network: &mut Network) -> bool {
    let mut changed = false;
    for graph in 0..network.graphs.len() {
        changed |= within(network, graph);
    }
    changed
}

fn within(network: &mut Network, graph: GraphId) -> bool {
    let mut changed = false;
    let mut seen: HashMap<Computation, NodeId> = HashMap::new();
    for id in order::visited(network, graph) {
        let node = &network.nodes[id];
        let is_left_alone = node.op == "DequantizeLinear" || !node.graphs.is_empty() || !is_deterministic(network, id);
        if is_left_alone || node.inputs.iter().flatten().next().is_none() {
            continue;
        }
        let operands = node.inputs.clone();
        let mut attributes: Vec<_> = node.attributes.iter().collect();
        attributes.sort_by(|a, b| a.0.cmp(&b.0));
        // Of numbers with a fraction the value is not kept, so nodes with such attributes are not compared.
        let told = format!("{attributes:?}");
        if told.contains("Float") {
            continue;
        }
        let key = (node.op.to_string(), node.opset, told, operands, node.outputs.len());
        let Some(first) = seen.get(&key).copied() else {
            seen.insert(key, id);
            continue;
        };
        if node.outputs.iter().flatten().any(|output| network.values[*output].is_output) {
            continue;
        }
        let pairs: Vec<_> = node.outputs.iter().copied().zip(network.nodes[first].outputs.iter().copied()).collect();
        if pairs.iter().any(|(own, other)| own.is_some() && other.is_none()) {
            continue;
        }
        for (own, other) in pairs {
            if let (Some(own), Some(other)) = (own, other) {
                network.redirect(own, other);
            }
        }
        network.remove(id);
        changed = true;
    }
    changed
}
