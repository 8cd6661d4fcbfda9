//! What is left out of a snapshot is nothing that the judgement needs: the same causes, verdict and certainty before and
//! after, in every recorded snapshot and every case of the corpus.

mod setup;

use gpu_doctor::check::Checks;
use gpu_doctor::diagnosis::{Diagnosed, diagnose};
use gpu_doctor::redact::{Identifiers, Own, Redaction, Salt};
use gpu_doctor::snapshot::Snapshot;
use setup::cases::{Case, fixtures, snapshot};
use std::path::PathBuf;

fn recorded() -> Vec<(PathBuf, Snapshot)> {
    let folder = |path: PathBuf| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let cases = folder(fixtures().join("cases")).map(|case| case.join("snapshot.json")).filter(|file| file.is_file());
    let mut files: Vec<PathBuf> = folder(fixtures().join("snapshots")).chain(cases).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "json"));
    files.sort();
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        let snapshot = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (file, snapshot)
    };
    files.into_iter().map(read).collect()
}

fn judged(diagnosed: &Diagnosed) -> Vec<String> {
    let mut lines = vec![format!("{:?}", diagnosed.verdict)];
    lines.extend(
        diagnosed.diagnoses.iter().map(|one| format!("{} {:?} explains {:?}", one.cause, one.severity, one.explains)),
    );
    lines.extend(diagnosed.findings.iter().map(|one| format!("{}: {}", one.check, one.verdict)));
    lines.extend(diagnosed.unknown.iter().map(|one| format!("unknown {}", one.path)));
    lines
}

#[test]
fn the_judgement_is_the_same_before_and_after() {
    let checks = Checks::load(None).unwrap();
    let recorded = recorded();
    assert!(recorded.len() > 100);
    let own = Own { host: Some("gpu-box-17".into()), user: Some("somebody".into()), ..Own::default() };
    let mut faults = Vec::new();
    for (file, snapshot) in recorded {
        let before = judged(&diagnose(&checks, &snapshot).unwrap());
        for identifiers in [Identifiers::Kept, Identifiers::Masked] {
            let redacted = Redaction::with(&snapshot, identifiers, &own, Salt::of(b"test"));
            let after = judged(&diagnose(&checks, &redacted.snapshot).unwrap());
            for (before, after) in before.iter().zip(&after).filter(|(before, after)| before != after) {
                faults.push(format!("{} {identifiers:?}: {before} became {after}", file.display()));
            }
            let again = Redaction::with(&redacted.snapshot, identifiers, &own, Salt::of(b"test")).snapshot;
            if again != redacted.snapshot {
                faults.push(format!("{} {identifiers:?}: redacted twice is another", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Nothing of these recordings is secret, for what is was left out when they were made: little may become a mask.
#[test]
fn what_is_no_secret_stays() {
    let mut masks = Vec::new();
    for (file, snapshot) in recorded() {
        let redacted = Redaction::with(&snapshot, Identifiers::Kept, &Own::default(), Salt::of(b"test")).snapshot;
        let (before, after) = (serde_json::to_string_pretty(&snapshot), serde_json::to_string_pretty(&redacted));
        let (before, after) = (before.unwrap(), after.unwrap());
        let changed = before.lines().zip(after.lines()).filter(|(before, after)| before != after);
        masks.extend(changed.map(|(before, after)| format!("{}: {before} became {after}", file.display())));
    }
    assert!(masks.is_empty(), "{}", masks.join("\n"));
}

/// A base of cases, with one text that holds everything.
#[test]
fn a_snapshot_is_read_again_after_it() {
    let base = snapshot(&Case { base: "a1".into(), ..Case::default() });
    let masked = Redaction::with(&base, Identifiers::Masked, &Own::default(), Salt::of(b"test")).snapshot;
    let text = serde_json::to_string(&masked).unwrap();
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), masked);
}
