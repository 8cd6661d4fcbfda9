//! The model's graphs in a form to which a placement can be joined: who reads which tensor.

/// All graphs of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Structure {
    /// The main graph first, then subgraphs and local functions in the order in which they were met.
    pub scopes: Vec<Scope>,
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
}

/// One node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// Operator: `Conv`.
    pub op_type: String,
    /// Operator set: `com.microsoft`; empty for ONNX's own.
    pub domain: String,
    /// Name; may be empty.
    pub name: String,
    /// Names that it reads, in its own graph; an omitted input is empty.
    pub inputs: Vec<String>,
    /// Names that it makes.
    pub outputs: Vec<String>,
}

/// A parameter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NamedTensor {
    /// Name under which nodes read it.
    pub name: String,
    /// Size, bytes.
    pub bytes: u64,
}
