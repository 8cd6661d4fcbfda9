//! The model's graphs in a form to which a placement can be joined, and from which one can be predicted: who reads which
//! tensor, with the types, shapes and small values that decide where onnxruntime runs a node.

use std::collections::BTreeMap;

/// All graphs of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Structure {
    /// The main graph first, then subgraphs and local functions in the order in which they were met.
    pub scopes: Vec<Scope>,
    /// ONNX IR version; 0 if the model states none.
    pub ir_version: i64,
    /// Operator set versions by domain; the default domain is written `ai.onnx`.
    pub opsets: BTreeMap<String, i64>,
    /// Local functions.
    pub functions: Vec<Function>,
}

/// A local function.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Function {
    /// Domain.
    pub domain: String,
    /// Operator that it defines.
    pub name: String,
    /// Which of several of that name.
    pub overload: String,
    /// Names of its inputs inside.
    pub inputs: Vec<String>,
    /// Names of its outputs inside.
    pub outputs: Vec<String>,
    /// Values of attributes that a node may leave out.
    pub defaults: Vec<(String, Attribute)>,
    /// Operator sets of its nodes.
    pub opsets: BTreeMap<String, i64>,
    /// Its body.
    pub scope: usize,
}

/// One graph: a scope of names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    /// The graph whose names are visible here too; `None` for the main graph and for functions.
    pub parent: Option<usize>,
    /// Nodes, without Constant nodes.
    pub nodes: Vec<Node>,
    /// Initializers and outputs of Constant nodes.
    pub tensors: Vec<NamedTensor>,
    /// Inputs, initializers among them.
    pub inputs: Vec<TypedName>,
    /// Outputs.
    pub outputs: Vec<TypedName>,
    /// Types and shapes that the model states for names in between.
    pub stated: Vec<TypedName>,
}

/// One node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// Operator: `Conv`.
    pub op_type: String,
    /// Domain of the operator; empty for ONNX's own.
    pub domain: String,
    /// Which of several local functions of that name.
    pub overload: String,
    /// Name; may be empty.
    pub name: String,
    /// Names that it reads, in its own graph; an omitted input is empty.
    pub inputs: Vec<String>,
    /// Names that it makes.
    pub outputs: Vec<String>,
    /// Attributes by name.
    pub attributes: Vec<(String, Attribute)>,
}

/// Value of an attribute. Of numbers with a fraction only the kind is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// Integers.
    Ints(Vec<i64>),
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// A number with a fraction.
    Float,
    /// So many numbers with a fraction.
    Floats(usize),
    /// A tensor.
    Tensor(Box<NamedTensor>),
    /// Subgraphs, by index of their scope.
    Graphs(Vec<usize>),
    /// In a function: the attribute of that name of the node that calls it.
    Reference(String),
    /// Anything else.
    Other,
}

impl Attribute {
    /// What a copy of the value takes beside its own size, bytes.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Ints(numbers) => 8 * numbers.len(),
            Self::Text(text) | Self::Reference(text) => text.len(),
            Self::Texts(texts) => texts.iter().map(|text| size_of::<String>() + text.len()).sum(),
            Self::Tensor(tensor) => {
                size_of::<NamedTensor>() + tensor.name.len() + 8 * (tensor.dims.len() + tensor.values.len())
            }
            Self::Graphs(scopes) => size_of::<usize>() * scopes.len(),
            Self::Int(_) | Self::Float | Self::Floats(_) | Self::Other => 0,
        }
    }
}

/// A parameter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NamedTensor {
    /// Name under which nodes read it.
    pub name: String,
    /// Size, bytes.
    pub bytes: u64,
    /// Element type, `TensorProto.DataType`.
    pub element_type: u64,
    /// Dimensions.
    pub dims: Vec<i64>,
    /// The elements, of a small tensor of numbers inside the file; else empty.
    pub values: Vec<f64>,
    /// Whether it is the tensor of a Constant node, which nobody can override.
    pub from_node: bool,
}

/// A name with its type and shape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TypedName {
    /// The name.
    pub name: String,
    /// What it is.
    pub container: Container,
    /// Element type, `TensorProto.DataType`; 0 if not stated.
    pub element_type: u64,
    /// Dimensions, each if it is a number; `None` if no shape is stated.
    pub shape: Option<Vec<Option<i64>>>,
}

/// What holds tensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Container {
    /// Not stated, or nothing of the kinds below.
    #[default]
    Unknown,
    /// A tensor itself.
    Tensor,
    /// A sequence of tensors.
    Sequence,
    /// A tensor or nothing.
    Optional,
    /// A sequence of tensors or nothing.
    OptionalSequence,
}
