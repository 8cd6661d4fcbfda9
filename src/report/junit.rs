//! The report as JUnit's XML: a suite for each stage, a test case for each check.
//!
//! A failure is what makes the exit code 1, so that a pipeline that reads the file and one that reads the code agree: a cause,
//! a symptom without a known cause, with `--fail-on warn` a warning too, with `--fail-on unknown` what could not be decided.
//! A warning that does not count passes, with its words in `system-out`. What a cause explains is skipped as its consequence:
//! one fault is one failure. A cause that is waived is skipped with the user's reason, and a waiver that expired fails.

use super::bounded::shortened;
use super::{Report, cause};
use crate::check::Severity;
use crate::cli::FailOn;
use crate::diagnosis::{CheckVerdict, Diagnosis, Verdict, WaiverStanding};
use crate::probe::PROBES;
use crate::snapshot::Stage;
use crate::words::unprintable;
use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};
use std::io::{Error, Write};
use std::time::Duration;

/// Characters of a message, which is an attribute, and of a text.
const MESSAGE: usize = 400;
const TEXT: usize = 20_000;

/// Writes the report.
pub fn write(report: &Report, fail_on: FailOn, out: &mut dyn Write) -> std::io::Result<()> {
    let mut document = quick_junit::Report::new("gpu-doctor");
    document.time = seconds(report.probes.iter().map(|probe| probe.duration_ms).sum());
    for stage in Stage::ALL {
        let mut findings = report.findings.iter().filter(|finding| finding.stage == *stage).peekable();
        if findings.peek().is_none() {
            continue;
        }
        let mut suite = TestSuite::new(stage.name());
        suite.timestamp = report.taken_at.parse().ok();
        suite.time = took(report, *stage);
        if let Some(link) = report.stages.iter().find(|link| link.stage == *stage) {
            suite.add_property(Property::new("seen", shown(&link.seen, MESSAGE)));
        }
        suite.add_test_cases(findings.map(|finding| case(finding, report, fail_on)));
        add(&mut document, suite);
    }
    let expired = report.waivers_failing().map(|one| {
        let kind = match one.standing {
            WaiverStanding::Expired => "waiver expired",
            _ => "waiver of no known day",
        };
        let mut case = TestCase::new(shown(&one.id, MESSAGE), failed(kind, &one.said, &one.reason));
        case.set_classname("gpu-doctor.waivers");
        case
    });
    let expired: Vec<TestCase> = expired.collect();
    if !expired.is_empty() {
        let mut suite = TestSuite::new("waivers");
        suite.add_test_cases(expired);
        add(&mut document, suite);
    }
    if report.counted() == Verdict::Undecided {
        let mut suite = TestSuite::new("verdict");
        suite.add_test_case(undecided(report, fail_on));
        add(&mut document, suite);
    }
    let text = document.to_string().map_err(Error::other)?;
    out.write_all(known_to_jenkins(&text).as_bytes())
}

/// Without the one attribute that Jenkins' xUnit plugin refuses; no other line begins like a suite.
fn known_to_jenkins(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| match line.trim_start().starts_with("<testsuite ") {
        true => line.replacen(" disabled=\"0\"", "", 1),
        false => line.to_owned(),
    });
    lines.collect()
}

/// Adds a suite, with the number of skipped cases under the name that most readers know.
fn add(document: &mut quick_junit::Report, mut suite: TestSuite) {
    suite.extra.insert("skipped".into(), suite.disabled.to_string().into());
    suite.disabled = 0;
    document.add_test_suite(suite);
}

/// How long the probes of a stage took together.
fn took(report: &Report, stage: Stage) -> Option<Duration> {
    let is_of = |id: &str| PROBES.iter().any(|probe| probe.id == id && probe.stage == stage);
    seconds(report.probes.iter().filter(|probe| is_of(&probe.id)).map(|probe| probe.duration_ms).sum())
}

fn seconds(ms: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(ms / 1e3).ok()
}

/// One check.
fn case(finding: &CheckVerdict, report: &Report, fail_on: FailOn) -> TestCase {
    let diagnosis = report.diagnoses.iter().find(|diagnosis| diagnosis.cause == finding.check);
    let explained_by = |one: &&Diagnosis| one.explains.contains(&finding.check);
    let beside = |one: &&Diagnosis| one.could_be.iter().any(|other| other.cause == finding.check);
    let mut words = None;
    let status = match (finding.verdict.as_str(), diagnosis) {
        ("holds", Some(one)) => {
            let kind = match one.severity {
                _ if one.symptom => "symptom",
                Severity::Fail => "cause",
                Severity::Warn => "warning",
            };
            let text = cause::lines(one, report).join("\n");
            if let Some(waived) = &one.waived {
                words = Some(format!("{kind}: {}\n{text}", one.brief));
                skipped("waived", &waived.in_words())
            } else if one.severity == Severity::Fail || fail_on >= FailOn::Warn {
                failed(kind, &one.brief, &text)
            } else {
                words = Some(format!("{kind}: {}\n{text}", one.brief));
                TestCaseStatus::success()
            }
        }
        ("holds", None) => match report.diagnoses.iter().find(explained_by) {
            Some(one) => skipped("consequence", &format!("a consequence of {}: {}", one.cause, finding.why)),
            None => match report.diagnoses.iter().find(beside) {
                Some(one) => skipped("possibility", &format!("less sure than {}: {}", one.cause, finding.why)),
                None => skipped("holds", &format!("it holds and is no cause of its own: {}", finding.why)),
            },
        },
        ("unknown", _) if fail_on == FailOn::Unknown => failed("unknown", "it could not be decided", &finding.why),
        ("unknown", _) => skipped("unknown", &format!("it could not be decided: {}", finding.why)),
        ("not_applicable", _) => skipped("not applicable", &format!("it does not apply: {}", finding.why)),
        _ => TestCaseStatus::success(),
    };
    let mut case = TestCase::new(shown(&finding.check, MESSAGE), status);
    case.set_classname(format!("gpu-doctor.{}", finding.stage));
    if let Some(words) = words {
        case.set_system_out(shown(&words, TEXT));
    }
    case
}

/// That nothing failed and not enough is known: no check need be undecided for it.
fn undecided(report: &Report, fail_on: FailOn) -> TestCase {
    let missing = report.unknown.iter().map(|one| format!("{} ({}): {}", one.path, one.why, one.detail));
    let text = missing.collect::<Vec<_>>().join("\n");
    let status = match fail_on {
        FailOn::Unknown => failed("undecided", &report.headline, &text),
        _ => skipped("undecided", &report.headline),
    };
    let mut case = TestCase::new("undecided", status);
    case.set_classname("gpu-doctor.verdict");
    case
}

fn failed(kind: &str, message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type(kind).set_message(shown(message, MESSAGE)).set_description(shown(text, TEXT));
    status
}

fn skipped(kind: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_type(kind).set_message(shown(message, MESSAGE));
    status
}

/// A text without what XML 1.0 cannot hold: control characters but the end of a line, and two that are no characters.
fn shown(text: &str, characters: usize) -> String {
    let kept = |c: char| match c {
        '\n' => c,
        '\u{fffe}' | '\u{ffff}' => ' ',
        c if unprintable(c) => ' ',
        c => c,
    };
    shortened(&text.chars().map(kept).collect::<String>(), characters)
}
