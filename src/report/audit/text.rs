//! The audit for people.

use super::Audit;
use crate::snapshot::{CpuIsland, Fact, ModelFacts, ModelPort, PlacedNode, Unknown, Why};
use crate::words::{bytes, count, plain, wrap};
use colored::Colorize;
use std::collections::BTreeMap;
use std::io::Write;

/// Operators, ports, islands and differences that are told; `-v` tells all.
const OPERATORS_MAX: usize = 8;
const PORTS_MAX: usize = 6;
const ISLANDS_MAX: usize = 5;
const NODES_MAX: usize = 10;
/// Columns of a line's head, of each placement, and of a line.
const HEAD: usize = 20;
const COLUMN: usize = 36;
const WIDTH: usize = 110;

/// Writes the audit as text.
pub fn write(audit: &Audit, verbose: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let model = &audit.facts.model;
    let title = format!("{}: {}", said(&model.path), said(&model.format));
    writeln!(out, "{}", plain(&title).bold())?;
    contents(model, verbose, out)?;
    placements(audit, out)?;
    islands(audit, verbose, out)?;
    agreement(audit, out)
}

fn said<T: ToString>(fact: &Fact<T>) -> String {
    match fact {
        Fact::Known(value) => value.to_string(),
        Fact::Unknown(unknown) => unknown_words(unknown),
    }
}

fn unknown_words(unknown: &Unknown) -> String {
    match unknown.why {
        // What a format does not have is no gap.
        Why::NotAsked => "-".into(),
        _ => format!("unknown: {}", unknown.detail),
    }
}

fn line(out: &mut dyn Write, head: &str, words: &str) -> std::io::Result<()> {
    let lines = wrap(&plain(words), WIDTH - HEAD);
    writeln!(out, "  {head:<HEAD$}{}", lines.first().map_or("", String::as_str))?;
    lines.iter().skip(1).try_for_each(|line| writeln!(out, "  {:HEAD$}{line}", ""))
}

fn contents(model: &ModelFacts, verbose: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let mut written = Vec::new();
    if let Some(opsets) = model.opsets.known() {
        let sets = opsets.iter().map(|(domain, version)| format!("{domain} {version}"));
        written.push(format!("opset {}", sets.collect::<Vec<_>>().join(", ")));
    }
    written.extend(model.ir_version.known().map(|version| format!("IR version {version}")));
    written.extend(model.producer.known().filter(|text| !text.is_empty()).map(|text| format!("written by {text}")));
    if !written.is_empty() {
        line(out, "format", &written.join(", "))?;
    }
    if let (Some(nodes), Some(inner)) = (model.nodes.known(), model.subgraph_nodes.known()) {
        let mut words = format!("{} in the graph", nodes);
        if *inner > 0 {
            words.push_str(&format!(", {inner} in subgraphs and functions"));
        }
        if let Some(operators) = model.operators.known().filter(|operators| !operators.is_empty()) {
            words.push_str(&format!(": {}", tally(operators, if verbose { usize::MAX } else { OPERATORS_MAX })));
        }
        line(out, "nodes", &words)?;
    }
    for (head, ports) in [("inputs", &model.inputs), ("outputs", &model.outputs)] {
        if let Some(ports) = ports.known() {
            line(out, head, &listed(ports, if verbose { usize::MAX } else { PORTS_MAX }, port))?;
        }
    }
    let mut words = format!("{} in {} tensors", said(&model.parameters), said(&model.tensors));
    words.push_str(&format!(", {}", sized(&model.parameter_bytes)));
    if let Some(by_type) = model.parameter_bytes_by_type.known() {
        let mut types: Vec<(&String, &u64)> = by_type.iter().collect();
        types.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
        let types = types.iter().map(|(name, number)| format!("{name} {}", bytes(**number as f64)));
        words.push_str(&format!(" ({})", types.collect::<Vec<_>>().join(", ")));
    }
    line(out, "parameters", &words)?;
    for file in model.external_files.known().into_iter().flatten() {
        let fault = if file.sound { String::new() } else { format!(": {}", file.fault) };
        line(out, "external data", &format!("{}{fault}", file.location))?;
    }
    Ok(())
}

fn port(port: &ModelPort) -> String {
    format!("{} {}[{}]", port.name, port.element_type, port.shape.join(", "))
}

fn listed<T>(items: &[T], most: usize, words: impl Fn(&T) -> String) -> String {
    let mut told: Vec<String> = items.iter().take(most).map(words).collect();
    if items.len() > most {
        told.push(format!("and {} more", items.len() - most));
    }
    told.join(", ")
}

/// Things by their number, the most frequent first.
fn tally(counts: &BTreeMap<String, u64>, most: usize) -> String {
    let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
    counts.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    listed(&counts, most, |(name, number)| format!("{number} {name}"))
}

fn sized(fact: &Fact<u64>) -> String {
    match fact {
        Fact::Known(number) => bytes(*number as f64),
        Fact::Unknown(unknown) => unknown_words(unknown),
    }
}

fn placements(audit: &Audit, out: &mut dyn Write) -> std::io::Result<()> {
    let (predicted, real) = (&audit.facts.prediction, &audit.facts.placement);
    let has = |fact: &Fact<BTreeMap<String, u64>>| fact.known().is_some();
    writeln!(out)?;
    for (name, nodes) in [("predicted", &predicted.nodes_by_provider), ("real", &real.nodes_by_provider)] {
        if let Fact::Unknown(unknown) = nodes {
            writeln!(out, "  {name} placement: {}", plain(&unknown.detail))?;
        }
    }
    if !has(&predicted.nodes_by_provider) && !has(&real.nodes_by_provider) {
        return Ok(());
    }
    let mut row = |head: &str, left: String, right: String| -> std::io::Result<()> {
        let cells = [(left, has(&predicted.nodes_by_provider)), (right, has(&real.nodes_by_provider))];
        let cells = cells.iter().filter(|(_, shown)| *shown).map(|(cell, _)| format!("{:<COLUMN$}", plain(cell)));
        writeln!(out, "  {}", format!("{head:<HEAD$}{}", cells.collect::<String>()).trim_end())
    };
    row("placement", "predicted".into(), "real".into())?;
    let tables = match (predicted.for_version.known(), predicted.tables_version.known()) {
        (Some(version), Some(tables)) if version != tables => format!("onnxruntime {version} (as {tables})"),
        (version, _) => format!("onnxruntime {}", version.map_or("", String::as_str)),
    };
    let session = real.session.known().map_or(String::new(), |session| format!(", {session} session"));
    row("by", tables, format!("{}{session}", said(&real.runtime)))?;
    let mut providers: Vec<&String> =
        predicted.nodes_by_provider.known().into_iter().flat_map(BTreeMap::keys).collect();
    providers.extend(real.nodes_by_provider.known().into_iter().flat_map(BTreeMap::keys));
    providers.sort_by_key(|name| (name.starts_with("CPU"), name.as_str()));
    providers.dedup();
    for provider in providers {
        let cell = |nodes: &Fact<BTreeMap<String, u64>>| {
            let number = nodes.known().and_then(|nodes| nodes.get(provider)).copied().unwrap_or(0);
            count(number as usize, "node")
        };
        let head = plain(&format!("on {}", short(provider)));
        row(&head, cell(&predicted.nodes_by_provider), cell(&real.nodes_by_provider))?;
    }
    row("copies in between", said(&predicted.memcpy_nodes), said(&real.memcpy_nodes))?;
    let device = |tensors: &Fact<u64>, size: &Fact<u64>| match (tensors, size) {
        (Fact::Known(tensors), Fact::Known(size)) => {
            format!("{} ({})", count(*tensors as usize, "tensor"), bytes(*size as f64))
        }
        (_, size) => sized(size),
    };
    row(
        "parameters on GPU",
        device(&predicted.gpu_parameters, &predicted.gpu_parameter_bytes),
        device(&real.gpu_parameters, &real.gpu_parameter_bytes),
    )?;
    row(
        "parameters on CPU",
        device(&predicted.cpu_parameters, &predicted.cpu_parameter_bytes),
        device(&real.cpu_parameters, &real.cpu_parameter_bytes),
    )?;
    let unplaced = [&predicted.unplaced_parameter_bytes, &real.unplaced_parameter_bytes];
    if unplaced.iter().any(|size| size.known().is_some_and(|size| *size > 0)) {
        row("folded or unused", sized(unplaced[0]), sized(unplaced[1]))?;
    }
    if let Some(times) = real.run_ms_by_provider.known() {
        let times = times.iter().map(|(provider, ms)| format!("{ms:.2} ms on {}", short(provider)));
        row("one run", String::new(), times.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

fn short(provider: &str) -> &str {
    provider.trim_end_matches("ExecutionProvider")
}

/// What the nodes on the CPU cost: by the real placement where there is one with a GPU, else by the predicted one.
fn islands(audit: &Audit, verbose: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let (predicted, real) = (&audit.facts.prediction, &audit.facts.placement);
    let with_gpu = real.session_providers.known().is_some_and(|providers| providers.len() > 1);
    let (islands, nodes) = match (with_gpu, real.cpu_islands.known(), predicted.cpu_islands.known()) {
        (true, Some(islands), _) => (islands, real.listed_nodes.known()),
        (_, _, Some(islands)) => (islands, predicted.listed_nodes.known()),
        _ => return Ok(()),
    };
    let nodes: &[PlacedNode] = nodes.map_or(&[], Vec::as_slice);
    let cutting: Vec<&CpuIsland> = islands.iter().filter(|island| island.cuts()).collect();
    writeln!(out)?;
    if cutting.is_empty() {
        writeln!(out, "No node on the CPU stands between nodes on the GPU.")?;
    } else {
        let all: u64 = cutting.iter().map(|island| island.nodes).sum();
        let first: Vec<&str> = cutting.iter().flat_map(|island| island.first.first()).map(String::as_str).collect();
        let words = format!(
            "{} on the CPU {} the graph in {}: {}",
            count(all as usize, "node"),
            if all == 1 { "cuts" } else { "cut" },
            cutting.len() + 1,
            listed(&first, ISLANDS_MAX, |name| name.to_string())
        );
        writeln!(out, "{}", plain(&words).bold())?;
    }
    let shown = if verbose { usize::MAX } else { ISLANDS_MAX };
    for (number, island) in islands.iter().take(shown).enumerate() {
        let words = format!(
            "{} ({}), {} from the GPU, {} back to it",
            listed(&island.first, usize::MAX, String::clone),
            tally(&island.operators, OPERATORS_MAX),
            count(island.tensors_in as usize, "tensor"),
            island.tensors_out
        );
        writeln!(out, "  {}. {}", number + 1, plain(&words))?;
        let why = |name: &String| nodes.iter().find(|node| node.name == *name && !node.why.is_empty());
        if let Some(node) = island.first.iter().find_map(why) {
            writeln!(out, "     {}: {}", plain(&node.name), plain(&node.why))?;
        }
    }
    if verbose {
        writeln!(out, "\nnodes on the CPU")?;
        for node in nodes.iter().filter(|node| node.provider.starts_with("CPU")) {
            writeln!(out, "  {} ({}): {}", plain(&node.name), plain(&node.op), plain(&node.why))?;
        }
    }
    Ok(())
}

fn agreement(audit: &Audit, out: &mut dyn Write) -> std::io::Result<()> {
    let Some(agreement) = &audit.agreement else { return Ok(()) };
    let (same, compared) = (agreement.same, agreement.compared);
    writeln!(out, "\nPrediction and placement agree on {same} of {compared} nodes.")?;
    for node in agreement.different.iter().take(NODES_MAX) {
        let (predicted, real) = (plain(short(&node.predicted)), plain(short(&node.real)));
        writeln!(out, "  {} ({}): predicted on {predicted}, is on {real}", plain(&node.name), plain(&node.op))?;
    }
    Ok(())
}
