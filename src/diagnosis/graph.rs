//! Which findings are causes, which are explained by others, and in which order causes stand.

use super::Diagnosis;
use crate::check::{Finding, Verdict};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The causes among the findings that hold, first the one to mend first.
///
/// A finding that another one explains is no cause of its own, unless the other is only a warning and it is a failure: a
/// warning may be wrong about how bad things are, and must not swallow what is worse. What an explained finding explains
/// is the cause's too. Rank: failures before warnings; then what starves the model of work before what decides where the
/// work would run, because while no request reaches the model, nothing that comes after can show; then the order of the
/// stages.
pub fn causes(findings: &[Finding]) -> Vec<Diagnosis> {
    let mut holding: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Verdict::Holds).collect();
    holding.sort_by_key(|finding| {
        let spec = &finding.check.spec;
        (Reverse(finding.severity), !spec.starves, spec.stage, &spec.id)
    });
    let explained: Vec<BTreeSet<usize>> = (0..holding.len()).map(|from| explained_by(from, &holding)).collect();
    let is_explained = |one: &usize| explained.iter().enumerate().any(|(by, ones)| by != *one && ones.contains(one));
    let mut causes: Vec<usize> = (0..holding.len()).filter(|one| !is_explained(one)).collect();
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
    let ids = |ones: &BTreeSet<usize>| {
        let mut ones: Vec<&Finding> = ones.iter().map(|one| holding[*one]).collect();
        ones.sort_by_key(|one| (one.check.spec.stage, &one.check.spec.id));
        ones.into_iter().map(|one| one.check.spec.id.clone()).collect()
    };
    causes.into_iter().map(|cause| diagnosis(holding[cause], ids(&explained[cause]))).collect()
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

fn diagnosis(finding: &Finding, explains: Vec<String>) -> Diagnosis {
    let spec = &finding.check.spec;
    Diagnosis {
        cause: spec.id.clone(),
        stage: spec.stage,
        severity: finding.severity,
        confidence: finding.confidence,
        brief: finding.brief.clone(),
        because: finding.because.clone(),
        subjects: finding.subjects.clone(),
        evidence: finding.evidence.clone(),
        explains,
        fix: finding.fix.clone(),
        verify: finding.verify.clone(),
        ruled_out: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Checks, Severity};
    use Severity::{Fail, Warn};

    const CHECK: &str = include_str!("../../checks/driver/vgpu-unlicensed.yaml");

    /// The causes, with what each explains, if checks of these ids and severities hold and explain these others.
    fn told(checks: &[(&str, Severity, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (id, _, explains) in checks {
            let text: Vec<String> = CHECK
                .lines()
                .map(|line| match line.split_once(':').map(|(key, _)| key) {
                    Some("id") => format!("id: {id}"),
                    Some("explains") => format!("explains: [{explains}]"),
                    _ => line.to_owned(),
                })
                .collect();
            assert_eq!(text.iter().filter(|line| line.starts_with("explains: ")).count(), 1, "the fixture changed");
            std::fs::write(folder.path().join(format!("{id}.yaml")), text.join("\n")).unwrap();
        }
        let loaded = Checks::of_folder(folder.path()).unwrap();
        let findings: Vec<Finding> = checks
            .iter()
            .map(|(id, severity, _)| Finding::bare(loaded.get(id).unwrap(), Verdict::Holds, *severity))
            .collect();
        causes(&findings).iter().map(|one| format!("{}: {}", one.cause, one.explains.join(" "))).collect()
    }

    #[test]
    fn what_an_effect_explains_is_the_cause_s_too() {
        assert_eq!(told(&[("c", Fail, ""), ("b", Fail, "c"), ("a", Fail, "b")]), ["a: b c"]);
        assert_eq!(
            told(&[("a", Fail, "c"), ("b", Fail, "c"), ("c", Fail, "")]),
            ["a: c", "b: c"],
            "of two causes each"
        );
        assert_eq!(told(&[("a", Fail, "not-there"), ("b", Fail, "")]), ["a: ", "b: "], "independent ones stay");
    }

    #[test]
    fn a_warning_swallows_no_failure() {
        assert_eq!(told(&[("a", Warn, "b"), ("b", Fail, "")]), ["b: ", "a: "]);
        assert_eq!(told(&[("a", Warn, "b"), ("b", Warn, "")]), ["a: b"]);
        assert_eq!(told(&[("a", Fail, "b"), ("b", Warn, "c"), ("c", Fail, "")]), ["a: b", "c: "], "nor by way of one");
    }

    #[test]
    fn a_circle_still_has_a_cause() {
        assert_eq!(told(&[("a", Fail, "b"), ("b", Fail, "a")]), ["a: b"]);
        assert_eq!(told(&[("a", Fail, "a")]), ["a: "]);
        assert_eq!(told(&[("a", Fail, "b"), ("b", Fail, "c"), ("c", Fail, "b")]), ["a: b c"]);
        assert_eq!(told(&[("a", Fail, "b"), ("b", Fail, "a"), ("c", Fail, "")]), ["a: b", "c: "]);
    }
}
