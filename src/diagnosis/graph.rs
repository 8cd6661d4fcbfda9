//! Which findings are causes, which are explained by others, and in which order causes stand.

use super::Diagnosis;
use crate::check::{Finding, Severity, Verdict};
use std::collections::BTreeSet;

/// The causes among the findings that hold, first the one to mend first.
///
/// A finding that another, unexplained one explains is no cause of its own. Rank: failures before warnings; then what
/// starves the model of work before what decides where the work would run, because while no request reaches the model,
/// nothing that comes after can show; then the order of the stages.
pub fn causes(findings: &[Finding]) -> Vec<Diagnosis> {
    let holding: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Verdict::Holds).collect();
    let explained: BTreeSet<&str> = holding
        .iter()
        .filter(|finding| finding.severity == Severity::Fail)
        .flat_map(|finding| explains(finding, &holding))
        .collect();
    let mut causes: Vec<&&Finding> = holding.iter().filter(|finding| !explained.contains(id(finding))).collect();
    causes.sort_by_key(|finding| {
        let spec = &finding.check.spec;
        (std::cmp::Reverse(finding.severity), !spec.starves, spec.stage, &spec.id)
    });
    causes.into_iter().map(|finding| diagnosis(finding, explains(finding, &holding).collect())).collect()
}

/// Ids of the holding findings that this one explains.
fn explains<'a>(finding: &'a Finding, holding: &'a [&Finding]) -> impl Iterator<Item = &'a str> {
    let explains = &finding.check.spec.explains;
    holding.iter().map(|other| id(other)).filter(move |other| explains.iter().any(|explained| explained == other))
}

fn id<'a>(finding: &'a Finding) -> &'a str {
    &finding.check.spec.id
}

fn diagnosis(finding: &Finding, explains: Vec<&str>) -> Diagnosis {
    let spec = &finding.check.spec;
    Diagnosis {
        cause: spec.id.clone(),
        stage: spec.stage,
        severity: finding.severity,
        confidence: spec.confidence,
        brief: finding.brief.clone(),
        because: finding.because.clone(),
        subjects: finding.subjects.clone(),
        evidence: finding.evidence.clone(),
        explains: explains.into_iter().map(str::to_string).collect(),
        fix: finding.fix.clone(),
        verify: finding.verify.clone(),
    }
}
