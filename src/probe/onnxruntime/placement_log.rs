//! onnxruntime's verbose log of a session's creation: which node went to which execution provider, and why.
//!
//! The texts are the same from 1.15 to 1.32 (session_state.cc `VerifyEachNodeIsAssignedToAnEp`, transformer_memcpy.cc).

use regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Most nodes that are kept by name; all are counted.
const NODE_LIMIT: usize = 100_000;
/// Most bytes of their names.
const NAMES_LIMIT_BYTES: usize = 6 << 20;
/// Most reasons, and the longest, bytes.
const REASON_LIMIT: usize = 50;
const REASON_LIMIT_BYTES: usize = 400;

static ALL_PLACED: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^\s*All nodes placed on \[(\w+)\]\. Number of nodes: (\d+)"));
static SOME_PLACED: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^\s*Node\(s\) placed on \[(\w+)\]\. Number of nodes: (\d+)"));
static NODE: LazyLock<Regex> = LazyLock::new(|| regex(r"^\s+(\S+) \((.*)\)\s*$"));
static MEMCPY: LazyLock<Regex> = LazyLock::new(|| regex(r"(\d+) Memcpy nodes are added to the graph"));
/// Of `CUDAExecutionProvider::GetCapability` (cuda_execution_provider.cc) and `GetCpuPreferredNodes` (fallback_cpu_capability.cc).
static NO_KERNEL: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"kernel (not found in registries|not supported)[^:]* for Op type: ?(\S+) node name: ?(.*?)\s*$")
});
static PREFERRED: LazyLock<Regex> =
    LazyLock::new(|| regex(r"Force fallback to CPU execution for node: ?(.*?)(?: because (.*?))?\s*$"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

/// What the log says of one session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlacementLog {
    /// Whether a placement was logged at all.
    pub seen: bool,
    /// Nodes by execution provider.
    pub nodes_by_provider: BTreeMap<String, u64>,
    /// Single nodes: (provider, operator, name). Empty when all are on one provider, which is then not listed.
    pub nodes: Vec<(String, String, String)>,
    /// Whether [`PlacementLog::nodes`] leaves nodes out.
    pub nodes_left_out: bool,
    /// Copies between host and device that were inserted.
    pub memcpy_nodes: u64,
    /// Why nodes went to the CPU, without repetition.
    pub reasons: Vec<String>,
    /// Why single nodes did: (operator, where it is told; name; reason in plain words).
    #[serde(skip)]
    pub why: Vec<(String, String, String)>,
    /// Provider whose nodes are being listed.
    #[serde(skip)]
    listing: Option<(String, u64)>,
    #[serde(skip)]
    names_bytes: usize,
    #[serde(skip)]
    why_bytes: usize,
}

impl PlacementLog {
    /// Hears one message; it may hold several lines.
    pub fn hear(&mut self, message: &str) {
        for line in message.lines() {
            self.line(line);
        }
    }

    /// The log as it is at the end.
    pub fn finish(mut self) -> Self {
        self.listing = None;
        self
    }

    fn line(&mut self, line: &str) {
        if line.trim() == "Node placements" {
            // A retried session logs again; the last placement is the one in force.
            self.seen = true;
            self.nodes_by_provider.clear();
            self.nodes.clear();
            self.nodes_left_out = false;
            self.names_bytes = 0;
            self.listing = None;
            return;
        }
        let counted = |found: regex::Captures<'_>| (found[1].to_string(), found[2].parse::<u64>().unwrap_or(0));
        if let Some((provider, count)) = ALL_PLACED.captures(line).map(counted) {
            self.seen = true;
            self.count(provider, count);
            self.listing = None;
        } else if let Some((provider, count)) = SOME_PLACED.captures(line).map(counted) {
            self.seen = true;
            self.count(provider.clone(), count);
            self.listing = Some((provider, count));
        } else if let Some(found) = MEMCPY.captures(line) {
            self.memcpy_nodes = self.memcpy_nodes.saturating_add(found[1].parse().unwrap_or(0));
        } else if let Some(found) = NO_KERNEL.captures(line) {
            let why = match &found[1] {
                "not supported" => "the CUDA kernel of this operator does not support its attributes",
                _ => "no CUDA kernel for this operator, its version and its types",
            };
            self.because(&found[2], &found[3], why);
            self.reason(line.trim());
        } else if let Some(found) = PREFERRED.captures(line) {
            let why = match found.get(2).map_or("onnxruntime says so", |because| because.as_str()) {
                because if because.contains("deemed faster") => {
                    "onnxruntime prefers the CPU for it: a small computation, such as of a shape".to_string()
                }
                because => format!("kept on the CPU because {because}"),
            };
            self.because("", &found[1], &why);
            self.reason(line.trim());
        } else if self.listing.is_some() {
            self.node(line);
        }
    }

    fn count(&mut self, provider: String, count: u64) {
        if self.nodes_by_provider.len() < REASON_LIMIT || self.nodes_by_provider.contains_key(&provider) {
            let sum = self.nodes_by_provider.entry(provider).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// A line of the list of nodes. As many follow as were announced; other messages may come in between.
    fn node(&mut self, line: &str) {
        let Some((provider, left)) = &mut self.listing else { return };
        let Some(found) = NODE.captures(line) else { return };
        let (op_type, name) = (&found[1], &found[2]);
        self.names_bytes = self.names_bytes.saturating_add(provider.len() + op_type.len() + name.len());
        if self.nodes.len() < NODE_LIMIT && self.names_bytes < NAMES_LIMIT_BYTES {
            self.nodes.push((provider.clone(), op_type.to_string(), name.to_string()));
        } else {
            self.nodes_left_out = true;
        }
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.listing = None;
        }
    }

    fn because(&mut self, op_type: &str, name: &str, why: &str) {
        let why = &why[..why.floor_char_boundary(REASON_LIMIT_BYTES)];
        self.why_bytes = self.why_bytes.saturating_add(op_type.len() + name.len() + why.len());
        if self.why.len() < NODE_LIMIT && self.why_bytes < NAMES_LIMIT_BYTES {
            self.why.push((op_type.to_string(), name.to_string(), why.to_string()));
        }
    }

    fn reason(&mut self, reason: &str) {
        let reason = &reason[..reason.floor_char_boundary(REASON_LIMIT_BYTES)];
        if self.reasons.len() < REASON_LIMIT && !self.reasons.iter().any(|known| known == reason) {
            self.reasons.push(reason.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hear(lines: &[&str]) -> PlacementLog {
        let mut log = PlacementLog::default();
        lines.iter().for_each(|line| log.hear(line));
        log.finish()
    }

    #[test]
    fn one_provider_for_all() {
        let log = hear(&["Node placements", " All nodes placed on [CPUExecutionProvider]. Number of nodes: 109"]);
        assert_eq!(log.nodes_by_provider, BTreeMap::from([("CPUExecutionProvider".to_string(), 109)]));
        assert!(log.seen && log.nodes.is_empty());
    }

    #[test]
    fn two_providers_with_their_nodes_copies_and_reasons() {
        let log = hear(&[
            "CUDA kernel not found in registries for Op type: Det node name: det",
            "CUDA kernel not found in registries for Op type: Det node name: det",
            "Force fallback to CPU execution for node: shape because the CPU execution path is deemed faster",
            "Add MemcpyToHost before a for CUDAExecutionProvider",
            "2 Memcpy nodes are added to the graph g for CUDAExecutionProvider. It might have negative impact.",
            "Node placements",
            " Node(s) placed on [CPUExecutionProvider]. Number of nodes: 1",
            "  Det (det)",
            "  Unrelated (words)",
            " Node(s) placed on [CUDAExecutionProvider]. Number of nodes: 3",
            "  Relu (/block.0/Relu (copy))",
            "some other message in between",
            "  MemcpyToHost (Memcpy_token_1)",
            "  Conv ()",
        ]);
        assert_eq!(log.nodes_by_provider["CUDAExecutionProvider"], 3);
        assert_eq!((log.memcpy_nodes, log.reasons.len()), (2, 2));
        assert_eq!(
            log.why[0],
            ("Det".into(), "det".into(), "no CUDA kernel for this operator, its version and its types".into())
        );
        assert_eq!(log.why[2].2, "onnxruntime prefers the CPU for it: a small computation, such as of a shape");
        let node = |provider: &str, op: &str, name: &str| (provider.into(), op.into(), name.into());
        let cuda = "CUDAExecutionProvider";
        assert_eq!(
            log.nodes,
            [
                node("CPUExecutionProvider", "Det", "det"),
                node(cuda, "Relu", "/block.0/Relu (copy)"),
                node(cuda, "MemcpyToHost", "Memcpy_token_1"),
                node(cuda, "Conv", ""),
            ]
        );
    }

    #[test]
    fn a_later_placement_replaces_an_earlier_one() {
        let log = hear(&[
            "Node placements",
            " All nodes placed on [CUDAExecutionProvider]. Number of nodes: 5",
            "Node placements",
            " All nodes placed on [CPUExecutionProvider]. Number of nodes: 4",
        ]);
        assert_eq!(log.nodes_by_provider, BTreeMap::from([("CPUExecutionProvider".to_string(), 4)]));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut log = PlacementLog::default();
        log.hear("Node placements\n Node(s) placed on [CPUExecutionProvider]. Number of nodes: 200000");
        for index in 0..200_000 {
            log.hear(&format!("  Add (node{index})"));
        }
        for index in 0..100 {
            log.hear(&format!("Force fallback to CPU execution for node: {index} {}", "é".repeat(1000)));
        }
        assert!(log.nodes.len() <= NODE_LIMIT && log.nodes_left_out);
        assert_eq!(log.nodes_by_provider["CPUExecutionProvider"], 200_000);
        assert!(log.reasons.len() == 50 && log.reasons.iter().all(|reason| reason.len() <= 400));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,80}", count in any::<u64>()) {
            let log = hear(&["Node placements", &text, &format!(" Node(s) placed on [{text}]. Number of nodes: {count}9"), &text]);
            prop_assert!(log.nodes.len() <= 2);
        }
    }
}
