//! The audit for people.

use super::{Audit, cost, table};
use crate::report::page::Page;
use crate::snapshot::{Fact, ModelFacts, ModelPort, Unknown, Why};
use crate::words::{bytes, grouped};
use colored::Colorize;
use std::collections::BTreeMap;
use std::io::Write;

/// Operators and ports that are told; `-v` tells all.
pub const OPERATORS_MAX: usize = 8;
const PORTS_MAX: usize = 6;
/// Nodes of each kind on which the placements differ, that are told.
const NODES_MAX: usize = 10;
/// Columns of a line's head.
pub const HEAD: usize = 20;

/// Writes the audit as text.
pub fn write(audit: &Audit, out: &mut Page) -> std::io::Result<()> {
    let model = &audit.facts.model;
    let verbose = out.verbose();
    let format = match said(&model.format).as_str() {
        short @ ("onnx" | "gguf") => short.to_uppercase(),
        format => format.to_string(),
    };
    for line in out.wrapped(0, &format!("{}: {format}", said(&model.path))) {
        writeln!(out, "{}", line.bold())?;
    }
    contents(model, verbose, out)?;
    table::write(audit, out)?;
    cost::write(audit, out)?;
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
pub fn line(out: &mut Page, head: &str, words: &str) -> std::io::Result<()> {
    // A margin of two.
    out.hanging(&format!("  {head:<HEAD$}"), HEAD + 2, words)
}

fn contents(model: &ModelFacts, verbose: bool, out: &mut Page) -> std::io::Result<()> {
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
pub fn paragraph(out: &mut Page, indent: usize, words: &str) -> std::io::Result<()> {
    // What goes on from the line above stands further in.
    let further = if indent > 0 { 4 } else { 0 };
    let lines = out.wrapped(indent + further, words);
    lines.iter().enumerate().try_for_each(|(at, line)| {
        writeln!(out, "{:indent$}{line}", "", indent = if at > 0 { indent + further } else { indent })
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

fn agreement(audit: &Audit, out: &mut Page) -> std::io::Result<()> {
    let Some(agreement) = &audit.agreement else { return Ok(()) };
    let (same, compared) = (grouped(agreement.same), grouped(agreement.compared));
    writeln!(out)?;
    paragraph(out, 0, &format!("Prediction and real placement agree on {same} of {compared} nodes."))?;
    if agreement.not_predicted > 0 {
        let words = format!(
            "{} that onnxruntime fused or renamed after the placement are not compared: {}.",
            things(agreement.not_predicted, "further node"),
            tally(&agreement.not_predicted_operators, OPERATORS_MAX)
        );
        paragraph(out, 0, &words)?;
    }
    for node in agreement.different.iter().take(NODES_MAX) {
        let (predicted, real) = (short(&node.predicted), short(&node.real));
        let words = format!("{} ({}): predicted on {predicted}, is on {real}", node.name, node.op);
        paragraph(out, 2, &words)?;
    }
    if agreement.different.len() > NODES_MAX {
        writeln!(out, "  and {} more (--format json)", agreement.different.len() - NODES_MAX)?;
    }
    Ok(())
}
