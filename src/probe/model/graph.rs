//! The walk over a model: graphs, nodes, attributes and tensors, at any depth, without payloads.
//!
//! Field numbers are those of onnx.proto (<https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>).

use super::attribute;
use super::external::ExternalUses;
use super::metadata::{self, Metadata};
use super::port;
use super::structure::{Attribute, Function, NamedTensor, Node, Scope, Structure};
use super::tensor::{self, Tensor};
use super::wire::{Fault, Fields, ReadAt, Reader, Span, Value};
use crate::snapshot::ModelPort;
use std::collections::{BTreeMap, HashSet};

/// Deepest nesting of graphs.
const DEPTH_LIMIT: usize = 32;
/// Most nodes, and most tensors, that are counted.
const COUNT_LIMIT: u64 = 4_000_000;
/// Most distinct operators.
const OPERATOR_LIMIT: usize = 4096;
/// Most tensors among one node's attributes.
const ATTRIBUTE_LIMIT: usize = 1024;
/// Most memory for names that are kept, bytes.
const NAMES_LIMIT_BYTES: usize = 256 << 20;
/// What keeping one name costs beside its bytes.
const NAME_COST_BYTES: usize = 48;

/// Everything that was gathered from a model.
#[derive(Debug, Default)]
pub struct Contents {
    /// ONNX IR version.
    pub ir_version: Option<i64>,
    /// Name of the tool that wrote the model.
    pub producer_name: String,
    /// Its version.
    pub producer_version: String,
    /// Operator sets as written.
    pub opsets: BTreeMap<String, i64>,
    /// Local functions.
    pub functions: u64,
    /// Whether a graph was there at all.
    pub has_graph: bool,
    /// Inputs of the main graph, initializers among them.
    pub inputs: Vec<ModelPort>,
    /// Outputs of the main graph.
    pub outputs: Vec<ModelPort>,
    /// Names of the main graph's initializers.
    pub initializers: HashSet<String>,
    /// Nodes of the main graph.
    pub nodes: u64,
    /// Nodes of all other graphs and of functions.
    pub subgraph_nodes: u64,
    /// Nodes by operator.
    pub operators: BTreeMap<String, u64>,
    /// Tensors.
    pub tensors: u64,
    /// Their elements.
    pub elements: u64,
    /// Their bytes by element type.
    pub bytes_by_type: BTreeMap<&'static str, u64>,
    /// The first element type without a known width, and its tensor.
    pub unsized_type: Option<(u64, String)>,
    /// Uses of other files.
    pub external: ExternalUses,
    /// What the model says of itself.
    pub metadata: Metadata,
    /// The graphs, if they were asked for.
    pub structure: Option<Structure>,
    names_bytes: usize,
}

/// Reads a whole model; `keep_structure` asks for [`Contents::structure`].
pub fn model<S: ReadAt>(reader: &mut Reader<S>, keep_structure: bool) -> Result<Contents, Fault> {
    let structure = keep_structure.then(Structure::default);
    let mut walk = Walk { reader, found: Contents { structure, ..Contents::default() } };
    let mut fields = Fields::of(walk.reader.whole(), "the model");
    while let Some(field) = fields.next(walk.reader)? {
        match field {
            (1, Value::Varint(version)) => walk.found.ir_version = Some(version as i64),
            (2, Value::Span(name)) => walk.found.producer_name = walk.reader.text(name)?,
            (3, Value::Span(version)) => walk.found.producer_version = walk.reader.text(version)?,
            (7, Value::Span(graph)) => {
                walk.found.has_graph = true;
                walk.graph(graph, None, 0)?;
            }
            (8, Value::Span(opset)) => walk.opset(opset)?,
            (14, Value::Span(entry)) => metadata::entry(walk.reader, entry, &mut walk.found.metadata)?,
            (25, Value::Span(function)) => walk.function(function)?,
            _ => {}
        }
    }
    let Contents { structure, ir_version, opsets, .. } = &mut walk.found;
    if let Some(structure) = structure {
        structure.ir_version = ir_version.unwrap_or_default();
        structure.opsets = opsets.clone();
    }
    Ok(walk.found)
}

struct Walk<'r, S> {
    reader: &'r mut Reader<S>,
    found: Contents,
}

impl<S: ReadAt> Walk<'_, S> {
    /// A graph; `depth` 0 is the main one.
    fn graph(&mut self, span: Span, parent: Option<usize>, depth: usize) -> Result<usize, Fault> {
        let scope = self.open_scope(parent)?;
        let mut fields = Fields::of(span, if depth == 0 { "the graph" } else { "a subgraph" });
        while let Some(field) = fields.next(self.reader)? {
            if let (number @ (11..=13), Value::Span(typed)) = field {
                self.typed(typed, scope, number)?;
            }
            match field {
                (1, Value::Span(node)) => self.node(node, scope, depth)?,
                (5, Value::Span(initializer)) => {
                    let tensor = tensor::read(self.reader, initializer, self.keeps())?;
                    self.tensor(tensor, scope, depth)?;
                }
                (11, Value::Span(input)) if depth == 0 => {
                    let port = port::read(self.reader, input)?;
                    self.keep(port.name.len() + port.shape.iter().map(|size| size.len() + 24).sum::<usize>())?;
                    self.found.inputs.push(port);
                }
                (12, Value::Span(output)) if depth == 0 => {
                    let port = port::read(self.reader, output)?;
                    self.keep(port.name.len() + port.shape.iter().map(|size| size.len() + 24).sum::<usize>())?;
                    self.found.outputs.push(port);
                }
                (15, Value::Span(sparse)) => {
                    let tensor = tensor::sparse(self.reader, sparse)?;
                    self.tensor(tensor, scope, depth)?;
                }
                _ => {}
            }
        }
        Ok(scope)
    }

    fn keeps(&self) -> bool {
        self.found.structure.is_some()
    }

    /// An input (field 11), an output (12) or the stated type of a name in between (13) of a graph.
    fn typed(&mut self, span: Span, scope: usize, number: u64) -> Result<(), Fault> {
        if !self.keeps() {
            return Ok(());
        }
        let typed = port::typed(self.reader, span)?;
        self.keep(typed.name.len() + typed.shape.as_ref().map_or(0, |shape| shape.len() * 16))?;
        if let Some(scope) = self.found.structure.as_mut().and_then(|found| found.scopes.get_mut(scope)) {
            match number {
                11 => scope.inputs.push(typed),
                12 => scope.outputs.push(typed),
                _ => scope.stated.push(typed),
            }
        }
        Ok(())
    }

    /// A local function (`FunctionProto`): nodes in a scope of their own.
    fn function(&mut self, span: Span) -> Result<(), Fault> {
        let scope = self.open_scope(None)?;
        self.found.functions += 1;
        let keep = self.keeps();
        let mut function = Function { scope, ..Function::default() };
        let mut fields = Fields::of(span, "a function");
        while let Some(field) = fields.next(self.reader)? {
            match field {
                (7, Value::Span(node)) => self.node(node, scope, 1)?,
                (1, Value::Span(name)) if keep => function.name = self.kept_text(name)?,
                (10, Value::Span(domain)) if keep => function.domain = self.kept_text(domain)?,
                (13, Value::Span(overload)) if keep => function.overload = self.kept_text(overload)?,
                (4, Value::Span(input)) if keep => function.inputs.push(self.kept_text(input)?),
                (5, Value::Span(output)) if keep => function.outputs.push(self.kept_text(output)?),
                (11, Value::Span(attribute)) if keep => {
                    let read = attribute::read(self.reader, attribute, true)?;
                    self.keep(read.name.len())?;
                    function.defaults.push((read.name, read.value.unwrap_or(Attribute::Other)));
                }
                (9, Value::Span(opset)) if keep => {
                    let (domain, version) = self.opset_entry(opset)?;
                    function.opsets.insert(domain, version);
                }
                (12, Value::Span(typed)) => self.typed(typed, scope, 13)?,
                _ => {}
            }
        }
        if let Some(structure) = &mut self.found.structure {
            structure.functions.push(function);
        }
        Ok(())
    }

    fn kept_text(&mut self, span: Span) -> Result<String, Fault> {
        self.keep(span.bytes() as usize)?;
        self.reader.text(span)
    }

    fn node(&mut self, span: Span, scope: usize, depth: usize) -> Result<(), Fault> {
        let mut node = Node::default();
        // Whether the node is a Constant may be known only at its end.
        let mut attributes = Vec::new();
        let mut tensors = 0;
        let keep = self.keeps();
        let mut fields = Fields::of(span, "a node");
        while let Some(field) = fields.next(self.reader)? {
            match field {
                (1, Value::Span(input)) if keep => {
                    self.keep(input.bytes() as usize)?;
                    node.inputs.push(self.reader.text(input)?);
                }
                // A Constant node's first output names its tensor, so outputs are read in any case.
                (2, Value::Span(output)) if keep || node.outputs.is_empty() => {
                    if keep {
                        self.keep(output.bytes() as usize)?;
                    }
                    node.outputs.push(self.reader.text(output)?);
                }
                (3, Value::Span(name)) if keep => node.name = self.reader.text(name)?,
                (4, Value::Span(op_type)) => node.op_type = self.reader.text(op_type)?,
                (7, Value::Span(domain)) if keep => {
                    node.domain = self.reader.text(domain)?;
                    if node.domain == "ai.onnx" {
                        node.domain.clear();
                    }
                }
                (8, Value::Span(overload)) if keep => node.overload = self.reader.text(overload)?,
                (5, Value::Span(attribute)) => {
                    let read = self.attribute(attribute, scope, depth)?;
                    tensors += read.tensors.len();
                    if tensors > ATTRIBUTE_LIMIT {
                        let what = format!("a node has more than {ATTRIBUTE_LIMIT} tensors as attributes");
                        return Err(Fault::TooLarge(what));
                    }
                    if keep || !read.tensors.is_empty() {
                        self.keep(read.name.len() + 64)?;
                        attributes.push(read);
                    }
                }
                _ => {}
            }
        }
        let count = if depth == 0 { &mut self.found.nodes } else { &mut self.found.subgraph_nodes };
        *count += 1;
        if self.found.nodes + self.found.subgraph_nodes > COUNT_LIMIT {
            return Err(Fault::TooLarge(format!("it has more than {COUNT_LIMIT} nodes")));
        }
        let is_constant = node.op_type == "Constant";
        let operators = &mut self.found.operators;
        if let Some(count) = operators.get_mut(&node.op_type) {
            *count += 1;
        } else if operators.len() < OPERATOR_LIMIT {
            operators.insert(node.op_type.clone(), 1);
        } else {
            return Err(Fault::TooLarge(format!("it uses more than {OPERATOR_LIMIT} operators")));
        }
        let is_referring = |read: &attribute::Read| matches!(read.value, Some(Attribute::Reference(_)));
        if is_constant && !attributes.iter().any(is_referring) {
            for read in attributes {
                if let Some(number) = attribute::constant(&read) {
                    self.number_constant(number, &node, scope);
                }
                for mut tensor in read.tensors {
                    tensor.name = node.outputs.first().cloned().unwrap_or_default();
                    self.tensor(tensor, scope, depth.max(1))?;
                }
            }
        } else if keep {
            self.keep(node.name.len() + node.op_type.len() + node.domain.len())?;
            node.attributes = attributes
                .into_iter()
                .map(|mut read| (std::mem::take(&mut read.name), read.value.unwrap_or(Attribute::Other)))
                .collect();
            if let Some(scope) = self.found.structure.as_mut().and_then(|found| found.scopes.get_mut(scope)) {
                scope.nodes.push(node);
            }
        }
        Ok(())
    }

    /// A Constant node that holds numbers or texts rather than a tensor.
    fn number_constant(&mut self, mut tensor: NamedTensor, node: &Node, scope: usize) {
        tensor.name = node.outputs.first().cloned().unwrap_or_default();
        tensor.from_node = true;
        if let Some(scope) = self.found.structure.as_mut().and_then(|found| found.scopes.get_mut(scope)) {
            scope.tensors.push(tensor);
        }
    }

    /// An attribute with its graphs walked.
    fn attribute(&mut self, span: Span, scope: usize, depth: usize) -> Result<attribute::Read, Fault> {
        let mut read = attribute::read(self.reader, span, self.keeps())?;
        let mut scopes = Vec::new();
        for graph in std::mem::take(&mut read.graphs) {
            if depth + 1 >= DEPTH_LIMIT {
                return Err(Fault::TooLarge(format!("its graphs are nested more than {DEPTH_LIMIT} deep")));
            }
            scopes.push(self.graph(graph, Some(scope), depth + 1)?);
        }
        if !scopes.is_empty() {
            read.value = Some(Attribute::Graphs(scopes));
        }
        Ok(read)
    }

    fn tensor(&mut self, tensor: Tensor, scope: usize, depth: usize) -> Result<(), Fault> {
        self.found.tensors += 1;
        if self.found.tensors > COUNT_LIMIT {
            return Err(Fault::TooLarge(format!("it has more than {COUNT_LIMIT} tensors")));
        }
        self.found.elements = self.found.elements.saturating_add(tensor.elements);
        match (tensor.bytes, tensor::element_type(tensor.element_type)) {
            (Some(bytes), Some((name, _))) => {
                let sum = self.found.bytes_by_type.entry(name).or_default();
                *sum = sum.saturating_add(bytes);
            }
            _ if self.found.unsized_type.is_none() => {
                self.found.unsized_type = Some((tensor.element_type, tensor.name.clone()));
            }
            _ => {}
        }
        if let Some(external) = &tensor.external {
            self.keep(external.location.len())?;
            self.found.external.add(&tensor.name, external, tensor.bytes);
        }
        if self.found.structure.is_some() || depth == 0 {
            self.keep(tensor.name.len())?;
        }
        if let Some(scope) = self.found.structure.as_mut().and_then(|found| found.scopes.get_mut(scope)) {
            scope.tensors.push(NamedTensor { from_node: depth > 0, ..NamedTensor::of(&tensor) });
        }
        if depth == 0 {
            self.found.initializers.insert(tensor.name);
        }
        Ok(())
    }

    /// One `OperatorSetIdProto` of the model.
    fn opset(&mut self, span: Span) -> Result<(), Fault> {
        let (domain, version) = self.opset_entry(span)?;
        self.found.opsets.insert(domain, version);
        Ok(())
    }

    fn opset_entry(&mut self, span: Span) -> Result<(String, i64), Fault> {
        let (mut domain, mut version) = (String::new(), 0);
        let mut fields = Fields::of(span, "an operator set");
        while let Some(field) = fields.next(self.reader)? {
            match field {
                (1, Value::Span(text)) => domain = self.reader.text(text)?,
                (2, Value::Varint(number)) => version = number as i64,
                _ => {}
            }
        }
        self.keep(domain.len())?;
        Ok((if domain.is_empty() { "ai.onnx".to_string() } else { domain }, version))
    }

    /// Opens a scope and returns its index.
    fn open_scope(&mut self, parent: Option<usize>) -> Result<usize, Fault> {
        if self.found.structure.is_some() {
            self.keep(size_of::<Scope>())?;
        }
        let Some(structure) = &mut self.found.structure else { return Ok(0) };
        structure.scopes.push(Scope { parent, ..Scope::default() });
        Ok(structure.scopes.len() - 1)
    }

    /// Accounts for a name that is kept.
    fn keep(&mut self, bytes: usize) -> Result<(), Fault> {
        self.found.names_bytes = self.found.names_bytes.saturating_add(bytes.saturating_add(NAME_COST_BYTES));
        match self.found.names_bytes > NAMES_LIMIT_BYTES {
            true => Err(Fault::TooLarge(format!("its names take more than {} MiB", NAMES_LIMIT_BYTES >> 20))),
            false => Ok(()),
        }
    }
}
