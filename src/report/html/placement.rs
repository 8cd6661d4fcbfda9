//! Where the model's parameters and nodes are, and which nodes on the CPU cut its graph.

use super::bars::{self, Bar};
use super::escape::{Clipped, Text};
use super::frame::part;
use crate::snapshot::{CpuIsland, Fact, ModelFacts, PlacedNode, PlacementFacts, Snapshot};
use crate::words::{bytes, grouped};
use std::collections::{BTreeMap, HashMap};
use std::io::{Result, Write};

/// Islands that are listed, and characters of their words.
const ISLANDS_MAX: usize = 20;
const WORDS_MAX: usize = 300;

/// Whether a placement is known.
pub fn has(snapshot: &Snapshot) -> bool {
    let facts = &snapshot.facts;
    facts.placement.nodes_by_provider.known().is_some() || facts.prediction.nodes_by_provider.known().is_some()
}

/// Writes it: what onnxruntime did, and what its CUDA provider would do.
pub fn write(snapshot: &Snapshot, out: &mut dyn Write) -> Result<()> {
    if !has(snapshot) {
        return Ok(());
    }
    let (real, predicted) = (&snapshot.facts.placement, &snapshot.facts.prediction);
    part("placement", "Placement of the model", out)?;
    model(&snapshot.facts.model, out)?;
    if let Some(nodes) = real.nodes_by_provider.known() {
        let by = real.runtime.known().map_or("onnxruntime", String::as_str);
        writeln!(out, "<h3>As {} placed it</h3>", Text(by))?;
        let sizes = [&real.gpu_parameter_bytes, &real.cpu_parameter_bytes, &real.unplaced_parameter_bytes];
        tables(nodes, sizes, &real.memcpy_nodes, out)?;
    }
    if let Some(nodes) = predicted.nodes_by_provider.known() {
        let version = predicted.for_version.known().map_or(String::new(), |version| format!(" {version}"));
        writeln!(out, "<h3>As the CUDA provider of onnxruntime{} would place it</h3>", Text(&version))?;
        let sizes =
            [&predicted.gpu_parameter_bytes, &predicted.cpu_parameter_bytes, &predicted.unplaced_parameter_bytes];
        tables(nodes, sizes, &predicted.memcpy_nodes, out)?;
    }
    // By the session with a GPU where there is one, else by the prediction.
    let listed = if has_gpu(real) {
        (&real.cpu_islands, &real.listed_nodes)
    } else {
        (&predicted.cpu_islands, &predicted.listed_nodes)
    };
    if let (Some(islands), Some(nodes)) = (listed.0.known(), listed.1.known()) {
        let predicted = predicted.listed_nodes.known().map(Vec::as_slice).unwrap_or_default();
        self::islands(islands, &[predicted, nodes.as_slice()], has_gpu(real), out)?;
    }
    writeln!(out, "</section>")
}

/// Whether the session had a GPU provider.
fn has_gpu(real: &PlacementFacts) -> bool {
    let gpu = |providers: &Vec<String>| providers.iter().any(|name| !name.starts_with("CPU"));
    real.session_providers.known().is_some_and(gpu) && real.cpu_islands.known().is_some()
}

fn model(model: &ModelFacts, out: &mut dyn Write) -> Result<()> {
    let mut said = Vec::new();
    said.extend(model.path.known().cloned());
    said.extend(model.nodes.known().map(|nodes| format!("{} nodes in the file", grouped(*nodes))));
    said.extend(model.parameters.known().map(|number| format!("{} parameters", grouped(*number))));
    said.extend(model.parameter_bytes.known().map(|size| bytes(*size as f64)));
    if said.is_empty() { Ok(()) } else { writeln!(out, "<p>{}</p>", Text(&said.join(", "))) }
}

fn tables(
    nodes: &BTreeMap<String, u64>,
    sizes: [&Fact<u64>; 3],
    copies: &Fact<u64>,
    out: &mut dyn Write,
) -> Result<()> {
    let names = [("GPU", "gpu"), ("CPU", "cpu"), ("folded or unused", "rest")];
    let bar = |((name, class), size): ((&str, &'static str), &&Fact<u64>)| {
        let size = *size.known()?;
        Some(Bar { name: name.into(), amount: size as f64, words: bytes(size as f64), class })
    };
    let mut bars: Vec<Bar> = names.into_iter().zip(&sizes).filter_map(bar).collect();
    bars.retain(|bar| bar.class != "rest" || bar.amount > 0.0);
    if bars.is_empty() {
        let why = sizes[0].reason().map_or(String::new(), ToString::to_string);
        writeln!(out, "<p>Where the parameters are is not known: {}</p>", Text(&why))?;
    } else if bars.iter().all(|bar| bar.amount == 0.0) {
        writeln!(out, "<p>No parameters: the model holds none of its own.</p>")?;
    } else {
        bars::write("Bytes of parameters by device", &bars, out)?;
    }
    let bars: Vec<Bar> = nodes
        .iter()
        .map(|(provider, number)| Bar {
            name: provider.clone(),
            amount: *number as f64,
            words: grouped(*number),
            class: if provider.starts_with("CPU") {
                "cpu"
            } else if provider == "unknown" {
                "rest"
            } else {
                "gpu"
            },
        })
        .collect();
    bars::write("Nodes by execution provider", &bars, out)?;
    match copies.known() {
        Some(0) => writeln!(out, "<p>Nothing is copied between GPU and CPU within a run.</p>"),
        Some(copies) => writeln!(out, "<p>Copies between GPU and CPU in each run: {}.</p>", grouped(*copies)),
        None => Ok(()),
    }
}

/// Groups of nodes on the CPU between nodes on the GPU: what they cost and why they are there.
fn islands(islands: &[CpuIsland], nodes: &[&[PlacedNode]; 2], real: bool, out: &mut dyn Write) -> Result<()> {
    let by = if real { "" } else { "By the prediction, " };
    if islands.is_empty() {
        let words = if real { "No part" } else { "By the prediction, no part" };
        return writeln!(out, "<p>{words} of the graph goes from the GPU to the CPU and back.</p>");
    }
    let wanted = islands.iter().take(ISLANDS_MAX);
    // The prediction's words on a node say more than onnxruntime's; they stand first.
    let mut whys: HashMap<&str, &str> =
        wanted.clone().flat_map(|island| &island.first).map(|name| (name.as_str(), "")).collect();
    for node in nodes.iter().flat_map(|list| list.iter()) {
        let told = !node.why.is_empty() && node.provider.starts_with("CPU");
        if let Some(why @ &mut "") = whys.get_mut(node.name.as_str()).filter(|_| told) {
            *why = &node.why;
        }
    }
    let cut = islands.iter().filter(|island| island.cuts()).count();
    writeln!(
        out,
        "<h3>Islands on the CPU</h3>\n<p>{by}{} of nodes on the CPU stand between nodes on the GPU; the GPU waits for {}.</p>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Islands on the CPU\"><table><thead><tr>\
         <th scope=\"col\">Nodes</th><th scope=\"col\">Operators</th><th scope=\"col\">Tensors from the GPU</th>\
         <th scope=\"col\">Back to it</th><th scope=\"col\">First nodes</th><th scope=\"col\">Why</th></tr></thead><tbody>",
        crate::words::count(islands.len(), "group"),
        if cut == islands.len() { "every one of them".to_owned() } else { format!("{cut} of them") }
    )?;
    for island in wanted {
        let operators = island.operators.iter().map(|(name, number)| format!("{number} {name}"));
        let mut reasons: Vec<&str> = island.first.iter().filter_map(|name| whys.get(name.as_str()).copied()).collect();
        reasons.retain(|why| !why.is_empty());
        reasons.dedup();
        let reasons = if reasons.is_empty() { "no reason was given".to_owned() } else { reasons.join("; ") };
        writeln!(
            out,
            "<tr><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td></tr>",
            grouped(island.nodes),
            Clipped(&operators.collect::<Vec<_>>().join(", "), WORDS_MAX),
            island.tensors_in,
            island.tensors_out,
            Clipped(&island.first.join(", "), WORDS_MAX),
            Clipped(&reasons, WORDS_MAX)
        )?;
    }
    writeln!(out, "</tbody></table></div>")?;
    match islands.len().saturating_sub(ISLANDS_MAX) {
        0 => Ok(()),
        more => writeln!(out, "<p>And {more} more.</p>"),
    }
}
