//! Groups of connected nodes on the CPU that cut a graph which otherwise runs on a GPU: what a placement costs.

use crate::snapshot::CpuIsland;
use std::collections::{BTreeMap, BTreeSet};

/// Islands that are told, and names of nodes told of each.
const ISLANDS_MAX: usize = 100;
const NAMES_MAX: usize = 5;

/// A node of the execution graph. Its inputs are the tensors that it reads: who makes each, and which of the maker's
/// outputs it is. Tensors without a maker (inputs of the model, parameters) are left out.
#[derive(Debug, Clone, Default)]
pub struct Placed {
    /// Name, for people.
    pub name: String,
    /// Operator.
    pub op: String,
    /// Whether it runs on the CPU.
    pub on_cpu: bool,
    /// Index of the maker, and of its output.
    pub inputs: Vec<(usize, usize)>,
}

/// The islands of a graph: those that take tensors from the GPU or give tensors to it. The costliest come first, by the
/// tensors that cross, then by their nodes.
pub fn of(nodes: &[Placed]) -> Vec<CpuIsland> {
    let mut group: Vec<usize> = (0..nodes.len()).collect();
    for (reader, node) in nodes.iter().enumerate().filter(|(_, node)| node.on_cpu) {
        for (maker, _) in &node.inputs {
            if nodes.get(*maker).is_some_and(|maker| maker.on_cpu) {
                let (a, b) = (root(&mut group, reader), root(&mut group, *maker));
                // The earlier node stands for both, so islands are told in the order of the graph.
                if let Some(slot) = group.get_mut(a.max(b)) {
                    *slot = a.min(b);
                }
            }
        }
    }
    let mut islands: BTreeMap<usize, Gathered> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        if node.on_cpu {
            let island = islands.entry(root(&mut group, index)).or_default();
            island.nodes += 1;
            *island.operators.entry(node.op.clone()).or_default() += 1;
            if island.first.len() < NAMES_MAX {
                island.first.push(node.name.clone());
            }
        }
        for (maker, output) in &node.inputs {
            match (node.on_cpu, nodes.get(*maker).map(|maker| maker.on_cpu)) {
                (true, Some(false)) => {
                    islands.entry(root(&mut group, index)).or_default().inward.insert((*maker, *output));
                }
                (false, Some(true)) => {
                    islands.entry(root(&mut group, *maker)).or_default().outward.insert((*maker, *output));
                }
                _ => {}
            }
        }
    }
    let mut told: Vec<CpuIsland> = islands
        .into_values()
        .filter(|island| !(island.inward.is_empty() && island.outward.is_empty()))
        .map(Gathered::told)
        .collect();
    told.sort_by_key(|island| std::cmp::Reverse((island.tensors_in + island.tensors_out, island.nodes)));
    told.truncate(ISLANDS_MAX);
    told
}

#[derive(Default)]
struct Gathered {
    nodes: u64,
    first: Vec<String>,
    operators: BTreeMap<String, u64>,
    inward: BTreeSet<(usize, usize)>,
    outward: BTreeSet<(usize, usize)>,
}

impl Gathered {
    fn told(self) -> CpuIsland {
        CpuIsland {
            nodes: self.nodes,
            first: self.first,
            operators: self.operators,
            tensors_in: self.inward.len() as u64,
            tensors_out: self.outward.len() as u64,
        }
    }
}

/// The first node of the group, with the path to it shortened.
fn root(group: &mut [usize], mut at: usize) -> usize {
    while let Some(above) = group.get(at).copied().filter(|above| *above != at) {
        let higher = group.get(above).copied().unwrap_or(above);
        if let Some(slot) = group.get_mut(at) {
            *slot = higher;
        }
        at = above;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, on_cpu: bool, inputs: &[usize]) -> Placed {
        let inputs = inputs.iter().map(|maker| (*maker, 0)).collect();
        Placed { name: name.into(), op: name.trim_end_matches(char::is_numeric).into(), on_cpu, inputs }
    }

    #[test]
    fn only_what_touches_the_gpu_is_an_island() {
        let nodes = [
            node("Conv0", false, &[]),
            node("NonMaxSuppression1", true, &[0]),
            node("Gather2", true, &[1, 0]),
            node("Mul3", false, &[2, 1]),
            // Shapes computed on the CPU for nodes on the CPU touch nothing.
            node("Shape4", true, &[]),
            node("Slice5", true, &[4]),
            node("Det6", true, &[3]),
        ];
        let islands = of(&nodes);
        assert_eq!(islands.len(), 2);
        assert_eq!(islands[0].first, ["NonMaxSuppression1", "Gather2"]);
        assert_eq!((islands[0].nodes, islands[0].tensors_in, islands[0].tensors_out), (2, 1, 2));
        assert_eq!((islands[1].first[0].as_str(), islands[1].tensors_in, islands[1].tensors_out), ("Det6", 1, 0));
    }

    #[test]
    fn a_long_chain_is_one_island() {
        let mut nodes = vec![node("Conv0", false, &[])];
        nodes.extend((1..200_000).map(|index| node(&format!("Det{index}"), true, &[index - 1])));
        let islands = of(&nodes);
        assert_eq!((islands.len(), islands[0].nodes, islands[0].first.len()), (1, 199_999, NAMES_MAX));
    }

    #[test]
    fn nonsense_is_no_panic() {
        let nodes = [node("Loop0", true, &[0, 1, 99]), node("Back1", true, &[0]), node("Out2", false, &[1, 77])];
        assert_eq!(of(&nodes)[0].tensors_out, 1);
    }
}
