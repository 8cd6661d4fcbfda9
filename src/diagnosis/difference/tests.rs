use super::causes::Weight;
use super::leaves::differing;
use super::worth::{Kind, Worth, worth, written};
use super::*;
use crate::check::{Confidence, Severity};
use crate::snapshot::Stage;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Every path of a fact, with `*` for the names of a map.
fn paths(root: &Value, schema: &Value, path: String, open: &mut Vec<String>, all: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        if open.iter().any(|one| one == reference) {
            return;
        }
        open.push(reference.into());
        paths(root, root.pointer(&reference[1..]).unwrap(), path, open, all);
        open.pop();
        return;
    }
    let alternatives = ["oneOf", "anyOf"].iter().filter_map(|key| schema[key].as_array()).flatten();
    for one in alternatives {
        let known = one.pointer("/properties/known");
        if known.is_some() || one.pointer("/properties/unknown").is_none() {
            paths(root, known.unwrap_or(one), path.clone(), open, all);
        }
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        paths(root, schema, below(name), open, all);
    }
    if schema["items"].is_object() {
        paths(root, &schema["items"], format!("{path}[]"), open, all);
    }
    if schema["additionalProperties"].is_object() {
        paths(root, &schema["additionalProperties"], below("NAME"), open, all);
    }
    all.insert(path);
}

#[test]
fn every_fact_of_the_table_exists() {
    let schema = crate::snapshot::json_schema();
    let mut all = BTreeSet::new();
    paths(&schema, &schema["properties"]["facts"], String::new(), &mut Vec::new(), &mut all);
    assert!(all.len() > 800, "{}", all.len());
    for pattern in written() {
        // What holds in any room need not stand in one.
        let anywhere = pattern.starts_with("**.");
        let glob =
            regex::escape(&pattern).replace(r"\*\*\.", r"(?:.+\.)?").replace(r"\*\*", ".+").replace(r"\*", "[^.]*");
        let glob = regex::Regex::new(&format!("^{glob}$")).unwrap();
        assert!(anywhere || all.iter().any(|path| glob.is_match(path)), "no fact is called {pattern}");
    }
}

#[test]
fn the_first_entry_that_fits_counts() {
    assert_eq!(worth("host.driver_version"), Worth::Told(Kind::Driver));
    assert_eq!(worth("packages.distributions[].version"), Worth::Told(Kind::Package));
    assert_eq!(worth("packages.distributions[].installed_at"), Worth::Noise);
    assert_eq!(worth("process.processes[].pid"), Worth::Noise);
    assert_eq!(worth("process.processes[].started_at"), Worth::Told(Kind::Server));
    assert_eq!(
        worth("execution.gpus[].utilization_percent.during.mean"),
        Worth::Measured { absolute: 10.0, relative: 0.0 }
    );
    assert_eq!(worth("execution.gpus[].utilization_percent.before.mean"), Worth::Noise);
    assert_eq!(worth("host.os_name"), Worth::Unlisted);
}

#[test]
fn items_are_matched_by_name_and_else_by_place() {
    let leaves = |before: Value, after: Value| {
        let all = differing(&before, &after);
        all.iter()
            .map(|leaf| (leaf.path.clone(), leaf.fact.clone(), leaf.before.cloned(), leaf.after.cloned()))
            .collect::<Vec<_>>()
    };
    let found = leaves(
        json!({"packages": [{"name": "a", "version": "1"}, {"name": "b", "version": "1"}]}),
        json!({"packages": [{"name": "c", "version": "3"}, {"name": "b", "version": "2"}]}),
    );
    let told: Vec<&str> = found.iter().map(|leaf| leaf.0.as_str()).collect();
    let expected =
        ["packages[a].name", "packages[a].version", "packages[b].version", "packages[c].name", "packages[c].version"];
    assert_eq!(told, expected);
    assert!(found.iter().all(|leaf| leaf.1.starts_with("packages[].")));
    assert_eq!((found[2].2.clone(), found[2].3.clone()), (Some(json!("1")), Some(json!("2"))));
    // Two of one name have no name of their own.
    let twins = json!({"x": [{"name": "a", "n": 1}, {"name": "a", "n": 2}]});
    assert_eq!(leaves(twins.clone(), twins.clone()), []);
    assert_eq!(leaves(twins, json!({"x": [{"name": "a", "n": 1}, {"name": "a", "n": 3}]}))[0].0, "x[1].n");
    // Plain values are one leaf, and what changed its shape is one too.
    assert_eq!(leaves(json!({"p": ["A", "B"]}), json!({"p": ["B"]})).len(), 1);
    assert_eq!(leaves(json!({"p": {"a": 1}}), json!({"p": "text"})).len(), 1);
    assert_eq!(leaves(json!({"p": {"a": 1}}), json!({})), [("p.a".into(), "p.a".into(), Some(json!(1)), None)]);
}

fn cause(moved: Moved, before: Option<Severity>, after: Option<Severity>) -> Cause {
    let weight = |severity: Severity| Weight { severity, confidence: Confidence::Proven, waived: false };
    Cause {
        cause: "a-cause".into(),
        stage: Stage::Runtime,
        moved,
        brief: "so".into(),
        before: before.map(weight),
        after: after.map(weight),
        why: String::new(),
        weight_unknown: false,
        waived: None,
        subjects: None,
    }
}

#[test]
fn what_it_comes_to() {
    use Severity::{Fail, Warn};
    use Verdict::{Healthy, Undecided, Unhealthy};
    let new = || cause(Moved::New, None, Some(Fail));
    let gone = || cause(Moved::Gone, Some(Fail), None);
    let still = || cause(Moved::Still, Some(Fail), Some(Fail));
    let cases = [
        (Healthy, Healthy, vec![], Outcome::Same, "the same: nothing is wrong in either"),
        (Unhealthy, Healthy, vec![gone()], Outcome::Better, "better: the cause a-cause is gone; nothing new"),
        (Unhealthy, Undecided, vec![gone()], Outcome::Better, "better: the cause a-cause is gone; nothing new"),
        (Healthy, Unhealthy, vec![new()], Outcome::Worse, "worse: the cause a-cause is new"),
        (
            Unhealthy,
            Unhealthy,
            vec![new(), gone()],
            Outcome::Worse,
            "worse: the cause a-cause is new; the cause a-cause is gone",
        ),
        (Unhealthy, Unhealthy, vec![still()], Outcome::Same, "the same: the cause a-cause is still there"),
        (
            Unhealthy,
            Undecided,
            vec![cause(Moved::NoLongerKnown, Some(Fail), None)],
            Outcome::Undecided,
            "it cannot be told: the cause a-cause is no longer known to be there or not",
        ),
        (
            Unhealthy,
            Unhealthy,
            vec![cause(Moved::NowKnown, None, Some(Fail)), gone()],
            Outcome::Undecided,
            "it cannot be told: the cause a-cause is gone; the cause a-cause is seen now and could not be seen before",
        ),
        // A pipeline that was green is red.
        (Healthy, Unhealthy, vec![cause(Moved::NowKnown, None, Some(Fail))], Outcome::Worse, "worse: "),
        (Healthy, Undecided, vec![], Outcome::Undecided, "it cannot be told: what was healthy can no longer be told"),
        (Undecided, Healthy, vec![], Outcome::Better, "better: what could not be decided is healthy"),
        (Undecided, Undecided, vec![], Outcome::Same, "the same: neither could be decided"),
        (
            Healthy,
            Healthy,
            vec![cause(Moved::New, None, Some(Warn))],
            Outcome::Changed,
            "neither better nor worse: the warning a-cause is new",
        ),
        (
            Healthy,
            Healthy,
            vec![cause(Moved::Gone, Some(Warn), None)],
            Outcome::Better,
            "better: the warning a-cause is gone",
        ),
        (
            Healthy,
            Unhealthy,
            vec![cause(Moved::Still, Some(Warn), Some(Fail))],
            Outcome::Worse,
            "worse: the cause a-cause is a failure now, no longer a warning",
        ),
        (
            Unhealthy,
            Healthy,
            vec![cause(Moved::Still, Some(Fail), Some(Warn))],
            Outcome::Better,
            "better: the cause a-cause is only a warning now",
        ),
    ];
    for (before, after, causes, comes_to, says) in cases {
        let found = outcome(before, after, &causes, Unseen::default());
        assert_eq!(found, comes_to, "{before:?} {after:?} {causes:?}");
        let headline = words::headline(found, before, after, &causes, Unseen::default());
        assert!(headline.starts_with(says), "{headline}");
    }
}

#[test]
fn what_is_only_unknown_is_not_called_nothing() {
    use Verdict::{Healthy, Undecided, Unhealthy};
    let gone = || vec![cause(Moved::Gone, Some(Severity::Fail), None)];
    let unseen = |unknown, failures, inapplicable| Unseen { unknown, failures, inapplicable };
    let cases = [
        (
            (Unhealthy, Undecided, gone(), unseen(2, 1, 0)),
            Outcome::Undecided,
            "it cannot be told: the cause a-cause is gone; nothing new among what is known; 2 checks are no longer known",
        ),
        // Only warnings are in doubt, or all is well without them.
        (
            (Unhealthy, Undecided, gone(), unseen(1, 0, 0)),
            Outcome::Better,
            "better: the cause a-cause is gone; nothing new among what is known; 1 check is no longer known",
        ),
        (
            (Unhealthy, Healthy, gone(), unseen(1, 1, 3)),
            Outcome::Better,
            "better: the cause a-cause is gone; nothing new among what is known; 1 check is no longer known; 3 checks no \
             longer apply",
        ),
        (
            (Healthy, Healthy, vec![], unseen(0, 0, 1)),
            Outcome::Same,
            "the same: nothing is known to be wrong in either; 1 check no longer applies",
        ),
        (
            (
                Unhealthy,
                Unhealthy,
                vec![cause(Moved::Still, Some(Severity::Fail), Some(Severity::Fail))],
                unseen(1, 1, 0),
            ),
            Outcome::Undecided,
            "it cannot be told: the cause a-cause is still there; 1 check is no longer known",
        ),
    ];
    for ((before, after, causes, unseen), comes_to, says) in cases {
        let found = outcome(before, after, &causes, unseen);
        assert_eq!((found, words::headline(found, before, after, &causes, unseen).as_str()), (comes_to, says));
    }
}

#[test]
fn a_waiver_alone_is_neither_better_nor_worse() {
    use Severity::Fail;
    use Verdict::{Healthy, Unhealthy};
    let with = |moved, before: Option<bool>, after: Option<bool>| {
        let mut cause = cause(moved, before.map(|_| Fail), after.map(|_| Fail));
        cause.before.iter_mut().for_each(|weight| weight.waived = before == Some(true));
        cause.after.iter_mut().for_each(|weight| weight.waived = after == Some(true));
        vec![cause]
    };
    let cases = [
        (
            Unhealthy,
            Healthy,
            with(Moved::Still, Some(false), Some(true)),
            Outcome::Changed,
            "still there, and waived now",
        ),
        (Healthy, Unhealthy, with(Moved::Still, Some(true), Some(false)), Outcome::Worse, "and no longer waived"),
        (
            Healthy,
            Healthy,
            with(Moved::Still, Some(true), Some(true)),
            Outcome::Same,
            "the cause a-cause is still there",
        ),
        (Healthy, Healthy, with(Moved::New, None, Some(true)), Outcome::Changed, "the cause a-cause is new"),
        (Healthy, Healthy, with(Moved::NoLongerKnown, Some(true), None), Outcome::Changed, "no longer known"),
        (Healthy, Healthy, with(Moved::Gone, Some(true), None), Outcome::Better, "gone; nothing new"),
    ];
    for (before, after, causes, comes_to, says) in cases {
        let found = outcome(before, after, &causes, Unseen::default());
        assert_eq!(found, comes_to, "{says}");
        let headline = words::headline(found, before, after, &causes, Unseen::default());
        assert!(headline.contains(says), "{headline}");
    }
}
