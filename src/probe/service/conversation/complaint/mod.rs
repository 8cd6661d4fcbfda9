//! Reads a rejection: which fields it names as missing, which values it says it takes, and whether the content type is wrong.

#[cfg(test)]
mod contract_tests;
pub mod failure;
pub mod markup;
mod structured;
#[cfg(test)]
mod tests;
mod values;
mod words;

use crate::probe::service::message::Place;
use serde_json::Value;
use std::collections::BTreeMap;
pub use words::{Wrong, pattern};

/// Length of an answer that is searched, bytes; nodes of a JSON answer that are visited.
const TEXT_CAP: usize = 16 << 10;
const NODES: usize = 2000;
/// Fields and values taken from one answer, at most.
const NAMES: usize = 50;

/// What an answer complains about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Complaint {
    /// Fields named as missing, with the place where the answer gives it.
    pub missing: Vec<(String, Option<Place>)>,
    /// Values that the server says it takes, by field.
    pub supported: BTreeMap<String, Vec<String>>,
    /// Fields whose value is of the wrong kind, and the kind that is wanted, in the schema's words.
    pub wrong_kind: BTreeMap<String, &'static str>,
    /// What it says of the content type.
    pub content_type: Option<Wrong>,
    /// The last line of the traceback in it.
    pub failure: Option<String>,
}

impl Complaint {
    fn missing(&mut self, name: &str, place: Option<Place>) {
        let known = self.missing.iter().any(|(old, _)| old == name);
        if !known && !name.is_empty() && name.len() <= 100 && self.missing.len() < NAMES {
            self.missing.push((name.to_owned(), place));
        }
    }

    /// Whether it says anything that a better request could answer.
    pub fn is_telling(&self) -> bool {
        !(self.missing.is_empty()
            && self.supported.is_empty()
            && self.wrong_kind.is_empty()
            && self.content_type.is_none())
    }
}

/// Reads an answer's body. `known` are the names of fields that the schema or the request has.
pub fn read(body: &[u8], known: &[&str]) -> Complaint {
    let mut complaint = Complaint::default();
    let mut texts = Vec::new();
    match serde_json::from_slice::<Value>(body) {
        Ok(answer) => {
            structured::walk(&answer, &mut complaint, &mut texts);
            structured::param(&answer, &mut complaint);
        }
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            texts.push(if markup::is_page(&text) { markup::text(&text) } else { text.into_owned() });
        }
    }
    let structured = !complaint.missing.is_empty();
    for text in texts {
        // Of a traceback the end counts; above it stands code, which may say anything.
        if let Some(failure) = failure::of_traceback(&text) {
            if !structured {
                words::missing(&failure, known, &mut complaint);
            }
            complaint.failure = Some(failure);
            continue;
        }
        let text: String = text.chars().take(TEXT_CAP).collect();
        complaint.content_type = complaint.content_type.or_else(|| words::content_type(&text));
        if !structured {
            words::missing(&text, known, &mut complaint);
        }
        values::read(&text, None, known, &mut complaint);
    }
    complaint
}
