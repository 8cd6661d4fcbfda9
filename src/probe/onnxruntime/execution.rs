//! The execution graph as onnxruntime wrote it (its "optimized model"), joined with where the log says each node went.

use super::attribution::{Parameters, Sum, original_name};
use super::graph::{Graph, Input};
use super::placement_log::PlacementLog;
use crate::probe::islands::{self, Placed};
use crate::probe::model::Structure;
use crate::snapshot::{CPU_PROVIDER, CpuIsland, DeviceCopy, PlacedNode};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Most nodes that are told when all are asked for, and when only those on the CPU are.
const ALL_NODES_MAX: usize = 100_000;
const CPU_NODES_MAX: usize = 1000;
/// Most copies that are told, and most of the nodes that need one.
const COPIES_MAX: usize = 1000;
const READERS_MAX: usize = 5;
/// Most bytes of the texts of nodes that are told: a report must stay below what a parent accepts.
const TEXTS_MAX_BYTES: usize = 8 << 20;
/// Most rounds in which nodes that share a name are told apart by their neighbours.
const ROUNDS_MAX: usize = 16;
/// What onnxruntime appends to the name of a tensor that it copies for the provider.
const COPY_SUFFIX: &str = "_CUDAExecutionProvider";
/// What it puts before names of a branch (`Graph::InlineIfSubgraph`) or a function that stands in the graph around it now.
const INLINED_PREFIXES: [&str; 2] = ["_if_", "_inlfunc_"];

/// What the execution graph tells beyond the log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// Nodes that are told.
    pub nodes: Vec<PlacedNode>,
    /// Islands on the CPU.
    pub islands: Vec<CpuIsland>,
    /// Copies between host and device.
    pub copies: Vec<DeviceCopy>,
    /// Parameters by device, as the execution graph holds them.
    pub parameters: Parameters,
}

/// Where a node runs, as far as its name tells.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Side<'a> {
    Known(&'a str),
    /// Nodes of this operator and name are at different places.
    Ambiguous,
    /// The log does not list it.
    Unlisted,
}

/// Joins the execution graph `structure` with the log and with the model's file. With `every_node` all nodes are told, else
/// those on the CPU of a graph that has others.
pub fn join(structure: &Structure, file: &Structure, log: &PlacementLog, every_node: bool) -> Execution {
    let graph = Graph::of(structure);
    let sides = sides(&graph, log);
    let parameters =
        Parameters { unplaced: replaced(file, structure, &graph), ..parameters(structure, &graph, &sides) };
    Execution {
        nodes: told(&graph, &sides, log, every_node),
        islands: islands::of(&contracted(&graph, &sides)),
        copies: copies(&graph),
        parameters,
    }
}

/// A node's name for people.
fn name(graph: &Graph<'_>, node: usize) -> String {
    graph.nodes.get(node).map_or_else(String::new, |node| match node.name.as_str() {
        "" => {
            let mut outputs = node.outputs.iter().map(|name| plain_tensor(name));
            format!("\"{}\"", outputs.find(|name| !name.is_empty()).unwrap_or(""))
        }
        name => name.to_string(),
    })
}

/// A tensor's name in the model, of which onnxruntime may have made another for a copy.
fn plain_tensor(name: &str) -> &str {
    name.strip_suffix(COPY_SUFFIX).unwrap_or(name)
}

fn is_copy(op_type: &str) -> bool {
    matches!(op_type, "MemcpyToHost" | "MemcpyFromHost")
}

/// The provider of every node.
fn sides<'a>(graph: &Graph<'_>, log: &'a PlacementLog) -> Vec<Side<'a>> {
    let mut providers = log.nodes_by_provider.iter().filter(|(_, count)| **count > 0);
    if let (Some((only, _)), None) = (providers.next(), providers.next()) {
        return vec![Side::Known(only); graph.nodes.len()];
    }
    let mut listed: HashMap<(&str, &str), HashMap<&'a str, u64>> = HashMap::new();
    for (provider, op_type, name) in &log.nodes {
        *listed.entry((op_type, name)).or_default().entry(provider).or_default() += 1;
    }
    let mut sides: Vec<Side<'a>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let side = match listed.get(&(node.op_type.as_str(), node.name.as_str())) {
            None => Side::Unlisted,
            Some(at) if at.len() == 1 => at.keys().next().map_or(Side::Unlisted, |provider| Side::Known(provider)),
            Some(_) => Side::Ambiguous,
        };
        sides.push(side);
    }
    let gpu = log.nodes_by_provider.keys().find(|provider| *provider != CPU_PROVIDER).map(String::as_str);
    if let Some(gpu) = gpu.filter(|_| sides.contains(&Side::Ambiguous)) {
        tell_apart(graph, &mut sides, gpu);
    }
    sides
}

/// Between nodes on different devices there is always a copy, unless one of them keeps the tensor on the host: so a
/// neighbour without one tells where a node is.
fn tell_apart<'a>(graph: &Graph<'_>, sides: &mut [Side<'a>], gpu: &'a str) {
    for _ in 0..ROUNDS_MAX {
        let mut told = false;
        for node in 0..sides.len() {
            if sides.get(node) != Some(&Side::Ambiguous) {
                continue;
            }
            if let Some(provider) = by_neighbours(graph, sides, node, gpu)
                && let Some(side) = sides.get_mut(node)
            {
                (*side, told) = (Side::Known(provider), true);
            }
        }
        if !told {
            return;
        }
    }
}

fn by_neighbours<'a>(graph: &Graph<'_>, sides: &[Side<'a>], node: usize, gpu: &'a str) -> Option<&'a str> {
    for (at, maker) in graph.makers(node) {
        match (graph.op(maker.0), sides.get(maker.0)) {
            ("MemcpyFromHost", _) => return Some(gpu),
            // A kernel on the GPU may want this input on the host.
            _ if graph.reads_on_host((node, at)) => {}
            ("MemcpyToHost", _) => return Some(CPU_PROVIDER),
            (_, Some(Side::Known(CPU_PROVIDER))) => return Some(CPU_PROVIDER),
            (_, Some(Side::Known(_))) if !graph.leaves_on_host(maker) => return Some(gpu),
            _ => {}
        }
    }
    for (output, reader) in graph.readers_of_node(node) {
        let leaves_on_host = graph.leaves_on_host((node, output));
        match (graph.op(reader.0), sides.get(reader.0)) {
            ("MemcpyToHost", _) => return Some(gpu),
            ("MemcpyFromHost", _) if !leaves_on_host => return Some(CPU_PROVIDER),
            (_, Some(Side::Known(CPU_PROVIDER))) if !leaves_on_host => return Some(CPU_PROVIDER),
            (_, Some(Side::Known(provider))) if *provider != CPU_PROVIDER && !graph.reads_on_host(reader) => {
                return Some(gpu);
            }
            _ => {}
        }
    }
    None
}

/// The graph without its copies, for the islands: an edge from one device to the other only where there is a copy.
fn contracted(graph: &Graph<'_>, sides: &[Side<'_>]) -> Vec<Placed> {
    let mut index = vec![None; graph.nodes.len()];
    let mut count = 0;
    for (node, place) in index.iter_mut().enumerate() {
        if !is_copy(graph.op(node)) {
            (*place, count) = (Some(count), count + 1);
        }
    }
    let on_cpu = |node: usize| matches!(sides.get(node), Some(Side::Known(CPU_PROVIDER)));
    let mut placed = Vec::with_capacity(count);
    for (node, of) in graph.nodes.iter().enumerate().filter(|(_, node)| !is_copy(&node.op_type)) {
        let mut inputs = Vec::new();
        for (_, (maker, output)) in graph.makers(node) {
            let through = is_copy(graph.op(maker)).then(|| graph.makers(maker).next()).flatten();
            let ((maker, output), copied) = through.map_or(((maker, output), false), |(_, of)| (of, true));
            let same = on_cpu(maker) == on_cpu(node);
            if let (Some(Some(maker)), true) = (index.get(maker), same || copied) {
                inputs.push((*maker, output));
            }
        }
        placed.push(Placed { name: name(graph, node), op: of.op_type.clone(), on_cpu: on_cpu(node), inputs });
    }
    placed
}

/// The copies, each with who makes the tensor and who needs it.
fn copies(graph: &Graph<'_>) -> Vec<DeviceCopy> {
    let copies = graph.nodes.iter().enumerate().filter(|(_, node)| is_copy(&node.op_type));
    copies
        .take(COPIES_MAX)
        .map(|(at, node)| {
            let to_host = node.op_type == "MemcpyToHost";
            // The copy that is made for the provider bears another name, whichever side it is on.
            let tensor = if to_host { &node.outputs } else { &node.inputs };
            let mut needed_by: Vec<String> = Vec::new();
            for (_, (reader, _)) in graph.readers_of_node(at) {
                let name = name(graph, reader);
                if needed_by.len() < READERS_MAX && !needed_by.contains(&name) {
                    needed_by.push(name);
                }
            }
            DeviceCopy {
                tensor: tensor.first().map_or_else(String::new, |name| plain_tensor(name).to_string()),
                direction: if to_host { "to host" } else { "to device" }.into(),
                made_by: graph.makers(at).next().map_or_else(String::new, |(_, (maker, _))| name(graph, maker)),
                needed_by,
            }
        })
        .collect()
}

/// Parameters by who reads them. onnxruntime keeps one that both devices read twice, under two names.
fn parameters(structure: &Structure, graph: &Graph<'_>, sides: &[Side<'_>]) -> Parameters {
    let on_gpu = |reader: &(usize, usize)| {
        matches!(sides.get(reader.0), Some(Side::Known(provider)) if *provider != CPU_PROVIDER)
            && !graph.reads_on_host(*reader)
            && !is_copy(graph.op(reader.0))
    };
    let mut parameters = Parameters::default();
    for (scope, of) in structure.scopes.iter().enumerate() {
        for (index, tensor) in of.tensors.iter().enumerate() {
            match graph.readers(Input::Tensor(scope, index)) {
                // What nothing reads is not held.
                [] => {}
                readers if readers.iter().all(on_gpu) => parameters.gpu.add(tensor.bytes),
                _ => parameters.cpu.add(tensor.bytes),
            }
        }
    }
    parameters
}

/// The file's tensors that the execution graph does not read as they are: others were computed from them beforehand, or
/// nothing reads them. Those of functions are left out: a body stands in the graph as often as it is called.
fn replaced(file: &Structure, structure: &Structure, graph: &Graph<'_>) -> Sum {
    let functions: HashSet<usize> = file.functions.iter().map(|function| function.scope).collect();
    let of_file = || {
        let scopes = file.scopes.iter().enumerate().filter(|(scope, _)| !functions.contains(scope));
        scopes.flat_map(|(_, scope)| &scope.tensors)
    };
    let names: HashSet<&str> = of_file().map(|tensor| tensor.name.as_str()).collect();
    let mut read: HashSet<&str> = HashSet::new();
    for (scope, of) in structure.scopes.iter().enumerate() {
        let held = of.tensors.iter().enumerate();
        let held = held.filter(|(index, _)| !graph.readers(Input::Tensor(scope, *index)).is_empty());
        read.extend(held.filter_map(|(_, tensor)| name_in_file(&tensor.name, &names)));
    }
    let mut sum = Sum::default();
    of_file().filter(|tensor| !read.contains(tensor.name.as_str())).for_each(|tensor| sum.add(tensor.bytes));
    sum
}

/// The name that a tensor of the execution graph has in the file, if it is one of the file's.
fn name_in_file<'a>(name: &'a str, names: &HashSet<&str>) -> Option<&'a str> {
    if names.contains(name) {
        return Some(name);
    }
    let name = plain_tensor(name);
    let name = name.rsplit_once("_token_").map_or(name, |(before, _)| before);
    if !INLINED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Some(name).filter(|name| names.contains(name));
    }
    name.match_indices('_').filter_map(|(at, _)| name.get(at + 1..)).find(|rest| names.contains(rest))
}

fn told(graph: &Graph<'_>, sides: &[Side<'_>], log: &PlacementLog, every_node: bool) -> Vec<PlacedNode> {
    let has_gpu = log.nodes_by_provider.iter().any(|(provider, count)| provider != CPU_PROVIDER && *count > 0);
    let reasons = Reasons::of(log);
    let (mut nodes, mut bytes) = (Vec::new(), 0);
    for (at, (node, side)) in graph.nodes.iter().zip(sides).enumerate() {
        let (provider, unclear) = match side {
            Side::Known(provider) => (*provider, ""),
            Side::Ambiguous => ("", "several nodes of this operator and name are on different providers"),
            Side::Unlisted => ("", "the log does not list it"),
        };
        let on_cpu = provider == CPU_PROVIDER;
        if !(every_node || (on_cpu && has_gpu)) {
            continue;
        }
        let op = match node.domain.as_str() {
            "" | "ai.onnx" => node.op_type.clone(),
            domain => format!("{domain}.{}", node.op_type),
        };
        let why = match unclear {
            "" if on_cpu && has_gpu => reasons.why(&node.op_type, &node.name),
            unclear => unclear.to_string(),
        };
        let told = PlacedNode { name: name(graph, at), op, provider: provider.to_string(), why };
        bytes += told.name.len() + told.op.len() + told.provider.len() + told.why.len() + 60;
        if nodes.len() >= if every_node { ALL_NODES_MAX } else { CPU_NODES_MAX } || bytes > TEXTS_MAX_BYTES {
            break;
        }
        nodes.push(told);
    }
    nodes
}

/// The nodes that the log lists, where no execution graph was written.
pub fn listed(log: &PlacementLog, every_node: bool) -> Vec<PlacedNode> {
    let reasons = Reasons::of(log);
    let limit = if every_node { ALL_NODES_MAX } else { CPU_NODES_MAX };
    let asked = log.nodes.iter().filter(|(provider, ..)| every_node || provider == CPU_PROVIDER);
    let told = asked.take(limit).map(|(provider, op_type, name)| PlacedNode {
        name: name.clone(),
        op: op_type.clone(),
        provider: provider.clone(),
        why: if provider == CPU_PROVIDER { reasons.why(op_type, name) } else { String::new() },
    });
    told.collect()
}

/// Why nodes are on the CPU, by operator and name, or by the name that they had before later optimizations.
struct Reasons<'a> {
    by_name: HashMap<&'a str, &'a (String, String, String)>,
}

impl<'a> Reasons<'a> {
    /// Those that the log gives.
    fn of(log: &'a PlacementLog) -> Self {
        let named = log.why.iter().filter(|(_, name, _)| !name.is_empty());
        Self { by_name: named.map(|reason| (reason.1.as_str(), reason)).collect() }
    }

    /// The reason for one node; empty if the log gives none.
    fn why(&self, op_type: &str, name: &str) -> String {
        let fits = |found: &&&(String, String, String)| found.0.is_empty() || found.0 == op_type || name != found.1;
        let found = self.by_name.get(name).filter(fits).or_else(|| self.by_name.get(original_name(name)).filter(fits));
        found.map_or_else(String::new, |(_, _, why)| why.clone())
    }
}

#[cfg(test)]
#[path = "execution_tests.rs"]
mod tests;
