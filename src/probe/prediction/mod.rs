//! Where onnxruntime's CUDA provider would put the model's nodes, from tables and the model's file alone: neither a
//! runtime nor a GPU is needed.
//!
//! The rooms of this one follow onnxruntime's own steps: the graph is built (`network`), functions are expanded
//! (`inline`), the optimizations that come before the placement are made (`optimization` and its rules), providers are
//! asked (`partition`), copies are counted (`copies`). Each file names the source that it follows.

mod arithmetic;
mod building;
mod copies;
mod cpu_preferred;
mod element;
mod elimination;
mod exclusion;
mod folding;
mod functions;
mod fusion;
mod host_slots;
mod inference;
mod inline;
mod kernel;
mod network;
mod optimization;
mod order;
mod partition;
mod reshape_fusion;
mod residence;
mod shapes;
mod sharing;
mod tables;
#[cfg(test)]
mod tests;
mod transposition;
mod version;

use super::islands::{self, Placed};
use super::model::{self, Structure};
use super::{Context, Probe, Ran};
use crate::snapshot::{
    CPU_PROVIDER, CUDA_PROVIDER, Fact, Facts, PlacedNode, PredictionFacts, Room, Stage, Unknown, Why,
};
use copies::Side;
pub use host_slots::{leaves_on_host, reads_on_host};
use network::{Network, NodeId, Place};
use partition::Kernels;
use residence::Residence;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tables::Tables;

/// Predicts the placement of the model that the user named.
pub const PROBE: Probe = Probe {
    id: "prediction",
    stage: Stage::Model,
    rooms: &["prediction"],
    needs: &["model", "ort", "packages"],
    this_machine: false,
    budget: Duration::from_secs(10),
    run,
};

/// Nodes that are listed when only those on the CPU are told, and when every one is.
const CPU_LISTED: usize = 1_000;
const ALL_LISTED: usize = 100_000;
/// What stands for the provider of a node that none takes, as far as the tables tell.
const NONE: &str = "unknown";

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let path = match model::onnx_file(context, facts) {
        Ok(path) => path,
        Err(unknown) => {
            facts.prediction = PredictionFacts::all_unknown(&unknown);
            return Ran::from(&unknown);
        }
    };
    let choice = match version::choose(context, facts) {
        Ok(choice) => choice,
        Err(unknown) => {
            facts.prediction = PredictionFacts::all_unknown(&unknown);
            return Ran::from(&unknown);
        }
    };
    let predicted = model::structure(&path).and_then(|structure| {
        let tables = Tables::of(choice.tables)?;
        predict(&structure, &tables, context.ask.placement.every_node)
    });
    let ran = match &predicted {
        Ok(_) => Ran::ok(),
        // What is wrong with the model its own probe says. What the tables do not know, such as an opset newer than they
        // are, is no obstacle to a verdict: a prediction only adds to what is seen.
        Err(unknown) => Ran::skipped(unknown.detail.clone()),
    };
    facts.prediction = predicted.unwrap_or_else(|unknown| PredictionFacts::all_unknown(&unknown));
    facts.prediction.for_version = Fact::Known(choice.version);
    facts.prediction.version_from = Fact::Known(choice.from.into());
    facts.prediction.tables_version = Fact::Known(choice.tables.into());
    ran
}

/// Predicts with one version's tables.
fn predict(structure: &Structure, tables: &Tables, every_node: bool) -> Result<PredictionFacts, Unknown> {
    let opset = structure.opsets.get("ai.onnx").copied().unwrap_or(1);
    if opset > tables.newest_opset {
        let later = tables.later_with_opset(opset).map_or(String::new(), |version| format!("; {version} knows it"));
        let detail = format!(
            "the model uses opset {opset} of ONNX; onnxruntime {} knows opsets up to {}{later}",
            tables.version, tables.newest_opset
        );
        return Err(Unknown::new(Why::Unsupported, detail));
    }
    let operators = functions::operators(structure);
    let bodies = inline::Bodies::new(structure, &operators);
    let mut network = Network::of(structure);
    bodies.expand_local(&mut network, tables);
    whole(&network)?;
    optimization::run(&mut network, tables);
    let kernels = partition::place(&mut network, tables, &bodies);
    whole(&network)?;
    Ok(told(&network, tables, &kernels, every_node))
}

/// Whether nothing was left out.
fn whole(network: &Network) -> Result<(), Unknown> {
    match network.cut {
        true => Err(Unknown::new(Why::Unsupported, "the model's graphs and functions are beyond what is expanded")),
        false => Ok(()),
    }
}

fn told(network: &Network, tables: &Tables, kernels: &Kernels, every_node: bool) -> PredictionFacts {
    let mut by_provider: BTreeMap<String, u64> = BTreeMap::new();
    let mut listed = Vec::new();
    let mut unknown_nodes = 0;
    let mut order: Vec<NodeId> = Vec::new();
    walk(network, 0, &mut order);
    for id in &order {
        let node = &network.nodes[*id];
        let provider = match node.place {
            Place::Cuda => CUDA_PROVIDER,
            Place::Cpu => CPU_PROVIDER,
            Place::None => NONE,
        };
        *by_provider.entry(provider.into()).or_default() += 1;
        let why = match (node.place, network.schema(*id, tables)) {
            (Place::None, None) => {
                unknown_nodes += 1;
                format!("onnxruntime {} has no operator {}", tables.version, op_of(network, *id))
            }
            (Place::None, Some(_)) => {
                let why = node.why.clone().unwrap_or_default();
                format!("{why}, and the tables know none of the CPU provider's either")
            }
            _ => node.why.clone().unwrap_or_default(),
        };
        let limit = if every_node { ALL_LISTED } else { CPU_LISTED };
        if listed.len() < limit && (every_node || node.place != Place::Cuda) {
            listed.push(PlacedNode {
                name: name_of(network, *id),
                op: op_of(network, *id),
                provider: provider.into(),
                why,
            });
        }
    }
    let memcpy_nodes = copies::count(network, kernels);
    let Residence { gpu_tensors, gpu_bytes, cpu_tensors, cpu_bytes, unplaced_bytes, unsized_tensors } =
        residence::of(network, kernels);
    let sized = |bytes: u64| match unsized_tensors {
        0 => Fact::Known(bytes),
        count => {
            let detail = format!("the sizes of {count} tensors that are computed beforehand could not be worked out");
            Fact::unknown(Why::Unsupported, detail)
        }
    };
    if memcpy_nodes > 0 {
        *by_provider.entry(CUDA_PROVIDER.into()).or_default() += memcpy_nodes;
    }
    PredictionFacts {
        nodes: Fact::Known(order.len() as u64 + memcpy_nodes),
        nodes_by_provider: Fact::Known(by_provider),
        memcpy_nodes: Fact::Known(memcpy_nodes),
        unknown_nodes: Fact::Known(unknown_nodes),
        gpu_parameters: Fact::Known(gpu_tensors),
        cpu_parameters: Fact::Known(cpu_tensors),
        gpu_parameter_bytes: sized(gpu_bytes),
        cpu_parameter_bytes: sized(cpu_bytes),
        unplaced_parameter_bytes: Fact::Known(unplaced_bytes),
        listed_nodes: Fact::Known(listed),
        cpu_islands: Fact::Known(islands::of(&placed(network, kernels, &order))),
        ..PredictionFacts::default()
    }
}

/// All nodes, those of a subgraph before the node that holds it.
fn walk(network: &Network, graph: usize, order: &mut Vec<NodeId>) {
    if graph >= network.graphs.len() {
        return;
    }
    for node in network.present(graph) {
        for (_, inside) in &network.nodes[node].graphs {
            walk(network, *inside, order);
        }
        order.push(node);
    }
}

fn name_of(network: &Network, id: NodeId) -> String {
    let node = &network.nodes[id];
    match node.name.as_ref() {
        "" => {
            let first = node.outputs.iter().flatten().next().map_or("", |output| network.values[*output].name);
            format!("\"{first}\"")
        }
        name => name.to_string(),
    }
}

fn op_of(network: &Network, id: NodeId) -> String {
    let node = &network.nodes[id];
    if node.domain.is_empty() { node.op.to_string() } else { format!("{}.{}", node.domain, node.op) }
}

/// The nodes as the search for islands wants them: with those inputs only that join nodes on the CPU, or are copied.
fn placed(network: &Network, kernels: &Kernels, order: &[NodeId]) -> Vec<Placed> {
    let position: HashMap<NodeId, usize> = order.iter().enumerate().map(|(at, node)| (*node, at)).collect();
    let mut placed = Vec::with_capacity(order.len());
    for id in order {
        let node = &network.nodes[*id];
        let on_cpu = node.place != Place::Cuda;
        let mut inputs = Vec::new();
        for (at, input) in node.inputs.iter().enumerate() {
            let Some(value) = input else { continue };
            let Some(maker) = network.values[*value].maker else { continue };
            let Some(from) = position.get(&maker) else { continue };
            let output = network.nodes[maker].outputs.iter().position(|output| *output == Some(*value)).unwrap_or(0);
            let sides = (copies::output(network, kernels, maker, output), copies::input(network, kernels, *id, at));
            let both_on_cpu = on_cpu && network.nodes[maker].place != Place::Cuda;
            if both_on_cpu || matches!(sides, (Side::Host, Side::Device) | (Side::Device, Side::Host)) {
                inputs.push((*from, output));
            }
        }
        placed.push(Placed { name: name_of(network, *id), op: op_of(network, *id), on_cpu, inputs });
    }
    placed
}
