//! Nodes that onnxruntime joins before it places them: what follows a convolution into its weights, a product and a sum
//! into a Gemm.
//!
//! Sources: conv_add_fusion.cc, conv_mul_fusion.cc, conv_bn_fusion.cc, matmul_add_fusion.cc, relu_clip_fusion.cc in
//! core/optimizer.

use super::element::Kind;
use super::network::{Network, NodeId, Shape, Tensor, ValueId};
use super::shapes::product;
use super::tables::Tables;
use std::borrow::Cow;

/// Joins the node with the one that follows it, if a rule says so.
pub fn apply(network: &mut Network, tables: &Tables, id: NodeId) -> bool {
    if network.is_of(tables, id, "Conv", &[1, 11]) {
        return convolution(network, tables, id);
    }
    network.is_of(tables, id, "Relu", &[6, 13, 14]) && clip(network, id)
}

/// The one node that reads the node's first output.
fn next(network: &Network, id: NodeId) -> Option<NodeId> {
    network.only_reader(network.nodes[id].output(0)?)
}

fn convolution(network: &mut Network, tables: &Tables, id: NodeId) -> bool {
    let Some(last) = next(network, id) else { return false };
    let since = network.schema(last, tables).map_or(0, |schema| schema.since);
    let node = &network.nodes[id];
    let after = &network.nodes[last];
    let reads_it = after.input(0) == node.output(0);
    let (weight, bias) = (node.input(1), node.input(2));
    if !after.domain.is_empty() || !reads_it || network.constant(weight).is_none() {
        return false;
    }
    if bias.is_some() && network.constant(bias).is_none() {
        return false;
    }
    let Some(weight) = weight else { return false };
    let is_number = matches!(network.values[weight].kind.code(), Some(1 | 10 | 11));
    let Some(dims) = network.values[weight].shape.clone().filter(|_| is_number) else { return false };
    let new_weight = match after.op.as_ref() {
        "Add" | "Mul" if matches!(since, 7 | 13 | 14) => {
            let operand = after.input(1);
            let (Some(_), Some(shape)) = (network.constant(operand), network.shape(operand)) else { return false };
            let is_scalar = after.op == "Mul" && shape.is_empty();
            if !is_scalar && (dims.len() < 4 || !is_per_channel(shape, &dims)) {
                return false;
            }
            after.op == "Mul"
        }
        "BatchNormalization" if matches!(since, 7 | 9 | 14 | 15) => {
            let parameters = after.inputs.get(1..5).unwrap_or_default();
            let others = after.outputs.iter().skip(1).flatten().next();
            if parameters.len() < 4 || others.is_some() || dims.len() < 3 {
                return false;
            }
            if after.int("training_mode").unwrap_or(0) != 0
                || parameters.iter().any(|input| network.constant(*input).is_none())
            {
                return false;
            }
            true
        }
        _ => return false,
    };
    let (kind, graph) = (network.values[weight].kind, node.graph);
    if new_weight {
        let own = network.values[weight].tensor.clone();
        let bytes = own.as_ref().and_then(|tensor| tensor.bytes);
        let made = made(network, network.values[weight].name, graph, kind, dims.clone(), bytes);
        network.set_input(id, 1, made);
    }
    // A product scales a bias that is there; all else makes one.
    let has_bias = network.nodes[id].input(2).is_some();
    if has_bias || network.nodes[last].op != "Mul" {
        let channels = vec![dims.first().copied().flatten()];
        let bytes = product(&channels).and_then(|count| Some(count.unsigned_abs().checked_mul(kind.bits())? / 8));
        let name = network.values[weight].name;
        let made = made(network, name, graph, kind, channels, bytes);
        network.set_input(id, 2, made);
    }
    network.take_outputs(id, last);
    true
}

/// A shape like 1xCx1x1 or Cx1x1 for the C channels that the weight makes.
fn is_per_channel(shape: &Shape, weight: &Shape) -> bool {
    let axis = match weight.len().checked_sub(shape.len()) {
        Some(0) => 1,
        Some(1) => 0,
        _ => return false,
    };
    shape.iter().enumerate().all(|(at, size)| match at == axis {
        true => size.is_some() && Some(size) == weight.first(),
        false => *size == Some(1),
    })
}

/// A new constant.
pub fn made<'m>(
    network: &mut Network<'m>,
    name: &'m str,
    graph: usize,
    kind: Kind,
    shape: Shape,
    bytes: Option<u64>,
) -> ValueId {
    let value = network.value(name, graph);
    let elements = product(&shape).map(i64::unsigned_abs);
    network.values[value].kind = kind;
    network.values[value].shape = Some(shape);
    network.values[value].tensor =
        Some(Tensor { bytes, elements, values: None, is_constant: true, is_parameter: false });
    value
}

/// A Clip that cuts at 0 or above makes a Relu before it needless.
fn clip(network: &mut Network, id: NodeId) -> bool {
    let Some(last) = next(network, id).filter(|last| network.is(*last, "Clip")) else { return false };
    let (Some(input), Some(output)) = (network.nodes[id].input(0), network.nodes[id].output(0)) else { return false };
    let lower = network.nodes[last].input(1);
    let is_float = matches!(network.values[input].kind.code(), Some(1 | 10));
    if network.nodes[last].opset < 11 || !is_float || network.nodes[last].input(0) != Some(output) {
        return false;
    }
    match lower {
        // Without a lower bound the Clip gets one of 0.
        None => {
            let (kind, graph) = (network.values[input].kind, network.nodes[id].graph);
            let bound = made(network, network.values[output].name, graph, kind, Vec::new(), Some(kind.bits() / 8));
            network.set_input(last, 1, bound);
        }
        bound if network.constant(bound).is_none() => return false,
        _ => {}
    }
    network.redirect(output, input);
    network.remove(id);
    true
}

/// Joins every MatMul with the Add after it, where a Gemm does the same.
pub fn matrix_products(network: &mut Network, tables: &Tables) -> bool {
    let mut changed = false;
    for graph in 0..network.graphs.len() {
        for node in network.present(graph) {
            if !network.nodes[node].gone && network.is_of(tables, node, "MatMul", &[1, 9, 13]) {
                changed |= matrix_product(network, node);
            }
        }
    }
    changed
}

fn matrix_product(network: &mut Network, id: NodeId) -> bool {
    let Some(last) = next(network, id).filter(|last| network.is(*last, "Add")) else { return false };
    let node = &network.nodes[id];
    let after = &network.nodes[last];
    let (Some(a), Some(b), Some(product)) = (node.input(0), node.input(1), node.output(0)) else { return false };
    if after.opset < 7 || !matches!(network.values[a].kind.code(), Some(1 | 10 | 16)) {
        return false;
    }
    let bias = if after.input(0) == Some(product) { after.input(1) } else { after.input(0) };
    let (Some(left), Some(right), Some(shape)) = (network.shape(Some(a)), network.shape(Some(b)), network.shape(bias))
    else {
        return false;
    };
    // Products of other ranks are reshaped around a Gemm from 1.21 on, if all sizes are known: left to a later round.
    let ([m, _], [_, n]) = (left.as_slice(), right.as_slice()) else { return false };
    let is_same = |a: &Option<i64>, b: &Option<i64>| a.is_some() && a == b;
    let fits = match shape.as_slice() {
        [size] => is_same(size, n),
        [Some(1), size] => is_same(size, n),
        [rows, Some(1)] => is_same(rows, m),
        [rows, size] => is_same(rows, m) && is_same(size, n),
        _ => false,
    };
    let Some(bias) = bias.filter(|_| fits) else { return false };
    network.set_input(id, 2, bias);
    network.take_outputs(id, last);
    network.nodes[id].op = Cow::Borrowed("Gemm");
    let name = format!("{}/MatMulAddFusion", network.nodes[id].name);
    network.nodes[id].name = Cow::Owned(name);
    true
}
