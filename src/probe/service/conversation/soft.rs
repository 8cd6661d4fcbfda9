//! Answers that count as accepted or say 200, and are none: errors inside, empty transcripts, the same for everything.

#[path = "same.rs"]
mod same;

use super::{Answered, Conversation};
use crate::probe::service::message::{Content, Field, File, Message};
use crate::probe::service::synthesis::samples;
use crate::probe::service::websocket;
use crate::snapshot::SoftFailure;
use regex::bytes::Regex;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// Objects within objects that are looked into for an error.
const DEPTH: usize = 3;
/// Values of an answer that are visited.
const NODES: usize = 2000;
/// Members under which servers wrap their results.
const WRAPPERS: &[&str] = &[
    "result",
    "results",
    "response",
    "data",
    "output",
    "outputs",
    "body",
    "payload",
    "predictions",
    "prediction",
    "outputs",
];
/// Members that hold a transcript.
const TRANSCRIPTS: &[&str] =
    &["text", "transcript", "transcription", "transcripts", "sentence", "utterance", "recognized_text", "hypothesis"];
/// Members that stand beside a result and are none.
const BESIDE: &[&str] = &[
    "lang",
    "language",
    "language_code",
    "language_probability",
    "task",
    "duration",
    "duration_after_vad",
    "model",
    "id",
    "object",
    "created",
    "usage",
    "rtf",
    "sample_rate",
    "code",
    "status",
    "status_code",
    "message",
    "msg",
    "success",
    "ok",
    "segments",
    "words",
    "decoding",
    "request_id",
    "version",
    "x_groq",
];
/// End of an answer's text that is looked through for events, bytes.
const EVENTS_BYTES: usize = 64 << 10;
/// Speech that a filter left, seconds, from which on it was no filter's fault.
const LEFT_SECONDS: f64 = 0.1;

/// Names and values under which an error would stand, and how any name can be written otherwise.
static ERROR_NAMES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#""err|"exception"|ode"|status|"success"|"ok"|\\u"#).expect("a valid pattern"));

/// Whether there is a reason to look for an error in the answer: of JSON by a look at its bytes, which is much cheaper than
/// parsing it. No is certain, yes is not.
pub fn may_hold_error(body: &[u8]) -> bool {
    let begin = body.iter().find(|byte| !byte.is_ascii_whitespace());
    !matches!(begin, Some(b'{' | b'[')) || ERROR_NAMES.is_match(body)
}

/// The error inside a 2xx answer, in its own words; nothing if there is none.
pub fn error_inside(body: &[u8]) -> Option<String> {
    match parsed(body) {
        Ok(answer) => error_of(&answer),
        Err(error) => error,
    }
}

/// The same of an answer that was parsed.
pub fn error_of(answer: &Value) -> Option<String> {
    of_value(answer, DEPTH)
}

/// The answer as JSON; of any other text the error that it tells.
pub fn parsed(body: &[u8]) -> Result<Value, Option<String>> {
    serde_json::from_slice::<Value>(body).map_err(|_| of_text(body))
}

fn of_text(body: &[u8]) -> Option<String> {
    let end = body.get(body.len().saturating_sub(EVENTS_BYTES)..).filter(|end| !end.contains(&0))?;
    let text = String::from_utf8_lossy(end);
    if text.starts_with("Traceback (most recent call last)") {
        return text.lines().last().map(str::to_owned);
    }
    of_events(&text)
}

/// Server-sent events: the last one with data counts. Gradio's and Anthropic's are named `error` where they failed.
fn of_events(text: &str) -> Option<String> {
    let (mut name, mut last) = ("", None);
    for line in text.lines() {
        if line.is_empty() {
            name = "";
        } else if let Some(named) = line.strip_prefix("event:") {
            name = named.trim();
        } else if let Some(data) = line.strip_prefix("data:").map(str::trim).filter(|data| *data != "[DONE]") {
            last = Some((name, data));
        }
    }
    let (name, data) = last?;
    let value = serde_json::from_str::<Value>(data);
    let inside = value.as_ref().ok().and_then(|value| of_value(value, DEPTH));
    inside.or_else(|| {
        let words = value.as_ref().map_or(data, |value| value.as_str().unwrap_or_default());
        let words = if words.is_empty() { "without a word".to_owned() } else { format!("with {words:?}") };
        (name == "error").then(|| format!("the stream of events ends in an error {words}"))
    })
}

fn of_value(value: &Value, depth: usize) -> Option<String> {
    match value {
        Value::Object(answer) => of_object(answer, depth),
        // Of a batch each must have failed.
        Value::Array(list) if depth < DEPTH && !list.is_empty() && list.len() <= 64 => {
            let all: Option<Vec<String>> = list.iter().map(|one| of_value(one, depth.checked_sub(1)?)).collect();
            all?.into_iter().next()
        }
        _ => None,
    }
}

fn of_object(answer: &Map<String, Value>, depth: usize) -> Option<String> {
    let says = |key: &str| {
        let value = answer.get(key)?;
        let text = value.as_str().map(str::to_owned).or_else(|| {
            let inner = value.get("message").and_then(Value::as_str)?;
            Some(inner.to_owned())
        });
        text.filter(|text| !text.is_empty())
    };
    let words = || {
        let keys = ["error", "error_message", "errmsg", "message", "msg", "detail", "reason", "errors"];
        keys.iter().find_map(|key| says(key)).unwrap_or_default()
    };
    for key in ["error", "errors", "exception"] {
        if let Some(value) = answer.get(key).filter(|value| present(value)) {
            return Some(format!("{key}: {}", says(key).unwrap_or_else(|| value.to_string())));
        }
    }
    let number = |key: &str| answer.get(key).and_then(Value::as_f64);
    // {"code": 400, "msg": ...}: the status stands in the body, and HTTP says 200.
    for key in ["code", "status_code", "status", "statusCode"] {
        if let Some(status) = number(key).filter(|status| (400.0..600.0).contains(status)) {
            return Some(format!("{key} {status}: {}", words()));
        }
    }
    for key in ["error_code", "errorCode", "err_code", "errno", "retcode"] {
        if let Some(code) = number(key).filter(|code| *code != 0.0) {
            return Some(format!("{key} {code}: {}", words()));
        }
    }
    // A code other than 0 beside a message and without any result.
    let empty = ["data", "result", "results"].iter().all(|key| answer.get(*key).is_none_or(|value| !present(value)));
    if let Some(code) = number("code").filter(|code| *code != 0.0 && !(200.0..300.0).contains(code))
        && answer.len() <= 5
        && empty
        && !words().is_empty()
        && ["data", "result", "results"].iter().any(|key| answer.contains_key(*key))
    {
        return Some(format!("code {code}: {}", words()));
    }
    for key in ["success", "ok"] {
        if answer.get(key) == Some(&Value::Bool(false)) {
            return Some(format!("{key} false: {}", words()));
        }
    }
    let status = answer.get("status").and_then(Value::as_str).map(str::to_ascii_lowercase);
    if let Some(status) = status.filter(|s| matches!(s.as_str(), "error" | "failed" | "failure" | "fail")) {
        return Some(format!("status {status}: {}", words()));
    }
    let inner = answer.iter().filter(|(key, value)| WRAPPERS.contains(&key.as_str()) && !value.is_null());
    let depth = depth.checked_sub(1)?;
    let mut inner = inner.peekable();
    inner.peek()?;
    let found: Option<Vec<String>> = inner.map(|(_, value)| of_value(value, depth)).collect();
    found?.into_iter().next()
}

fn present(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
    }
}

/// The error inside a rejected answer that says 2xx.
pub fn rejected(answered: &Answered, talk: &Conversation) -> Option<SoftFailure> {
    let status = answered.status.filter(|status| (200..300).contains(status))?;
    let words = talk.recorder.clean(&error_inside(&answered.body)?, 200);
    Some(SoftFailure { kind: "error_inside".into(), detail: format!("status {status}, and in the body {words}") })
}

/// What is wrong with an accepted answer. Sends at most two requests more, within those that are left.
pub fn failures(talk: &mut Conversation, good: &Answered) -> Vec<SoftFailure> {
    let mut found = Vec::new();
    let mut push = |kind: &str, detail: String| found.push(SoftFailure { kind: kind.into(), detail });
    if good.message.method == websocket::METHOD {
        if has_speech(&good.message) && is_silent(good) {
            let (words, last) = (samples::SPEECH_TEXT, &good.exchange.answer);
            let last = if last.is_empty() { String::new() } else { format!(": {}", talk.recorder.clean(last, 200)) };
            push("empty_transcript", format!("the speech sample ({words:?}) is answered without any text{last}"));
        }
        return found;
    }
    let Ok(answer) = serde_json::from_slice::<Value>(&good.body) else {
        let has_input = good.message.fields.iter().any(|field| file_of(field).is_some());
        if good.body.is_empty() && has_input {
            push("no_result", format!("the answer {} is empty", good.status.unwrap_or_default()));
        }
        return found;
    };
    if let Some(detail) = only_loaded(&answer) {
        push("no_result", detail);
        return found;
    }
    let speech = has_speech(&good.message);
    if let Some(empty) = empty_transcript(&answer) {
        if let Some((left, given)) = left_by_filter(&answer) {
            push(
                "input_dropped",
                format!("by the answer's own words {left:.2} of {given:.2} s were left of the audio"),
            );
        }
        let words = samples::SPEECH_TEXT;
        if speech {
            push("empty_transcript", format!("the speech sample ({words:?}) is answered with an empty {empty:?}"));
        } else if let Some(with_speech) = good_speech(&good.message) {
            let again = talk.ask(&with_speech).filter(|answered| answered.exchange.accepted);
            let text = again.and_then(|answered| serde_json::from_slice::<Value>(&answered.body).ok());
            let text = text.and_then(|answer| transcript(&answer)).filter(|text| !text.trim().is_empty());
            if let Some(text) = text {
                let heard = talk.recorder.clean(&text, 80);
                push(
                    "empty_transcript",
                    format!(
                        "the client's audio is answered with an empty {empty:?}, the doctor's speech sample in the same \
                         request with {heard:?}: the client's audio holds no speech that the server hears"
                    ),
                );
            }
        }
        return found;
    }
    if let Some(detail) = same::same_answer(talk, good, &answer) {
        push("same_answer", detail);
    }
    found
}

/// Why an answer of ollama's holds no result: to a request without a prompt it only loads or unloads the model
/// (docs/api.md, "Load a model").
fn only_loaded(answer: &Value) -> Option<String> {
    let reason = answer.get("done_reason")?.as_str().filter(|reason| matches!(*reason, "load" | "unload"))?;
    Some(format!(
        "the answer says \"done_reason\": \"{reason}\": the request has no prompt, so the model was only {reason}ed"
    ))
}

/// Whether no message of a session held a text, though there was a place for one.
fn is_silent(session: &Answered) -> bool {
    let said = session.exchange.stream.known().is_some_and(|stream| stream.first_piece_ms.known().is_some());
    !said && std::str::from_utf8(&session.body).is_ok_and(websocket::is_empty_transcript)
}

fn file_of(field: &Field) -> Option<&File> {
    match &field.content {
        Content::File(file) | Content::Base64(file) => Some(file),
        _ => None,
    }
}

/// Whether the request carries the doctor's speech sample.
fn has_speech(message: &Message) -> bool {
    let speech = samples::speech().bytes;
    message.fields.iter().filter_map(file_of).any(|file| file.bytes == speech)
        || message.verbatim.as_ref().is_some_and(|bytes| *bytes == speech)
}

/// The request with the doctor's speech sample in place of its WAV file.
fn good_speech(message: &Message) -> Option<Message> {
    let field =
        message.fields.iter().find(|field| file_of(field).is_some_and(|file| file.bytes.starts_with(b"RIFF")))?;
    let content = match &field.content {
        Content::Base64(_) => Content::Base64(samples::speech()),
        _ => Content::File(samples::speech()),
    };
    Some(super::as_doctor(&message.with(Field { content, ..field.clone() })))
}

/// The transcripts of an answer, one after the other; nothing if it has no member for one.
fn transcript(answer: &Value) -> Option<String> {
    let (mut open, mut visited, mut found) = (vec![answer], 0, None::<String>);
    while let Some(value) = open.pop() {
        visited += 1;
        if visited > NODES {
            break;
        }
        match value {
            Value::Array(list) => open.extend(list.iter().rev()),
            Value::Object(object) => {
                for (key, value) in object {
                    match value {
                        Value::String(text) if TRANSCRIPTS.contains(&key.as_str()) => {
                            let all = found.get_or_insert_default();
                            all.push_str(text);
                        }
                        other => open.push(other),
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// The member that should hold a transcript and is empty, where nothing else in the answer is a result.
fn empty_transcript(answer: &Value) -> Option<String> {
    let object = answer.as_object()?;
    if transcript(answer).is_none_or(|text| !text.trim().is_empty()) {
        return None;
    }
    let is_wrapper = |key: &str| {
        let key = key.to_ascii_lowercase();
        TRANSCRIPTS.contains(&key.as_str()) || WRAPPERS.contains(&key.as_str())
    };
    // A score of a voice detector is a result, whatever the text says.
    let other = object.iter().any(|(key, value)| !is_beside(key) && !is_wrapper(key) && present(value));
    let name = object.keys().find(|key| TRANSCRIPTS.contains(&key.as_str())).map_or("text", String::as_str);
    (!other).then(|| name.to_owned())
}

/// Whether a member stands beside a result and is none: a time, a language, an identifier.
fn is_beside(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    BESIDE.contains(&key.as_str())
        || key.contains("time")
        || key.ends_with("_ms")
        || key.ends_with("_seconds")
        || key.contains("latency")
        || key.contains("elapsed")
}

/// Seconds of audio that a filter left, and those that it was given, where the answer tells both and hardly any was left.
fn left_by_filter(answer: &Value) -> Option<(f64, f64)> {
    let number = |keys: &[&str]| keys.iter().find_map(|key| answer.get(*key)?.as_f64());
    let left = number(&["duration_after_vad", "speech_duration", "voiced_seconds"])?;
    let given = number(&["duration", "audio_duration", "duration_seconds"])?;
    (left < LEFT_SECONDS && given > 1.0).then_some((left, given))
}

#[cfg(test)]
#[path = "soft_tests.rs"]
mod tests;
