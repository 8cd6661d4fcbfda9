//! Transposes that onnxruntime moves until they cancel. Of its transpose optimizer this does two things: a Shape of a
//! transposed value becomes a Gather from the Shape of the value itself, and two Transposes that undo each other go, also
//! with nodes between them that work element by element or along one axis.
//!
//! Source: `HandleShape`, `HandleSimpleNode`, `HandleSoftHardMax` and `HandleTranspose`
//! (core/optimizer/transpose_optimization/onnx_transpose_optimization.cc).

use super::element::Kind;
use super::folding::unused;
use super::fusion::made;
use super::network::{Network, NodeId, Tensor, ValueId};
use super::tables::Tables;
use crate::probe::model::Attribute;
use std::borrow::Cow;

/// Most nodes between two Transposes.
const CHAIN_LIMIT: usize = 64;
/// Operators that work element by element.
const SIMPLE: [&str; 40] = [
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Not",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tanh",
    "ThresholdedRelu",
];

/// Applies it to all graphs.
pub fn apply(network: &mut Network, tables: &Tables) -> bool {
    let mut changed = false;
    for graph in 0..network.graphs.len() {
        for node in network.present(graph) {
            if network.nodes[node].gone {
                continue;
            }
            if network.is(node, "Shape") {
                changed |= shape(network, node);
            } else if network.is(node, "Transpose") {
                changed |= pair(network, tables, node);
            }
        }
    }
    network.settle();
    changed
}

/// The order that a Transpose puts the axes in.
fn order(network: &Network, node: NodeId) -> Option<Vec<i64>> {
    if let Some(order) = network.nodes[node].ints("perm") {
        return Some(order.to_vec());
    }
    let rank = network.shape(network.nodes[node].input(0))?.len() as i64;
    Some((0..rank).rev().collect())
}

/// A Shape after a Transpose.
fn shape(network: &mut Network, node: NodeId) -> bool {
    let of = &network.nodes[node];
    let (Some(input), Some(output)) = (of.input(0), of.output(0)) else { return false };
    let Some(transpose) = network.values[input].maker.filter(|maker| network.is(*maker, "Transpose")) else {
        return false;
    };
    let (Some(order), Some(source)) = (order(network, transpose), network.nodes[transpose].input(0)) else {
        return false;
    };
    if of.int("start").is_some_and(|start| start != 0) || of.int("end").is_some() {
        return false;
    }
    let (graph, name) = (of.graph, network.values[output].name);
    let sizes = network.insert("Shape", &[source], "", node);
    if let Some(made) = network.values[sizes].maker {
        network.nodes[made].name = Cow::Owned(format!("{}/Shape", network.nodes[node].name));
    }
    network.values[sizes].kind = Kind::INT64;
    network.values[sizes].shape = Some(vec![Some(order.len() as i64)]);
    let count = order.len() as u64;
    let indices = made(network, name, graph, Kind::INT64, vec![Some(count as i64)], Some(count * 8));
    if let Some(Tensor { values, .. }) = &mut network.values[indices].tensor {
        *values = Some(order.iter().map(|axis| *axis as f64).collect());
    }
    network.set_input(node, 0, sizes);
    network.set_input(node, 1, indices);
    network.nodes[node].op = Cow::Borrowed("Gather");
    network.nodes[node].attributes = Cow::Borrowed(&[]);
    unused(network, input);
    true
}

/// A Transpose, perhaps nodes that it can be moved through, and the Transpose that undoes it.
fn pair(network: &mut Network, tables: &Tables, first: NodeId) -> bool {
    let (Some(forth), Some(input)) = (order(network, first), network.nodes[first].input(0)) else { return false };
    let Some(mut at) = network.nodes[first].output(0) else { return false };
    let mut between = Vec::new();
    let last = loop {
        let Some(reader) = network.only_reader(at).filter(|_| between.len() <= CHAIN_LIMIT) else { return false };
        if network.is(reader, "Transpose") {
            break reader;
        }
        let is_plain = network.nodes[reader].domain.is_empty()
            && network.nodes[reader].input(0) == Some(at)
            && (SIMPLE.contains(&network.nodes[reader].op.as_ref()) || is_along_axis(network, tables, reader));
        let (true, Some(output)) = (is_plain, network.nodes[reader].output(0)) else { return false };
        between.push(reader);
        at = output;
    };
    let Some(back) = order(network, last) else { return false };
    let undone = |axis: &i64| usize::try_from(*axis).ok().and_then(|axis| forth.get(axis));
    if back.len() != forth.len() || !back.iter().enumerate().all(|(at, axis)| undone(axis) == Some(&(at as i64))) {
        return false;
    }
    let (Some(end), Some(start)) = (network.nodes[last].output(0), network.nodes[first].output(0)) else {
        return false;
    };
    match between.last() {
        // The last node between makes what the second Transpose made.
        Some(maker) => {
            network.take_outputs(*maker, last);
            network.redirect(start, input);
        }
        None if network.values[end].is_output => return false,
        None => {
            network.redirect(end, input);
            network.remove(last);
        }
    }
    network.remove(first);
    for node in between {
        turn(network, node, &forth);
    }
    true
}

fn is_along_axis(network: &Network, tables: &Tables, node: NodeId) -> bool {
    ["Softmax", "LogSoftmax", "Hardmax"].iter().any(|op| network.is_of(tables, node, op, &[13]))
}

/// Lets a node along an axis take the one that it had before the Transpose, and forgets shapes that no longer hold.
fn turn(network: &mut Network, node: NodeId, forth: &[i64]) {
    if matches!(network.nodes[node].op.as_ref(), "Softmax" | "LogSoftmax" | "Hardmax") {
        let axis = network.nodes[node].int("axis").unwrap_or(-1);
        let axis = if axis < 0 { axis + forth.len() as i64 } else { axis };
        if let Some(own) = usize::try_from(axis).ok().and_then(|axis| forth.get(axis)) {
            network.nodes[node].attributes = Cow::Owned(vec![("axis".to_string(), Attribute::Int(*own))]);
        }
    }
    let outputs: Vec<ValueId> = network.nodes[node].outputs.iter().flatten().copied().collect();
    for output in outputs {
        if !network.values[output].is_output {
            network.values[output].shape = None;
        }
    }
}
