//! The same fields in another content type.

use super::Answered;
use crate::probe::service::message::{Content, Encoding, Field, Message, Place};
use crate::probe::service::synthesis::looks_like_file;
use serde_json::Value;

/// Content types that are tried for one request, at most.
pub const TRIALS: usize = 2;

/// The media type of an encoding as it is written.
pub fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Multipart => "multipart/form-data",
        Encoding::Urlencoded => "application/x-www-form-urlencoded",
        Encoding::Json => "application/json",
        Encoding::None | Encoding::Raw => "",
    }
}

/// Why the content type of a rejected request may be wrong, in words; nothing if there is no sign of it.
pub fn sign(answered: &Answered) -> Option<String> {
    let message = &answered.message;
    if message.encoding == Encoding::None || message.fields.iter().any(|field| field.place == Place::Tensor) {
        return None;
    }
    if let Some(wrong) = &answered.complaint.content_type {
        let already = wrong.wants == Some(message.encoding);
        return (!already).then(|| format!("the answer says {:?}", wrong.says));
    }
    if answered.status == Some(415) {
        return Some("the answer is 415 Unsupported Media Type".into());
    }
    let sent = |(name, place): &&(String, Option<Place>)| {
        place.is_none() && message.fields.iter().any(|field| field.name == *name && field.place.in_body())
    };
    let named: Vec<&str> = answered.complaint.missing.iter().filter(sent).map(|(name, _)| name.as_str()).collect();
    // A body whose fields nobody could read names none that were sent.
    (!named.is_empty()).then(|| format!("the answer misses {}, which {} sent", named.join(", "), were(named.len())))
}

fn were(count: usize) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

/// The encodings to try instead of the message's own, best first: what the answer wants, what the schema has, the rest.
pub fn others(message: &Message, wanted: Option<Encoding>, by_schema: Option<Encoding>) -> Vec<Encoding> {
    let all = [Encoding::Multipart, Encoding::Json, Encoding::Urlencoded];
    let mut found: Vec<Encoding> = Vec::new();
    for encoding in wanted.into_iter().chain(by_schema).chain(all) {
        if all.contains(&encoding) && encoding != message.encoding && !found.contains(&encoding) {
            found.push(encoding);
        }
    }
    found.truncate(TRIALS);
    found
}

/// The same fields in another encoding; nothing if the body's fields are not known.
pub fn reencoded(message: &Message, encoding: Encoding) -> Option<Message> {
    let mut fields: Vec<Field> = message.fields.clone();
    let mut in_body = fields.iter().any(|field| field.place.in_body());
    let mut verbatim = None;
    if !in_body {
        let bytes = message.verbatim.as_ref()?;
        let Ok(Value::Object(members)) = serde_json::from_slice(bytes) else { return None };
        // The client's own text goes as it is: only its name was wrong.
        verbatim = (encoding == Encoding::Json).then(|| bytes.clone());
        fields.extend(members.into_iter().take(200).map(|(name, value)| Field {
            name,
            place: Place::Json,
            content: Content::Json(value),
            guess: false,
        }));
        in_body = true;
    }
    if !in_body {
        return None;
    }
    let place = if encoding == Encoding::Json { Place::Json } else { Place::Form };
    for field in fields.iter_mut().filter(|field| field.place.in_body()) {
        field.place = place;
        field.content = match (field.content.clone(), encoding) {
            (Content::File(file), Encoding::Json | Encoding::Urlencoded) => Content::Base64(file),
            (Content::Base64(file), Encoding::Multipart) if looks_like_file(&field.name) => Content::File(file),
            (other, _) => other,
        };
    }
    Some(Message { fields, encoding, content_type: media_type(encoding).into(), verbatim, ..message.clone() })
}
