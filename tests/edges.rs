//! Every `explains` of the checks, with both ends holding: the effect is never told as a cause beside its cause.

#[allow(dead_code)]
#[path = "setup/cases.rs"]
mod cases;

use cases::{Case, Cases, cases, fixtures, snapshot};
use gpu_doctor::check::{Check, Checks, Severity};
use gpu_doctor::diagnosis::{Diagnosed, diagnose};
use gpu_doctor::snapshot::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// Edges of which both ends must have been seen to hold together, percent of all.
const EXERCISED_PERCENT: usize = 85;

/// Edges that are named where they are not exercised.
const NAMED: usize = 40;

/// What is wrong with a diagnosis: causes that another listed cause explains and is as bad as.
fn effects_among_causes(diagnosed: &Diagnosed, checks: &Checks) -> Vec<String> {
    let mut wrong = Vec::new();
    for cause in &diagnosed.diagnoses {
        let explains = &checks.get(&cause.cause).expect("a cause is a check").spec.explains;
        let effects = diagnosed.diagnoses.iter().filter(|one| one.severity <= cause.severity);
        wrong.extend(
            effects
                .filter(|one| explains.contains(&one.cause))
                .map(|one| format!("{} beside {}", one.cause, cause.cause)),
        );
    }
    wrong
}

fn holding(diagnosed: &Diagnosed) -> BTreeSet<&str> {
    diagnosed.findings.iter().filter(|one| one.verdict == "holds").map(|one| one.check.as_str()).collect()
}

/// Both ends of an edge in one snapshot: the facts of two cases on the base of the one or of the other.
fn both(cause: &Case, effect: &Case) -> [Snapshot; 2] {
    let joined = |first: &Case, second: &Case| {
        let mut case = Case { base: second.base.clone(), ..Case::default() };
        for part in [first, second] {
            case.facts.extend(part.facts.clone());
            case.target.extend(part.target.clone());
        }
        snapshot(&case)
    };
    [joined(effect, cause), joined(cause, effect)]
}

/// The cases in which a check holds, the plainest first.
fn cases_of(id: &str) -> Vec<Case> {
    let Cases { holds, more, .. } = cases(&fixtures().join("checks").join(format!("{id}.yaml")));
    let further = more.into_values().filter(|case| case.verdict.as_deref() == Some("holds"));
    [holds].into_iter().chain(further).take(2).collect()
}

/// What came of the edges of some checks.
#[derive(Default)]
struct Exercised {
    edges: usize,
    unseen: Vec<String>,
    wrong: Vec<String>,
}

fn exercise(some: &[&Check], of_check: &BTreeMap<&str, Vec<Case>>) -> Exercised {
    let mut exercised = Exercised::default();
    for check in some {
        let spec = &check.spec;
        // Only the ends are judged: what else holds in a made-up snapshot is not asked.
        let only: Vec<String> = spec.explains.iter().chain([&spec.id]).cloned().collect();
        let checks = Checks::load(None).unwrap().select(&only, &[]).unwrap();
        for effect in &spec.explains {
            exercised.edges += 1;
            let causes = of_check[spec.id.as_str()].iter();
            let mut made =
                causes.flat_map(|cause| of_check[effect.as_str()].iter().flat_map(|effect| both(cause, effect)));
            let seen = made.find_map(|snapshot| {
                let diagnosed = diagnose(&checks, &snapshot).unwrap();
                let holding = holding(&diagnosed);
                (holding.contains(spec.id.as_str()) && holding.contains(effect.as_str())).then_some(diagnosed)
            });
            match seen {
                None => exercised.unseen.push(format!("{} -> {effect}", spec.id)),
                Some(diagnosed) => exercised.wrong.extend(wrong(&diagnosed, &checks, &spec.id, effect)),
            }
        }
    }
    exercised
}

/// What is wrong where both ends of an edge hold. A warning does not swallow a failure.
fn wrong(diagnosed: &Diagnosed, checks: &Checks, cause: &str, effect: &str) -> Vec<String> {
    let mut wrong = effects_among_causes(diagnosed, checks);
    let told = |id: &str| diagnosed.diagnoses.iter().find(|one| one.cause == id);
    if told(effect).is_some() && told(cause).is_none_or(|one| one.severity == Severity::Fail) {
        wrong.push(format!("{effect} is told although {cause} holds"));
    }
    wrong
}

#[test]
fn no_effect_is_told_as_a_cause_beside_its_cause() {
    let all = Checks::load(None).unwrap();
    let of_check: BTreeMap<&str, Vec<Case>> =
        all.iter().map(|check| (check.spec.id.as_str(), cases_of(&check.spec.id))).collect();
    let explaining: Vec<&Check> = all.iter().filter(|check| !check.spec.explains.is_empty()).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<Exercised> = std::thread::scope(|scope| {
        let shares = explaining.chunks(explaining.len().div_ceil(cores));
        let threads: Vec<_> = shares.map(|some| scope.spawn(|| exercise(some, &of_check))).collect();
        threads.into_iter().map(|thread| thread.join().expect("its judgement ended")).collect()
    });
    let edges: usize = parts.iter().map(|part| part.edges).sum();
    let unseen: Vec<&String> = parts.iter().flat_map(|part| &part.unseen).collect();
    let exercised = edges - unseen.len();
    println!("{exercised} of {edges} edges are exercised; not:");
    unseen.iter().take(NAMED).for_each(|edge| println!("  {edge}"));
    assert_eq!(parts.iter().flat_map(|part| &part.wrong).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(exercised * 100 >= edges * EXERCISED_PERCENT, "{exercised} of {edges} edges are exercised");
}
