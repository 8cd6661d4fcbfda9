//! Types and shapes of values, as ONNX's operators define them (<https://onnx.ai/onnx/operators/>). A shape that is not
//! worked out is unknown, never guessed.

use super::element::Kind;
use super::network::{GraphId, Network, NodeId, Shape, ValueId};
use super::shapes;
use super::tables::{Formal, Schema, Tables};
use crate::probe::model::Attribute;

/// Works out the types and shapes of all values.
pub fn whole(network: &mut Network, tables: &Tables) {
    if !network.graphs.is_empty() {
        graph(network, tables, 0);
    }
}

/// The same within one graph and those inside it.
pub fn graph(network: &mut Network, tables: &Tables, graph: GraphId) {
    for node in network.present(graph) {
        self::node(network, tables, node);
    }
}

/// The same for the outputs of one node.
pub fn node(network: &mut Network, tables: &Tables, node: NodeId) {
    let inner = network.nodes[node].graphs.clone();
    for (name, inside) in &inner {
        enter(network, node, name, *inside);
        graph(network, tables, *inside);
    }
    let outputs = network.nodes[node].outputs.clone();
    let found = match inner.first() {
        Some((_, inside)) if network.nodes[node].domain.is_empty() => leave(network, node, *inside, outputs.len()),
        _ => {
            let kinds = kinds(network, tables, node);
            let shapes = shapes::of(network, node);
            (0..outputs.len())
                .map(|at| {
                    let kind = kinds.get(at).copied().unwrap_or_default();
                    (kind, shapes.get(at).cloned().flatten())
                })
                .collect()
        }
    };
    for (output, (kind, shape)) in outputs.into_iter().zip(found) {
        let Some(output) = output else { continue };
        let value = &mut network.values[output];
        if value.tensor.is_some() {
            continue;
        }
        if kind != Kind::UNKNOWN {
            value.kind = kind;
        }
        value.shape = merged(value.shape.take(), shape);
    }
}

/// A stated and an inferred shape together: what either knows, the inferred one first.
fn merged(stated: Option<Shape>, inferred: Option<Shape>) -> Option<Shape> {
    match (stated, inferred) {
        (Some(stated), Some(inferred)) if stated.len() == inferred.len() => {
            Some(stated.into_iter().zip(inferred).map(|(stated, inferred)| inferred.or(stated)).collect())
        }
        (stated, inferred) => inferred.or(stated),
    }
}

/// Gives the inputs of a Loop's or Scan's body their types.
fn enter(network: &mut Network, node: NodeId, attribute: &str, inside: GraphId) {
    if attribute != "body" {
        return;
    }
    let inputs = network.graphs[inside].inputs.clone();
    let outer = network.nodes[node].inputs.clone();
    let of = &network.nodes[node];
    let is_scan = of.op == "Scan";
    // Scan before version 9 has a first input of lengths and batches everything.
    let is_batched = is_scan && of.opset < 9;
    let scanned = of.int("num_scan_inputs").and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let carried = outer.len().saturating_sub(scanned);
    for (at, input) in inputs.into_iter().enumerate() {
        let from = if is_batched { at + 1 } else { at };
        let (kind, shape) = match (is_scan, at) {
            (false, 0) => (Kind::INT64, Some(Vec::new())),
            (false, 1) => (Kind::BOOL, Some(Vec::new())),
            _ => match outer.get(from).copied().flatten() {
                None => continue,
                Some(value) => {
                    let value = &network.values[value];
                    // A value that goes round may change its shape on the way.
                    let shape = match (is_scan && !is_batched, from >= carried) {
                        (true, true) => value.shape.as_ref().and_then(|shape| shape.get(1..)).map(<[_]>::to_vec),
                        _ => None,
                    };
                    (value.kind, shape)
                }
            },
        };
        let value = &mut network.values[input];
        if kind != Kind::UNKNOWN {
            value.kind = kind;
        }
        value.shape = merged(value.shape.take(), shape);
    }
}

/// What If, Loop and Scan make of the outputs of their graphs.
fn leave(network: &Network, node: NodeId, inside: GraphId, count: usize) -> Vec<(Kind, Option<Shape>)> {
    let of = &network.nodes[node];
    let outputs = &network.graphs[inside].outputs;
    let kind_of = |value: Option<&ValueId>| value.map_or(Kind::UNKNOWN, |value| network.values[*value].kind);
    match of.op.as_ref() {
        "If" => (0..count)
            .map(|at| {
                let mut kinds = of.graphs.iter().map(|(_, branch)| kind_of(network.graphs[*branch].outputs.get(at)));
                let kind = kinds.find(|kind| *kind != Kind::UNKNOWN).unwrap_or_default();
                let mut shapes = of.graphs.iter().map(|(_, branch)| {
                    let value = network.graphs[*branch].outputs.get(at)?;
                    network.values[*value].shape.clone()
                });
                let first = shapes.next().flatten();
                (kind, first.filter(|first| shapes.all(|other| other.as_ref() == Some(first))))
            })
            .collect(),
        "Loop" => {
            // The first two inputs count and decide; the first output of the body decides.
            (0..count).map(|at| (kind_of(outputs.get(at + 1)), None)).collect()
        }
        _ => (0..count).map(|at| (kind_of(outputs.get(at)), None)).collect(),
    }
}

/// The types of a node's outputs.
fn kinds(network: &Network, tables: &Tables, node: NodeId) -> Vec<Kind> {
    let of = &network.nodes[node];
    let input = |at: usize| of.input(at).map_or(Kind::UNKNOWN, |value| network.values[value].kind);
    let count = of.outputs.len();
    let from_attribute = |name: &str, default: Kind| match of.attribute(name) {
        Some(Attribute::Int(code)) => Kind::tensor(u64::try_from(*code).unwrap_or(0)),
        Some(Attribute::Tensor(tensor)) => Kind::tensor(tensor.element_type),
        _ => default,
    };
    let one = |kind: Kind| vec![kind; count];
    if of.domain.is_empty() || of.domain == "com.microsoft" {
        match of.op.as_ref() {
            "Cast" => return one(from_attribute("to", Kind::UNKNOWN)),
            "CastLike" => return one(input(1)),
            "ConstantOfShape" => return one(from_attribute("value", Kind::FLOAT)),
            "RandomNormal" | "RandomUniform" | "HannWindow" | "HammingWindow" | "BlackmanWindow" => {
                let name = if of.op.starts_with("Random") { "dtype" } else { "output_datatype" };
                return one(from_attribute(name, Kind::FLOAT));
            }
            "EyeLike" | "RandomNormalLike" | "RandomUniformLike" | "Bernoulli" => {
                return one(from_attribute("dtype", input(0)));
            }
            "Multinomial" => return one(from_attribute("dtype", Kind::named("int32"))),
            "SequenceEmpty" => return one(from_attribute("dtype", Kind::FLOAT).sequence()),
            "SequenceConstruct" | "SplitToSequence" => return one(input(0).sequence()),
            "SequenceAt" | "ConcatFromSequence" | "OptionalGetElement" => {
                let inner = input(0).inner();
                return one(if inner == Kind::UNKNOWN { input(0) } else { inner });
            }
            "Optional" => return one(input(0).optional()),
            "QuantizeLinear" => {
                let default = if input(2) == Kind::UNKNOWN { Kind::named("uint8") } else { input(2) };
                return one(match from_attribute("output_dtype", default) {
                    Kind::UNKNOWN => default,
                    kind => kind,
                });
            }
            "DequantizeLinear" => {
                return one(match from_attribute("output_dtype", input(1)) {
                    Kind::UNKNOWN => input(1),
                    kind => kind,
                });
            }
            _ => {}
        }
    }
    let Some(schema) = network.schema(node, tables) else { return Vec::new() };
    (0..count)
        .map(|at| match formal(&schema.outputs, at) {
            None => Kind::UNKNOWN,
            Some(output) => parameter(network, node, schema, output.kind),
        })
        .collect()
}

/// The formal parameter at a position; a variadic one stands for all that follow.
pub fn formal(formals: &[Formal], at: usize) -> Option<&Formal> {
    formals.get(at).or_else(|| formals.last().filter(|last| last.is_variadic))
}

/// What a type or parameter of an operator stands for at a node, by its inputs.
fn parameter(network: &Network, node: NodeId, schema: &Schema, name: &str) -> Kind {
    for (at, input) in network.nodes[node].inputs.iter().enumerate() {
        if let (Some(input), Some(formal)) = (input, formal(&schema.inputs, at))
            && formal.kind == name
            && !formal.is_mixed
            && network.values[*input].kind != Kind::UNKNOWN
        {
            return network.values[*input].kind;
        }
    }
    match schema.single.iter().find(|(parameter, _)| *parameter == name) {
        Some((_, kind)) => *kind,
        None => Kind::named(name),
    }
}
