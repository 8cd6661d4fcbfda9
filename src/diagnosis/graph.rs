//! Which findings are causes, which are explained by others, and in which order causes stand.

use super::{Diagnosis, Possibility};
use crate::check::{Confidence, Finding, Verdict};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// The causes among the findings that hold, first the one to mend first.
///
/// A finding that another one explains is no cause of its own, unless the other is only a warning and it is a failure: a
/// warning may be wrong about how bad things are, and must not swallow what is worse. What an explained finding explains
/// is the cause's too. A finding that is only possible, and all of whose effects a better proven cause explains as well,
/// is told with that one: the facts do not ask for a second cause. What is likely stands for itself, since most such
/// findings are faults that were seen, and of two faults both must be mended.
///
/// Rank: failures before warnings; a symptom without a cause after the causes; then what starves the model of work before
/// what decides where the work would run, because while no request reaches the model, nothing that comes after can show;
/// then the order of the stages.
pub fn causes(findings: &[Finding]) -> Vec<Diagnosis> {
    let holding = ranked(findings);
    let explained: Vec<BTreeSet<usize>> = (0..holding.len()).map(|from| explained_by(from, &holding)).collect();
    let causes = unexplained(&explained);
    let aside = aside(&causes, &holding, &explained);
    let told = causes.iter().filter(|cause| !aside.contains_key(cause));
    told.map(|cause| {
        let mut one = diagnosis(holding[*cause], ids(&explained[*cause], &holding));
        let beside = aside.iter().filter(|(_, by)| *by == cause).map(|(possible, _)| holding[*possible]);
        one.could_be = beside.chain(warnings_about(holding[*cause], &holding)).map(possibility).collect();
        one
    })
    .collect()
}

/// The findings that hold, the worst and earliest in front.
fn ranked<'f, 'c>(findings: &'f [Finding<'c>]) -> Vec<&'f Finding<'c>> {
    let mut holding: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Verdict::Holds).collect();
    holding.sort_by_key(|finding| {
        let spec = &finding.check.spec;
        (Reverse(finding.severity), spec.symptom, !spec.starves, spec.stage, &spec.id)
    });
    holding
}

/// Places of what this finding explains, by others or at once; never its own.
fn explained_by(from: usize, holding: &[&Finding]) -> BTreeSet<usize> {
    let (mut reached, mut open) = (BTreeSet::from([from]), vec![from]);
    while let Some(by) = open.pop().and_then(|place| holding.get(place)) {
        let is_meant =
            |other: &Finding| other.severity <= by.severity && by.check.spec.explains.contains(&other.check.spec.id);
        let next = holding.iter().enumerate().filter(|(_, other)| is_meant(other)).map(|(place, _)| place);
        open.extend(next.filter(|place| reached.insert(*place)));
    }
    reached.remove(&from);
    reached
}

/// Places of what nothing explains.
fn unexplained(explained: &[BTreeSet<usize>]) -> Vec<usize> {
    let is_explained = |one: &usize| explained.iter().enumerate().any(|(by, ones)| by != *one && ones.contains(one));
    let mut causes: Vec<usize> = (0..explained.len()).filter(|one| !is_explained(one)).collect();
    let mut told: BTreeSet<usize> =
        causes.iter().flat_map(|cause| &explained[*cause]).chain(&causes).copied().collect();
    // Findings of one's own checks may explain each other in a circle, which has no beginning: the first stands for it.
    for (one, effects) in explained.iter().enumerate() {
        if told.insert(one) {
            causes.push(one);
            told.extend(effects);
        }
    }
    causes.sort_unstable();
    causes
}

/// Causes that are only possible and that nothing asks for beside a better proven one, each with that one.
fn aside(causes: &[usize], holding: &[&Finding], explained: &[BTreeSet<usize>]) -> BTreeMap<usize, usize> {
    let is_only_possible = |one: usize| holding[one].confidence == Confidence::Possible;
    let suffices = |by: usize, one: usize| {
        !is_only_possible(by)
            && holding[by].severity >= holding[one].severity
            && explained[one].is_subset(&explained[by])
    };
    let possible = causes.iter().filter(|one| is_only_possible(**one) && !explained[**one].is_empty());
    possible.filter_map(|one| Some((*one, *causes.iter().find(|by| suffices(**by, *one))?))).collect()
}

/// Of a symptom without a cause: the warnings that would explain it, if they were as bad.
fn warnings_about<'f, 'c>(
    symptom: &'f Finding<'c>,
    holding: &'f [&'f Finding<'c>],
) -> impl Iterator<Item = &'f Finding<'c>> {
    let of = &symptom.check.spec;
    let holding = if of.symptom { holding } else { &[] };
    let about = |other: &&&Finding| other.severity < symptom.severity && other.check.spec.explains.contains(&of.id);
    holding.iter().filter(about).copied()
}

/// Their ids, in the order of the stages.
fn ids(places: &BTreeSet<usize>, holding: &[&Finding]) -> Vec<String> {
    let mut ones: Vec<&Finding> = places.iter().map(|one| holding[*one]).collect();
    ones.sort_by_key(|one| (one.check.spec.stage, &one.check.spec.id));
    ones.into_iter().map(|one| one.check.spec.id.clone()).collect()
}

fn possibility(finding: &Finding) -> Possibility {
    Possibility { cause: finding.check.spec.id.clone(), confidence: finding.confidence, brief: finding.brief.clone() }
}

fn diagnosis(finding: &Finding, explains: Vec<String>) -> Diagnosis {
    let spec = &finding.check.spec;
    Diagnosis {
        cause: spec.id.clone(),
        stage: spec.stage,
        symptom: spec.symptom,
        severity: finding.severity,
        confidence: finding.confidence,
        grounds: String::new(),
        brief: finding.brief.clone(),
        because: finding.because.clone(),
        subjects: finding.subjects.clone(),
        evidence: finding.evidence.clone(),
        explains,
        could_be: Vec::new(),
        fix: finding.fix.clone(),
        verify: finding.verify.clone(),
        ruled_out: Vec::new(),
        waived: None,
    }
}
