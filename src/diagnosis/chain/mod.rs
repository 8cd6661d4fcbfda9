//! The stages of a request's life, each with its standing and what was seen there.

use super::Diagnosis;
use crate::check::{Finding, Severity, Verdict};
use crate::snapshot::{Outcome, Snapshot, Stage, Unknown, Why};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod connections;
mod engine;
mod loaded;
mod model;
mod seen;
use seen::Sight;

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// The stage.
    pub stage: Stage,
    /// Its standing.
    pub standing: Standing,
    /// What was seen there, in a few words.
    pub seen: String,
    /// The earlier stage that is reason enough for it not to work; of a blocked stage only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<Stage>,
}

/// How a stage stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its checks are clear.
    Pass,
    /// A warning holds.
    Warn,
    /// A failure holds.
    Fail,
    /// A check that would be a failure could not be decided, or nothing could be seen.
    Unknown,
    /// It does not work, and an earlier stage's failure is reason enough.
    Blocked,
    /// Nothing was asked about it.
    NotApplicable,
}

/// Every stage that a check or a probe tells about.
pub fn links(snapshot: &Snapshot, findings: &[Finding]) -> Vec<Link> {
    let (mut broken, mut failed) = (false, false);
    let mut links = Vec::new();
    for stage in Stage::ALL {
        let of_stage: Vec<&Finding> = findings.iter().filter(|f| f.check.spec.stage == *stage).collect();
        let sight = seen::at(snapshot, *stage).map(|sight| cut_short(sight, snapshot, *stage));
        // Of a stage that no probe tells about there is nothing to say but what holds there.
        if sight.is_none() && !of_stage.iter().any(|finding| finding.verdict == Verdict::Holds) {
            continue;
        }
        // That no request was found to be accepted is not explained by a warning about the machine.
        let reason = if *stage == Stage::Request { failed } else { broken };
        let standing = standing(&of_stage, sight.as_ref(), reason);
        failed |= standing == Standing::Fail;
        // A warning too names a reason why a later stage does not work.
        broken |= matches!(standing, Standing::Fail | Standing::Warn);
        let seen = match sight {
            Some(Ok(sight)) => sight.words,
            // These details say by themselves what is not there.
            Some(Err(Unknown { why: Why::NotAsked | Why::Absent, detail })) => detail,
            Some(Err(unknown)) => unknown.to_string(),
            None => held(&of_stage),
        };
        links.push(Link { stage: *stage, standing, seen, blocked_by: None });
    }
    links
}

/// Names of each blocked stage the one that blocks it: that of the first cause that lies before it, else the first one
/// before it that failed, else the first of which a warning holds.
pub fn blame(links: &mut [Link], causes: &[Diagnosis]) {
    for place in 0..links.len() {
        let (before, [link, ..]) = links.split_at_mut(place) else { break };
        if link.standing != Standing::Blocked {
            continue;
        }
        let stands = |standing: Standing| before.iter().find(|one| one.standing == standing).map(|one| one.stage);
        let failed =
            |cause: &&Diagnosis| before.iter().any(|one| one.stage == cause.stage && one.standing == Standing::Fail);
        let cause = causes.iter().find(failed).map(|cause| cause.stage);
        link.blocked_by = cause.or_else(|| stands(Standing::Fail)).or_else(|| stands(Standing::Warn));
    }
}

/// What holds at a stage, in the words of its checks.
fn held(findings: &[&Finding]) -> String {
    let holding = findings.iter().filter(|finding| finding.verdict == Verdict::Holds);
    holding.map(|finding| finding.brief.as_str()).collect::<Vec<_>>().join("; ")
}

/// A stage whose probe died on the way is not seen to work, whatever it told before.
fn cut_short(sight: Result<Sight, Unknown>, snapshot: &Snapshot, stage: Stage) -> Result<Sight, Unknown> {
    let Ok(sight) = sight else { return sight };
    let probe = match stage {
        Stage::Driver => "nvml",
        Stage::Cuda => "cuda",
        Stage::Runtime => "onnxruntime",
        _ => return Ok(sight),
    };
    let died = |outcome| matches!(outcome, Outcome::Crashed | Outcome::TimedOut);
    match snapshot.probes.iter().find(|record| record.id == probe && died(record.outcome)) {
        Some(record) => {
            let words = format!("{}; then {}: {}", sight.words, record.outcome.words(), record.detail);
            Ok(Sight { words, works: false })
        }
        None => Ok(sight),
    }
}

fn standing(findings: &[&Finding], sight: Option<&Result<Sight, Unknown>>, broken_before: bool) -> Standing {
    let holds = |severity| findings.iter().any(|f| f.verdict == Verdict::Holds && f.severity == severity);
    if holds(Severity::Fail) {
        return Standing::Fail;
    }
    if holds(Severity::Warn) {
        return Standing::Warn;
    }
    // A stage that no selected check judges is told, not judged.
    if findings.is_empty() {
        return Standing::NotApplicable;
    }
    // A stage passes only if something was seen there; a check that is ruled out from elsewhere is no sight of it.
    let works = match sight {
        Some(Err(Unknown { why: Why::NotAsked, .. })) | None => return Standing::NotApplicable,
        Some(Err(_)) => return Standing::Unknown,
        Some(Ok(sight)) => sight.works,
    };
    if !works {
        return if broken_before { Standing::Blocked } else { Standing::Unknown };
    }
    let undecided = |f: &&Finding| f.severity == Severity::Fail && matches!(f.verdict, Verdict::Unknown(_));
    match findings.iter().any(undecided) {
        true => Standing::Unknown,
        false => Standing::Pass,
    }
}
