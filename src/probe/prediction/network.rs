//! The model as onnxruntime sees it while it prepares a session: graphs of nodes and values, which its optimizations
//! rewrite before nodes are placed.

use super::element::Kind;
use super::tables::{Schema, Tables};
use crate::probe::model::Attribute;
use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

/// Index of a graph, of a node, of a value.
pub type GraphId = usize;
/// Index of a node.
pub type NodeId = usize;
/// Index of a value.
pub type ValueId = usize;
/// Dimensions, each if it is known.
pub type Shape = Vec<Option<i64>>;

/// Deepest nesting of graphs, functions expanded.
pub const DEPTH_LIMIT: usize = 64;
/// Most nodes, functions expanded.
const NODE_LIMIT: usize = 1_000_000;
/// Most memory for values, nodes, their edges and their own attributes, bytes: a body that a million nodes call counts a
/// million times.
const HELD_LIMIT_BYTES: usize = if cfg!(test) { 128 << 20 } else { 1 << 30 };

/// All graphs of a model.
#[derive(Debug, Default)]
pub struct Network<'m> {
    /// The main graph first; a graph comes after the one around it.
    pub graphs: Vec<Graph>,
    /// Nodes of all graphs, removed ones among them.
    pub nodes: Vec<Node<'m>>,
    /// Values of all graphs.
    pub values: Vec<Value<'m>>,
    /// Whether something was left out because it is beyond the limits.
    pub cut: bool,
    /// Nodes that stand in place of others since the graphs were last put in order.
    replaced: HashMap<NodeId, Vec<NodeId>>,
    /// What was added, bytes.
    pub held_bytes: usize,
}

/// One graph.
#[derive(Debug, Default)]
pub struct Graph {
    /// The node whose attribute it is; `None` for the main graph.
    pub owner: Option<NodeId>,
    /// Its nodes, each after those it reads from.
    pub nodes: Vec<NodeId>,
    /// Inputs without initializers.
    pub inputs: Vec<ValueId>,
    /// Outputs.
    pub outputs: Vec<ValueId>,
}

/// One node.
#[derive(Debug)]
pub struct Node<'m> {
    /// Operator.
    pub op: Cow<'m, str>,
    /// Domain; empty for ONNX's own.
    pub domain: Cow<'m, str>,
    /// Which of several local functions.
    pub overload: &'m str,
    /// Name.
    pub name: Cow<'m, str>,
    /// The graph that it is in.
    pub graph: GraphId,
    /// What it reads; `None` for an input that is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// What it makes.
    pub outputs: Vec<Option<ValueId>>,
    /// Attributes, those of a function's caller filled in.
    pub attributes: Cow<'m, [(String, Attribute)]>,
    /// Graphs among its attributes.
    pub graphs: Vec<(&'m str, GraphId)>,
    /// Version of its domain's operator set.
    pub opset: i64,
    /// Whether it is no longer there.
    pub gone: bool,
    /// Where it runs.
    pub place: Place,
    /// Why it runs there.
    pub why: Option<String>,
}

/// Where a node runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Place {
    /// Not decided yet, or by nobody.
    #[default]
    None,
    /// The CUDA execution provider.
    Cuda,
    /// The CPU execution provider.
    Cpu,
}

/// One value.
#[derive(Debug)]
pub struct Value<'m> {
    /// Name in the model.
    pub name: &'m str,
    /// The graph that defines it.
    pub graph: GraphId,
    /// What it is.
    pub kind: Kind,
    /// Its shape.
    pub shape: Option<Shape>,
    /// The node that makes it.
    pub maker: Option<NodeId>,
    /// Nodes that read it, a node as often as it does.
    pub readers: Vec<NodeId>,
    /// Whether it is an input of its graph, initializers not counted.
    pub is_input: bool,
    /// Whether it is an output of its graph.
    pub is_output: bool,
    /// Its tensor, if it is an initializer.
    pub tensor: Option<Tensor>,
}

/// An initializer, from the model or made by folding.
#[derive(Debug, Clone, Default)]
pub struct Tensor {
    /// Size, bytes; `None` if it could not be worked out.
    pub bytes: Option<u64>,
    /// Elements; `None` if they could not be counted.
    pub elements: Option<u64>,
    /// The elements, if they are few and known.
    pub values: Option<Rc<[f64]>>,
    /// Whether nobody can give another value when the model runs.
    pub is_constant: bool,
    /// Whether the model's file holds it, rather than that it was made.
    pub is_parameter: bool,
}

impl<'m> Network<'m> {
    /// Whether no more is taken in; then something is left out.
    pub fn is_full(&mut self) -> bool {
        let is_full = self.nodes.len() >= NODE_LIMIT || self.held_bytes >= HELD_LIMIT_BYTES;
        self.cut |= is_full;
        is_full
    }

    /// Notes that `new` stand where `old` stood; [`Network::settle`] puts them there.
    pub fn replace(&mut self, old: NodeId, new: Vec<NodeId>) {
        self.replaced.insert(old, new);
    }

    /// Puts nodes that stand in place of others into the lists of their graphs.
    pub fn settle(&mut self) {
        if self.replaced.is_empty() {
            return;
        }
        let mut replaced = std::mem::take(&mut self.replaced);
        for graph in 0..self.graphs.len() {
            let nodes = &self.graphs[graph].nodes;
            if !nodes.iter().any(|node| replaced.contains_key(node)) {
                continue;
            }
            let mut settled = Vec::with_capacity(nodes.len());
            let mut waiting: Vec<NodeId> = nodes.iter().rev().copied().collect();
            while let Some(node) = waiting.pop() {
                match replaced.remove(&node) {
                    Some(new) => {
                        settled.push(node);
                        waiting.extend(new.into_iter().rev());
                    }
                    None => settled.push(node),
                }
            }
            settled.retain(|node| !self.nodes[*node].gone);
            self.graphs[graph].nodes = settled;
            self.sort(graph);
        }
    }

    /// A new node beside another one of the same graph, without attributes. Its output is a new value of that name.
    pub fn insert(&mut self, op: &'static str, inputs: &[ValueId], output: &'m str, beside: NodeId) -> ValueId {
        let (graph, opset) = (self.nodes[beside].graph, self.nodes[beside].opset);
        let id = self.nodes.len();
        let made = self.value(output, graph);
        self.values[made].maker = Some(id);
        for input in inputs {
            self.values[*input].readers.push(id);
        }
        self.nodes.push(Node {
            op: Cow::Borrowed(op),
            domain: Cow::Borrowed(""),
            overload: "",
            name: Cow::Borrowed(""),
            graph,
            inputs: inputs.iter().copied().map(Some).collect(),
            outputs: vec![Some(made)],
            attributes: Cow::Borrowed(&[]),
            graphs: Vec::new(),
            opset,
            gone: false,
            place: Place::None,
            why: None,
        });
        self.replace(beside, vec![id]);
        made
    }

    /// A new value.
    pub fn value(&mut self, name: &'m str, graph: GraphId) -> ValueId {
        self.values.push(Value {
            name,
            graph,
            kind: Kind::UNKNOWN,
            shape: None,
            maker: None,
            readers: Vec::new(),
            is_input: false,
            is_output: false,
            tensor: None,
        });
        self.held_bytes += size_of::<Value>();
        self.values.len() - 1
    }

    /// Puts the nodes of a graph in an order in which each comes after those it reads from. Nodes of a cycle keep the order
    /// in which they stand.
    pub fn sort(&mut self, graph: GraphId) {
        let nodes = &self.graphs[graph].nodes;
        let position: HashMap<NodeId, usize> = nodes.iter().enumerate().map(|(at, node)| (*node, at)).collect();
        let mut is_sorted = true;
        let mut waiting = vec![0usize; nodes.len()];
        let mut next: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        for value in nodes.iter().flat_map(|node| &self.nodes[*node].outputs).flatten() {
            let Some(from) = self.values[*value].maker.and_then(|maker| position.get(&maker)) else { continue };
            for reader in &self.values[*value].readers {
                let Some(to) = self.at_level(*reader, graph).and_then(|reader| position.get(&reader)) else { continue };
                waiting[*to] += 1;
                next[*from].push(*to);
                is_sorted &= from < to;
            }
        }
        if is_sorted {
            return;
        }
        let mut ready: std::collections::BTreeSet<usize> = (0..nodes.len()).filter(|at| waiting[*at] == 0).collect();
        let mut order = Vec::with_capacity(nodes.len());
        let mut done = vec![false; nodes.len()];
        while let Some(at) = ready.pop_first() {
            order.push(nodes[at]);
            done[at] = true;
            for to in &next[at] {
                waiting[*to] -= 1;
                if waiting[*to] == 0 {
                    ready.insert(*to);
                }
            }
        }
        order.extend(nodes.iter().zip(&done).filter(|(_, done)| !**done).map(|(node, _)| *node));
        self.graphs[graph].nodes = order;
    }

    /// The node of `graph` that is `node` or around it.
    pub fn at_level(&self, node: NodeId, graph: GraphId) -> Option<NodeId> {
        let mut at = node;
        for _ in 0..=DEPTH_LIMIT {
            let within = self.nodes.get(at)?.graph;
            if within == graph {
                return Some(at);
            }
            at = self.graphs.get(within)?.owner?;
        }
        None
    }

    /// The operator of a node as it was at its operator set.
    pub fn schema<'t>(&self, node: NodeId, tables: &'t Tables) -> Option<&'t Schema> {
        let node = &self.nodes[node];
        tables.schema(&node.domain, &node.op, node.opset)
    }

    /// Nodes that are there, of a graph.
    pub fn present(&self, graph: GraphId) -> Vec<NodeId> {
        self.graphs[graph].nodes.iter().copied().filter(|node| !self.nodes[*node].gone).collect()
    }

    /// Readers of a value that are there, each as often as it reads.
    pub fn readers(&self, value: ValueId) -> impl Iterator<Item = NodeId> + '_ {
        self.values[value].readers.iter().copied().filter(|reader| !self.nodes[*reader].gone)
    }

    /// The one reader of a value that is no output of its graph; `None` if there are more, or one inside another graph.
    pub fn only_reader(&self, value: ValueId) -> Option<NodeId> {
        if self.values[value].is_output {
            return None;
        }
        let mut readers = self.readers(value);
        match (readers.next(), readers.next()) {
            (Some(reader), None) if self.nodes[reader].graph == self.values[value].graph => Some(reader),
            _ => None,
        }
    }

    /// Lets every reader of `old` read `new`.
    pub fn redirect(&mut self, old: ValueId, new: ValueId) {
        if old == new {
            return;
        }
        let readers = std::mem::take(&mut self.values[old].readers);
        let mut last = None;
        for reader in &readers {
            // A node that reads it many times stands there many times, mostly in a row.
            if last.replace(*reader) == Some(*reader) {
                continue;
            }
            for input in self.nodes[*reader].inputs.iter_mut().flatten() {
                if *input == old {
                    *input = new;
                }
            }
        }
        self.values[new].readers.extend(readers);
    }

    /// Takes a node out. Its outputs stay, made by nobody.
    pub fn remove(&mut self, node: NodeId) {
        self.nodes[node].gone = true;
        self.nodes[node].inputs.clear();
        for graph in self.nodes[node].graphs.clone() {
            for inner in self.graphs[graph.1].nodes.clone() {
                if !self.nodes[inner].gone {
                    self.remove(inner);
                }
            }
        }
        for output in self.nodes[node].outputs.clone().into_iter().flatten() {
            if self.values[output].maker == Some(node) {
                self.values[output].maker = None;
            }
        }
    }

    /// Lets a node read `new` at a position, which may be the next one.
    pub fn set_input(&mut self, node: NodeId, position: usize, new: ValueId) {
        while self.nodes[node].inputs.len() <= position {
            self.nodes[node].inputs.push(None);
        }
        let old = self.nodes[node].inputs[position].replace(new);
        if let Some(old) = old
            && let Some(at) = self.values[old].readers.iter().position(|reader| *reader == node)
        {
            self.values[old].readers.swap_remove(at);
        }
        self.values[new].readers.push(node);
    }

    /// Lets `node` make the outputs of `last`, which goes.
    pub fn take_outputs(&mut self, node: NodeId, last: NodeId) {
        let outputs = self.nodes[last].outputs.clone();
        self.remove(last);
        for output in self.nodes[node].outputs.clone().into_iter().flatten() {
            self.values[output].maker = None;
        }
        for output in outputs.iter().flatten() {
            self.values[*output].maker = Some(node);
        }
        self.nodes[node].outputs = outputs;
    }

    /// The tensor of a value that nobody can change.
    pub fn constant(&self, value: Option<ValueId>) -> Option<&Tensor> {
        self.values.get(value?)?.tensor.as_ref().filter(|tensor| tensor.is_constant)
    }

    /// The elements of a constant, if they are few and known.
    pub fn elements(&self, value: Option<ValueId>) -> Option<Rc<[f64]>> {
        self.constant(value)?.values.clone()
    }

    /// The shape of an input.
    pub fn shape(&self, value: Option<ValueId>) -> Option<&Shape> {
        self.values.get(value?)?.shape.as_ref()
    }

    /// Whether the node is of ONNX's own domain, of that operator, and of one of those versions of it.
    pub fn is_of(&self, tables: &Tables, node: NodeId, op: &str, versions: &[i64]) -> bool {
        self.is(node, op) && self.schema(node, tables).is_some_and(|schema| versions.contains(&schema.since))
    }

    /// Whether the node is of ONNX's own domain and of that operator.
    pub fn is(&self, node: NodeId, op: &str) -> bool {
        let node = &self.nodes[node];
        node.op == op && node.domain.is_empty()
    }
}

impl Node<'_> {
    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// An integer attribute.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attribute(name)? {
            Attribute::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// An attribute of integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attribute(name)? {
            Attribute::Ints(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// A text attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attribute(name)? {
            Attribute::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The input at a position.
    pub fn input(&self, position: usize) -> Option<ValueId> {
        self.inputs.get(position).copied().flatten()
    }

    /// The output at a position.
    pub fn output(&self, position: usize) -> Option<ValueId> {
        self.outputs.get(position).copied().flatten()
    }
}
