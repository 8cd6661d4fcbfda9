//! What could not be seen is never taken for health.

use gpu_doctor::check::Checks;
use gpu_doctor::diagnosis::{Verdict, diagnose};
use gpu_doctor::snapshot::Snapshot;
use serde_json::{Value, json};

#[test]
fn a_warning_is_no_reason_that_no_request_was_sent() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/snapshots/cpu-package.json"));
    let mut snapshot: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let facts = &mut snapshot["facts"];
    // A server that has not loaded the onnxruntime beside it, and of which neither schema nor a request is known.
    facts["process"]["gpu_libraries"] = json!({"known": {}});
    let unsent = json!({"unknown": {"why": "not_asked", "detail": "no request was sent"}});
    for name in ["client", "rejected", "good", "missing_fields"] {
        facts["request"][name] = unsent.clone();
    }
    facts["request"]["client_given"] = json!({"known": false});
    for (_, fact) in facts["execution"].as_object_mut().unwrap() {
        *fact = unsent.clone();
    }
    let snapshot: Snapshot = serde_json::from_value(snapshot).unwrap();
    let diagnosed = diagnose(&Checks::load(None).unwrap(), &snapshot).unwrap();
    assert_eq!(diagnosed.verdict, Verdict::Undecided, "{}", diagnosed.headline);
    assert!(diagnosed.headline.contains("no request was sent"), "{}", diagnosed.headline);
}
