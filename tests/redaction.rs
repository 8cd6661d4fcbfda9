//! What is left out of a snapshot is nothing that the judgement needs: the same causes, verdict and certainty before and
//! after, in every recorded snapshot and every case of the corpus.

mod setup;

use gpu_doctor::check::Checks;
use gpu_doctor::diagnosis::{Diagnosed, diagnose};
use gpu_doctor::redact::{Identifiers, Own, Redaction, Salt, redacted_value};
use gpu_doctor::snapshot::Snapshot;
use regex::Regex;
use serde_json::Value;
use setup::cases::{Case, fixtures, snapshot};
use std::collections::BTreeSet;
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

/// Every text of the fixtures, as lines of a log would stand in a snapshot.
fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["logs", "metrics", "checks", "schemas", "nvidia-smi", "causes"].map(|name| fixtures().join(name)).into();
    folders.push(fixtures().join("../checks"));
    folders.push(fixtures().join("../docs/checks"));
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                texts.push(text);
            }
        }
    }
    texts
}

/// What stood where tokens stand now.
fn replaced(before: &str, after: &str, found: &mut BTreeSet<String>) {
    let token =
        Regex::new(r"(?:host|user|ip|mac|pod|serial|machine)-[0-9a-f]{6}\b|ctr-[0-9a-f]{8}|[0-9a-f]{8}-0000-0000-0000-000000000000")
            .unwrap();
    let kept: Vec<&str> = token.split(after).collect();
    let (first, kept) = kept.split_first().unwrap();
    let mut rest = before.get(first.len()..).unwrap_or_default();
    for (number, next) in kept.iter().enumerate() {
        let end = if number + 1 == kept.len() { rest.rfind(next) } else { rest.find(next) }.unwrap_or(rest.len());
        found.insert(rest[..end].chars().take(80).collect());
        rest = rest.get(end + next.len()..).unwrap_or_default();
    }
}

fn walk(before: &Value, after: &Value, found: &mut BTreeSet<String>) {
    match (before, after) {
        (Value::String(before), Value::String(after)) if before != after => replaced(before, after, found),
        (Value::Array(before), Value::Array(after)) => before.iter().zip(after).for_each(|(b, a)| walk(b, a, found)),
        (Value::Object(before), Value::Object(after)) => {
            before.iter().zip(after).for_each(|((name, b), (renamed, a))| {
                if name != renamed {
                    replaced(name, renamed, found);
                }
                walk(b, a, found);
            });
        }
        _ => {}
    }
}

/// All that is taken for a name or an address in the fixtures, to be looked at by whoever changes what is: names of files,
/// modules, versions, metrics and nodes of models must not be among it.
#[test]
fn what_is_taken_for_a_name() {
    let mut found = BTreeSet::new();
    for (_, snapshot) in recorded() {
        let redacted = Redaction::with(&snapshot, Identifiers::Masked, &Own::default(), Salt::of(b"test")).snapshot;
        walk(&serde_json::to_value(&snapshot).unwrap(), &serde_json::to_value(&redacted).unwrap(), &mut found);
    }
    for text in texts() {
        let lines: Value = text.lines().collect::<Vec<_>>().into();
        let mut after = lines.clone();
        redacted_value(&mut after, Identifiers::Masked, &Own::default(), Salt::of(b"test"));
        walk(&lines, &after, &mut found);
    }
    assert!(found.len() > 10, "the fixtures hold some");
    insta::assert_snapshot!("taken_for_a_name", found.into_iter().collect::<Vec<_>>().join("\n"));
}
