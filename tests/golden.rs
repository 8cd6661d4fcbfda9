//! Every recorded snapshot judged: the causes, the verdict, the exit code, and the report as people and programs read it.

#[path = "setup/forgotten.rs"]
mod forgotten;

use forgotten::each_fact_forgotten;
use gpu_doctor::check::{Checks, Severity};
use gpu_doctor::cli::ReportFormat;
use gpu_doctor::diagnosis::{Diagnosed, Verdict, diagnose};
use gpu_doctor::report::{Report, Style};
use gpu_doctor::snapshot::{Facts, Snapshot, Unknown, Why};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

const FAIL: Severity = Severity::Fail;
const WARN: Severity = Severity::Warn;

/// A recorded snapshot, its causes in order, and what they come to.
type Expected = (&'static str, &'static [(&'static str, Severity)], Verdict, i32);

const EXPECTED: &[Expected] = &[
    ("a1", &[("required-field-missing", FAIL), ("no-nvidia-device", FAIL)], Verdict::Unhealthy, 1),
    ("active", &[("ort-cpu-package-only", WARN)], Verdict::Healthy, 0),
    ("cpu-package", &[("ort-cpu-package-only", FAIL)], Verdict::Unhealthy, 1),
    ("demo", &[("required-field-missing", FAIL), ("no-nvidia-device", FAIL)], Verdict::Unhealthy, 1),
    ("down", &[("backend-down-or-wrong-port", FAIL), ("no-nvidia-device", FAIL)], Verdict::Unhealthy, 1),
    ("files-a1", &[("all-requests-rejected", FAIL)], Verdict::Unhealthy, 1),
    ("files-healthy", &[], Verdict::Healthy, 0),
    ("files-idle", &[("gpu-idle-while-serving", FAIL)], Verdict::Unhealthy, 1),
    ("gpu-wheel", &[("ort-cuda-libs-missing-or-wrong-major", FAIL)], Verdict::Unhealthy, 1),
    ("healthy-machine", &[], Verdict::Healthy, 0),
    ("healthy-server", &[], Verdict::Healthy, 0),
    ("no-client", &[("no-nvidia-device", FAIL), ("required-field-missing", WARN)], Verdict::Unhealthy, 1),
    ("nvml-crash", &[], Verdict::Undecided, 2),
    ("nvml-hang", &[], Verdict::Undecided, 2),
    ("nvml-mismatch", &[("driver-library-version-mismatch", FAIL)], Verdict::Unhealthy, 1),
    ("nvml-not-loaded", &[("no-nvidia-device", FAIL)], Verdict::Unhealthy, 1),
    ("stale", &[("no-nvidia-device", FAIL), ("server-not-restarted", FAIL)], Verdict::Unhealthy, 1),
];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snapshots")
}

fn recorded(name: &str) -> Snapshot {
    let file = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn judged(snapshot: &Snapshot) -> Diagnosed {
    // Compiling the checks takes longer than judging by them.
    static CHECKS: LazyLock<Checks> = LazyLock::new(|| Checks::load(None).unwrap());
    diagnose(&CHECKS, snapshot).unwrap()
}

fn causes(diagnosed: &Diagnosed) -> Vec<(&str, Severity)> {
    diagnosed.diagnoses.iter().map(|diagnosis| (diagnosis.cause.as_str(), diagnosis.severity)).collect()
}

fn told(snapshot: &Snapshot, format: ReportFormat) -> String {
    colored::control::set_override(false);
    let mut out = Vec::new();
    Report::new(snapshot, judged(snapshot)).write(snapshot, format, &Style::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_recording_has_its_causes_verdict_and_exit_code() {
    for (name, expected, verdict, code) in EXPECTED {
        let diagnosed = judged(&recorded(name));
        assert_eq!(causes(&diagnosed), *expected, "{name}: {}", diagnosed.headline);
        assert_eq!(diagnosed.verdict, *verdict, "{name}: {}", diagnosed.headline);
        let file = folder().join(format!("{name}.json"));
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_gpu-doctor")).arg("diagnose").arg(file).output();
        assert_eq!(run.unwrap().status.code(), Some(*code), "{name}");
    }
}

#[test]
fn no_recording_is_left_out() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let recorded: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let expected: BTreeSet<String> = EXPECTED.iter().map(|(name, ..)| name.to_string()).collect();
    assert_eq!(recorded, expected);
}

#[test]
fn reports_read_as_reviewed() {
    for (name, ..) in EXPECTED {
        insta::assert_snapshot!(*name, told(&recorded(name), ReportFormat::Text));
    }
    insta::assert_snapshot!("a1_json", told(&recorded("a1"), ReportFormat::Json));
}

#[test]
fn recordings_name_neither_the_machine_nor_its_user() {
    for (name, ..) in EXPECTED {
        let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
        for place in [env!("CARGO_MANIFEST_DIR"), "/home/", "/root/", "/tmp/", "gpu-doctor-recording"] {
            assert!(!text.contains(place), "{name} contains {place}");
        }
        assert!(text.len() < 120_000, "{name} is {} bytes", text.len());
    }
}

/// The rejected requests of `a1` at the server whose GPU works.
#[test]
fn the_headline_of_a_rejected_client_beside_a_working_gpu() {
    let mut snapshot = recorded("healthy-server");
    snapshot.facts.request = recorded("a1").facts.request;
    let diagnosed = judged(&snapshot);
    assert_eq!(causes(&diagnosed), [("required-field-missing", FAIL)]);
    let expected = "GPU is idle because every request is rejected: POST /asr answers 400 without the form field \
                    \"lang\" (200 with lang=en)";
    assert_eq!(diagnosed.headline, expected);
}

#[test]
fn a_gpu_that_works_is_not_called_idle() {
    let mut snapshot = recorded("healthy-server");
    snapshot.facts.process.code_newer_than_start = recorded("stale").facts.process.code_newer_than_start;
    let diagnosed = judged(&snapshot);
    let said = &diagnosed.headline;
    assert!(said.contains("worth a look: the server still runs old code") && !said.contains("idle"), "{said}");
}

#[test]
fn nothing_holds_where_nothing_is_known() {
    for why in [Why::Absent, Why::Denied, Why::TimedOut, Why::Unsupported, Why::Crashed, Why::Malformed, Why::NotAsked]
    {
        for (name, ..) in EXPECTED {
            let mut snapshot = recorded(name);
            snapshot.facts = Facts::all_unknown(&Unknown::new(why, "nothing was read"));
            let diagnosed = judged(&snapshot);
            assert_eq!(causes(&diagnosed), [], "{name}, {why}");
            assert_eq!(diagnosed.verdict, Verdict::Undecided, "{name}, {why}: {}", diagnosed.headline);
        }
    }
}

/// Unknown is never a cause: forgetting a fact may take causes away or leave the answer open, and no more.
#[test]
fn forgetting_a_fact_never_makes_a_cause() {
    // Thousands of judgements: dealt out over the cores.
    let left = Mutex::new(EXPECTED.iter());
    let take = || left.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((name, ..)) = take() {
                    forgetting_makes_no_cause(name);
                }
            });
        }
    });
}

fn forgetting_makes_no_cause(name: &str) {
    let snapshot = recorded(name);
    let before = judged(&snapshot);
    let holding: BTreeSet<&str> =
        before.findings.iter().filter(|f| f.verdict == "holds").map(|f| f.check.as_str()).collect();
    for why in [Why::Denied, Why::NotAsked] {
        for (fact, without) in each_fact_forgotten(&snapshot, why) {
            let after = judged(&without);
            for finding in after.findings.iter().filter(|finding| finding.verdict == "holds") {
                let known_before = holding.contains(finding.check.as_str());
                assert!(known_before, "{name} without {fact} ({why}): {}", finding.check);
            }
        }
    }
}

/// On a healthy base, what a forgotten fact leaves open is never told as a fault.
#[test]
fn a_healthy_server_with_one_fact_missing_is_never_unhealthy() {
    let snapshot = recorded("healthy-server");
    let mut open = 0;
    for (fact, without) in each_fact_forgotten(&snapshot, Why::Denied) {
        let after = judged(&without);
        assert_ne!(after.verdict, Verdict::Unhealthy, "without {fact}: {}", after.headline);
        open += usize::from(after.verdict == Verdict::Undecided);
    }
    assert!(open > 3, "some facts matter");
}
