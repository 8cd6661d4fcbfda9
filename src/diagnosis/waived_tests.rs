use super::*;
use crate::check::Checks;
use crate::diagnosis::diagnose;
use crate::snapshot::Snapshot;

fn judged(base: &str, waivers: &[(&str, &str)]) -> Diagnosed {
    let file = format!("{}/fixtures/snapshots/{base}.json", env!("CARGO_MANIFEST_DIR"));
    let mut snapshot: Snapshot = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    snapshot.taken_at = "2027-01-31T23:59:59Z".into();
    let mut diagnosed = diagnose(&Checks::load(None).unwrap(), &snapshot).unwrap();
    let waiver = |(id, until): &(&str, &str)| Waiver {
        id: (*id).into(),
        reason: "a new image comes".into(),
        until: until.parse().unwrap(),
        place: String::new(),
    };
    let waivers: Vec<Waiver> = waivers.iter().map(waiver).collect();
    waive(&mut diagnosed, &waivers, &snapshot.taken_at);
    diagnosed
}

fn failing(diagnosed: &Diagnosed) -> Vec<String> {
    let failing = diagnosed.diagnoses.iter().filter(|one| one.severity == Severity::Fail);
    failing.map(|one| one.cause.clone()).collect()
}

#[test]
fn a_waived_cause_is_told_and_does_not_count() {
    let plain = judged("cpu-package", &[]);
    let ids = failing(&plain);
    let waivers: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "2027-01-31")).collect();
    let waived = judged("cpu-package", &waivers);
    assert_eq!(
        (plain.counted(), waived.verdict),
        (Verdict::Unhealthy, Verdict::Unhealthy),
        "the diagnosis is the same"
    );
    assert_ne!(waived.counted(), Verdict::Unhealthy);
    assert!(waived.headline.contains("apart from what is waived"), "{}", waived.headline);
    assert!(waived.headline.contains(&plain.headline), "{}", waived.headline);
    let mark = waived.diagnoses[0].waived.as_ref().unwrap();
    assert_eq!((mark.reason.as_str(), mark.until.as_str()), ("a new image comes", "2027-01-31"));
    assert_eq!(waived.waivers[0].said, format!("{} is waived until 2027-01-31: a new image comes", ids[0]));
}

#[test]
fn on_the_day_after_it_fails() {
    let id = failing(&judged("cpu-package", &[]))[0].clone();
    let late = judged("cpu-package", &[(&id, "2027-01-30")]);
    assert_eq!((late.counted(), late.waivers[0].standing), (Verdict::Unhealthy, WaiverStanding::Expired));
    assert!(late.diagnoses[0].waived.is_none());
    assert!(late.headline.ends_with(&format!("waiver expired: {id} (2027-01-30)")), "{}", late.headline);
}

#[test]
fn one_of_two_causes_that_is_waived_leaves_the_other() {
    let plain = judged("a1", &[]);
    let ids = failing(&plain);
    assert!(ids.len() > 1, "{ids:?}");
    let one = judged("a1", &[(&ids[1], "2028-01-01")]);
    assert_eq!(one.counted(), Verdict::Unhealthy);
    assert!(
        one.headline.starts_with(&plain.headline)
            && one.headline.ends_with(&format!("waived until 2028-01-01: {}", ids[1]))
    );
}

#[test]
fn a_waiver_that_matches_nothing_is_told_and_fails_nothing() {
    let healthy = judged("healthy-server", &[("ort-cpu-package-only", "2020-01-01")]);
    assert_eq!((healthy.counted(), healthy.waivers[0].standing), (Verdict::Healthy, WaiverStanding::Unused));
    let said =
        "the waiver of ort-cpu-package-only is not used: ort-cpu-package-only was not found; it expired on 2020-01-01";
    assert_eq!(healthy.waivers[0].said, said);
}

#[test]
fn without_a_day_of_the_facts_no_waiver_counts() {
    let mut diagnosed = judged("cpu-package", &[]);
    let id = failing(&diagnosed)[0].clone();
    let waiver = Waiver { id, reason: "x".into(), until: "2999-01-01".parse().unwrap(), place: String::new() };
    waive(&mut diagnosed, &[waiver], "some day");
    assert_eq!(diagnosed.counted(), Verdict::Unhealthy);
}
