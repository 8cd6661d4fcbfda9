//! The corpus: what the doctor says of every case in `fixtures/cases`, against what the case expects.
//!
//! `make corpus` prints the table; `fixtures/cases/README.md` tells what a case is.

#[allow(dead_code)]
#[path = "../setup/cases.rs"]
mod cases;
mod contradictions;
mod expect;
mod load;
mod mutations;
mod overlays;
mod reasons;
mod score;

use expect::{Kind, Said};
use gpu_doctor::check::Checks;
use gpu_doctor::cli::ReportFormat;
use gpu_doctor::diagnosis::diagnose;
use gpu_doctor::report::{Report, Style};
use gpu_doctor::snapshot::Snapshot;
use score::Table;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Least share of cases whose first cause is right, percent.
const FIRST_RIGHT_PERCENT: f64 = 95.0;
/// Cases of which something is not yet as meant, beside the first cause. A fault of the doctor each, to be mended.
const ASTRAY: &[&str] = &["cache-hits"];

#[test]
fn the_first_cause_is_right_and_no_healthy_one_is_accused() {
    let checks = Checks::load(None).unwrap();
    let mut table = Table::default();
    for case in load::all() {
        let diagnosed = diagnose(&checks, &case.snapshot).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        table.add(&case, &Said::of(&diagnosed));
        if std::env::var("GPU_DOCTOR_CASE").is_ok_and(|name| name == case.name) {
            let (mut out, style) = (Vec::new(), Style { verbose: true, ..Style::default() });
            Report::new(&case.snapshot, diagnosed).write(&case.snapshot, ReportFormat::Text, &style, &mut out).unwrap();
            println!("{}", String::from_utf8_lossy(&out));
        }
    }
    println!("{table}");
    let (first, of) = table.first_right();
    assert!(
        100.0 * first as f64 >= FIRST_RIGHT_PERCENT * of as f64,
        "the first cause is right in {first} of {of} cases"
    );
    assert_eq!(table.accused(Kind::Twin), Vec::<String>::new(), "healthy twins with a cause");
    assert_eq!(table.accused(Kind::Trap), Vec::<String>::new(), "traps that caught the doctor");
    assert_eq!(table.dishonest(), Vec::<String>::new(), "unknown, and told as known");
    assert_eq!(table.astray(), ASTRAY, "verdict, exit code, further causes or what is ruled out");
}

/// Causes without a case, each with the reason.
const WITHOUT_CASE: &[(&str, &str)] = &[];

/// What the project says it can find, the corpus must hold: each cause is expected of a case, first or among others.
#[test]
fn every_claimed_cause_has_a_case() {
    let cases = load::all();
    let expected = |id: &str| {
        cases.iter().map(|case| &case.expect).any(|case| case.first.iter().chain(&case.causes).any(|one| one == id))
    };
    let checks = Checks::load(None).unwrap();
    let claimed = checks.iter().filter(|check| !check.spec.symptom).map(|check| check.spec.id.as_str());
    let (with, without): (Vec<&str>, Vec<&str>) = claimed.partition(|id| expected(id));
    let excepted: Vec<&str> = WITHOUT_CASE.iter().map(|(id, _)| *id).collect();
    assert_eq!(without, excepted, "causes without a case, and those that are excepted, in the order of the checks");
    assert!(WITHOUT_CASE.iter().all(|(id, reason)| reason.len() > 20 && !with.contains(id)), "give each a reason");
}

/// The text of a report is bounded and its lines are, whatever the case; and the same bytes give the same report.
#[test]
fn every_case_is_told() {
    let checks = Checks::load(None).unwrap();
    for case in load::all() {
        assert!(case.expect.recorded.len() > 20, "{}: say how it was recorded", case.name);
        let told = |snapshot: &Snapshot, format| {
            let mut out = Vec::new();
            let report = Report::new(snapshot, diagnose(&checks, snapshot).unwrap());
            report.write(snapshot, format, &Style::default(), &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text = told(&case.snapshot, ReportFormat::Text);
        assert!((100..60_000).contains(&text.len()), "{}: {} bytes", case.name, text.len());
        let again: Snapshot = serde_json::from_str(&serde_json::to_string(&case.snapshot).unwrap()).unwrap();
        assert_eq!(told(&again, ReportFormat::Text), text, "{}", case.name);
        assert_eq!(told(&again, ReportFormat::Json), told(&case.snapshot, ReportFormat::Json), "{}", case.name);
    }
}

/// With one fact less nothing is claimed that was not seen with it. A draw of facts; `make corpus-mutations` takes every one,
/// those inside of lists too.
#[test]
fn no_case_is_accused_for_what_is_not_known() {
    let which = match std::env::var("GPU_DOCTOR_MUTATIONS").as_deref() {
        Ok("deep") => mutations::Facts::Deep,
        Ok(_) => mutations::Facts::All,
        Err(_) => mutations::Facts::OneIn(32),
    };
    let checks = Checks::load(None).unwrap();
    let cases = load::all();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut tried = mutations::Tried::default();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            tried.add(mutations::try_case(&checks, case, which));
        }
        tried
    };
    let mut tried = mutations::Tried::default();
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let started: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        started.into_iter().for_each(|one| tried.add(one.join().expect("no case panics")));
    });
    println!("{} cases, {tried}", cases.len());
    tried.false_claims.sort();
    assert!(tried.false_claims.is_empty(), "{:#?}", tried.false_claims);
}

/// Two cases at once, where the facts of both fit one deployment: both causes are told, and one of the two stands first.
#[test]
fn two_cases_at_once_are_both_told() {
    let checks = Checks::load(None).unwrap();
    let cases = load::all();
    let joined = overlays::all(&checks, &cases);
    println!("{} pairs of cases at once", joined.pairs);
    assert!(joined.pairs >= 15, "only {} pairs fit one deployment", joined.pairs);
    assert!(joined.faults.is_empty(), "{:#?}", joined.faults);
}
