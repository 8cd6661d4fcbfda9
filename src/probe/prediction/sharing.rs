//! Nodes that compute the same: onnxruntime keeps the first.
//!
//! Sources: constant_sharing.cc (scalar constants of one value become one) and common_subexpression_elimination.cc in
//! core/optimizer.

use super::element::Kind;
use super::folding::is_deterministic;
use super::network::{GraphId, Network, NodeId, Shape, ValueId};
use std::collections::HashMap;

/// Most elements of a constant that is compared by value.
const ELEMENTS_LIMIT: usize = 8;

/// What a node reads: a value, or a small constant by what it holds.
#[derive(PartialEq, Eq, Hash)]
enum Operand {
    None,
    Value(ValueId),
    Constant(Kind, Option<Shape>, Vec<u64>),
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
    let mut seen: HashMap<(String, i64, String, Vec<Operand>, usize), NodeId> = HashMap::new();
    for id in network.present(graph) {
        let node = &network.nodes[id];
        let is_left_alone = node.op == "DequantizeLinear" || !node.graphs.is_empty() || !is_deterministic(network, id);
        if is_left_alone || node.inputs.iter().flatten().next().is_none() {
            continue;
        }
        let operands = node.inputs.iter().map(|input| operand(network, *input)).collect();
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

fn operand(network: &Network, input: Option<ValueId>) -> Operand {
    let Some(input) = input else { return Operand::None };
    match network.elements(Some(input)) {
        Some(values) if values.len() <= ELEMENTS_LIMIT => {
            let value = &network.values[input];
            let bits = values.iter().map(|number| number.to_bits()).collect();
            Operand::Constant(value.kind, value.shape.clone(), bits)
        }
        _ => Operand::Value(input),
    }
}
