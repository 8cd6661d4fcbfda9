//! A Reshape to a shape that is put together from the sizes of its own input and constants: onnxruntime makes that shape
//! a constant with 0 for "as it is" and -1 for "the rest".
//!
//! Source: `ReshapeFusion::Fuse_Subgraph` (core/optimizer/reshape_fusion.cc).

use super::element::Kind;
use super::folding::unused;
use super::network::{Network, NodeId, Tensor, ValueId};
use super::shapes::product;
use super::tables::Tables;

/// Applies it to every Reshape.
pub fn apply(network: &mut Network, tables: &Tables) -> bool {
    let mut changed = false;
    for graph in 0..network.graphs.len() {
        for node in network.present(graph) {
            if !network.nodes[node].gone && network.is_of(tables, node, "Reshape", &[5, 13, 14]) {
                changed |= fuse(network, node);
            }
        }
    }
    changed
}

fn fuse(network: &mut Network, reshape: NodeId) -> bool {
    let of = &network.nodes[reshape];
    let (Some(root), Some(target)) = (of.input(0), of.input(1)) else { return false };
    let Some(concat) = network.values[target].maker.filter(|maker| network.is(*maker, "Concat")) else { return false };
    if network.only_reader(target) != Some(reshape) {
        return false;
    }
    let mut shape: Vec<f64> = Vec::new();
    for input in network.nodes[concat].inputs.clone() {
        if let Some(values) = network.elements(input) {
            shape.extend(values.iter());
            continue;
        }
        let Some(input) = input else { return false };
        match size_of(network, input) {
            Some((of, Some(at))) if at == shape.len() as f64 && is_same(network, of, root) => shape.push(0.0),
            Some(_) => shape.push(-1.0),
            None if is_one(network, input) || is_sliced_size(network, input, root) => shape.push(-1.0),
            None => return false,
        }
    }
    if shape.iter().filter(|size| **size == -1.0).count() > 1 {
        return false;
    }
    let inputs = network.nodes[concat].inputs.clone();
    network.remove(concat);
    let count = shape.len() as u64;
    let value = &mut network.values[target];
    value.maker = None;
    value.kind = Kind::INT64;
    value.shape = Some(vec![Some(count as i64)]);
    value.tensor = Some(Tensor {
        bytes: Some(count * 8),
        elements: Some(count),
        values: Some(shape.into()),
        is_constant: true,
        is_parameter: false,
    });
    for input in inputs.into_iter().flatten() {
        unused(network, input);
    }
    true
}

/// The value that `Shape -> Gather -> Unsqueeze` takes a size of, and which size, if that is one constant index.
fn size_of(network: &Network, value: ValueId) -> Option<(ValueId, Option<f64>)> {
    let unsqueeze = above(network, value, "Unsqueeze")?;
    let axes = match network.nodes[unsqueeze].ints("axes") {
        Some(axes) => axes.to_vec(),
        None => network.elements(network.nodes[unsqueeze].input(1))?.iter().map(|axis| *axis as i64).collect(),
    };
    let gather = above(network, network.nodes[unsqueeze].input(0)?, "Gather")?;
    let shape = above(network, network.nodes[gather].input(0)?, "Shape")?;
    let index = network.nodes[gather].input(1);
    let is_one = network.shape(index).is_some_and(|shape| product(shape) == Some(1));
    if axes != [0] || !is_one {
        return None;
    }
    let at = network.elements(index).and_then(|values| values.first().copied());
    Some((network.nodes[shape].input(0)?, at))
}

/// Whether `Shape -> Slice -> Squeeze -> Unsqueeze`, perhaps multiplied or divided, makes one number of the root's shape.
fn is_sliced_size(network: &Network, value: ValueId, root: ValueId) -> bool {
    let Some(unsqueeze) = above(network, value, "Unsqueeze") else { return false };
    let Some(inner) = network.nodes[unsqueeze].input(0) else { return false };
    let is_size = |value: ValueId| {
        let squeeze = above(network, value, "Squeeze")?;
        let slice = above(network, network.nodes[squeeze].input(0)?, "Slice")?;
        let shape = above(network, network.nodes[slice].input(0)?, "Shape")?;
        (network.nodes[shape].input(0)? == root).then_some(())
    };
    if is_one(network, inner) || is_size(inner).is_some() {
        return true;
    }
    let binary = above(network, inner, "Mul").or_else(|| above(network, inner, "Div"));
    binary.is_some_and(|binary| {
        let inputs = network.nodes[binary].inputs.iter().flatten();
        inputs.clone().count() == 2
            && inputs.into_iter().all(|input| is_one(network, *input) || is_size(*input).is_some())
    })
}

fn above(network: &Network, value: ValueId, op: &str) -> Option<NodeId> {
    network.values[value].maker.filter(|maker| network.is(*maker, op))
}

fn is_one(network: &Network, value: ValueId) -> bool {
    network.values[value].shape.as_ref().is_some_and(|shape| product(shape) == Some(1))
}

fn is_same(network: &Network, of: ValueId, root: ValueId) -> bool {
    let shapes = (&network.values[of].shape, &network.values[root].shape);
    of == root || matches!(shapes, (Some(a), Some(b)) if a == b && a.iter().all(Option::is_some))
}
