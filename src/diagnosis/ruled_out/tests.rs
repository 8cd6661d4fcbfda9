use super::*;
use crate::check::{Checks, judge};
use crate::snapshot::Snapshot;
use std::collections::BTreeMap;

#[test]
fn stats() {
    let checks = Checks::load(None).unwrap();
    let mut terms: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for entry in std::fs::read_dir("fixtures/cases").unwrap() {
        let file = entry.unwrap().path().join("snapshot.json");
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
        let view = View::of(&snapshot);
        let findings = judge(&checks, &snapshot, &view).unwrap();
        let reasons = Reasons::of(&view);
        for one in super::super::graph::causes(&findings) {
            let cause = findings.iter().find(|f| f.check.spec.id == one.cause).unwrap();
            for out in of(cause, &findings, &reasons, &view) {
                let check = checks.get(&out.cause).unwrap();
                for group in reasons.refuting(check) {
                    let key = group.iter().map(|t| format!("{} {:?} {}", t.paths[0], t.asks, t.is_so)).collect::<Vec<_>>().join(" & ");
                    let e = terms.entry(key).or_default();
                    e.0 += 1;
                    e.1 = out.cause.clone();
                }
            }
        }
    }
    let mut all: Vec<_> = terms.into_iter().collect();
    all.sort_by_key(|(_, n)| Reverse(n.0));
    for (key, (n, of)) in all {
        println!("{n:5} {key}   [{of}]");
    }
}
