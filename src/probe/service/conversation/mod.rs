//! Talks with the server in rounds, until it accepts a request or nothing is left to try.

pub mod complaint;
pub mod encodings;
pub mod evidence;
pub mod proof;
pub mod rejection;
mod rounds;
mod samples;
pub mod soft;
mod trials;

use crate::probe::service::message::{Field, Message};
use crate::probe::service::record::Recorder;
use crate::probe::service::schema::{Candidate, Described};
use crate::probe::service::synthesis::{self, Synthesis};
use crate::probe::service::transport::{BODY_CAP, Failure, Http, Reply};
use crate::snapshot::{ContentTypeFault, Exchange, WrongValue};
use complaint::Complaint;
use evidence::Evidence;
use rejection::Rejection;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;

/// Requests in all, the client's own included, at most; and those of them that are kept for the proof.
const REQUESTS: usize = 12;
const KEPT_FOR_PROOF: usize = 3;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest wait that a server may ask for (`Retry-After`), and the wait where it names none. It is waited once.
const RETRY_MAX: Duration = Duration::from_secs(2);
const RETRY_USUAL: Duration = Duration::from_millis(500);

/// Found because the answer said so.
pub const NAMED: &str = "the answer names it";
/// Found because the server's log said so.
pub const LOGGED: &str = "the server's log names it";
/// Found by adding fields that the schema has.
pub const TRIED: &str = "trying the schema's fields that were not sent";

/// A request with its answer.
#[derive(Debug, Clone)]
pub struct Answered {
    pub message: Message,
    pub exchange: Exchange,
    pub complaint: Complaint,
    pub status: Option<u16>,
    /// What the rejection is; nothing if the request was accepted.
    pub rejection: Option<Rejection>,
    /// What the server's log names, where the answer names nothing.
    pub logged: Complaint,
    /// The server's own failure: the last line of a traceback, in the answer or in the log.
    pub failure: Option<String>,
    /// The answer's body.
    pub body: Arc<[u8]>,
}

/// A field that was added, and why.
#[derive(Debug, Clone)]
pub struct Added {
    pub field: Field,
    pub found_by: String,
}

/// The accepted request and what it has beyond the one it started from.
#[derive(Debug)]
pub struct Completed {
    pub accepted: Answered,
    pub added: Vec<Added>,
    /// Values of the rejected request that were put right.
    pub corrected: Vec<WrongValue>,
}

impl Completed {
    /// A request that was accepted with these fields more.
    pub fn with(accepted: Answered, added: Vec<Added>) -> Self {
        Self { accepted, added, corrected: Vec::new() }
    }
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
    pub evidence: Evidence,
    /// Where the content type was wrong.
    pub content_type_faults: Vec<ContentTypeFault>,
    left: usize,
    proving: bool,
    waited: bool,
}

impl<'a> Conversation<'a> {
    /// A conversation that has not begun.
    pub fn new(http: &'a Http, server: &'a Url, everywhere: &'a [(String, String)], evidence: Evidence) -> Self {
        Self {
            http,
            server,
            everywhere,
            recorder: Recorder::new(server, everywhere),
            attempts: Vec::new(),
            operation: None,
            evidence,
            content_type_faults: Vec::new(),
            left: REQUESTS - KEPT_FOR_PROOF,
            proving: false,
            waited: false,
        }
    }

    /// Grants the requests of the proof, once.
    pub fn begin_proof(&mut self) {
        if !std::mem::replace(&mut self.proving, true) {
            self.left += KEPT_FOR_PROOF;
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
        self.evidence.begin();
        let limit = message.limit.unwrap_or(PATIENCE).min(PATIENCE);
        let mut started = Instant::now();
        let mut result = self.http.send(&outgoing, limit);
        if let Some(wait) = self.asked_to_wait(&result) {
            self.waited = true;
            self.left -= 1;
            std::thread::sleep(wait);
            started = Instant::now();
            result = self.http.send(&outgoing, limit);
        }
        let duration = started.elapsed();
        let accepted = result.as_ref().is_ok_and(accepts);
        let reply = match &result {
            Ok(reply) => Some(reply),
            Err(failure) => failure.partial.as_deref(),
        };
        let mut complaint = match reply {
            Some(reply) if !accepted => complaint::read(&reply.body, &self.known(message)),
            _ => Complaint::default(),
        };
        let status = reply.map(|reply| reply.status);
        let text =
            reply.map(|reply| String::from_utf8_lossy(reply.body.get(..2000).unwrap_or(&reply.body)).into_owned());
        let rejection =
            (!accepted).then(|| Rejection::of(status, message, &complaint, text.as_deref().unwrap_or_default()));
        if rejection.is_some_and(Rejection::is_hopeless) {
            // A model that is not found and a key that is not accepted are no fields that are missing.
            complaint = Complaint { failure: complaint.failure, ..Complaint::default() };
        }
        let mut logged = Complaint::default();
        let mut failure = complaint.failure.clone();
        if rejection.is_some_and(|kind| !kind.is_hopeless()) && !complaint.is_telling() {
            let failures = self.evidence.gained();
            logged = Evidence::named(&failures, &self.known(message));
            failure = failure.or_else(|| failures.last().cloned());
        }
        let exchange = self.recorder.exchange(message, &result, accepted, duration, &complaint);
        if message.author == "doctor" {
            self.attempts.push(exchange.clone());
        }
        let body = reply.map_or_else(|| Arc::from([]), |reply| Arc::from(reply.body.as_slice()));
        Some(Answered { message: message.clone(), exchange, complaint, status, rejection, logged, failure, body })
    }

    /// How long to wait before the same request is sent again, where the server is only busy. Once a conversation.
    fn asked_to_wait(&self, result: &Result<Reply, Failure>) -> Option<Duration> {
        let reply = result.as_ref().ok()?;
        let named = reply.headers.iter().find(|(name, _)| name == "retry-after");
        let seconds = named.and_then(|(_, value)| value.trim().parse::<u64>().ok()).map(Duration::from_secs);
        let wait = match (reply.status, seconds) {
            (429, None) => RETRY_USUAL,
            (429 | 503, Some(wait)) => wait,
            _ => return None,
        };
        let room = !self.waited && self.left > 0 && self.http.time_left() > wait + Duration::from_secs(2);
        (room && wait <= RETRY_MAX).then_some(wait)
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
}

/// The request in the doctor's hand.
pub fn as_doctor(message: &Message) -> Message {
    Message { author: "doctor", ..message.clone() }
}

/// The request that follows the schema: what it requires, and the payload.
pub fn by_schema(operation: &Candidate, synthesis: &Synthesis) -> Message {
    synthesis::plan::plan(operation, synthesis).message
}

/// Whether an answer counts as accepted: 2xx without an error inside, or a WebSocket's session that came to its end.
pub fn accepts(reply: &Reply) -> bool {
    debug_assert!(reply.body.len() <= BODY_CAP);
    match &reply.session {
        Some(session) => session.accepted() && soft::error_inside(&reply.body).is_none(),
        None => accepts_http(reply.status, &reply.body),
    }
}

/// The same of an HTTP answer by its status and its body.
pub fn accepts_http(status: u16, body: &[u8]) -> bool {
    (200..300).contains(&status) && soft::error_inside(body).is_none()
}
