//! `-q`, `-v` and `--format short`.

use crate::{TOLD, told};
use gpu_doctor::check::{Evidence, Severity};
use gpu_doctor::cli::FailOn;
use gpu_doctor::diagnosis::Verdict;
use gpu_doctor::report::Style;
use serde_json::{Value, json};

const QUIET: Style = Style {
    width: 100,
    ascii: false,
    verbose: false,
    quiet: true,
    masked: false,
    colour: false,
    fail_on: FailOn::Fail,
};
/// The widest: a headline is one line.
const WIDE: Style = Style { width: 100_000, ..QUIET };

#[test]
fn quiet_says_nothing_where_all_is_well_and_else_a_line_for_each_cause() {
    let mut silent = 0;
    for told in TOLD.iter() {
        let (text, report) = (told.text(&WIDE), &told.report);
        if report.verdict == Verdict::Healthy && report.diagnoses.is_empty() {
            assert_eq!((text.as_str(), told.short(&QUIET).as_str()), ("", ""), "{}", told.name);
            silent += 1;
            continue;
        }
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + report.diagnoses.len(), "{}: {text}", told.name);
        for (line, cause) in lines[1..].iter().zip(&report.diagnoses) {
            assert!(line.contains(&format!("/{} ", cause.cause)), "{}: {text}", told.name);
        }
        // The same lines begin those of the short form.
        let short = told.short(&QUIET);
        assert_eq!(short.lines().count(), lines.len(), "{}: {short}", told.name);
        assert!(short.lines().zip(&lines).skip(1).all(|(long, name)| long.starts_with(name)), "{}: {short}", told.name);
    }
    assert!(silent > 10, "{silent}");
    assert_eq!(
        told("cpu-package").text(&QUIET),
        "GPU is idle because the deployment's onnxruntime 1.23.2 is the CPU-only package\n\
         FAIL packages/ort-cpu-package-only proven\n"
    );
}

#[test]
fn short_is_a_line_for_the_verdict_one_for_each_cause_and_one_for_what_is_unknown() {
    for told in TOLD.iter() {
        let (text, report) = (told.short(&Style { width: 60, ..Style::default() }), &told.report);
        let mut lines = text.lines();
        let verdict = match report.verdict {
            Verdict::Healthy => "HEALTHY ",
            Verdict::Unhealthy => "UNHEALTHY ",
            Verdict::Undecided => "UNDECIDED ",
        };
        assert!(lines.next().is_some_and(|line| line.starts_with(verdict)), "{}: {text}", told.name);
        for cause in &report.diagnoses {
            let level = if cause.severity == Severity::Fail { "FAIL" } else { "WARN" };
            let name = format!("{level} {}/{} {}: ", cause.stage, cause.cause, cause.confidence.name());
            let brief = lines.next().and_then(|line| line.strip_prefix(&name)).map(str::to_owned);
            assert_eq!(brief.as_deref(), Some(cause.brief.as_str()), "{}: {text}", told.name);
        }
        let unknown = report.unknown.iter().any(|missing| missing.why != "not asked");
        assert_eq!(lines.next().is_some_and(|line| line.starts_with("UNKNOWN ")), unknown, "{}: {text}", told.name);
        assert_eq!(lines.next(), None, "{}: {text}", told.name);
    }
}

#[test]
fn verbose_tells_every_check_every_stage_every_fact_and_what_was_ruled_out() {
    let verbose = Style { verbose: true, ..Style::default() };
    for told in TOLD.iter() {
        let (text, report) = (told.text(&verbose), &told.report);
        let words: std::collections::BTreeSet<&str> =
            text.split(|c: char| c.is_whitespace() || ",:;".contains(c)).collect();
        let has = |word: &str| words.contains(word);
        assert!(report.findings.iter().all(|finding| has(&finding.check)), "{}: {text}", told.name);
        for diagnosis in &report.diagnoses {
            assert!(diagnosis.ruled_out.iter().all(|other| has(&other.cause)), "{}: {text}", told.name);
            let unasked = |why: &Option<String>| why.as_ref().is_some_and(|why| why.starts_with("not asked"));
            // A conclusion that was not drawn proves nothing.
            let nothing =
                |value: &Option<Value>| value.as_ref().is_some_and(|value| value == "" || *value == json!([]));
            let not_drawn = |one: &&Evidence| one.path.starts_with("derived.") && nothing(&one.value);
            let mut asked = diagnosis.evidence.iter().filter(|one| !unasked(&one.unknown) && !not_drawn(one));
            assert!(asked.all(|one| has(&one.path)), "{}: {text}", told.name);
        }
        assert!(report.probes.iter().all(|probe| has(&probe.id)), "{}: {text}", told.name);
    }
}

#[test]
fn what_was_not_asked_about_is_one_line_with_its_reason() {
    let text = told("healthy-machine").text(&Style::default());
    let start = "  skipped  packages, process, request, execution: no server was named; ";
    assert_eq!(text.lines().filter(|line| line.starts_with("  skipped")).count(), 1, "{text}");
    assert!(text.contains(start) && text.contains("model: no model was named (--model)"), "{text}");
}
