//! What the nodes on the CPU cost, why they are there, and what to change.

use super::Audit;
use super::table::has_gpu;
use super::text::{OPERATORS_MAX, listed, paragraph, tally, things};
use crate::report::page::Page;
use crate::snapshot::{CpuIsland, DeviceCopy, PlacedNode};
use crate::words::grouped;
use colored::Colorize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;

/// Islands, reasons and copies that are told; `-v` tells all.
const ISLANDS_MAX: usize = 5;
const REASONS_MAX: usize = 8;
const COPIES_MAX: usize = 5;

/// Writes it: by the real placement where there is one with a GPU, else by the predicted one.
pub fn write(audit: &Audit, out: &mut Page) -> std::io::Result<()> {
    let verbose = out.verbose();
    let (predicted, real) = (&audit.facts.prediction, &audit.facts.placement);
    let with_gpu = has_gpu(real) && real.cpu_islands.known().is_some();
    let (islands, nodes) = match with_gpu {
        true => (real.cpu_islands.known(), real.listed_nodes.known()),
        false => (predicted.cpu_islands.known(), predicted.listed_nodes.known()),
    };
    let (Some(islands), Some(nodes)) = (islands, nodes) else { return Ok(()) };
    let whys = Whys::of(nodes, predicted.listed_nodes.known().map_or(&[], Vec::as_slice));
    writeln!(out)?;
    headline(islands, &whys, with_gpu, out)?;
    let told = self::islands(islands, &whys, verbose, out)?;
    if with_gpu && (islands.is_empty() || verbose) {
        copies(real.copies.known().map_or(&[], Vec::as_slice), verbose, out)?;
    }
    reasons(&whys, &told, verbose, out)
}

/// The nodes on the CPU with their reasons. The prediction's say more than onnxruntime's, where both put the node there.
struct Whys<'a> {
    on_cpu: Vec<&'a PlacedNode>,
    /// The first of each name.
    by_name: HashMap<&'a str, &'a PlacedNode>,
    predicted: HashMap<(&'a str, &'a str), &'a str>,
}

impl<'a> Whys<'a> {
    fn of(nodes: &'a [PlacedNode], predicted: &'a [PlacedNode]) -> Self {
        let is_on_cpu = |node: &&PlacedNode| node.provider.starts_with("CPU");
        let explained = predicted.iter().filter(is_on_cpu).filter(|node| !node.why.is_empty());
        let on_cpu: Vec<_> = nodes.iter().filter(is_on_cpu).collect();
        Self {
            by_name: on_cpu.iter().rev().map(|node| (node.name.as_str(), *node)).collect(),
            on_cpu,
            predicted: explained.map(|node| ((node.name.as_str(), node.op.as_str()), node.why.as_str())).collect(),
        }
    }

    fn of_node(&self, node: &'a PlacedNode) -> &'a str {
        self.predicted.get(&(node.name.as_str(), node.op.as_str())).copied().unwrap_or(&node.why)
    }

    fn of_name(&self, name: &str) -> Option<(&'a str, &'a str)> {
        let node = self.by_name.get(name)?;
        Some((node.name.as_str(), self.of_node(node))).filter(|(_, why)| !why.is_empty())
    }
}

fn headline(islands: &[CpuIsland], whys: &Whys, with_gpu: bool, out: &mut Page) -> std::io::Result<()> {
    let cutting: Vec<&CpuIsland> = islands.iter().filter(|island| island.cuts()).collect();
    let predicted = if with_gpu { "" } else { "By the prediction, " };
    let words = if !cutting.is_empty() {
        let all: u64 = cutting.iter().map(|island| island.nodes).sum();
        let first: Vec<&str> = cutting.iter().flat_map(|island| island.first.first()).map(String::as_str).collect();
        let words = format!(
            "{predicted}{} on the CPU {} the graph in {}: {}",
            things(all, "node"),
            if all == 1 { "cuts" } else { "cut" },
            cutting.len() + 1,
            listed(&first, ISLANDS_MAX, |name| name.to_string())
        );
        return out.wrapped(0, &words).iter().try_for_each(|line| writeln!(out, "{}", line.bold()));
    } else if whys.on_cpu.is_empty() {
        format!("{predicted}every node is on the GPU.")
    } else {
        format!("{predicted}no part of the graph goes from the GPU to the CPU and back.")
    };
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    paragraph(out, 0, &format!("{first}{}", letters.as_str()))
}

/// Returns the reasons that were told.
fn islands<'a>(
    islands: &[CpuIsland],
    whys: &Whys<'a>,
    verbose: bool,
    out: &mut Page,
) -> std::io::Result<BTreeSet<&'a str>> {
    let mut told = BTreeSet::new();
    let shown = if verbose { usize::MAX } else { ISLANDS_MAX };
    for (number, island) in islands.iter().take(shown).enumerate() {
        let names = listed(&island.first, usize::MAX, String::clone);
        let more = island.nodes.saturating_sub(island.first.len() as u64);
        let more = if more > 0 { format!(" and {} more", grouped(more)) } else { String::new() };
        let words = format!(
            "{names}{more} ({}), {} from the GPU, {} back to it",
            tally(&island.operators, OPERATORS_MAX),
            things(island.tensors_in, "tensor"),
            island.tensors_out
        );
        paragraph(out, 2, &format!("{}. {words}", number + 1))?;
        let mut of_island = BTreeSet::new();
        for (name, why) in island.first.iter().filter_map(|name| whys.of_name(name)) {
            if of_island.insert(why) {
                paragraph(out, 5, &format!("{name}: {why}"))?;
            }
        }
        told.append(&mut of_island);
    }
    if islands.len() > shown {
        writeln!(out, "  and {} more (-v)", islands.len() - shown)?;
    }
    Ok(told)
}

fn copies(copies: &[DeviceCopy], verbose: bool, out: &mut Page) -> std::io::Result<()> {
    if copies.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nCopied in each run:")?;
    let shown = if verbose { usize::MAX } else { COPIES_MAX };
    for copy in copies.iter().take(shown) {
        let made = if copy.made_by.is_empty() { String::new() } else { format!(", made by {}", copy.made_by) };
        let needed = match copy.needed_by.as_slice() {
            [] => String::new(),
            nodes => format!(", for {}", nodes.join(", ")),
        };
        paragraph(out, 2, &format!("{} {}{made}{needed}", copy.tensor, copy.direction))?;
    }
    if copies.len() > shown {
        writeln!(out, "  and {} more (-v)", copies.len() - shown)?;
    }
    Ok(())
}

/// The reasons that no island told yet, those of most nodes first; or all of them, each with its nodes.
fn reasons(whys: &Whys, told: &BTreeSet<&str>, verbose: bool, out: &mut Page) -> std::io::Result<()> {
    let mut by_reason: BTreeMap<&str, Vec<&PlacedNode>> = BTreeMap::new();
    for node in &whys.on_cpu {
        let why = whys.of_node(node);
        if verbose || !told.contains(why) {
            by_reason.entry(why).or_default().push(node);
        }
    }
    if by_reason.is_empty() {
        return Ok(());
    }
    let mut reasons: Vec<_> = by_reason.into_iter().collect();
    reasons.sort_by_key(|(_, nodes)| std::cmp::Reverse(nodes.len()));
    writeln!(out, "\nWhy {}nodes are on the CPU:", if told.is_empty() || verbose { "" } else { "other " })?;
    let shown = if verbose { usize::MAX } else { REASONS_MAX };
    for (why, nodes) in reasons.iter().take(shown) {
        let why = if why.is_empty() { "no reason was given" } else { why };
        let mut operators: BTreeMap<String, u64> = BTreeMap::new();
        nodes.iter().for_each(|node| *operators.entry(node.op.clone()).or_default() += 1);
        let of = tally(&operators, OPERATORS_MAX);
        paragraph(out, 2, &format!("{} ({of}): {why}", things(nodes.len() as u64, "node")))?;
        for node in nodes.iter().filter(|_| verbose) {
            paragraph(out, 4, &format!("{} ({})", node.name, node.op))?;
        }
    }
    if reasons.len() > shown {
        writeln!(out, "  and {} more reasons (-v)", reasons.len() - shown)?;
    }
    Ok(())
}
