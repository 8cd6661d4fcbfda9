//! What was heard in a session, and what it comes to.

use super::stream_of;
use super::text::{Meaning, meaning};
use crate::probe::service::transport::Reply;
use std::time::{Duration, Instant};

/// Codes of a close frame and what they mean (RFC 6455, 7.4.1, and IANA's registry of them).
const CODES: &[(u16, &str)] = &[
    (1000, "normal"),
    (1001, "going away"),
    (1002, "protocol error"),
    (1003, "unsupported data"),
    (1005, "no code"),
    (1006, "no close message"),
    (1007, "invalid data"),
    (1008, "policy violation"),
    (1009, "message too big"),
    (1010, "extension wanted"),
    (1011, "internal error"),
    (1012, "service restart"),
    (1013, "try again later"),
    (1014, "bad gateway"),
];

/// How a session ended.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Code and reason of the server's close message; 1006 if it hung up without one.
    pub close: Option<(u16, String)>,
    /// Whether the server said anything but its configuration.
    answered: bool,
    /// Whether it said that it failed.
    failed: bool,
}

impl Session {
    /// Whether the session counts as accepted: the server answered, did not say that it failed, and did not end it early.
    pub fn accepted(&self) -> bool {
        let orderly = self.close.as_ref().is_none_or(|(code, _)| matches!(code, 1000 | 1001 | 1005));
        self.answered && !self.failed && orderly
    }
}

/// The messages of a session so far.
pub struct Heard {
    started: Instant,
    pub messages: usize,
    pub bytes: usize,
    /// Time to the first message that held a text.
    pub first_text: Option<Duration>,
    pub close: Option<(u16, String)>,
    /// The server spoke WhisperLiveKit's protocol, which has an end of its own.
    pub has_protocol: bool,
    /// It wants a file rather than samples.
    pub wants_file: bool,
    pub said_end: bool,
    failed: bool,
    /// The message that tells most: the last with a text, else the last that is no mere part of the protocol.
    telling: String,
    has_text: bool,
    spoke: bool,
}

impl Heard {
    /// Nothing yet, of a session that began then.
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            messages: 0,
            bytes: 0,
            first_text: None,
            close: None,
            has_protocol: false,
            wants_file: false,
            said_end: false,
            failed: false,
            telling: String::new(),
            has_text: false,
            spoke: false,
        }
    }

    /// Whether the server has said anything but its configuration.
    pub fn answered(&self) -> bool {
        self.spoke
    }

    /// A text message. True if it says that it is the last.
    pub fn text(&mut self, text: &str) -> bool {
        self.messages += 1;
        self.bytes += text.len();
        match meaning(text) {
            Meaning::Config { file } => {
                self.has_protocol = true;
                self.wants_file = file;
                if self.telling.is_empty() {
                    self.telling = text.into();
                }
            }
            Meaning::End => {
                self.said_end = true;
                self.spoke = true;
                return true;
            }
            Meaning::Error => {
                self.failed = true;
                self.spoke = true;
                self.telling = text.into();
            }
            Meaning::Text => {
                self.first_text.get_or_insert(self.started.elapsed());
                self.has_text = true;
                self.spoke = true;
                self.telling = text.into();
            }
            Meaning::Other => {
                self.spoke = true;
                if !self.has_text && !self.failed {
                    self.telling = text.into();
                }
            }
        }
        false
    }

    /// A binary message.
    pub fn binary(&mut self, bytes: &[u8]) -> bool {
        self.messages += 1;
        self.bytes += bytes.len();
        self.spoke = true;
        if !self.has_text && !self.failed {
            self.telling = format!("({} bytes)", bytes.len());
        }
        false
    }

    /// The connection ended without a close message.
    pub fn hung_up(&mut self) {
        self.close = Some((1006, String::new()));
    }

    /// Writes it down as an answer: of a session that was closed for a reason, the reason; else the most telling message.
    pub fn write(&self, reply: &mut Reply) {
        let session = Session { close: self.close.clone(), answered: self.spoke, failed: self.failed };
        reply.body = match &self.close {
            Some((code, reason)) if !matches!(code, 1000 | 1001 | 1005) => {
                let name = CODES.iter().find(|(own, _)| own == code).map_or("", |(_, name)| name);
                let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                format!("closed with {code} ({name}){reason}").into_bytes()
            }
            _ => self.telling.clone().into_bytes(),
        };
        reply.session = Some(session);
        reply.stream = Some(stream_of(self));
    }
}
