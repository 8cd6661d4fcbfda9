//! Functions replaced by their bodies: those of the model itself, and ONNX's operators that are functions.
//!
//! Source: `InlineFunctionsAOT` and `InlineNodes` (core/framework/graph_partitioner.cc), `Graph::InlineFunction`
//! (core/graph/graph.cc).

use super::building::Source;
use super::element::Kind;
use super::functions::{Condition, Expected, Operators, TYPE_OF};
use super::network::{Network, Node, NodeId, ValueId};
use super::tables::Tables;
use super::{inference, partition};
use crate::probe::model::{Attribute, Function, Structure};
use std::collections::{BTreeMap, HashMap};

/// Most rounds in which the model's own functions are expanded.
const ROUNDS_LIMIT: usize = 32;

/// A version of an operator, its body, and for which nodes that is.
type Body<'m> = (i64, &'m Function, &'m Condition);

/// What nodes can be replaced by.
pub struct Bodies<'m> {
    model: &'m Structure,
    operators: &'m Operators,
    local: HashMap<(&'m str, &'m str, &'m str), &'m Function>,
    known: HashMap<(&'m str, &'m str), Vec<Body<'m>>>,
}

impl<'m> Bodies<'m> {
    /// The functions of a model and those of ONNX.
    pub fn new(model: &'m Structure, operators: &'m Operators) -> Self {
        let plain = |domain: &'m str| if domain == "ai.onnx" { "" } else { domain };
        let local = model.functions.iter();
        let mut known: HashMap<_, Vec<_>> = HashMap::new();
        for (function, condition) in operators.structure.functions.iter().zip(&operators.conditions) {
            let since = function.overload.parse().unwrap_or(1);
            let key = (plain(&function.domain), function.name.as_str());
            known.entry(key).or_default().push((since, function, condition));
        }
        Self {
            model,
            operators,
            local: local.map(|of| ((plain(&of.domain), of.name.as_str(), of.overload.as_str()), of)).collect(),
            known,
        }
    }

    /// Whether a node calls a function of the model.
    pub fn is_local(&self, node: &Node) -> bool {
        self.local.contains_key(&(node.domain.as_ref(), node.op.as_ref(), node.overload))
    }

    /// Expands the model's own functions, and with them operators that no provider takes, until none is left.
    pub fn expand_local(&self, network: &mut Network<'m>, tables: &Tables) {
        if self.local.is_empty() {
            return;
        }
        for _ in 0..ROUNDS_LIMIT {
            if network.cut {
                return;
            }
            inference::whole(network, tables);
            let mut changed = false;
            for node in 0..network.nodes.len() {
                let of = &network.nodes[node];
                if !of.gone && (self.is_local(of) || !partition::is_taken(network, tables, node)) {
                    changed |= self.inline(network, tables, node);
                }
            }
            network.settle();
            if !changed {
                return;
            }
        }
    }

    /// Replaces a node by the body of its function. False if it is none.
    pub fn inline(&self, network: &mut Network<'m>, tables: &Tables, id: NodeId) -> bool {
        if network.is_full() {
            return false;
        }
        let of = &network.nodes[id];
        let key = (of.domain.as_ref(), of.op.as_ref());
        if let Some(function) = self.local.get(&(key.0, key.1, of.overload)) {
            self.replace(network, self.model, function, id);
            return true;
        }
        let Some(schema) = network.schema(id, tables) else { return false };
        // A body is written for an operator set; the newest up to the model's own is taken.
        let body = self.known.get(&key).and_then(|bodies| {
            let fitting =
                bodies.iter().filter(|(since, _, condition)| *since == schema.since && meets(network, id, condition));
            fitting.max_by_key(|(_, function, _)| function.opsets.get("ai.onnx").filter(|opset| **opset <= of.opset))
        });
        match body {
            Some((_, function, _)) => {
                self.replace(network, &self.operators.structure, function, id);
                true
            }
            None => false,
        }
    }

    fn replace(&self, network: &mut Network<'m>, structure: &'m Structure, function: &'m Function, id: NodeId) {
        let Some(scope) = structure.scopes.get(function.scope) else { return };
        let graph = network.nodes[id].graph;
        let (inputs, outputs) = (network.nodes[id].inputs.clone(), network.nodes[id].outputs.clone());
        let mut caller: Vec<(String, Attribute)> = network.nodes[id].attributes.to_vec();
        for (name, value) in &function.defaults {
            if !caller.iter().any(|(own, _)| own == name) {
                caller.push((name.clone(), value.clone()));
            }
        }
        for (at, input) in inputs.iter().enumerate() {
            if let Some(code) = input.and_then(|input| network.values[input].kind.code()) {
                caller.push((format!("{TYPE_OF}{at}"), Attribute::Int(code as i64)));
            }
        }
        let opset = network.nodes[id].opset;
        network.remove(id);
        let mut names: HashMap<&'m str, Option<ValueId>> = HashMap::new();
        for (at, name) in function.inputs.iter().enumerate() {
            names.insert(name, inputs.get(at).copied().flatten());
        }
        for (at, name) in function.outputs.iter().enumerate() {
            if let Some(output) = outputs.get(at).copied().flatten() {
                // An output that is an input passed through is kept by an Identity between them.
                names.entry(name).or_insert(Some(output));
            }
        }
        let mut opsets: BTreeMap<String, i64> = function.opsets.clone();
        opsets.entry("ai.onnx".into()).or_insert(opset);
        let source = Source { structure, opsets: &opsets, caller: &caller };
        let depth = depth(network, graph);
        let body = network.fill(source, scope, graph, &mut vec![names], depth);
        network.replace(id, body);
    }
}

/// How deep a graph lies.
fn depth(network: &Network, graph: usize) -> usize {
    let mut at = graph;
    let mut depth = 0;
    while let Some(owner) = network.graphs[at].owner {
        at = network.nodes[owner].graph;
        depth += 1;
        if depth > network.graphs.len() {
            break;
        }
    }
    depth
}

/// Whether a body is for this node.
fn meets(network: &Network, id: NodeId, condition: &Condition) -> bool {
    let node = &network.nodes[id];
    let is_float = node.input(0).map(|input| network.values[input].kind == Kind::FLOAT);
    condition.inputs.iter().all(|(at, there)| node.input(*at).is_some() == *there)
        && condition.outputs.is_none_or(|count| node.outputs.iter().flatten().count() == count)
        && condition.is_float.is_none_or(|expected| is_float == Some(expected))
        && condition.attributes.iter().all(|(name, expected)| match (expected, node.attribute(name)) {
            (Expected::Given(given), own) => own.is_some() == *given,
            (Expected::Value(value), Some(own)) => own == value,
            // ONNX's losses take the mean unless told otherwise.
            (Expected::Value(value), None) => *value == Attribute::Text("mean".into()),
        })
}
