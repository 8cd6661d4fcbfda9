//! The network made from the model's structure, and functions' bodies added to it.

use super::element::Kind;
use super::network::{DEPTH_LIMIT, Graph, GraphId, Network, Node, NodeId, Place, Tensor, Value, ValueId};
use crate::probe::model::{Attribute, NamedTensor, Scope, Structure, TypedName};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// Names that can be seen, innermost graph last.
type Names<'m> = Vec<HashMap<&'m str, Option<ValueId>>>;

/// What a graph is made from.
#[derive(Clone, Copy)]
pub struct Source<'m, 's> {
    /// The scopes.
    pub structure: &'m Structure,
    /// Operator sets by domain.
    pub opsets: &'s BTreeMap<String, i64>,
    /// Attributes of the node that calls the function whose body this is.
    pub caller: &'s [(String, Attribute)],
}

impl<'m> Network<'m> {
    /// The network of a model.
    pub fn of(structure: &'m Structure) -> Self {
        let mut network = Self::default();
        let source = Source { structure, opsets: &structure.opsets, caller: &[] };
        if !structure.scopes.is_empty() {
            network.graph(source, 0, None, &mut Names::new(), 0);
        }
        network
    }

    /// Makes a graph from a scope, with the graphs inside it.
    fn graph(
        &mut self,
        source: Source<'m, '_>,
        scope: usize,
        owner: Option<NodeId>,
        names: &mut Names<'m>,
        depth: usize,
    ) -> GraphId {
        let graph = self.graphs.len();
        self.graphs.push(Graph { owner, ..Graph::default() });
        let Some(of) = source.structure.scopes.get(scope) else { return graph };
        names.push(HashMap::new());
        for input in &of.inputs {
            let value = self.value(&input.name, graph);
            self.values[value].is_input = true;
            self.graphs[graph].inputs.push(value);
            bind(names, &input.name, Some(value));
        }
        let nodes = self.fill(source, of, graph, names, depth);
        self.graphs[graph].nodes = nodes;
        self.sort(graph);
        let outputs: Vec<ValueId> = of
            .outputs
            .iter()
            .map(|output| match names.last().and_then(|scope| scope.get(output.name.as_str())).copied().flatten() {
                Some(value) => value,
                None => self.seen(&output.name, graph, names),
            })
            .collect();
        for output in &outputs {
            self.values[*output].is_output = true;
        }
        self.graphs[graph].outputs = outputs;
        for typed in of.inputs.iter().chain(&of.outputs).chain(&of.stated) {
            self.state(typed, names);
        }
        names.pop();
        // An initializer that is listed as an input too can be overridden from IR version 4 on
        // (Graph::ComputeOverridableInitializers); before, every initializer had to be listed.
        let is_overridable = source.structure.ir_version >= 4;
        let inputs = std::mem::take(&mut self.graphs[graph].inputs);
        let (with_tensor, inputs): (Vec<_>, Vec<_>) =
            inputs.into_iter().partition(|input| self.values[*input].tensor.is_some());
        for input in with_tensor {
            let value = &mut self.values[input];
            value.is_input = false;
            if let Some(tensor) = &mut value.tensor {
                tensor.is_constant = !is_overridable;
            }
        }
        self.graphs[graph].inputs = inputs;
        graph
    }

    /// Adds a scope's tensors and nodes. Returns the nodes, which are not in the graph's list yet.
    pub fn fill(
        &mut self,
        source: Source<'m, '_>,
        of: &'m Scope,
        graph: GraphId,
        names: &mut Names<'m>,
        depth: usize,
    ) -> Vec<NodeId> {
        for tensor in &of.tensors {
            if self.is_full() {
                break;
            }
            let value = self.named(&tensor.name, graph, names);
            self.values[value].hold(tensor);
            self.held_bytes += 16 * tensor.dims.len() + 8 * tensor.values.len();
        }
        let first = self.nodes.len();
        for node in &of.nodes {
            if self.is_full() {
                break;
            }
            if node.op_type == "Constant" {
                self.constant_of_caller(source, node, graph, names);
                continue;
            }
            let id = self.nodes.len();
            let domain = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
            let refers = node.attributes.iter().any(|(_, value)| matches!(value, Attribute::Reference(_)));
            let attributes = match refers {
                true => Cow::Owned(filled_in(&node.attributes, source.caller)),
                false => Cow::Borrowed(node.attributes.as_slice()),
            };
            let own_bytes: usize = match &attributes {
                Cow::Owned(own) => own.iter().map(|(name, value)| 64 + name.len() + value.held_bytes()).sum(),
                Cow::Borrowed(_) => 0,
            };
            self.held_bytes += size_of::<Node>() + 24 * (node.inputs.len() + node.outputs.len()) + own_bytes;
            self.nodes.push(Node {
                op: Cow::Borrowed(&node.op_type),
                domain: Cow::Borrowed(&node.domain),
                overload: &node.overload,
                name: Cow::Borrowed(&node.name),
                graph,
                inputs: Vec::new(),
                outputs: Vec::new(),
                attributes,
                graphs: Vec::new(),
                opset: source.opsets.get(domain).copied().unwrap_or(1),
                gone: false,
                place: Place::None,
                why: None,
            });
            let outputs = node.outputs.iter().map(|name| {
                if name.is_empty() {
                    return None;
                }
                let value = self.named(name, graph, names);
                // A name that is made twice is a fault of the model; every value has one maker.
                if self.values[value].maker.is_some() {
                    return None;
                }
                self.values[value].maker = Some(id);
                Some(value)
            });
            let outputs = outputs.collect();
            self.nodes[id].outputs = outputs;
        }
        let made: Vec<&'m crate::probe::model::Node> =
            of.nodes.iter().filter(|node| node.op_type != "Constant").take(self.nodes.len() - first).collect();
        let ids: Vec<NodeId> = (first..first + made.len()).collect();
        for (id, node) in ids.iter().zip(&made) {
            let inputs = node.inputs.iter().map(|name| {
                let value = if name.is_empty() { None } else { self.lookup(name, graph, names) };
                if let Some(value) = value {
                    self.values[value].readers.push(*id);
                }
                value
            });
            self.nodes[*id].inputs = inputs.collect();
        }
        for (id, node) in ids.iter().zip(&made) {
            for (name, value) in &node.attributes {
                let Attribute::Graphs(scopes) = value else { continue };
                for scope in scopes {
                    if depth + 1 >= DEPTH_LIMIT {
                        self.cut = true;
                        continue;
                    }
                    let inner = self.graph(source, *scope, Some(*id), names, depth + 1);
                    self.nodes[*id].graphs.push((name, inner));
                }
            }
        }
        ids
    }

    /// A Constant of a function whose value its caller's attribute gives.
    fn constant_of_caller(
        &mut self,
        source: Source<'m, '_>,
        node: &'m crate::probe::model::Node,
        graph: GraphId,
        names: &mut Names<'m>,
    ) {
        let Some(output) = node.outputs.first() else { return };
        let Some((name, Attribute::Reference(of))) = node.attributes.first() else { return };
        let given = source.caller.iter().find(|(name, _)| name == of).map(|(_, value)| value);
        let numbers = |code: u64, width: u64, list: Vec<i64>, is_list: bool| NamedTensor {
            element_type: code,
            bytes: width * list.len() as u64,
            dims: if is_list { vec![list.len() as i64] } else { Vec::new() },
            values: list.into_iter().map(|number| number as f64).collect(),
            ..NamedTensor::default()
        };
        let tensor = match (name.as_str(), given) {
            ("value", Some(Attribute::Tensor(tensor))) => tensor.as_ref().clone(),
            ("value_int", Some(Attribute::Int(number))) => numbers(7, 8, vec![*number], false),
            ("value_int", _) => NamedTensor { element_type: 7, bytes: 8, ..NamedTensor::default() },
            ("value_ints", Some(Attribute::Ints(list))) => numbers(7, 8, list.clone(), true),
            (_, Some(Attribute::Floats(count))) => {
                let dims = vec![*count as i64];
                NamedTensor { element_type: 1, bytes: 4 * *count as u64, dims, ..NamedTensor::default() }
            }
            _ => NamedTensor { element_type: 1, bytes: 4, ..NamedTensor::default() },
        };
        let value = self.named(output, graph, names);
        self.values[value].hold(&tensor);
        if let (Some(held), true) = (&mut self.values[value].tensor, tensor.values.is_empty()) {
            held.values = None;
        }
    }

    /// The value that a name of the innermost graph stands for, made if it is new.
    fn named(&mut self, name: &'m str, graph: GraphId, names: &mut Names<'m>) -> ValueId {
        if let Some(Some(value)) = names.last().and_then(|scope| scope.get(name)) {
            return *value;
        }
        let value = self.value(name, graph);
        bind(names, name, Some(value));
        value
    }

    /// The value that a node reads by a name; `None` for a function's input that its caller leaves out.
    fn lookup(&mut self, name: &'m str, graph: GraphId, names: &mut Names<'m>) -> Option<ValueId> {
        match names.iter().rev().find_map(|scope| scope.get(name)) {
            Some(value) => *value,
            None => Some(self.named(name, graph, names)),
        }
    }

    /// The value of an output that nothing in its graph makes: one from around it, or of a faulty model, unknown.
    fn seen(&mut self, name: &'m str, graph: GraphId, names: &mut Names<'m>) -> ValueId {
        match names.iter().rev().find_map(|scope| scope.get(name)).copied().flatten() {
            Some(value) => value,
            None => self.named(name, graph, names),
        }
    }

    fn state(&mut self, typed: &'m TypedName, names: &Names<'m>) {
        let Some(Some(id)) = names.last().and_then(|scope| scope.get(typed.name.as_str())) else { return };
        let value = &mut self.values[*id];
        if value.tensor.is_none() {
            value.kind = Kind::stated(typed);
            if value.shape.is_none() {
                value.shape = typed.shape.clone();
            }
        }
    }
}

impl Value<'_> {
    fn hold(&mut self, tensor: &NamedTensor) {
        self.kind = Kind::tensor(tensor.element_type);
        self.shape = Some(tensor.dims.iter().map(|size| Some(*size)).collect());
        let elements = tensor.dims.iter().try_fold(1u64, |count, size| count.checked_mul(u64::try_from(*size).ok()?));
        let is_told = elements == Some(tensor.values.len() as u64);
        self.tensor = Some(Tensor {
            bytes: match tensor.bytes {
                0 => elements.and_then(|count| count.checked_mul(self.kind.bits())).map(|bits| bits.div_ceil(8)),
                bytes => Some(bytes),
            },
            elements,
            values: is_told.then(|| tensor.values.clone().into()),
            is_constant: true,
            is_parameter: true,
        });
    }
}

fn bind<'m>(names: &mut Names<'m>, name: &'m str, value: Option<ValueId>) {
    if let Some(scope) = names.last_mut() {
        scope.insert(name, value);
    }
}

/// A function's attributes with those that its caller gives; what the caller leaves out is left out.
fn filled_in(own: &[(String, Attribute)], caller: &[(String, Attribute)]) -> Vec<(String, Attribute)> {
    own.iter()
        .filter_map(|(name, value)| match value {
            Attribute::Reference(of) => {
                let (_, given) = caller.iter().find(|(name, _)| name == of)?;
                Some((name.clone(), given.clone()))
            }
            value => Some((name.clone(), value.clone())),
        })
        .collect()
}
