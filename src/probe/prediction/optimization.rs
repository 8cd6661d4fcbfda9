//! The optimizations that onnxruntime makes before it places nodes (level 1, "basic"), as far as they change which nodes
//! there are. Those that follow the placement join nodes of one provider and move none.
//!
//! Source: `GenerateTransformers` (core/optimizer/graph_transformer_utils.cc), and the file of each rule.

use super::network::Network;
use super::tables::Tables;
use super::{elimination, folding, fusion, inference, reshape_fusion, sharing, transposition};

/// Rounds at most (`SessionOptions::max_num_graph_transformation_steps`).
const ROUNDS: usize = 10;

/// Rewrites the network until nothing changes any more.
pub fn run(network: &mut Network, tables: &Tables) {
    inference::whole(network, tables);
    for round in 0..ROUNDS {
        let mut changed = false;
        for graph in 0..network.graphs.len() {
            for node in network.present(graph) {
                if !network.nodes[node].gone {
                    changed |= elimination::apply(network, tables, node) || fusion::apply(network, tables, node);
                }
            }
        }
        // Constants are shared once only, before folding makes more (`ShouldOnlyApplyOnce`).
        if round == 0 {
            sharing::constants(network);
        }
        changed |= sharing::apply(network);
        changed |= folding::apply(network, tables);
        changed |= fusion::matrix_products(network, tables);
        changed |= reshape_fusion::apply(network, tables);
        changed |= transposition::apply(network, tables);
        if !changed {
            break;
        }
        inference::whole(network, tables);
    }
}
