//! A model's nodes in one row, those of its inner graphs too, with who makes and who reads what.

use crate::probe::model::{Node, Structure};
use crate::probe::prediction::{leaves_on_host, reads_on_host};
use std::collections::HashMap;

/// A node, by its place in the row, and which of its inputs or outputs.
pub type Slot = (usize, usize);

/// Where an input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    /// An output of a node.
    Made(Slot),
    /// A tensor of a scope: its scope and its index there.
    Tensor(usize, usize),
}

/// The nodes of all scopes.
pub struct Graph<'a> {
    structure: &'a Structure,
    /// The nodes: scopes after their parents, in each the order of the file.
    pub nodes: Vec<&'a Node>,
    /// For each node and input, where it comes from; none for the model's own inputs, and what is left out.
    inputs: Vec<Vec<Option<Input>>>,
    readers: HashMap<Input, Vec<Slot>>,
}

impl<'a> Graph<'a> {
    /// The nodes of a model.
    pub fn of(structure: &'a Structure) -> Self {
        let mut defined: HashMap<(usize, &str), Input> = HashMap::new();
        let mut nodes = Vec::new();
        for (scope, graph) in structure.scopes.iter().enumerate() {
            for (index, tensor) in graph.tensors.iter().enumerate() {
                defined.insert((scope, tensor.name.as_str()), Input::Tensor(scope, index));
            }
            for node in &graph.nodes {
                for (output, name) in node.outputs.iter().enumerate() {
                    defined.insert((scope, name.as_str()), Input::Made((nodes.len(), output)));
                }
                nodes.push(node);
            }
        }
        let find = |scope: usize, name: &str| {
            // What is left out has no name.
            let mut at = Some(scope).filter(|_| !name.is_empty());
            while let Some(scope) = at {
                if let Some(input) = defined.get(&(scope, name)) {
                    return Some(*input);
                }
                // A parent always precedes its child, so this ends.
                at = structure.scopes.get(scope)?.parent.filter(|parent| *parent < scope);
            }
            None
        };
        let mut readers: HashMap<Input, Vec<Slot>> = HashMap::new();
        let mut inputs: Vec<Vec<Option<Input>>> = Vec::with_capacity(nodes.len());
        for (scope, graph) in structure.scopes.iter().enumerate() {
            for node in &graph.nodes {
                let found: Vec<Option<Input>> = node.inputs.iter().map(|name| find(scope, name)).collect();
                for (at, input) in found.iter().enumerate().filter_map(|(at, input)| Some((at, (*input)?))) {
                    readers.entry(input).or_default().push((inputs.len(), at));
                }
                inputs.push(found);
            }
        }
        Self { structure, nodes, inputs, readers }
    }

    /// The operator of a node, without its domain.
    pub fn op(&self, node: usize) -> &'a str {
        self.nodes.get(node).map_or("", |node| node.op_type.as_str())
    }

    /// What a node reads, with the number of the input, as far as the model itself has it.
    pub fn inputs(&self, node: usize) -> impl Iterator<Item = (usize, Input)> {
        let inputs = self.inputs.get(node).map(Vec::as_slice).unwrap_or_default();
        inputs.iter().enumerate().filter_map(|(at, input)| Some((at, (*input)?)))
    }

    /// Who makes what a node reads, with the number of the input.
    pub fn makers(&self, node: usize) -> impl Iterator<Item = (usize, Slot)> {
        self.inputs(node).filter_map(|(at, input)| match input {
            Input::Made(maker) => Some((at, maker)),
            Input::Tensor(..) => None,
        })
    }

    /// Who reads an output or a tensor.
    pub fn readers(&self, of: Input) -> &[Slot] {
        self.readers.get(&of).map(Vec::as_slice).unwrap_or_default()
    }

    /// Who reads any output of a node, with the number of the output.
    pub fn readers_of_node(&self, node: usize) -> impl Iterator<Item = (usize, Slot)> {
        let outputs = self.nodes.get(node).map_or(0, |node| node.outputs.len());
        (0..outputs).flat_map(move |at| self.readers(Input::Made((node, at))).iter().map(move |reader| (at, *reader)))
    }

    /// Whether a node on the GPU reads this input from the host's memory.
    pub fn reads_on_host(&self, (node, at): Slot) -> bool {
        let of = self.nodes.get(node);
        of.is_some_and(|node| reads_on_host(self.structure, &node.domain, &node.op_type, at))
    }

    /// Whether a node on the GPU leaves this output in the host's memory, so that readers there need no copy.
    pub fn leaves_on_host(&self, (node, at): Slot) -> bool {
        let of = self.nodes.get(node);
        of.is_some_and(|node| leaves_on_host(self.structure, &node.domain, &node.op_type, at))
    }
}

/// Graphs and logs for tests.
#[cfg(test)]
pub mod made_up {
    use super::super::placement_log::PlacementLog;
    use crate::probe::model::{NamedTensor, Node};

    /// A node.
    pub fn node(op_type: &str, name: &str, inputs: &[&str], outputs: &[&str]) -> Node {
        let texts = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        Node {
            op_type: op_type.into(),
            name: name.into(),
            inputs: texts(inputs),
            outputs: texts(outputs),
            ..Node::default()
        }
    }

    /// A tensor of so many bytes.
    pub fn tensor(name: &str, bytes: u64) -> NamedTensor {
        NamedTensor { name: name.into(), bytes, ..NamedTensor::default() }
    }

    /// A log that lists these nodes: provider, operator, name.
    pub fn log(nodes: &[(&str, &str, &str)]) -> PlacementLog {
        let mut log = PlacementLog::default();
        log.seen = true;
        for (provider, op_type, name) in nodes {
            *log.nodes_by_provider.entry(provider.to_string()).or_default() += 1;
            log.nodes.push((provider.to_string(), op_type.to_string(), name.to_string()));
        }
        log
    }
}
