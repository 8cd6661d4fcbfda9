use super::*;
use crate::check::{Checks, judge};
use crate::snapshot::Snapshot;
use std::path::Path;

fn recorded(name: &str) -> Snapshot {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cases").join(name).join("snapshot.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// What is ruled out beside this cause.
fn beside(case: &str, cause: &str) -> Vec<(String, String)> {
    let (checks, snapshot) = (Checks::load(None).unwrap(), recorded(case));
    let view = View::of(&snapshot);
    let findings = judge(&checks, &snapshot, &view).unwrap();
    let cause = findings.iter().find(|finding| finding.check.spec.id == cause).unwrap();
    of(cause, &findings, &Reasons::of(&view), &view).into_iter().map(|one| (one.cause, one.by)).collect()
}

fn by<'r>(ruled_out: &'r [(String, String)], id: &str) -> &'r str {
    &ruled_out.iter().find(|(cause, _)| cause == id).unwrap_or_else(|| panic!("{id}: {ruled_out:?}")).1
}

#[test]
fn neighbours_of_a_rejection_are_ruled_out_by_what_was_answered() {
    let ruled_out = beside("seed-a1", "required-field-missing");
    assert_eq!(by(&ruled_out, "auth-rejected"), "no answer asks for credentials");
    assert_eq!(by(&ruled_out, "payload-too-large"), "no answer complains of the request's size");
    assert!(ruled_out.len() <= MOST);
}

#[test]
fn neighbours_of_a_package_are_ruled_out_by_what_is_installed() {
    let ruled_out = beside("ort-cpu-wheel", "ort-cpu-package-only");
    assert_eq!(
        ruled_out[0],
        ("ort-both-packages-clobbered".into(), "only one onnxruntime package is installed".into())
    );
    let lacking = beside("ort-gpu-wheel-without-libs", "ort-cuda-libs-missing-or-wrong-major");
    assert_eq!(by(&lacking, "ort-cpu-package-only"), "the installed onnxruntime has CUDA");
    assert_eq!(by(&lacking, "cuda-init-failed"), "CUDA starts, and CUDA lists a GPU");
}

/// What the cause says itself is no news of a neighbour.
#[test]
fn the_cause_s_own_words_rule_out_nothing() {
    let ruled_out = beside("seed-a1-without-gpu", "no-nvidia-device");
    assert!(!ruled_out.is_empty());
    assert!(ruled_out.iter().all(|(_, by)| by != "this machine has no NVIDIA GPU"), "{ruled_out:?}");
}
