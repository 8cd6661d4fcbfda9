use super::*;
use crate::check::{Checks, Severity};
use Confidence::{Likely, Possible, Proven};
use Severity::{Fail, Warn};
use proptest::prelude::*;

const CHECK: &str = include_str!("../../../checks/driver/vgpu-unlicensed.yaml");

/// A made-up check that holds.
#[derive(Debug, Clone)]
struct Made {
    id: String,
    severity: Severity,
    confidence: Confidence,
    explains: Vec<String>,
    symptom: bool,
}

fn made(id: &str, severity: Severity, confidence: Confidence, explains: &str) -> Made {
    let explains = explains.split_whitespace().map(str::to_owned).collect();
    Made { id: id.into(), severity, confidence, explains, symptom: false }
}

/// The checks as they were loaded from such files.
fn checks(made: &[Made]) -> Checks {
    let folder = tempfile::tempdir().unwrap();
    for one in made {
        let text: Vec<String> = CHECK
            .lines()
            .map(|line| match line.split_once(':').map(|(key, _)| key) {
                Some("id") => format!("id: {}\nsymptom: {}", one.id, one.symptom),
                Some("explains") => format!("explains: [{}]", one.explains.join(", ")),
                Some("confidence") => format!("confidence: {}", one.confidence.name()),
                _ => line.to_owned(),
            })
            .collect();
        let kept = |key: &str| text.iter().filter(|line| line.starts_with(key)).count();
        assert_eq!((kept("explains: "), kept("confidence: ")), (1, 1), "the fixture changed");
        std::fs::write(folder.path().join(format!("{}.yaml", one.id)), text.join("\n")).unwrap();
    }
    Checks::of_folder(folder.path()).unwrap()
}

fn diagnosed(made: &[Made]) -> Vec<Diagnosis> {
    let checks = checks(made);
    let finding = |one: &Made| Finding::bare(checks.get(&one.id).unwrap(), Verdict::Holds, one.severity);
    causes(&made.iter().map(finding).collect::<Vec<_>>())
}

/// The causes, with what each explains and what it could be besides.
fn told_of(made: &[Made]) -> Vec<String> {
    let could_be =
        |one: &Diagnosis| one.could_be.iter().map(|other| format!(" or {}", other.cause)).collect::<String>();
    diagnosed(made).iter().map(|one| format!("{}: {}{}", one.cause, one.explains.join(" "), could_be(one))).collect()
}

/// The same for checks that are alike sure.
fn told(checks: &[(&str, Severity, &str)]) -> Vec<String> {
    let likely = |(id, severity, explains): &(&str, Severity, &str)| made(id, *severity, Likely, explains);
    told_of(&checks.iter().map(likely).collect::<Vec<_>>())
}

#[test]
fn what_an_effect_explains_is_the_cause_s_too() {
    assert_eq!(told(&[("c", Fail, ""), ("b", Fail, "c"), ("a", Fail, "b")]), ["a: b c"]);
    assert_eq!(told(&[("a", Fail, "c"), ("b", Fail, "c"), ("c", Fail, "")]), ["a: c", "b: c"], "of two causes each");
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

#[test]
fn what_is_only_possible_stands_beside_what_is_surer_and_explains_as_much() {
    let beside = |severity, confidence, explains: &str| {
        let symptoms = [made("s", Fail, Likely, ""), made("t", Fail, Likely, "")];
        let causes = [made("a", Fail, Possible, "s"), made("b", severity, confidence, explains)];
        told_of(&[&symptoms[..], &causes[..]].concat())
    };
    assert_eq!(beside(Fail, Proven, "s t"), ["b: s t or a"], "though the other comes first");
    assert_eq!(beside(Fail, Likely, "s"), ["b: s or a", "t: "]);
    assert_eq!(beside(Fail, Possible, "s"), ["a: s", "b: s", "t: "], "of two alike neither gives way");
    assert_eq!(beside(Fail, Proven, "t"), ["a: s", "b: t"], "each explains its own");
    assert_eq!(beside(Warn, Proven, "s"), ["a: s", "t: ", "b: "], "a warning takes nothing from a failure");
    assert_eq!(told_of(&[made("a", Fail, Possible, ""), made("b", Fail, Proven, "")]), ["a: ", "b: "]);
}

#[test]
fn what_is_likely_is_a_cause_beside_what_is_proven() {
    let both = [made("s", Fail, Likely, ""), made("a", Fail, Likely, "s"), made("b", Fail, Proven, "s")];
    assert_eq!(told_of(&both), ["a: s", "b: s"]);
}

#[test]
fn a_symptom_is_no_cause_where_there_is_one() {
    let symptom = Made { symptom: true, ..made("a", Fail, Likely, "") };
    assert_eq!(told_of(&[symptom.clone(), made("b", Fail, Likely, "a")]), ["b: a"]);
    // One that does not explain it stands before it all the same.
    assert_eq!(told_of(&[symptom.clone(), made("b", Fail, Likely, "")]), ["b: ", "a: "]);
    assert_eq!(told_of(&[symptom.clone(), made("b", Warn, Likely, "a")]), ["a:  or b", "b: "]);
    let alone = diagnosed(&[symptom]);
    assert!(alone[0].symptom && alone.len() == 1);
    assert!(!diagnosed(&[made("b", Fail, Likely, "")])[0].symptom);
}

prop_compose! {
    /// Any checks that hold, also such that explain one another in a circle.
    fn any_checks()(rows in prop::collection::vec(
        (any::<bool>(), 0..3, any::<bool>(), prop::collection::vec(0usize..9, 0..4)), 1..9,
    )) -> Vec<Made> {
        let named = |(place, (fails, sure, symptom, explains)): (usize, &(bool, i32, bool, Vec<usize>))| Made {
            id: format!("c{place}"),
            severity: if *fails { Fail } else { Warn },
            confidence: [Possible, Likely, Proven][*sure as usize],
            explains: if *symptom { Vec::new() } else { explains.iter().map(|one| format!("c{one}")).collect() },
            symptom: *symptom,
        };
        rows.iter().enumerate().map(named).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_finding_is_told_and_no_failure_is_hidden(made in any_checks()) {
        let causes = diagnosed(&made);
        let severity = |id: &str| made.iter().find(|one| one.id == id).unwrap().severity;
        for one in &made {
            let by: Vec<&Diagnosis> = causes.iter().filter(|cause| {
                cause.cause == one.id
                    || cause.explains.contains(&one.id)
                    || cause.could_be.iter().any(|other| other.cause == one.id)
            }).collect();
            prop_assert!(!by.is_empty(), "{} is told by nothing: {causes:?}", one.id);
            if one.severity == Fail {
                prop_assert!(by.iter().any(|cause| severity(&cause.cause) == Fail), "a warning hides {}", one.id);
            }
        }
    }

    #[test]
    fn a_cause_is_told_once_and_the_worst_comes_first(made in any_checks()) {
        let causes = diagnosed(&made);
        let ids: BTreeSet<&str> = causes.iter().map(|cause| cause.cause.as_str()).collect();
        prop_assert_eq!(ids.len(), causes.len());
        prop_assert!(!causes.is_empty());
        prop_assert!(causes.is_sorted_by_key(|cause| (Reverse(cause.severity), cause.symptom)));
        for cause in &causes {
            prop_assert!(!cause.explains.contains(&cause.cause));
            // What stands aside is not as sure as what it stands beside, or stands among the causes as a warning.
            for other in &cause.could_be {
                prop_assert!(cause.symptom || (other.confidence == Possible && !ids.contains(other.cause.as_str())));
            }
        }
    }

    /// Without circles, which may be begun anywhere, nothing that is explained stands among the causes.
    #[test]
    fn no_effect_is_a_cause_beside_its_cause(made in any_checks()) {
        let acyclic: Vec<Made> = made.iter().map(|one| Made {
            explains: one.explains.iter().filter(|id| **id > one.id).cloned().collect(), ..one.clone()
        }).collect();
        let causes = diagnosed(&acyclic);
        let ids: BTreeSet<&str> = causes.iter().map(|cause| cause.cause.as_str()).collect();
        for cause in &causes {
            prop_assert!(!cause.explains.iter().any(|id| ids.contains(id.as_str())), "{causes:?}");
        }
    }

    #[test]
    fn the_order_of_the_findings_does_not_matter((made, other) in any_checks().prop_flat_map(|made| {
        (Just(made.clone()), Just(made).prop_shuffle())
    })) {
        prop_assert_eq!(diagnosed(&made), diagnosed(&other));
    }
}
