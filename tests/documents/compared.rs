//! `diff`: what holds of any two runs, and what single pairs come to.

use crate::judged;
use crate::load::Case;
use crate::setup::doctor::gpu_doctor;
use crate::{expect::Kind, recorded, snapshot_file};
use gpu_doctor::check::{Checks, Severity};
use gpu_doctor::diagnosis::difference::{Difference, Moved, Outcome, Run, compare};
use gpu_doctor::diagnosis::{Diagnosed, diagnose};
use gpu_doctor::report::{DifferenceReport, Style};
use gpu_doctor::snapshot::Snapshot;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

fn run<'a>(name: &'a str, snapshot: &'a Snapshot, diagnosed: &'a Diagnosed, is_report: bool) -> Run<'a> {
    Run {
        name,
        tool: &snapshot.tool,
        taken_at: &snapshot.taken_at,
        target: &snapshot.target,
        verdict: diagnosed.counted(),
        headline: &diagnosed.headline,
        waivers: &diagnosed.waivers,
        diagnoses: &diagnosed.diagnoses,
        findings: &diagnosed.findings,
        only_warn: only_warn(),
        snapshot: (!is_report).then_some(snapshot),
    }
}

/// The checks that never fail.
fn only_warn() -> &'static BTreeSet<String> {
    static ONLY_WARN: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let checks = Checks::load(None).unwrap();
        let warn = checks.iter().filter(|check| check.spec.severity == Severity::Warn);
        warn.map(|check| check.spec.id.clone()).collect()
    });
    &ONLY_WARN
}

/// The causes of which this became.
fn moved(difference: &Difference, moved: Moved) -> Vec<&str> {
    let mut ids: Vec<&str> =
        difference.causes.iter().filter(|cause| cause.moved == moved).map(|cause| cause.cause.as_str()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_run_does_not_differ_from_itself() {
    let checks = Checks::load(None).unwrap();
    for (name, snapshot) in recorded() {
        let diagnosed = diagnose(&checks, &snapshot).unwrap();
        is_the_same(&name, &snapshot, &diagnosed);
    }
    assert!(judged().len() > 300, "{} cases: the corpus is gone?", judged().len());
    for (case, diagnosed) in judged() {
        is_the_same(&case.name, &case.snapshot, diagnosed);
    }
}

fn is_the_same(name: &str, snapshot: &Snapshot, diagnosed: &Diagnosed) {
    for is_report in [false, true] {
        let one = run(name, snapshot, diagnosed, is_report);
        let difference = compare(&one, &one);
        assert_eq!(difference.outcome, Outcome::Same, "{name}: {}", difference.headline);
        assert!(difference.causes.iter().all(|cause| cause.moved == Moved::Still), "{name}");
        let changes = &difference.changes;
        assert!(changes.changes.is_empty() && changes.further.is_empty() && changes.noise == 0, "{name}: {changes:?}");
        assert!(difference.asked.is_empty() && difference.no_longer_known.is_empty(), "{name}");
    }
}

#[test]
fn what_is_gone_one_way_is_new_the_other_way() {
    let judged: Vec<&(Case, Diagnosed)> = judged().iter().step_by(5).collect();
    let mut pairs = 0;
    for (number, (a, a_said)) in judged.iter().enumerate() {
        let (b, b_said) = judged[(number * 7 + 3) % judged.len()];
        let (one, other) = (run(&a.name, &a.snapshot, a_said, false), run(&b.name, &b.snapshot, b_said, false));
        let (there, back) = (compare(&one, &other), compare(&other, &one));
        let place = format!("{} and {}", a.name, b.name);
        for (way, opposite) in
            [(Moved::New, Moved::Gone), (Moved::NowKnown, Moved::NoLongerKnown), (Moved::Still, Moved::Still)]
        {
            assert_eq!(moved(&there, way), moved(&back, opposite), "{place}");
            assert_eq!(moved(&there, opposite), moved(&back, way), "{place}");
        }
        assert_eq!(there.no_longer_known.len(), back.now_known.len(), "{place}");
        assert_eq!(there.changes.changes.len(), back.changes.changes.len(), "{place}");
        assert_eq!(
            (there.changes.noise, there.changes.further.len()),
            (back.changes.noise, back.changes.further.len()),
            "{place}"
        );
        // Both ways cannot be better, nor both worse without a failure of its own on each side.
        assert!(
            !(there.outcome == Outcome::Better && back.outcome == Outcome::Better),
            "{place}: {} {}",
            there.headline,
            back.headline
        );
        let told = |difference: Difference| {
            let mut out = Vec::new();
            DifferenceReport::new(difference)
                .write_text(&Style { verbose: true, ..Style::default() }, &mut out)
                .unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(told(there).len() < 400_000, "{place}");
        pairs += 1;
    }
    assert!(pairs > 50, "{pairs}");
}

/// Against a healthy run in which its first cause is ruled out, each case tells that this cause is gone; and where the other
/// run does not know of it, that this is not known.
#[test]
fn against_a_healthy_twin_the_cause_is_gone() {
    let twins: Vec<&(Case, Diagnosed)> = judged().iter().filter(|(case, _)| case.expect.kind == Kind::Twin).collect();
    let (mut gone, mut unknown) = (0, 0);
    for (case, said) in judged().iter().filter(|(case, _)| case.expect.kind == Kind::Cause) {
        let Some(first) = &case.expect.first else { continue };
        if said.diagnoses.iter().all(|one| &one.cause != first) {
            continue;
        }
        let verdict = |twin: &Diagnosed, wanted: &str| {
            twin.findings.iter().any(|finding| &finding.check == first && finding.verdict == wanted)
        };
        let before = run(&case.name, &case.snapshot, said, false);
        if let Some((twin, twin_said)) =
            twins.iter().find(|(_, said)| verdict(said, "clear") && said.diagnoses.is_empty())
        {
            let difference = compare(&before, &run(&twin.name, &twin.snapshot, twin_said, false));
            let place = format!("{} against {}: {}", case.name, twin.name, difference.headline);
            assert!(moved(&difference, Moved::Gone).contains(&first.as_str()), "{place}");
            assert!(moved(&difference, Moved::New).is_empty(), "{place}");
            assert!(matches!(difference.outcome, Outcome::Better | Outcome::Undecided), "{place}");
            let proof = &difference.changes.changes;
            assert!(
                proof.iter().any(|change| change.of.contains(first)) || !difference.changes.further.is_empty(),
                "{place}"
            );
            gone += 1;
        }
        if let Some((twin, twin_said)) = twins.iter().find(|(_, said)| verdict(said, "not_applicable")) {
            let difference = compare(&before, &run(&twin.name, &twin.snapshot, twin_said, false));
            let place = format!("{} against {}: {}", case.name, twin.name, difference.headline);
            assert!(moved(&difference, Moved::NoLongerKnown).contains(&first.as_str()), "{place}");
            let failed = said.diagnoses.iter().any(|one| &one.cause == first && one.severity == Severity::Fail);
            assert!(!failed || matches!(difference.outcome, Outcome::Undecided | Outcome::Worse), "{place}");
            unknown += 1;
        }
    }
    assert!(gone >= 60 && unknown >= 20, "{gone} causes gone, {unknown} no longer known");
}

fn diff(before: &str, after: &str, more: &[&str]) -> (i32, String) {
    let arguments = [&["diff", before, after], more].concat();
    let said = gpu_doctor(&arguments, &[]);
    assert!(said.err.is_empty(), "{}", said.err);
    (said.code, said.out)
}

#[test]
fn a_fix_is_told_with_what_changed() {
    let (code, text) = diff(&snapshot_file("cpu-package"), &snapshot_file("healthy-server"), &[]);
    assert_eq!(code, 0);
    assert!(text.starts_with("better: the cause ort-cpu-package-only is gone; nothing new"), "{text}");
    // The model was not named again.
    assert!(text.contains("among what is known; 2 checks no longer\napply\n"), "{text}");
    for line in [
        "  before      unhealthy: GPU is idle because the deployment's onnxruntime 1.23.2 is the CPU-only",
        "  proof       packages.onnxruntime_distributions: onnxruntime -> onnxruntime-gpu",
        "  packages    packages.distributions[onnxruntime].version: 1.23.2 -> not there",
        "execution.gpus[0].utilization_percent.during.mean: 0 % -> 95 %",
        "facts that differ between any",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 140), "{text}");

    let (code, text) = diff(&snapshot_file("healthy-server"), &snapshot_file("cpu-package"), &["--format", "json"]);
    assert_eq!(code, 1);
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((told["schema"].as_str(), told["outcome"].as_str()), (Some("gpu-doctor/diff/v1"), Some("worse")));
    assert_eq!(told["headline"], "worse: the cause ort-cpu-package-only is new");
    let first = &told["changes"][0];
    assert_eq!((first["kind"].as_str(), first["of"][0].as_str()), (Some("evidence"), Some("ort-cpu-package-only")));
}

#[test]
fn reports_are_compared_as_they_stand_and_snapshots_beside_them_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let report = |name: &str| {
        let file = folder.path().join(format!("{name}.json"));
        let said = gpu_doctor(&["diagnose", &snapshot_file(name), "--format", "json"], &[]);
        std::fs::write(&file, said.out).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (sick, well) = (report("cpu-package"), report("healthy-server"));
    let headline =
        "better: the cause ort-cpu-package-only is gone; nothing new among what is known; 2 checks no longer\napply\n";
    for (before, after) in [
        (sick.as_str(), well.as_str()),
        (&snapshot_file("cpu-package"), &well),
        (&sick, &snapshot_file("healthy-server")),
    ] {
        let (code, text) = diff(before, after, &[]);
        assert_eq!(code, 0, "{text}");
        assert!(text.starts_with(headline), "{text}");
        assert!(text.contains("causes only: save"), "{text}");
    }
    let (_, text) = diff(&sick, &snapshot_file("healthy-server"), &[]);
    assert!(text.contains("packages.onnxruntime_distributions: onnxruntime -> onnxruntime-gpu"), "{text}");
    assert_eq!(diff(&well, &sick, &[]).0, 1);
    assert_eq!(diff(&sick, &sick, &[]).0, 0);
}

#[test]
fn what_nothing_asked_about_any_more_is_not_gone() {
    let (code, text) = diff(&snapshot_file("cpu-package"), &snapshot_file("healthy-machine"), &[]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.starts_with("it cannot be told: the cause ort-cpu-package-only is no longer known to be there or not"),
        "{text}"
    );
    assert!(text.contains("Asked otherwise") && text.contains("server: http://127.0.0.1:8000/ -> not given"), "{text}");
    assert!(text.contains("whether it is still there is not known: no onnxruntime was named"), "{text}");
}

#[test]
fn nothing_new_is_said_of_what_is_known_only() {
    let (code, text) = diff(&snapshot_file("a1"), &snapshot_file("nvml-hang"), &[]);
    assert_eq!(code, 2, "{text}");
    let headline = text.split("\n\n").next().unwrap().replace('\n', " ");
    assert!(headline.contains("; nothing new among what is known; "), "{headline}");
    // The cause that is no longer known is told already.
    let verdicts = |name: &str| {
        let report = gpu_doctor(&["diagnose", &snapshot_file(name), "--format", "json"], &[]).report();
        let findings = report["findings"].as_array().unwrap().clone();
        findings.into_iter().map(|finding| finding["verdict"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (before, after) = (verdicts("a1"), verdicts("nvml-hang"));
    let ruled_out = before.iter().zip(&after).filter(|(a, b)| *a == "clear" && *b == "not_applicable").count();
    assert!(headline.ends_with(&format!("; {ruled_out} checks no longer apply")), "{headline}");
    let (code, text) = diff(&snapshot_file("healthy-server"), &snapshot_file("healthy-machine"), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("the same: nothing is known to be wrong in either; "), "{text}");
}

/// The report of a recorded snapshot, in a file, with something changed.
fn report(folder: &Path, base: &str, more: &[&str], change: impl Fn(&mut Value)) -> String {
    let snapshot = snapshot_file(base);
    let said = gpu_doctor(&[&["diagnose", snapshot.as_str(), "--format", "json"], more].concat(), &[]);
    let mut report: Value = serde_json::from_str(&said.out).unwrap();
    change(&mut report);
    let file = folder.join(format!("{base}-{}.json", std::fs::read_dir(folder).unwrap().count()));
    std::fs::write(&file, format!("{report:#}")).unwrap();
    file.display().to_string()
}

/// A newer version may call a cause as bad as this one has no word for: it is left aside, and its check still holds.
#[test]
fn a_cause_that_was_left_aside_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let newer = |report: &mut Value| {
        report["schema_minor"] = json!(9);
        let causes = report["diagnoses"].as_array_mut().unwrap();
        let one = causes.iter_mut().find(|one| one["cause"] == "required-field-missing").unwrap();
        one["severity"] = json!("critical");
    };
    let (down, newer) = (report(folder.path(), "down", &[], |_| {}), report(folder.path(), "a1", &[], newer));
    let said = gpu_doctor(&["diff", &down, &newer], &[]);
    assert!(said.err.contains("diagnoses[0].severity: expected one of warn, fail, found \"critical\""), "{}", said.err);
    assert_eq!(said.code, 2, "{}", said.out);
    let text = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "it cannot be told: the cause required-field-missing is new;",
        "required-field-missing is told in one of the reports without its severity",
        "NEW required-field-missing: ",
        "after, it holds, and the report does not say how bad it is",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(!text.contains("nothing new"), "{text}");
    // Back again it is gone; beside a report that knows it, it is still there.
    let back = gpu_doctor(&["diff", &newer, &down, "--format", "json"], &[]);
    let told: Value = serde_json::from_str(&back.out).unwrap();
    let cause = |told: &Value| {
        let causes = told["causes"].as_array().unwrap();
        causes.iter().find(|one| one["cause"] == "required-field-missing").unwrap()["moved"].clone()
    };
    assert_eq!(cause(&told), "gone", "{told:#}");
    let still = gpu_doctor(&["diff", &snapshot_file("a1"), &newer, "--format", "json"], &[]);
    assert_eq!((still.code, cause(&serde_json::from_str(&still.out).unwrap())), (2, json!("still")));
}

/// So that nothing but a document of another version has a cause that no one tells.
#[test]
fn what_holds_is_told_by_a_cause() {
    for (case, said) in judged() {
        let one = run(&case.name, &case.snapshot, said, true);
        let difference = compare(&one, &one);
        assert!(difference.causes.iter().all(|cause| !cause.weight_unknown), "{}", case.name);
        assert_eq!(difference.causes.len(), said.diagnoses.len(), "{}", case.name);
    }
}

#[test]
fn a_verdict_that_is_none_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let edited = report(folder.path(), "a1", &[], |report| {
        let findings = report["findings"].as_array_mut().unwrap();
        findings.iter_mut().find(|one| one["verdict"] == "clear").unwrap()["verdict"] = json!("cleer");
    });
    let said = gpu_doctor(&["diff", &edited, &snapshot_file("a1")], &[]);
    assert_eq!(said.code, 64, "{}", said.out);
    assert!(said.err.contains("findings[") && said.err.contains("].verdict (line "), "{}", said.err);
    assert!(said.err.contains("found \"cleer\"; did you mean \"clear\"?"), "{}", said.err);
}

#[test]
fn a_waived_run_is_compared_as_it_counts() {
    let folder = tempfile::tempdir().unwrap();
    let waivers = folder.path().join("waivers.yaml");
    let waiver = "waivers:\n  - {id: ort-cpu-package-only, reason: the image is on its way, until: 2999-01-31}\n";
    std::fs::write(&waivers, waiver).unwrap();
    let waived = report(folder.path(), "cpu-package", &["--waivers", waivers.to_str().unwrap()], |_| {});
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");

    let (code, text) = diff(&waived, &waived, &[]);
    assert_eq!(code, 0, "{text}");
    let text = flat(&text);
    assert!(text.starts_with("the same: the cause ort-cpu-package-only is still there"), "{text}");
    assert!(text.contains("(waived until 2999-01-31: the image is on its way)"), "{text}");
    assert!(!text.contains("unhealthy:"), "{text}");

    let (code, text) = diff(&snapshot_file("cpu-package"), &waived, &[]);
    assert_eq!(code, 0, "{text}");
    let text = flat(&text);
    assert!(
        text.starts_with("neither better nor worse: the cause ort-cpu-package-only is still there, and waived now")
    );
    assert!(text.contains("waivers: not given -> ort-cpu-package-only until 2999-01-31"), "{text}");

    let (code, text) = diff(&waived, &snapshot_file("cpu-package"), &[]);
    assert_eq!(code, 1, "{text}");
    let text = flat(&text);
    assert!(text.starts_with("worse: the cause ort-cpu-package-only is still there, and no longer waived"), "{text}");
    assert!(text.contains("it was waived and is so no longer"), "{text}");
}

#[test]
fn two_inputs_are_read_from_where_they_are() {
    let both = gpu_doctor(&["diff", "-", "-"], &[]);
    assert_eq!(both.code, 64);
    assert!(both.err.contains("only one of the two can be standard input"), "{}", both.err);
    let none = gpu_doctor(&["diff", "/nowhere.json", &snapshot_file("a1")], &[]);
    assert_eq!(none.code, 64);
    assert!(none.err.contains("/nowhere.json: No such file"), "{}", none.err);
    assert!(Path::new(&snapshot_file("a1")).is_file());
}

#[test]
fn two_runs_in_the_wrong_order_are_noticed() {
    let files = ["cpu-package", "healthy-server"].map(snapshot_file);
    let right = gpu_doctor(&["diff", &files[0], &files[1]], &[]);
    assert!(!right.out.contains("wrong order"), "{}", right.out);
    let wrong = gpu_doctor(&["diff", &files[1], &files[0]], &[]);
    assert!(
        wrong.out.contains("The first was taken after the second: were they named in the wrong order?"),
        "{}",
        wrong.out
    );
    assert_eq!((right.code, wrong.code), (0, 1));
    assert!(right.out.contains("ort.cuda_registers: no -> yes"), "{}", right.out);
}

#[test]
fn a_difference_keeps_to_the_width() {
    let files = ["cpu-package", "healthy-server"].map(snapshot_file);
    let wide = |columns: &str| {
        let said = gpu_doctor(&["diff", &files[0], &files[1]], &[("COLUMNS", columns.into())]);
        said.out.lines().filter(|line| line.split_whitespace().count() > 3).map(str::len).max().unwrap()
    };
    assert!(wide("60") <= 60 && wide("120") > 100, "{} {}", wide("60"), wide("120"));
}

/// A name that the first document gives away by its place stands in the second in a sentence only, which is a report made with
/// names.
#[test]
fn names_that_one_of_the_two_gives_away_are_told_of_neither() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let read = |path: &str| serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut before = read(&snapshot_file("a1"));
    before["target"]["server"] = json!("http://rack3-gpu17:8000/");
    std::fs::write(file("before"), before.to_string()).unwrap();
    let form = format!("json={}", file("after"));
    gpu_doctor(&["diagnose", &snapshot_file("a1"), "--include-identifiers", "--output", &form], &[]);
    let mut after = read(&file("after"));
    after["headline"] = json!("rack3-gpu17 does not answer");
    std::fs::write(file("after"), after.to_string()).unwrap();
    for (one, other) in [("before", "after"), ("after", "before")] {
        let (one, other) = (file(one), file(other));
        let told = |more: &[&str]| gpu_doctor(&[&["diff", &one, &other, "--format", "json"], more].concat(), &[]).out;
        let masked = told(&[]);
        assert!(!masked.contains("rack3") && masked.contains("host-"), "{masked}");
        assert!(told(&["--include-identifiers"]).contains("rack3-gpu17 does not answer"));
    }
}
