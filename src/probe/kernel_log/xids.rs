//! What the numbers of Xid reports mean: the table `xids.yaml`.

use regex::Regex;
use serde::Deserialize;
use std::sync::LazyLock;

/// Numbers that share a meaning.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    codes: Vec<u64>,
    pub kind: String,
    pub remedy: String,
    pub meaning: String,
    pub action: String,
}

/// The number by which the driver says what would recover the GPU.
const RECOVERY_ACTION_CHANGED: u64 = 154;

static TABLE: LazyLock<Vec<Entry>> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("xids.yaml")).expect("xids.yaml is a table of Xids"));

/// What a report means, by its number and, where the number leaves it to the line, by its line.
pub fn entry(code: u64, line: &str) -> Entry {
    let Some(entry) = TABLE.iter().find(|entry| entry.codes.contains(&code)) else {
        return Entry {
            codes: vec![code],
            kind: "unlisted".into(),
            remedy: "investigate".into(),
            meaning: "a number that this version of gpu-doctor does not know".into(),
            action: "Look the number up in NVIDIA's Xid catalog.".into(),
        };
    };
    let mut entry = entry.clone();
    if code == RECOVERY_ACTION_CHANGED
        && let Some((remedy, action)) = recovery(line)
    {
        entry.remedy = remedy.into();
        entry.action = action.into();
    }
    entry
}

/// The new recovery action in `GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)`.
fn recovery(line: &str) -> Option<(&'static str, &'static str)> {
    static TO: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\bto 0x[0-9a-fA-F]+ \(([^)]{1,40})\)").expect("a valid pattern"));
    let to = TO.captures(line)?.get(1)?.as_str().to_ascii_lowercase();
    Some(match to.as_str() {
        "none" => ("none", "Nothing: the GPU has recovered."),
        to if to.contains("reboot") => ("reboot", "Reboot the machine: the driver cannot recover this GPU without."),
        to if to.contains("reset") => ("reset_gpu", "Stop the programs on this GPU and reset it, as the driver asks."),
        to if to.contains("drain") => {
            ("reset_gpu", "Stop the programs that reach this GPU from others, then reset it.")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_number_stands_once_with_words_from_the_lists() {
        let mut seen = BTreeSet::new();
        for entry in TABLE.iter() {
            assert!(["application", "gpu", "link", "driver"].contains(&entry.kind.as_str()), "{entry:?}");
            let remedies = ["none", "restart_application", "reset_gpu", "reboot", "check_hardware", "investigate"];
            assert!(remedies.contains(&entry.remedy.as_str()), "{entry:?}");
            assert!(!entry.meaning.is_empty() && entry.action.ends_with('.'), "{entry:?}");
            for code in &entry.codes {
                assert!(seen.insert(*code), "Xid {code} stands twice");
            }
        }
        for code in [13, 31, 43, 45, 48, 63, 64, 74, 79, 92, 94, 95, 109, 119, 120, 121, 140, 143, 154] {
            assert!(seen.contains(&code), "Xid {code} is missing");
        }
    }

    #[test]
    fn a_recovery_action_is_read_from_the_line() {
        let remedy = |to: &str| {
            let line = format!("NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x0 (None) to {to}");
            entry(154, &line).remedy
        };
        assert_eq!(remedy("0x1 (GPU Reset Required)"), "reset_gpu");
        assert_eq!(remedy("0x2 (Node Reboot Required)"), "reboot");
        assert_eq!(remedy("0x4 (Drain and Reset)"), "reset_gpu");
        assert_eq!(remedy("0x0 (None)"), "none");
        assert_eq!(remedy("0x9 (Something New)"), "investigate");
        assert_eq!(entry(9999, "").kind, "unlisted");
    }
}
