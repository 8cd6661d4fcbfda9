//! Whether an answer depends on the input: another one is sent once, where equal answers cannot be right.
//!
//! Classifiers, voice detectors and chats may answer two inputs alike, and a status that is told in words is the same for
//! all. So only long transcripts and embeddings are compared, and only if nothing else of the answer differs either.

use super::{TRANSCRIPTS, WRAPPERS, file_of, has_speech, is_beside, transcript};
use crate::probe::service::conversation::{Answered, Conversation, as_doctor};
use crate::probe::service::message::{Content, Field, File, Message};
use crate::probe::service::synthesis::names::is_main_input;
use crate::probe::service::synthesis::samples;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Characters of a transcript from which on no two recordings share it. What Whisper makes of music or of another
/// language ("Thank you very much for watching.") is shorter.
const LONG_TEXT: usize = 40;
/// Numbers of an embedding, at least.
const LONG_LIST: usize = 16;
/// Members that hold an embedding; in others a list of numbers may be a table that is always the same.
const EMBEDDINGS: &[&str] =
    &["embedding", "embeddings", "vector", "vectors", "dense_vecs", "sentence_embedding", "dense_embedding"];
/// Head of the speech sample: the canonical one of a WAV file.
const WAV_HEAD: usize = 44;
/// The doctor's guess of a text, and another text.
const TEXT: &str = "hello";
const OTHER_TEXT: &str = "The weather is fine today.";

/// Another input of the same kind.
struct Other {
    message: Message,
    /// What was sent, and in place of what.
    how: &'static str,
    audio: bool,
}

/// Sends another input once, where equal answers would be strange, and tells if they are.
pub fn same_answer(talk: &mut Conversation, good: &Answered, answer: &Value) -> Option<String> {
    let other = other_input(&good.message)?;
    let heard = transcript(answer)
        .filter(|text| other.audio && text.trim().chars().count() >= LONG_TEXT && !was_sent(&good.message, text));
    let shown = match heard {
        Some(text) => format!("{:?}", talk.recorder.clean(text.trim(), 100)),
        None => format!("the same {} numbers", embedding(answer, "")?),
    };
    let answered = talk.ask(&as_doctor(&other.message)).filter(|answered| answered.exchange.accepted)?;
    let after: Value = serde_json::from_slice(&answered.body).ok()?;
    (result(answer) == result(&after)).then(|| format!("{}: {shown}", other.how))
}

/// Length of the first embedding of an answer.
fn embedding(answer: &Value, key: &str) -> Option<usize> {
    match answer {
        Value::Array(list) if list.len() >= LONG_LIST && list.iter().all(Value::is_number) => {
            let key = key.to_ascii_lowercase();
            let named = EMBEDDINGS.contains(&key.as_str());
            let plain = key.is_empty() || WRAPPERS.contains(&key.as_str());
            // Labels, counts and rounded scores are few different numbers.
            let fractions = list.iter().filter(|number| number.is_f64()).map(Value::to_string);
            (named || plain && fractions.collect::<BTreeSet<String>>().len() >= LONG_LIST).then_some(list.len())
        }
        Value::Array(list) => list.iter().take(64).find_map(|one| embedding(one, key)),
        Value::Object(object) => object.iter().find_map(|(key, one)| embedding(one, key)),
        _ => None,
    }
}

/// The answer without what stands beside its result.
fn result(answer: &Value) -> Value {
    match answer {
        Value::Array(list) => list.iter().map(result).collect(),
        Value::Object(object) => {
            let members = object.iter().filter(|(key, _)| !is_beside(key) || TRANSCRIPTS.contains(&key.as_str()));
            Value::Object(members.map(|(key, one)| (key.clone(), result(one))).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// Whether the request itself holds that text, so that it may only come back.
fn was_sent(message: &Message, text: &str) -> bool {
    let plain =
        |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let text = plain(text);
    let texts = message.fields.iter().filter(|field| file_of(field).is_none());
    texts.map(|field| plain(&field.content.as_text())).any(|sent| sent.contains(&text))
}

/// By a field or header of that name a server may keep its answers.
fn is_key(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ends = ["id", "key", "hash", "digest", "uuid", "name", "etag"];
    ends.iter().any(|end| name.ends_with(end)) && name != "model_name"
}

/// The same request with another input. Nothing where the answer may rest on something else that it holds.
fn other_input(message: &Message) -> Option<Other> {
    if message.fields.iter().any(|field| is_key(&field.name)) || message.headers.iter().any(|(name, _)| is_key(name)) {
        return None;
    }
    let mut files = message.fields.iter().filter(|field| file_of(field).is_some());
    match (files.next(), files.next()) {
        (None, _) => other_text(message),
        (Some(field), None) => other_audio(message, field),
        _ => None,
    }
}

fn other_audio(message: &Message, field: &Field) -> Option<Other> {
    let remote = |field: &Field| file_of(field).is_none() && field.content.as_text().contains("://");
    let file = file_of(field).filter(|file| file.bytes.starts_with(b"RIFF"))?;
    if message.fields.iter().any(remote) {
        return None;
    }
    // The end of the sample: a server that cuts what it hears, or stops at a pause, hears the same of its beginning.
    let half = File { name: format!("other-{}", file.name), bytes: second_half()?, ..file.clone() };
    let content = match &field.content {
        Content::Base64(_) => Content::Base64(half),
        _ => Content::File(half),
    };
    let how = match has_speech(message) {
        true => "the second half of the speech sample is answered exactly as the whole of it",
        false => "another recording, of the doctor's own, is answered exactly as the client's",
    };
    Some(Other { message: message.with(Field { content, ..field.clone() }), how, audio: true })
}

/// The second half of the speech sample as a WAV file.
fn second_half() -> Option<Arc<[u8]>> {
    let whole = samples::speech().bytes;
    let (head, sound) = whole.split_at_checked(WAV_HEAD)?;
    let half = sound.get(sound.len() / 4 * 2..)?;
    let mut wav = [head, half].concat();
    wav.get_mut(4..8)?.copy_from_slice(&u32::try_from(half.len() + WAV_HEAD - 8).ok()?.to_le_bytes());
    wav.get_mut(40..44)?.copy_from_slice(&u32::try_from(half.len()).ok()?.to_le_bytes());
    Some(Arc::from(wav))
}

fn other_text(message: &Message) -> Option<Other> {
    let guessed = |field: &Field| field.guess && field.content == Content::Json(Value::from(TEXT));
    // What the model works on must be changed, and all of it.
    let in_body = |field: &&Field| field.place.in_body();
    let alone = message.fields.iter().filter(in_body).count() == 1;
    let mut inputs =
        message.fields.iter().filter(|field| is_main_input(&field.name) || alone && in_body(field)).peekable();
    inputs.peek()?;
    if !inputs.all(guessed) {
        return None;
    }
    let other = |field: &Field| Field { content: Content::Json(Value::from(OTHER_TEXT)), ..field.clone() };
    let changed = message.fields.iter().filter(|field| guessed(field)).map(other);
    let message = changed.fold(message.clone(), |message, field| message.with(field));
    Some(Other { message, how: "another text is answered exactly as the first", audio: false })
}

#[cfg(test)]
#[path = "same_tests.rs"]
mod tests;
