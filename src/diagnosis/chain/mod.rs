//! The stages of a request's life, each with its standing and what was seen there.

use crate::check::{Finding, Severity, Verdict};
use crate::snapshot::{Snapshot, Stage};
use serde::{Deserialize, Serialize};

mod seen;

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The stage.
    pub stage: Stage,
    /// Its standing.
    pub standing: Standing,
    /// What was seen there, in a few words.
    pub seen: String,
}

/// How a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its checks are clear.
    Pass,
    /// A warning holds.
    Warn,
    /// A failure holds.
    Fail,
    /// A check could not be decided.
    Unknown,
    /// Nothing was asked about it.
    NotApplicable,
}

/// Every stage that has something to say: a check, or facts.
pub fn links(snapshot: &Snapshot, findings: &[Finding]) -> Vec<Link> {
    Stage::ALL
        .iter()
        .filter_map(|stage| {
            let of_stage: Vec<&Finding> = findings.iter().filter(|f| f.check.spec.stage == *stage).collect();
            let seen = seen::at(snapshot, *stage);
            if of_stage.is_empty() && seen.is_none() {
                return None;
            }
            let standing = standing(&of_stage, seen.is_some());
            Some(Link { stage: *stage, standing, seen: seen.or_else(|| reason(&of_stage)).unwrap_or_default() })
        })
        .collect()
}

fn standing(findings: &[&Finding], facts_seen: bool) -> Standing {
    let holds = |severity| findings.iter().any(|f| f.verdict == Verdict::Holds && f.severity == severity);
    if holds(Severity::Fail) {
        return Standing::Fail;
    }
    if holds(Severity::Warn) {
        return Standing::Warn;
    }
    if findings.iter().any(|finding| matches!(finding.verdict, Verdict::Unknown(_))) {
        return Standing::Unknown;
    }
    let clear = findings.iter().any(|finding| finding.verdict == Verdict::Clear);
    if clear || (findings.is_empty() && facts_seen) { Standing::Pass } else { Standing::NotApplicable }
}

/// Why nothing was seen: the first reason that a check of the stage gives.
fn reason(findings: &[&Finding]) -> Option<String> {
    findings.iter().find_map(|finding| match &finding.verdict {
        Verdict::NotApplicable(why) => Some(why.clone()),
        Verdict::Unknown(missing) => missing.first().map(|(path, unknown)| format!("{path} {unknown}")),
        _ => None,
    })
}
