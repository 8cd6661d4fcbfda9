//! The order in which onnxruntime's optimizations visit the nodes of a graph: it decides which of two equal nodes stays,
//! hence under which name.
//!
//! Source: `GraphViewer` in core/graph/graph_viewer.cc and `Graph::ReverseDFSFrom` in core/graph/graph.cc: depth first
//! from the nodes that nothing reads, later nodes and later makers first; a node comes after all that it reads.

use super::network::{GraphId, Network, NodeId};
use std::collections::HashMap;

/// Nodes of a graph in that order. Nodes of a cycle, which no reader leads to, come last as they stand.
pub fn visited(network: &Network, graph: GraphId) -> Vec<NodeId> {
    let mut nodes = network.present(graph);
    nodes.sort_unstable();
    let position: HashMap<NodeId, usize> = nodes.iter().enumerate().map(|(at, node)| (*node, at)).collect();
    let mut makers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut is_read = vec![false; nodes.len()];
    for (from, node) in nodes.iter().enumerate() {
        for value in network.nodes[*node].outputs.iter().flatten() {
            for reader in network.readers(*value) {
                // A node inside a subgraph reads for the node that owns it.
                let Some(to) = network.at_level(reader, graph).and_then(|reader| position.get(&reader)) else {
                    continue;
                };
                makers[*to].push(from);
                is_read[from] = true;
            }
        }
    }
    let mut order = Vec::with_capacity(nodes.len());
    let mut seen = vec![false; nodes.len()];
    let mut stack: Vec<(usize, bool)> = (0..nodes.len()).filter(|at| !is_read[*at]).map(|at| (at, false)).collect();
    while let Some((at, is_done)) = stack.pop() {
        if is_done {
            order.push(nodes[at]);
        } else if !std::mem::replace(&mut seen[at], true) {
            stack.push((at, true));
            makers[at].sort_unstable();
            makers[at].dedup();
            stack.extend(makers[at].iter().filter(|maker| !seen[**maker]).map(|maker| (*maker, false)));
        }
    }
    order.extend(nodes.iter().zip(&seen).filter(|(_, seen)| !**seen).map(|(node, _)| *node));
    order
}
