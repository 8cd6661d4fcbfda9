//! Which device reads which parameter: the model's structure joined with a placement.

use super::graph::{Graph, Input};
use super::placement_log::PlacementLog;
use crate::probe::model::{Node, Structure};
use crate::snapshot::CPU_PROVIDER;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Longest chain of folded nodes that is followed.
const CHAIN_LIMIT: usize = 16;
/// Most nodes that are visited for one parameter.
const VISIT_LIMIT: usize = 10_000;

/// Parameters by place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// Every reader is on a GPU provider.
    pub gpu: Sum,
    /// A reader is on the CPU.
    pub cpu: Sum,
    /// Tensors of the file that the execution graph does not read as they are; without that graph, those of which no
    /// reader was found.
    pub unplaced: Sum,
}

/// Tensors and what they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Tensors.
    pub tensors: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Sum {
    /// Counts one tensor more.
    pub fn add(&mut self, bytes: u64) {
        self.tensors = self.tensors.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Where nodes run: a set of two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sides {
    gpu: bool,
    cpu: bool,
}

impl Sides {
    fn of(provider: &str) -> Self {
        Self { gpu: provider != CPU_PROVIDER, cpu: provider == CPU_PROVIDER }
    }

    fn with(self, other: Self) -> Self {
        Self { gpu: self.gpu || other.gpu, cpu: self.cpu || other.cpu }
    }
}

/// Attributes every parameter of `structure`. With all nodes on one provider everything is its.
///
/// A parameter belongs to its readers, found in the execution graph by operator and name, or by name where an
/// optimization changed the operator. Nodes that onnxruntime computed beforehand, because all their inputs are
/// parameters, are followed to the readers of what they made.
pub fn attribute(structure: &Structure, log: &PlacementLog) -> Parameters {
    let mut parameters = Parameters::default();
    let mut providers = log.nodes_by_provider.iter().filter(|(_, count)| **count > 0);
    let only = match (providers.next(), providers.next()) {
        (Some((provider, _)), None) => Some(Sides::of(provider)),
        _ => None,
    };
    let join = Join::new(structure, log);
    for (scope, graph) in structure.scopes.iter().enumerate() {
        for (index, tensor) in graph.tensors.iter().enumerate() {
            let sides = only.unwrap_or_else(|| join.readers(Input::Tensor(scope, index)));
            match sides {
                Sides { cpu: true, .. } => parameters.cpu.add(tensor.bytes),
                Sides { gpu: true, .. } => parameters.gpu.add(tensor.bytes),
                _ => parameters.unplaced.add(tensor.bytes),
            }
        }
    }
    parameters
}

struct Join<'a> {
    graph: Graph<'a>,
    /// For each node, whether all that it reads is known before the model runs.
    foldable: Vec<bool>,
    by_operator_and_name: HashMap<(&'a str, &'a str), Option<Sides>>,
    by_name: HashMap<&'a str, Option<Sides>>,
}

impl<'a> Join<'a> {
    fn new(structure: &'a Structure, log: &'a PlacementLog) -> Self {
        let graph = Graph::of(structure);
        let foldable = foldable(&graph);
        let mut join = Self { graph, foldable, by_operator_and_name: HashMap::new(), by_name: HashMap::new() };
        for (provider, op_type, name) in &log.nodes {
            let sides = Sides::of(provider);
            note(&mut join.by_operator_and_name, (op_type, name), sides);
            if !name.is_empty() {
                note(&mut join.by_name, original_name(name), sides);
            }
        }
        join
    }

    /// Where the readers of a parameter run.
    fn readers(&self, parameter: Input) -> Sides {
        let mut sides = Sides::default();
        let mut visits = 0;
        let mut queue = vec![(parameter, 0)];
        while let Some((read, depth)) = queue.pop() {
            for reader in self.graph.readers(read) {
                visits += 1;
                if visits > VISIT_LIMIT {
                    return sides;
                }
                let Some(node) = self.graph.nodes.get(reader.0) else { continue };
                if let Some(placed) = self.placed(node) {
                    let host = placed.gpu && self.graph.reads_on_host(*reader);
                    sides = sides.with(if host { Sides::of(CPU_PROVIDER) } else { placed });
                } else if depth < CHAIN_LIMIT && self.foldable.get(reader.0) == Some(&true) {
                    queue.extend((0..node.outputs.len()).map(|at| (Input::Made((reader.0, at)), depth + 1)));
                }
            }
        }
        sides
    }

    fn placed(&self, node: &Node) -> Option<Sides> {
        let exact = self.by_operator_and_name.get(&(node.op_type.as_str(), node.name.as_str()));
        match exact {
            Some(sides) => *sides,
            None => *self.by_name.get(node.name.as_str()).filter(|_| !node.name.is_empty())?,
        }
    }
}

/// Which nodes read parameters alone, or what was made of them. Nodes come after what they read.
fn foldable(graph: &Graph<'_>) -> Vec<bool> {
    let mut foldable: Vec<bool> = Vec::with_capacity(graph.nodes.len());
    for (at, node) in graph.nodes.iter().enumerate() {
        let named = node.inputs.iter().filter(|name| !name.is_empty()).count();
        let known = graph.inputs(at).filter(|(_, input)| match input {
            Input::Tensor(..) => true,
            Input::Made((maker, _)) => foldable.get(*maker) == Some(&true),
        });
        foldable.push(named > 0 && known.count() == named);
    }
    foldable
}

/// Notes a node under a key; a key of nodes at different places tells nothing.
fn note<K: std::hash::Hash + Eq>(index: &mut HashMap<K, Option<Sides>>, key: K, sides: Sides) {
    index.entry(key).and_modify(|known| *known = known.filter(|known| *known == sides)).or_insert(Some(sides));
}

/// The name before an optimization: `fused conv1` and `mm/MatMulAddFusion_token_3` come from `conv1` and `mm`.
pub fn original_name(name: &str) -> &str {
    let name = name.strip_prefix("fused ").unwrap_or(name);
    let name = match name.rsplit_once("_token_") {
        Some((before, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => before,
        _ => name,
    };
    let name = name.strip_suffix('/').unwrap_or(name);
    match name.rsplit_once('/') {
        Some((before, last)) if last.ends_with("Fusion") && !before.is_empty() => before,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::made_up::{log, node, tensor};
    use super::*;
    use crate::probe::model::Scope;
    use crate::snapshot::CUDA_PROVIDER;

    fn structure() -> Structure {
        let main = Scope {
            parent: None,
            nodes: vec![
                node("Transpose", "fold", &["w1"], &["w1t"]),
                node("MatMul", "mm", &["x", "w1t"], &["a"]),
                node("Conv", "conv", &["a", "w2"], &["b"]),
                node("Det", "det", &["b", "w3"], &["c"]),
                node("Add", "add", &["c", "w3"], &["d"]),
                node("Add", "lost", &["d", "w4"], &["e"]),
                node("If", "if", &["cond"], &["f"]),
            ],
            tensors: [("w1", 1), ("w2", 10), ("w3", 100), ("w4", 1000), ("w5", 10_000)]
                .map(|(name, bytes)| tensor(name, bytes))
                .into(),
            ..Scope::default()
        };
        let branch = Scope {
            parent: Some(0),
            nodes: vec![node("Gemm", "inner", &["c", "w5", "k"], &["g"])],
            tensors: vec![tensor("k", 100_000)],
            ..Scope::default()
        };
        Structure { scopes: vec![main, branch], ..Structure::default() }
    }

    #[test]
    fn parameters_go_to_their_readers() {
        let log = log(&[
            (CUDA_PROVIDER, "MatMul", "mm"),
            (CUDA_PROVIDER, "FusedConv", "fused conv"),
            (CPU_PROVIDER, "Det", "det"),
            (CUDA_PROVIDER, "Add", "add"),
            (CUDA_PROVIDER, "Gemm", "inner"),
        ]);
        // w1 through the folded Transpose, w2 by the fused name, w3 read on both sides, w4's reader is gone,
        // w5 and k read in the branch.
        let sum = |tensors, bytes| Sum { tensors, bytes };
        let expected = Parameters { gpu: sum(4, 110_011), cpu: sum(1, 100), unplaced: sum(1, 1000) };
        assert_eq!(attribute(&structure(), &log), expected);
    }

    #[test]
    fn one_provider_takes_all() {
        let total = Sum { tensors: 6, bytes: 111_111 };
        let all = |provider: &str| {
            let mut log = log(&[]);
            log.nodes_by_provider.insert(provider.into(), 7);
            attribute(&structure(), &log)
        };
        assert_eq!(all(CPU_PROVIDER), Parameters { cpu: total, ..Parameters::default() });
        assert_eq!(all(CUDA_PROVIDER), Parameters { gpu: total, ..Parameters::default() });
        assert_eq!(attribute(&structure(), &log(&[])), Parameters { unplaced: total, ..Parameters::default() });
    }

    #[test]
    fn nameless_nodes_at_two_places_prove_nothing() {
        let scope = Scope {
            parent: None,
            nodes: vec![node("Add", "", &["w"], &["y"])],
            tensors: vec![tensor("w", 4)],
            ..Scope::default()
        };
        let structure = Structure { scopes: vec![scope], ..Structure::default() };
        let both = log(&[(CUDA_PROVIDER, "Add", ""), (CPU_PROVIDER, "Add", "")]);
        assert_eq!(attribute(&structure, &both).unplaced.bytes, 4);
        let one = log(&[(CUDA_PROVIDER, "Add", ""), (CPU_PROVIDER, "Det", "det")]);
        assert_eq!(attribute(&structure, &one).gpu.bytes, 4);
    }

    #[test]
    fn names_before_optimizations() {
        for (name, original) in [
            ("fused conv1", "conv1"),
            ("/enc/mm/MatMulAddFusion", "/enc/mm"),
            ("mm/MatMulAddFusion_token_12", "mm"),
            ("ln/LayerNormFusion/", "ln"),
            ("/enc/Conv", "/enc/Conv"),
            ("a_token_b", "a_token_b"),
        ] {
            assert_eq!(original_name(name), original);
        }
    }
}
