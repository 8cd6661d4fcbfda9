//! Which kernel a node gets from a provider, and why none.
//!
//! Source: `KernelRegistry::TryFindKernel` and `VerifyKernelDef` (core/framework/kernel_registry.cc).

use super::element::{Kind, Kinds};
use super::inference::formal;
use super::network::{Network, NodeId};
use super::tables::{Kernel, Later, Schema, Tables};

/// Why a provider has no kernel for a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Lack {
    /// None for the operator.
    Operator,
    /// None for its version: those that there are.
    Version(i64, Vec<(i64, Option<i64>)>),
    /// None for the type: what it takes, and what the node has.
    Kind(Vec<Kind>, Kind),
}

/// The CUDA kernel of a node.
pub fn cuda<'t>(network: &Network, tables: &'t Tables, node: NodeId) -> Result<&'t Kernel, Lack> {
    let of = &network.nodes[node];
    found(network, tables, node, tables.cuda(&of.domain, &of.op), false)
}

/// What would give the node a CUDA kernel, in plain words: a later onnxruntime, or the operator as it was before. Empty if
/// neither would, as far as the tables tell.
pub fn remedy(network: &Network, tables: &Tables, node: NodeId) -> String {
    let of = &network.nodes[node];
    let Some(schema) = network.schema(node, tables) else { return String::new() };
    let fits = |schema: &Schema, kernel: &Kernel| {
        kernel.takes_version(schema.since) && refusal(network, node, schema, kernel, false).is_none()
    };
    let later = tables.later_cuda(&of.domain, &of.op).iter().filter(|later| fits(schema, &later.kernel));
    let numbers = |later: &&Later| later.version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u64>>();
    if let Some(Later { version, .. }) = later.min_by_key(numbers) {
        return format!("; onnxruntime {version} has one for it");
    }
    match tables.schema(&of.domain, &of.op, schema.since - 1) {
        Some(before) if tables.cuda(&of.domain, &of.op).iter().any(|kernel| fits(before, kernel)) => {
            format!("; exported with opset {} or older it has one", schema.since - 1)
        }
        _ => String::new(),
    }
}

/// Whether the CPU provider has a kernel. Where the tables do not tell, it has one, for it has one for nearly every
/// operator of ONNX's.
pub fn has_cpu(network: &Network, tables: &Tables, node: NodeId) -> bool {
    let of = &network.nodes[node];
    match tables.cpu(&of.domain, &of.op) {
        Some(kernels) => found(network, tables, node, kernels, false).is_ok(),
        None => network.schema(node, tables).is_some_and(|schema| !schema.is_function),
    }
}

/// Whether the CPU provider would have a kernel if float16 were float32: then onnxruntime puts Casts around the node
/// (`InsertCastTransformer`, core/optimizer/insert_cast_transformer.cc).
pub fn has_cpu_in_float32(network: &Network, tables: &Tables, node: NodeId) -> bool {
    let of = &network.nodes[node];
    let values = of.inputs.iter().chain(&of.outputs).flatten();
    let is_half = values.into_iter().any(|value| network.values[*value].kind == Kind::FLOAT16);
    let kernels = tables.cpu(&of.domain, &of.op).unwrap_or_default();
    is_half && found(network, tables, node, kernels, true).is_ok()
}

fn found<'t>(
    network: &Network,
    tables: &Tables,
    node: NodeId,
    kernels: &'t [Kernel],
    in_float32: bool,
) -> Result<&'t Kernel, Lack> {
    let (Some(schema), false) = (network.schema(node, tables), kernels.is_empty()) else { return Err(Lack::Operator) };
    let mut fitting = kernels.iter().filter(|kernel| kernel.takes_version(schema.since)).peekable();
    if fitting.peek().is_none() {
        let mut versions: Vec<_> = kernels.iter().map(|kernel| (kernel.start, kernel.end)).collect();
        versions.sort_unstable();
        versions.dedup();
        return Err(Lack::Version(schema.since, versions));
    }
    let mut refused: Vec<(Kinds, Kind)> = Vec::new();
    for kernel in fitting {
        match refusal(network, node, schema, kernel, in_float32) {
            None => return Ok(kernel),
            Some(refusal) => refused.push(refusal),
        }
    }
    let kind = refused.first().map_or(Kind::UNKNOWN, |(_, kind)| *kind);
    let mut takes: Vec<Kind> = Vec::new();
    for of in refused.iter().filter(|(_, of)| *of == kind).flat_map(|(kinds, _)| kinds.iter()) {
        if !takes.contains(&of) {
            takes.push(of);
        }
    }
    Err(Lack::Kind(takes, kind))
}

/// Which type of the node's a kernel of its version does not take, and those that it does.
fn refusal(
    network: &Network,
    node: NodeId,
    schema: &Schema,
    kernel: &Kernel,
    in_float32: bool,
) -> Option<(Kinds, Kind)> {
    kernel.kinds.iter().find_map(|(parameter, kinds)| {
        let kind = match actual(network, node, schema, parameter)? {
            Kind::FLOAT16 if in_float32 => Kind::FLOAT,
            kind => kind,
        };
        (!kinds.allow(kind)).then_some((*kinds, kind))
    })
}

/// The type that a parameter, or an input or output of that name, has at a node; `None` if the node leaves it out.
fn actual(network: &Network, node: NodeId, schema: &Schema, parameter: &str) -> Option<Kind> {
    let of = &network.nodes[node];
    let sides = [(&of.inputs, &schema.inputs), (&of.outputs, &schema.outputs)];
    sides.into_iter().find_map(|(actual, formals)| {
        actual.iter().enumerate().find_map(|(at, value)| {
            let formal = formal(formals, at)?;
            (formal.kind == parameter || formal.name == parameter).then_some(network.values[(*value)?].kind)
        })
    })
}

impl Lack {
    /// In plain words.
    pub fn told(&self, op: &str) -> String {
        match self {
            Lack::Operator => format!("no CUDA kernel for {op}"),
            Lack::Version(since, versions) => {
                let range = |(start, end): &(i64, Option<i64>)| match end {
                    Some(end) if end == start => format!("{start}"),
                    Some(end) => format!("{start} to {end}"),
                    None => format!("{start}"),
                };
                let first = versions.iter().map(|(start, _)| *start).min().unwrap_or(0);
                if *since < first {
                    return format!("no CUDA kernel for {op} before opset {first}; the model's is of opset {since}");
                }
                let known = versions.iter().map(range).collect::<Vec<_>>().join(", ");
                format!("no CUDA kernel for {op} of opset {since}, only of opset {known}")
            }
            Lack::Kind(takes, kind) => {
                let takes = takes.iter().map(Kind::to_string).collect::<Vec<_>>().join(", ");
                format!("the CUDA kernel of {op} takes {takes}, not {kind}")
            }
        }
    }
}
