//! What a text message of a speech server means.

use serde_json::Value;

/// Keys under which a transcript stands: WhisperLiveKit's, Vosk's, the hosted services' and the plain ones.
const TRANSCRIPT: &[&str] =
    &["text", "transcript", "transcription", "buffer_transcription", "partial", "partial_result"];
/// Keys that lead to one.
const INSIDE: &[&str] = &["lines", "new_lines", "result", "results", "segments", "channel", "alternatives", "data"];
/// Nesting that is followed.
const DEPTH: usize = 6;

/// The meaning of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The server's configuration, and whether it wants a file rather than raw samples.
    Config { file: bool },
    /// Nothing follows.
    End,
    /// The server says that it failed.
    Error,
    /// It holds a transcript that is not empty.
    Text,
    /// A state, or anything else.
    Other,
}

/// Reads a message: JSON by its fields, any other text as the transcript itself.
pub fn meaning(message: &str) -> Meaning {
    let value = match serde_json::from_str::<Value>(message) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
        _ if message.trim().is_empty() => return Meaning::Other,
        _ => return Meaning::Text,
    };
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    let told =
        |key: &str| value.get(key).is_some_and(|said| !matches!(said, Value::Null | Value::Bool(false)) && said != "");
    match kind {
        "config" => Meaning::Config { file: value.get("useAudioWorklet").and_then(Value::as_bool) == Some(false) },
        "ready_to_stop" => Meaning::End,
        "error" => Meaning::Error,
        _ if told("error") || refuses(&value) => Meaning::Error,
        _ if holds_text(&value, DEPTH) => Meaning::Text,
        _ => Meaning::Other,
    }
}

/// The state of a server that does not serve: "error", and WhisperLive's "ERROR" and "WAIT", which stands for no place.
fn refuses(value: &Value) -> bool {
    matches!(value.get("status").and_then(Value::as_str), Some("error" | "ERROR" | "WAIT"))
}

/// Of a session in which no message held a text: whether this one, the most telling, has a place for a transcript, so that
/// speech was listened to and nothing heard.
pub fn is_empty_transcript(message: &str) -> bool {
    match serde_json::from_str::<Value>(message) {
        Ok(value @ Value::Object(_)) => {
            has_place(&value, DEPTH) || value.get("type").and_then(Value::as_str) == Some("config")
        }
        _ => message.trim().is_empty(),
    }
}

fn has_place(value: &Value, depth: usize) -> bool {
    match value {
        _ if depth == 0 => false,
        Value::Array(list) => list.iter().any(|item| has_place(item, depth - 1)),
        Value::Object(object) => {
            TRANSCRIPT.iter().any(|key| object.get(*key).is_some_and(|value| value.is_string() || value.is_null()))
                || INSIDE.iter().any(|key| object.get(*key).is_some_and(|value| has_place(value, depth - 1)))
        }
        _ => false,
    }
}

fn holds_text(value: &Value, depth: usize) -> bool {
    match value {
        _ if depth == 0 => false,
        Value::Array(list) => list.iter().any(|item| holds_text(item, depth - 1)),
        Value::Object(object) => {
            let here = |key: &str| object.get(key).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
            let inside = |key: &str| object.get(key).is_some_and(|value| holds_text(value, depth - 1));
            TRANSCRIPT.iter().any(|key| here(key)) || INSIDE.iter().any(|key| inside(key))
        }
        _ => false,
    }
}
