//! What holds of the redaction of any document or text, for fuzzing: it ends, once is enough, and the shape stays.

use super::{Identifiers, Own, Salt, redacted_value};
use serde_json::{Value, json};

/// Redacts the bytes, as a document or as a log.
///
/// # Panics
/// If redacting twice gives another document than once, or one of another shape.
pub fn of_bytes(bytes: &[u8]) {
    let document = serde_json::from_slice(bytes).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(bytes);
        json!({ "log": text, "docker": { "error": text }, "lines": text.lines().collect::<Vec<_>>() })
    });
    for identifiers in [Identifiers::Kept, Identifiers::Masked] {
        let own = Own { host: Some("gpu-7".into()), user: Some("ada".into()), ..Own::default() };
        let mut once = document.clone();
        redacted_value(&mut once, identifiers, &own, Salt::of(b"fuzzing"));
        assert!(is_alike(&document, &once), "another shape: {once}");
        let mut twice = once.clone();
        redacted_value(&mut twice, identifiers, &own, Salt::of(b"fuzzing"));
        assert!(once == twice, "once: {once}\ntwice: {twice}");
    }
}

/// Whether only texts differ.
fn is_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(_), Value::String(_)) => true,
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.values().zip(other.values()).all(|(one, other)| is_alike(one, other))
        }
        (one, other) => one == other,
    }
}
