//! Talks with the server in rounds, until it accepts a request or nothing is left to try.

pub mod complaint;
#[cfg(test)]
mod complaint_tests;
pub mod proof;

use crate::probe::service::message::{Content, Encoding, Field, Message, Place};
use crate::probe::service::record::Recorder;
use crate::probe::service::schema::{Candidate, Described};
use crate::probe::service::synthesis::samples;
use crate::probe::service::synthesis::{self, Synthesis};
use crate::probe::service::transport::{BODY_CAP, Http, Reply};
use crate::snapshot::Exchange;
use complaint::Complaint;
use std::time::{Duration, Instant};
use url::Url;

/// Requests of the conversation, the client's own included, and of the proof after it, at most.
const ROUNDS: usize = 12;
const PROOF_ROUNDS: usize = 4;
/// Fields that are tried alone, at most: requests must be left for the doctor's own way.
const SINGLES: usize = 6;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Found because the answer said so.
pub const NAMED: &str = "the answer names it";
/// Found by adding fields that the schema has.
pub const TRIED: &str = "trying the schema's fields that were not sent";

/// A request with its answer.
#[derive(Debug, Clone)]
pub struct Answered {
    pub message: Message,
    pub exchange: Exchange,
    pub complaint: Complaint,
    pub status: Option<u16>,
}

/// A field that was added, and why.
#[derive(Debug, Clone)]
pub struct Added {
    pub field: Field,
    pub found_by: &'static str,
}

/// The accepted request and what it has beyond the one it started from.
#[derive(Debug)]
pub struct Completed {
    pub accepted: Answered,
    pub added: Vec<Added>,
}

/// The conversation so far.
pub struct Conversation<'a> {
    pub http: &'a Http,
    pub server: &'a Url,
    pub everywhere: &'a [(String, String)],
    pub recorder: Recorder,
    /// Every exchange of the doctor's own, in order.
    pub attempts: Vec<Exchange>,
    pub operation: Option<&'a Candidate>,
    left: usize,
    proving: bool,
}

impl<'a> Conversation<'a> {
    /// A conversation that has not begun.
    pub fn new(http: &'a Http, server: &'a Url, everywhere: &'a [(String, String)]) -> Self {
        let recorder = Recorder::new(server, everywhere);
        Self { http, server, everywhere, recorder, attempts: Vec::new(), operation: None, left: ROUNDS, proving: false }
    }

    /// Grants the requests of the proof, once.
    pub fn begin_proof(&mut self) {
        if !std::mem::replace(&mut self.proving, true) {
            self.left = PROOF_ROUNDS;
        }
    }

    /// Grants this many further requests, in place of what was left.
    pub fn grant(&mut self, requests: usize) {
        self.left = requests;
    }

    /// Sends one request, if the count and the time allow it.
    pub fn ask(&mut self, message: &Message) -> Option<Answered> {
        let outgoing = message.outgoing(self.server, self.everywhere)?;
        if self.left == 0 || self.http.time_left() < Duration::from_millis(200) {
            return None;
        }
        self.left -= 1;
        self.recorder.learn(message);
        let started = Instant::now();
        let result = self.http.send(&outgoing, message.limit.unwrap_or(PATIENCE).min(PATIENCE));
        let duration = started.elapsed();
        let accepted = result.as_ref().is_ok_and(accepts);
        let reply = match &result {
            Ok(reply) => Some(reply),
            Err(failure) => failure.partial.as_deref(),
        };
        let complaint = match reply {
            Some(reply) if !accepted => complaint::read(&reply.body, &self.known(message)),
            _ => Complaint::default(),
        };
        let exchange = self.recorder.exchange(message, &result, accepted, duration, &complaint);
        if message.author == "doctor" {
            self.attempts.push(exchange.clone());
        }
        Some(Answered { message: message.clone(), exchange, complaint, status: reply.map(|reply| reply.status) })
    }

    /// Names of the fields that the operation and the request have.
    fn known<'b>(&'b self, message: &'b Message) -> Vec<&'b str> {
        let described = self.operation.into_iter().flat_map(|operation| &operation.fields);
        described.map(|field| field.name.as_str()).chain(message.fields.iter().map(|f| f.name.as_str())).collect()
    }

    /// What the schema says of a field.
    pub fn described(&self, name: &str) -> Option<&'a Described> {
        self.operation?.fields.iter().find(|field| field.name == name)
    }

    /// Adds fields to a rejected request until the server accepts it.
    pub fn complete(&mut self, base: &Answered, synthesis: &mut Synthesis) -> Option<Completed> {
        let mut current = Answered { message: as_doctor(&base.message), ..base.clone() };
        let mut added: Vec<Added> = Vec::new();
        let mut tried: Vec<String> = Vec::new();
        loop {
            let step = self.named(&current, synthesis).or_else(|| self.supported(&current, synthesis));
            if let Some((fields, found_by)) = step {
                let message = self.enlarged(&current.message, &fields);
                note(&mut added, fields, found_by, base);
                current = self.ask(&message)?;
                if current.exchange.accepted {
                    return Some(Completed { accepted: current, added });
                }
                continue;
            }
            if hopeless(current.status) {
                return None;
            }
            let untried = self.untried(&current.message, &tried, synthesis);
            if untried.is_empty() {
                return None;
            }
            // All at once first; if that is no better, one at a time.
            let trials = [untried.clone()].into_iter().chain(untried.iter().cloned().map(|field| vec![field]));
            tried.extend(untried.iter().map(|field| field.name.clone()));
            let mut next = None;
            for fields in trials.take(if untried.len() == 1 { 1 } else { 1 + SINGLES }) {
                let answered = self.ask(&self.enlarged(&current.message, &fields))?;
                let news = answered.complaint != current.complaint && !answered.complaint.missing.is_empty();
                if answered.exchange.accepted || news {
                    note(&mut added, fields, TRIED, base);
                    next = Some(answered);
                    break;
                }
            }
            current = next?;
            if current.exchange.accepted {
                return Some(Completed { accepted: current, added });
            }
        }
    }

    /// The fields that the answer names and the request lacks.
    fn named(&self, current: &Answered, synthesis: &Synthesis) -> Option<(Vec<Field>, &'static str)> {
        let missing = current.complaint.missing.iter().filter(|(name, _)| current.message.field(name).is_none());
        let fields: Vec<Field> =
            missing.filter_map(|(name, place)| self.field(name, *place, current, synthesis)).collect();
        (!fields.is_empty()).then_some((fields, NAMED))
    }

    fn field(&self, name: &str, place: Option<Place>, current: &Answered, synthesis: &Synthesis) -> Option<Field> {
        let field = match self.described(name) {
            Some(described) => synthesis.described(described),
            // A dotted name is a nested one, which cannot be added at the top.
            None if name.contains('.') => return None,
            // Code that reads the request itself leaves no trace in the schema; a file comes in a form.
            None if self.body_is_unknown(&current.message) && synthesis::looks_like_file(name) => {
                synthesis.unnamed(name, Place::Form)
            }
            None => synthesis.unnamed(name, place.unwrap_or_else(|| current.message.usual_place())),
        };
        self.carries(&current.message, field.place).then_some(field)
    }

    /// Fields for which the server said what it takes: those that the request lacks, and guesses that were wrong.
    fn supported(&self, current: &Answered, synthesis: &mut Synthesis) -> Option<(Vec<Field>, &'static str)> {
        let mut fields = Vec::new();
        for (name, values) in &current.complaint.supported {
            let place = match current.message.field(name) {
                Some(Field { content: Content::File(_) | Content::Base64(_), .. }) => continue,
                Some(old) if !old.guess || values.contains(&old.content.as_text()) => continue,
                Some(old) => old.place,
                None => self.described(name).map_or_else(|| current.message.usual_place(), |field| field.place),
            };
            if place == Place::Tensor
                || synthesis.supported.contains_key(name)
                || !self.carries(&current.message, place)
            {
                continue;
            }
            synthesis.supported.insert(name.clone(), values.clone());
            fields.push(synthesis.unnamed(name, place));
        }
        (!fields.is_empty()).then_some((fields, NAMED))
    }

    /// Fields of the schema that the request lacks and that were not tried yet.
    fn untried(&self, message: &Message, tried: &[String], synthesis: &Synthesis) -> Vec<Field> {
        let described = self.operation.into_iter().flat_map(|operation| &operation.fields);
        described
            .filter(|field| message.field(&field.name).is_none() && !tried.contains(&field.name))
            .filter(|field| self.carries(message, field.place))
            .map(|field| synthesis.described(field))
            .collect()
    }

    /// Whether a request that may have a body was sent without one, because the schema has none.
    fn body_is_unknown(&self, message: &Message) -> bool {
        let none = message.encoding == Encoding::None && !matches!(message.method.as_str(), "GET" | "HEAD");
        none && self.operation.is_some_and(|operation| operation.encoding == Encoding::None)
    }

    fn carries(&self, message: &Message, place: Place) -> bool {
        message.can_carry(place) || message.encoding == Encoding::None && self.operation.is_some()
    }

    /// The message with more fields; one without a body gets the operation's.
    pub fn enlarged(&self, message: &Message, fields: &[Field]) -> Message {
        let mut message = message.clone();
        if let (Encoding::None, Some(operation)) = (message.encoding, self.operation)
            && fields.iter().any(|field| !message.can_carry(field.place))
        {
            message.encoding = operation.encoding;
            message.content_type = operation.content_type.clone();
            if message.encoding == Encoding::None {
                message.encoding = Encoding::Multipart;
                message.content_type = "multipart/form-data".into();
            }
        }
        fields.iter().fold(message, |message, field| message.with(field.clone()))
    }
}

/// Keeps the latest value of each field that the base lacks.
fn note(added: &mut Vec<Added>, fields: Vec<Field>, found_by: &'static str, base: &Answered) {
    for field in fields {
        if base.message.field(&field.name).is_some() {
            continue;
        }
        match added.iter_mut().find(|old| old.field.name == field.name) {
            Some(old) => old.field = field,
            None => added.push(Added { field, found_by }),
        }
    }
}

/// The request in the doctor's hand.
pub fn as_doctor(message: &Message) -> Message {
    Message { author: "doctor", ..message.clone() }
}

/// The request that follows the schema: what it requires, and the payload.
pub fn by_schema(operation: &Candidate, synthesis: &Synthesis) -> Message {
    let wanted =
        |field: &&Described| field.required || field.kind == "file" || synthesis.given.contains_key(&field.name);
    let fields = operation.fields.iter().filter(|field| {
        wanted(field) || matches!(synthesis.described(field).content, Content::File(_) | Content::Base64(_))
    });
    let fields: Vec<Field> = fields.map(|field| synthesis.described(field)).collect();
    let raw = (operation.encoding == Encoding::Raw).then(|| match operation.content_type.as_str() {
        media if media.starts_with("image/") => samples::image().bytes,
        media if media.starts_with("text/") => samples::text().bytes,
        _ => samples::speech().bytes,
    });
    Message {
        author: "doctor",
        method: operation.method.clone(),
        path: operation.path.clone(),
        fields,
        headers: Vec::new(),
        encoding: operation.encoding,
        content_type: operation.content_type.clone(),
        verbatim: raw,
        limit: None,
        follow: true,
    }
}

/// Whether an answer counts as accepted: 2xx without an error inside.
pub fn accepts(reply: &Reply) -> bool {
    debug_assert!(reply.body.len() <= BODY_CAP);
    (200..300).contains(&reply.status) && !complaint::soft_error(&reply.body)
}

/// Statuses that no added field cures: access, path, method, size, rate, gateways, no answer at all.
fn hopeless(status: Option<u16>) -> bool {
    !matches!(status, Some(200..=299 | 400 | 402 | 406..=409 | 415..=428 | 500 | 501))
}
