//! Nodes that onnxruntime computes while it makes the session, because their inputs are constants, and `If`s whose
//! condition is one.
//!
//! Source: `ConstantFolding::ApplyImpl` (core/optimizer/constant_folding.cc), `Graph::InlineIfSubgraph`.

use super::element::Kind;
use super::network::{GraphId, Network, NodeId, Shape, Tensor};
use super::shapes::product;
use super::tables::Tables;
use super::{arithmetic, inference, kernel};
use std::collections::HashSet;

/// Largest result of folding one node, bytes.
const LIMIT_BYTES: u64 = 1 << 30;
/// Operators whose result differs from run to run (`IsOperationDeterministic`, core/optimizer/utils.cc).
const RANDOM: [&str; 5] = ["RandomUniform", "RandomNormal", "RandomUniformLike", "RandomNormalLike", "Multinomial"];

/// Folds what can be folded, in all graphs.
pub fn apply(network: &mut Network, tables: &Tables) -> bool {
    if network.graphs.is_empty() {
        return false;
    }
    let changed = graph(network, tables, 0);
    network.settle();
    changed
}

fn graph(network: &mut Network, tables: &Tables, id: GraphId) -> bool {
    let mut changed = false;
    for node in network.present(id) {
        if network.nodes[node].gone {
            continue;
        }
        for (_, inside) in network.nodes[node].graphs.clone() {
            changed |= graph(network, tables, inside);
        }
        if changed && network.nodes[node].graphs.is_empty() {
            inference::node(network, tables, node);
        }
        changed |= if network.is(node, "If") {
            branch(network, tables, node)
        } else if network.is(node, "Shape") {
            shape(network, node)
        } else {
            is_foldable(network, tables, node) && fold(network, node)
        };
    }
    changed
}

/// Whether the operator always gives the same result.
pub fn is_deterministic(network: &Network, node: NodeId) -> bool {
    let of = &network.nodes[node];
    // Other domains count as unknown.
    of.domain.is_empty() && !RANDOM.contains(&of.op.as_ref())
}

fn is_foldable(network: &Network, tables: &Tables, node: NodeId) -> bool {
    let of = &network.nodes[node];
    let can = |node: NodeId| is_deterministic(network, node) && network.nodes[node].graphs.is_empty();
    let is_constant = |input: &Option<usize>| input.is_none() || network.constant(*input).is_some();
    if !can(node) || of.inputs.iter().flatten().next().is_none() || !of.inputs.iter().all(is_constant) {
        return false;
    }
    // A DequantizeLinear stays for the units of quantized nodes, unless a whole unit goes.
    if of.op == "DequantizeLinear" && !is_quantized_unit(network, node, &can) {
        return false;
    }
    of.outputs.iter().flatten().all(|output| network.values[*output].kind.code().is_some())
        && kernel::has_cpu(network, tables, node)
}

/// Whether the node's result goes through one other node into a QuantizeLinear.
fn is_quantized_unit(network: &Network, node: NodeId, can: &dyn Fn(NodeId) -> bool) -> bool {
    let next = |node: NodeId| network.only_reader(network.nodes[node].output(0)?);
    let Some(between) = next(node) else { return false };
    let one = network.nodes[between].inputs.len() == 1 && network.nodes[between].outputs.len() == 1;
    one && can(between) && next(between).is_some_and(|last| network.is(last, "QuantizeLinear") && can(last))
}

/// Replaces a node by its results.
fn fold(network: &mut Network, node: NodeId) -> bool {
    let outputs = network.nodes[node].outputs.clone();
    let sizes: Vec<Option<(u64, u64)>> = outputs
        .iter()
        .map(|output| {
            let value = &network.values[(*output)?];
            let elements = u64::try_from(product(value.shape.as_ref()?)?).ok()?;
            Some((elements, elements.checked_mul(value.kind.bits())?.div_ceil(8)))
        })
        .collect();
    if sizes.iter().flatten().fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes)) > LIMIT_BYTES {
        return false;
    }
    let first = arithmetic::of(network, node);
    for (at, (output, size)) in outputs.into_iter().zip(sizes).enumerate() {
        let Some(output) = output else { continue };
        let values = first.as_ref().filter(|_| at == 0).map(|values| values.as_slice().into());
        let value = &mut network.values[output];
        value.tensor = Some(Tensor {
            bytes: size.map(|(_, bytes)| bytes),
            elements: size.map(|(elements, _)| elements),
            values,
            is_constant: true,
            is_parameter: false,
        });
        value.maker = None;
    }
    network.remove(node);
    true
}

/// A Shape of a value whose sizes are all known.
fn shape(network: &mut Network, node: NodeId) -> bool {
    let Some(sizes) = network.shape(network.nodes[node].input(0)) else { return false };
    let Some(sizes) = sizes.iter().copied().collect::<Option<Vec<i64>>>() else { return false };
    let Some(output) = network.nodes[node].output(0) else { return false };
    let rank = sizes.len() as i64;
    let clamp = |at: i64| if at < 0 { at.saturating_add(rank) } else { at }.clamp(0, rank);
    let start = clamp(network.nodes[node].int("start").unwrap_or(0));
    let end = clamp(network.nodes[node].int("end").unwrap_or(rank));
    let values: Vec<f64> = sizes.iter().take(end as usize).skip(start as usize).map(|size| *size as f64).collect();
    let count = values.len() as u64;
    let value = &mut network.values[output];
    value.kind = Kind::INT64;
    value.shape = Some(Shape::from([Some(count as i64)]));
    value.tensor = Some(Tensor {
        bytes: Some(count * 8),
        elements: Some(count),
        values: Some(values.into()),
        is_constant: true,
        is_parameter: false,
    });
    value.maker = None;
    let from = network.nodes[node].input(0);
    network.remove(node);
    if let Some(from) = from {
        unused(network, from);
    }
    true
}

/// Removes the chain of nodes above a value that nobody reads any more (`RemoveNodesWithOneOutputBottomUp`).
pub fn unused(network: &mut Network, value: usize) {
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        let of = &network.values[value];
        let Some(maker) = of.maker else { continue };
        if of.is_output || network.readers(value).next().is_some() || !network.nodes[maker].graphs.is_empty() {
            continue;
        }
        if network.nodes[maker].outputs.len() == 1 && !network.nodes[maker].gone {
            waiting.extend(network.nodes[maker].inputs.iter().flatten());
            network.remove(maker);
        }
    }
}

/// Replaces an `If` with a constant condition by the branch that is taken.
fn branch(network: &mut Network, tables: &Tables, node: NodeId) -> bool {
    let condition = network.elements(network.nodes[node].input(0)).and_then(|values| values.first().copied());
    let Some(condition) = condition else { return false };
    let name = if condition == 0.0 { "else_branch" } else { "then_branch" };
    let of = &network.nodes[node];
    let Some((_, taken)) = of.graphs.iter().find(|(own, _)| *own == name).copied() else { return false };
    let (graph, outputs) = (of.graph, of.outputs.clone());
    let results = network.graphs[taken].outputs.clone();
    let moved = std::mem::take(&mut network.graphs[taken].nodes);
    let local: HashSet<NodeId> = moved.iter().copied().collect();
    network.remove(node);
    for inner in &moved {
        network.nodes[*inner].graph = graph;
    }
    let of_moved = moved.iter().flat_map(|inner| [&network.nodes[*inner].inputs, &network.nodes[*inner].outputs]);
    let values: Vec<usize> = of_moved.flatten().flatten().copied().chain(results.iter().copied()).collect();
    for value in values {
        let value = &mut network.values[value];
        if value.graph == taken {
            value.graph = graph;
            value.is_output = false;
        }
    }
    // The branch's results take the names of the node's outputs.
    for (output, result) in outputs.into_iter().zip(results) {
        let Some(output) = output else { continue };
        let maker = network.values[result].maker.filter(|_| network.values[result].graph == graph);
        let is_local = maker.is_some_and(|maker| local.contains(&maker));
        if let (Some(maker), true) = (maker, is_local) {
            for own in network.nodes[maker].outputs.iter_mut().flatten() {
                if *own == result {
                    *own = output;
                }
            }
            network.values[output].maker = Some(maker);
            network.values[result].maker = None;
            network.redirect(result, output);
        } else if !network.values[output].is_output {
            network.redirect(output, result);
        } else if let Some(tensor) = network.values[result].tensor.clone() {
            network.values[output].tensor = Some(tensor);
        }
    }
    network.replace(node, moved.clone());
    for inner in moved {
        if !network.nodes[inner].gone {
            inference::node(network, tables, inner);
        }
    }
    true
}
