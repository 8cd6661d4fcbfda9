//! Operators of ONNX that are functions of others, with their bodies (`data/onnxruntime/functions.json`).

use crate::probe::model::{Attribute, Function, NamedTensor, Node, Scope, Structure, TypedName};
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};

const FUNCTIONS: &str = include_str!("../../../data/onnxruntime/functions.json");
/// Deepest nesting of graphs in a body.
const DEPTH_LIMIT: usize = 8;
const FLOAT: u64 = 1;
const INT64: u64 = 7;

/// What stands in an attribute for the element type of the input of that number.
pub const TYPE_OF: &str = "the type of input ";

/// Bodies of operators.
#[derive(Debug, Default)]
pub struct Operators {
    /// The bodies, as local functions of a model would have them; the overload is the version of the operator.
    pub structure: Structure,
    /// For which nodes each is, in the same order.
    pub conditions: Vec<Condition>,
}

/// For which nodes of its operator a body is.
#[derive(Debug, Default, PartialEq)]
pub struct Condition {
    /// Inputs that are there, or are not.
    pub inputs: Vec<(usize, bool)>,
    /// How many outputs there are.
    pub outputs: Option<usize>,
    /// Whether the first input is of float32.
    pub is_float: Option<bool>,
    /// Attributes: given or not, or of that text or number.
    pub attributes: Vec<(String, Expected)>,
}

/// What an attribute has to be.
#[derive(Debug, PartialEq)]
pub enum Expected {
    /// Given or not.
    Given(bool),
    /// That value.
    Value(Attribute),
}

impl Condition {
    fn parse(when: &Json) -> Self {
        let inputs = when.get("inputs").and_then(Json::as_object).into_iter().flatten();
        let attributes = when.get("attributes").and_then(Json::as_object).into_iter().flatten();
        Self {
            inputs: inputs.filter_map(|(at, there)| Some((at.parse().ok()?, there.as_bool()?))).collect(),
            outputs: when.get("outputs").and_then(Json::as_u64).and_then(|count| usize::try_from(count).ok()),
            is_float: when.get("float").and_then(Json::as_bool),
            attributes: attributes
                .filter_map(|(name, expected)| {
                    let expected = match expected {
                        Json::Bool(given) => Expected::Given(*given),
                        Json::String(text) => Expected::Value(Attribute::Text(text.clone())),
                        Json::Number(number) => Expected::Value(Attribute::Int(number.as_i64()?)),
                        _ => return None,
                    };
                    Some((name.clone(), expected))
                })
                .collect(),
        }
    }
}

/// A row of the file, not yet read.
type Row = &'static RawValue;

/// The bodies that a model may need: those of its nodes' operators, and of the operators within them.
pub fn operators(model: &Structure) -> Operators {
    let mut operators = Operators::default();
    let mut rows = rows();
    let mut needed = taken(&mut rows, &model.scopes);
    let mut at = 0;
    while let Some(row) = needed.get(at) {
        let from = operators.structure.scopes.len();
        operators.add(row);
        needed.extend(taken(&mut rows, operators.structure.scopes.get(from..).unwrap_or_default()));
        at += 1;
    }
    operators
}

/// The rows of every operator.
fn rows() -> HashMap<&'static str, Vec<Row>> {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'static"))]
    struct File {
        functions: Vec<Row>,
        functions_of_context: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Of {
        op: &'static str,
    }
    let mut rows: HashMap<_, Vec<Row>> = HashMap::new();
    let Ok(file) = serde_json::from_str::<File>(FUNCTIONS) else { return rows };
    for row in file.functions.into_iter().chain(file.functions_of_context) {
        if let Ok(of) = serde_json::from_str::<Of>(row.get()) {
            rows.entry(of.op).or_default().push(row);
        }
    }
    rows
}

/// Takes out the rows of all operators that stand in the scopes.
fn taken(rows: &mut HashMap<&'static str, Vec<Row>>, scopes: &[Scope]) -> Vec<Row> {
    let nodes = scopes.iter().flat_map(|scope| &scope.nodes);
    nodes.filter_map(|node| rows.remove(node.op_type.as_str())).flatten().collect()
}

impl Operators {
    fn add(&mut self, row: Row) {
        let Ok(row) = serde_json::from_str::<Json>(row.get()) else { return };
        let Some(nodes) = row.get("nodes").and_then(Json::as_array) else { return };
        self.conditions.push(row.get("when").map(Condition::parse).unwrap_or_default());
        let structure = &mut self.structure;
        let scope = graph(structure, nodes, &[], &[], None, 0);
        let opset = row.get("opset").and_then(Json::as_i64).unwrap_or(1);
        structure.functions.push(Function {
            domain: text(&row, "domain"),
            name: text(&row, "op"),
            overload: row.get("since_version").and_then(Json::as_i64).unwrap_or(1).to_string(),
            inputs: texts(&row, "inputs"),
            outputs: texts(&row, "outputs"),
            defaults: Vec::new(),
            opsets: BTreeMap::from([("ai.onnx".to_string(), opset)]),
            scope,
        });
    }
}

fn text(of: &Json, key: &str) -> String {
    of.get(key).and_then(Json::as_str).unwrap_or_default().to_string()
}

fn texts(of: &Json, key: &str) -> Vec<String> {
    let list = of.get(key).and_then(Json::as_array).into_iter().flatten();
    list.filter_map(Json::as_str).map(str::to_string).collect()
}

fn graph(
    structure: &mut Structure,
    nodes: &[Json],
    inputs: &[String],
    outputs: &[String],
    parent: Option<usize>,
    depth: usize,
) -> usize {
    let named = |names: &[String]| -> Vec<TypedName> {
        names.iter().map(|name| TypedName { name: name.clone(), ..TypedName::default() }).collect()
    };
    let index = structure.scopes.len();
    structure.scopes.push(Scope { parent, inputs: named(inputs), outputs: named(outputs), ..Scope::default() });
    for row in nodes {
        let mut node = Node {
            op_type: text(row, "op"),
            domain: text(row, "domain"),
            inputs: texts(row, "inputs"),
            outputs: texts(row, "outputs"),
            ..Node::default()
        };
        for (name, value) in row.get("attributes").and_then(Json::as_object).into_iter().flatten() {
            let value = attribute(structure, value, index, depth);
            node.attributes.push((name.clone(), value));
        }
        let constant = match (node.op_type.as_str(), node.attributes.first()) {
            ("Constant", Some((name, value))) => constant(name, value),
            _ => None,
        };
        let Some(scope) = structure.scopes.get_mut(index) else { return index };
        match constant {
            Some(tensor) => {
                let name = node.outputs.into_iter().next().unwrap_or_default();
                scope.tensors.push(NamedTensor { name, from_node: true, ..tensor });
            }
            None => scope.nodes.push(node),
        }
    }
    index
}

fn attribute(structure: &mut Structure, value: &Json, parent: usize, depth: usize) -> Attribute {
    match value {
        Json::Number(number) => number.as_i64().map_or(Attribute::Float, Attribute::Int),
        Json::String(text) => Attribute::Text(text.clone()),
        Json::Array(list) if list.iter().all(Json::is_i64) => {
            Attribute::Ints(list.iter().filter_map(Json::as_i64).collect())
        }
        Json::Array(list) if list.iter().all(Json::is_number) => Attribute::Floats(list.len()),
        Json::Array(list) => Attribute::Texts(list.iter().filter_map(Json::as_str).map(str::to_string).collect()),
        Json::Object(fields) => {
            if let Some(name) = fields.get("ref").and_then(Json::as_str) {
                return Attribute::Reference(name.to_string());
            }
            if let Some(input) = fields.get("type_of").and_then(Json::as_u64) {
                return Attribute::Reference(format!("{TYPE_OF}{input}"));
            }
            if let (Some(nodes), true) = (fields.get("graph").and_then(Json::as_array), depth < DEPTH_LIMIT) {
                let (inputs, outputs) = (texts(value, "inputs"), texts(value, "outputs"));
                return Attribute::Graphs(vec![graph(structure, nodes, &inputs, &outputs, Some(parent), depth + 1)]);
            }
            let Some([element_type, values]) = fields.get("tensor").and_then(Json::as_array).map(Vec::as_slice) else {
                return Attribute::Other;
            };
            let dims: Vec<i64> = values.as_array().into_iter().flatten().filter_map(Json::as_i64).collect();
            let element_type = element_type.as_u64().unwrap_or(FLOAT);
            let values = fields.get("values").and_then(Json::as_array).into_iter().flatten();
            let values = values.filter_map(Json::as_f64).collect();
            Attribute::Tensor(Box::new(NamedTensor { element_type, dims, values, ..NamedTensor::default() }))
        }
        _ => Attribute::Other,
    }
}

/// The tensor of a Constant node; one whose value the caller's attribute gives is a scalar of that attribute's type.
fn constant(name: &str, value: &Attribute) -> Option<NamedTensor> {
    let numbers = |element_type, dims: Vec<i64>, values: &[i64]| {
        let values = values.iter().map(|number| *number as f64).collect();
        Some(NamedTensor { element_type, dims, values, ..NamedTensor::default() })
    };
    match (name, value) {
        ("value_int", Attribute::Int(number)) => numbers(INT64, Vec::new(), &[*number]),
        ("value_ints", Attribute::Ints(list)) => numbers(INT64, vec![list.len() as i64], list),
        ("value_float", Attribute::Float | Attribute::Int(_)) => numbers(FLOAT, Vec::new(), &[]),
        ("value_floats", Attribute::Floats(count)) => numbers(FLOAT, vec![*count as i64], &[]),
        ("value_floats", Attribute::Ints(list)) => numbers(FLOAT, vec![list.len() as i64], list),
        ("value", Attribute::Tensor(tensor)) => Some(tensor.as_ref().clone()),
        _ => None,
    }
}
