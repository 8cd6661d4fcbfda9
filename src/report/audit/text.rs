//! The audit for people.

use super::{Audit, cost, table};
use crate::snapshot::{Fact, ModelFacts, ModelPort, Unknown, Why};
use crate::words::{bytes, grouped, plain, wrap};
use colored::Colorize;
use std::collections::BTreeMap;
use std::io::Write;

/// Operators and ports that are told; `-v` tells all.
pub const OPERATORS_MAX: usize = 8;
const PORTS_MAX: usize = 6;
/// Nodes of each kind on which the placements differ, that are told.
const NODES_MAX: usize = 10;
/// Columns of a line's head, and of a line.
pub const HEAD: usize = 20;
const WIDTH: usize = 110;

/// Writes the audit as text.
pub fn write(audit: &Audit, verbose: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let model = &audit.facts.model;
    let format = match said(&model.format).as_str() {
        short @ ("onnx" | "gguf") => short.to_uppercase(),
        format => format.to_string(),
    };
    writeln!(out, "{}", plain(&format!("{}: {format}", said(&model.path))).bold())?;
    contents(model, verbose, out)?;
    table::write(audit, verbose, out)?;
    cost::write(audit, verbose, out)?;
    agreement(audit, out)
}

/// A fact in words.
pub fn said<T: ToString>(fact: &Fact<T>) -> String {
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

/// A line with its head, broken where it is too long.
pub fn line(out: &mut dyn Write, head: &str, words: &str) -> std::io::Result<()> {
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
        let mut words = format!("{} in the graph", grouped(*nodes));
        if *inner > 0 {
            words.push_str(&format!(", {} in subgraphs and functions", grouped(*inner)));
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
    let number = |fact: &Fact<u64>| fact.known().map_or_else(|| said(fact), |number| grouped(*number));
    // Of a model whose other files are missing, those are told below.
    let mut words = match (&model.parameters, &model.parameter_bytes) {
        (Fact::Unknown(_), Fact::Unknown(_)) if model.external_files.known().is_some_and(|files| !files.is_empty()) => {
            "unknown, for files are missing or not sound".to_string()
        }
        (parameters, size) => format!("{} in {}, {}", number(parameters), tensors(&model.tensors), sized(size)),
    };
    if let Some(by_type) = model.parameter_bytes_by_type.known() {
        let mut types: Vec<(&String, &u64)> = by_type.iter().collect();
        types.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
        let types = types.iter().map(|(name, number)| format!("{name} {}", bytes(**number as f64)));
        words.push_str(&format!(" ({})", types.collect::<Vec<_>>().join(", ")));
    }
    line(out, "parameters", &words)?;
    for file in model.external_files.known().into_iter().flatten() {
        let fault = if file.sound { String::new() } else { format!(": {}", file.fault) };
        let head = if model.format.known().is_some_and(|format| format == "onnx") { "external data" } else { "file" };
        line(out, head, &format!("{}{fault}", file.location))?;
    }
    Ok(())
}

fn tensors(fact: &Fact<u64>) -> String {
    match fact {
        Fact::Known(number) => things(*number, "tensor"),
        Fact::Unknown(_) => "an unknown number of tensors".into(),
    }
}

/// A number of things: `1 node`, `5,000 nodes`.
pub fn things(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Text that may be long, broken into lines.
pub fn paragraph(out: &mut dyn Write, indent: usize, words: &str) -> std::io::Result<()> {
    let lines = wrap(&plain(words), WIDTH - indent);
    lines.iter().enumerate().try_for_each(|(at, line)| {
        // What goes on from the line above stands further in.
        let further = if at > 0 && indent > 0 { 4 } else { 0 };
        writeln!(out, "{:indent$}{line}", "", indent = indent + further)
    })
}

fn port(port: &ModelPort) -> String {
    format!("{} {}[{}]", port.name, port.element_type, port.shape.join(", "))
}

/// The first of them, and how many more there are.
pub fn listed<T>(items: &[T], most: usize, words: impl Fn(&T) -> String) -> String {
    let mut told: Vec<String> = items.iter().take(most).map(words).collect();
    if items.len() > most {
        told.push(format!("and {} more", grouped((items.len() - most) as u64)));
    }
    told.join(", ")
}

/// Things by their number, the most frequent first.
pub fn tally(counts: &BTreeMap<String, u64>, most: usize) -> String {
    let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
    counts.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    listed(&counts, most, |(name, number)| format!("{} {name}", grouped(**number)))
}

/// A number of bytes in words.
pub fn sized(fact: &Fact<u64>) -> String {
    match fact {
        Fact::Known(number) => bytes(*number as f64),
        Fact::Unknown(unknown) => unknown_words(unknown),
    }
}

/// A provider's name as people say it.
pub fn short(provider: &str) -> &str {
    provider.trim_end_matches("ExecutionProvider")
}

fn agreement(audit: &Audit, out: &mut dyn Write) -> std::io::Result<()> {
    let Some(agreement) = &audit.agreement else { return Ok(()) };
    let (same, compared) = (grouped(agreement.same), grouped(agreement.compared));
    writeln!(out, "\nPrediction and real placement agree on {same} of {compared} nodes.")?;
    if agreement.not_predicted > 0 {
        let words = format!(
            "{} that onnxruntime fused or renamed after the placement are not compared: {}.",
            things(agreement.not_predicted, "further node"),
            tally(&agreement.not_predicted_operators, OPERATORS_MAX)
        );
        paragraph(out, 0, &words)?;
    }
    for node in agreement.different.iter().take(NODES_MAX) {
        let (predicted, real) = (plain(short(&node.predicted)), plain(short(&node.real)));
        writeln!(out, "  {} ({}): predicted on {predicted}, is on {real}", plain(&node.name), plain(&node.op))?;
    }
    if agreement.different.len() > NODES_MAX {
        writeln!(out, "  and {} more (--format json)", agreement.different.len() - NODES_MAX)?;
    }
    Ok(())
}
