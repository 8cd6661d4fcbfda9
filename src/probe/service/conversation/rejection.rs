//! What a rejection is, by its status and what the answer says.

use super::complaint::Complaint;
use crate::probe::service::message::{Encoding, Message};

/// Kinds of rejection. The names are those of the snapshot, see [`Rejection::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    MissingField,
    WrongValue,
    ContentType,
    MalformedBody,
    Unnamed,
    Credentials,
    Path,
    Model,
    Method,
    Conflict,
    Length,
    TooLarge,
    Rate,
    Dependency,
    TimeOut,
    Gateway,
    Unavailable,
    ServerError,
    ErrorInside,
    Redirect,
    NoAnswer,
}

impl Rejection {
    /// The kind of an answer that was not accepted; no status means that there was no answer.
    pub fn of(status: Option<u16>, message: &Message, complaint: &Complaint, text: &str) -> Self {
        let Some(status) = status else { return Rejection::NoAnswer };
        let text = text.to_ascii_lowercase();
        match status {
            300..=399 => Rejection::Redirect,
            401 | 403 | 407 | 511 => Rejection::Credentials,
            404 | 410 if names_model(&text) => Rejection::Model,
            404 | 410 => Rejection::Path,
            405 => Rejection::Method,
            408 | 504 => Rejection::TimeOut,
            409 => Rejection::Conflict,
            411 => Rejection::Length,
            413 | 414 | 431 => Rejection::TooLarge,
            424 => Rejection::Dependency,
            429 => Rejection::Rate,
            502 => Rejection::Gateway,
            // TorchServe says 503 where its handler raised.
            503 if text.contains("prediction failed") || complaint.failure.is_some() => {
                by_words(status, message, complaint)
            }
            503 => Rejection::Unavailable,
            400 if text.contains("request for unknown model") => Rejection::Model,
            _ => by_words(status, message, complaint),
        }
    }

    /// The word for it in the snapshot.
    pub fn name(self) -> &'static str {
        match self {
            Rejection::MissingField => "missing_field",
            Rejection::WrongValue => "wrong_value",
            Rejection::ContentType => "content_type",
            Rejection::MalformedBody => "malformed_body",
            Rejection::Unnamed => "unnamed",
            Rejection::Credentials => "credentials",
            Rejection::Path => "path",
            Rejection::Model => "model",
            Rejection::Method => "method",
            Rejection::Conflict => "conflict",
            Rejection::Length => "length",
            Rejection::TooLarge => "too_large",
            Rejection::Rate => "rate",
            Rejection::Dependency => "dependency",
            Rejection::TimeOut => "time_out",
            Rejection::Gateway => "gateway",
            Rejection::Unavailable => "unavailable",
            Rejection::ServerError => "server_error",
            Rejection::ErrorInside => "error_inside",
            Rejection::Redirect => "redirect",
            Rejection::NoAnswer => "no_answer",
        }
    }

    /// Whether no other field, value or content type can cure it.
    pub fn is_hopeless(self) -> bool {
        !matches!(
            self,
            Rejection::MissingField
                | Rejection::WrongValue
                | Rejection::ContentType
                | Rejection::MalformedBody
                | Rejection::Unnamed
                | Rejection::Conflict
                | Rejection::ServerError
                | Rejection::ErrorInside
        )
    }
}

/// `The model X does not exist`, `Model not found: m`, `Servable not found for request`.
fn names_model(text: &str) -> bool {
    (text.contains("model") || text.contains("servable"))
        && ["not found", "not exist", "unknown model", "no available versions"].iter().any(|words| text.contains(words))
}

fn by_words(status: u16, message: &Message, complaint: &Complaint) -> Rejection {
    match &complaint.content_type {
        Some(wrong) if wrong.unreadable && message.encoding == Encoding::Json => return Rejection::MalformedBody,
        Some(_) => return Rejection::ContentType,
        None if status == 415 => return Rejection::ContentType,
        None => {}
    }
    // All that it misses was sent: it does not read the body.
    let sent = |name: &str| message.fields.iter().any(|field| field.name == name && field.place.in_body());
    let missing = &complaint.missing;
    if !missing.is_empty() && missing.iter().any(|(name, place)| place.is_none() && sent(name)) {
        return Rejection::ContentType;
    }
    match (missing.is_empty(), complaint.is_telling(), status) {
        (false, ..) => Rejection::MissingField,
        (true, true, _) => Rejection::WrongValue,
        (true, false, 101 | 200..=299) => Rejection::ErrorInside,
        (true, false, 500..) => Rejection::ServerError,
        _ => Rejection::Unnamed,
    }
}
