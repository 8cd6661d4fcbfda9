//! Nodes that onnxruntime takes out because they do nothing.
//!
//! Sources: identity_elimination.cc, dropout_elimination.cc, cast_elimination.cc, slice_elimination.cc,
//! expand_elimination.cc, noop_elimination.cc, pre_shape_node_elimination.cc in core/optimizer, and
//! `graph_utils::CanRemoveNode`.

use super::element::Kind;
use super::network::{Network, NodeId};
use super::shapes::broadcast;
use super::tables::Tables;

/// Takes the node out if a rule says so.
pub fn apply(network: &mut Network, tables: &Tables, id: NodeId) -> bool {
    let node = &network.nodes[id];
    if !node.domain.is_empty() {
        return false;
    }
    match node.op.as_ref() {
        "Identity" => removed(network, id, 0) || passed_up(network, id),
        "Dropout" => does_not_train(network, id) && removed(network, id, 0),
        "Cast" => (keeps_type(network, id) || feeds_shapes(network, id)) && removed(network, id, 0),
        "Slice" => takes_all(network, id) && removed(network, id, 0),
        "Expand" => keeps_shape(network, id) && removed(network, id, 0),
        "Add" | "Sub" | "Mul" | "Div" => {
            let since = network.schema(id, tables).map_or(0, |schema| schema.since);
            match neutral(network, id).filter(|_| matches!(since, 7 | 13 | 14)) {
                Some(operand) => removed(network, id, operand),
                None => false,
            }
        }
        _ => false,
    }
}

/// Lets the readers of the node read its input, if its only output in use is no output of the graph.
fn removed(network: &mut Network, id: NodeId, operand: usize) -> bool {
    let node = &network.nodes[id];
    let (Some(input), Some(output)) = (node.input(operand), node.output(0)) else { return false };
    let is_used = |value: usize| network.values[value].is_output || network.readers(value).next().is_some();
    if node.outputs.iter().skip(1).flatten().any(|other| is_used(*other)) || network.values[output].is_output {
        return false;
    }
    // One edge comes in from a node, or there is one input at all.
    let edges = node.inputs.iter().flatten().filter(|input| network.values[**input].maker.is_some()).count();
    let is_edge = network.values[input].maker.is_some();
    if !(edges == 1 && is_edge || node.inputs.len() == 1) {
        return false;
    }
    network.redirect(output, input);
    network.remove(id);
    true
}

/// An Identity onto an output of the graph: the node before it makes that output, if nobody else reads what it made.
fn passed_up(network: &mut Network, id: NodeId) -> bool {
    let node = &network.nodes[id];
    let (Some(input), Some(output)) = (node.input(0), node.output(0)) else { return false };
    let Some(maker) = network.values[input].maker else { return false };
    let is_same_graph = network.nodes[maker].graph == node.graph;
    if !is_same_graph || network.readers(output).next().is_some() || network.only_reader(input) != Some(id) {
        return false;
    }
    network.remove(id);
    for own in network.nodes[maker].outputs.iter_mut().flatten() {
        if *own == input {
            *own = output;
        }
    }
    network.values[input].maker = None;
    network.values[output].maker = Some(maker);
    true
}

fn does_not_train(network: &Network, id: NodeId) -> bool {
    match network.nodes[id].input(2) {
        None => true,
        mode => network.elements(mode).is_some_and(|values| values.first() == Some(&0.0)),
    }
}

fn keeps_type(network: &Network, id: NodeId) -> bool {
    let node = &network.nodes[id];
    let to = node.int("to").and_then(|to| u64::try_from(to).ok()).map_or(Kind::UNKNOWN, Kind::tensor);
    to != Kind::UNKNOWN && node.input(0).is_some_and(|input| network.values[input].kind == to)
}

/// A Cast changes no shape.
fn feeds_shapes(network: &Network, id: NodeId) -> bool {
    let Some(output) = network.nodes[id].output(0) else { return false };
    let mut readers = network.readers(output).peekable();
    readers.peek().is_some() && readers.all(|reader| network.is(reader, "Shape"))
}

fn takes_all(network: &Network, id: NodeId) -> bool {
    let node = &network.nodes[id];
    let numbers = |at: usize, name: &str| match node.ints(name) {
        Some(list) => Some(list.to_vec()),
        None => Some(network.elements(node.input(at))?.iter().map(|number| *number as i64).collect()),
    };
    let end = match node.input(2).map(|ends| network.values[ends].kind) {
        Some(kind) if kind != Kind::INT64 => i64::from(i32::MAX),
        _ => i64::MAX,
    };
    let (Some(starts), Some(ends)) = (numbers(1, "starts"), numbers(2, "ends")) else { return false };
    let is_whole_step = match node.input(4) {
        None => true,
        steps => network.elements(steps).is_some_and(|steps| steps.iter().all(|step| *step == 1.0)),
    };
    is_whole_step && starts.iter().all(|start| *start == 0) && ends.iter().all(|own| *own >= end)
}

fn keeps_shape(network: &Network, id: NodeId) -> bool {
    let node = &network.nodes[id];
    let (Some(shape), Some(target)) = (network.shape(node.input(0)), network.elements(node.input(1))) else {
        return false;
    };
    let target: Vec<Option<i64>> = target.iter().map(|size| Some(*size as i64)).collect();
    target.len() <= shape.len() && broadcast(shape, &target).as_ref() == Some(shape)
}

/// The operand that an addition of 0 or a multiplication by 1 leaves as it is.
fn neutral(network: &Network, id: NodeId) -> Option<usize> {
    let node = &network.nodes[id];
    let number = if matches!(node.op.as_ref(), "Add" | "Sub") { 0.0 } else { 1.0 };
    let is_neutral = |at: usize| {
        let values = network.elements(node.input(at))?;
        let rank = network.shape(node.input(at))?.len();
        let other = network.shape(node.input(1 - at))?.len();
        (values.len() == 1 && values.first() == Some(&number) && rank <= other).then_some(1 - at)
    };
    let both = matches!(node.op.as_ref(), "Add" | "Mul");
    is_neutral(1).or_else(|| if both { is_neutral(0) } else { None })
}
