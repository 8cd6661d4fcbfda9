//! One connection: how it is opened, by which way the first one is, and what is known of it then.

use super::status;
use super::visit::{GREETING, Visit, millis};
use super::way::Way;
use crate::probe::service::held::{Holder, Opened, Outgoing, Seen};
use crate::snapshot::{Attempt, Fact, Unknown, Why};
use std::time::{Duration, Instant};

/// Longest wait for the answer to an opening: a server may load a model before it answers.
const OPENING: Duration = Duration::from_secs(20);
/// How long an answer of HTTP must last to be a stream.
const LASTING: Duration = Duration::from_millis(300);
/// Between a way that led nowhere and the next.
const BETWEEN_WAYS: Duration = Duration::from_millis(400);
/// Headers in which servers name a GPU.
const GPU_HEADERS: &[&str] = &["x-gpu-id", "x-gpu", "x-device"];

impl Visit<'_> {
    /// Opens the first connection by the first way that leads in, which is then that of all.
    pub(super) async fn first(&mut self) -> (Attempt, Option<u64>) {
        let mut refused: Option<(Attempt, Option<u64>, Option<Outgoing>)> = None;
        let mut seen = Vec::new();
        let ways = Way::all(self.context, self.ask);
        for way in &ways {
            let opening = match way.opening(self.holder, self.context, self.facts) {
                Ok(opening) => {
                    if *way == Way::Good {
                        tokio::time::sleep(BETWEEN_WAYS).await;
                    }
                    opening
                }
                Err(unknown) => {
                    seen.push(format!("no request for a stream was found: {}", unknown.detail));
                    continue;
                }
            };
            let (attempt, said) = self.once(&opening, 1).await;
            let (accepted, unanswered) = (attempt.accepted, attempt.status.known().is_none());
            let (kind, path) = (Holder::kind(&opening), opening.url.path());
            seen.push(format!("{kind} {path}: {}", in_words(&attempt)));
            if accepted || unanswered || refused.is_none() {
                refused = Some((attempt, said, Some(opening)));
            }
            if accepted || unanswered {
                break;
            }
            // A place that was taken meanwhile must be free again.
            tokio::time::sleep(BETWEEN_WAYS).await;
        }
        let (mut attempt, said, opening) = refused.unwrap_or_else(|| (untried(1), None, None));
        if opening.is_none() || !attempt.accepted && seen.len() > 1 {
            attempt.reason = self.told(&seen.join("; "));
        }
        self.opening = opening;
        (attempt, said)
    }

    /// Opens one connection. The second value is the GPU that the server names in a header or in its first messages. What is
    /// open stands in `held` from the moment on that it is, so that whatever ends the visit finds it there.
    pub(super) async fn once(&mut self, opening: &Outgoing, number: u64) -> (Attempt, Option<u64>) {
        let started = Instant::now();
        let limit = OPENING.min(self.until.saturating_duration_since(started));
        let opened = self.holder.open(opening, limit).await;
        let mut attempt = untried(number);
        attempt.opening_ms = millis(started.elapsed());
        let Opened { status, headers, text, held } = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                let told = self.told(&failure.text);
                if failure.own {
                    self.own_fault = Some(Unknown::new(failure.why, told.clone()));
                }
                attempt.status = Fact::unknown(failure.why, told.clone());
                attempt.reason = told;
                return (attempt, None);
            }
        };
        attempt.status = Fact::Known(u64::from(status));
        let Some(held) = held else {
            attempt.reason = self.told(&text);
            return (attempt, None);
        };
        self.held.push((number, held));
        let is_stream = Holder::kind(opening) != "WebSocket";
        let seen = match self.held.last() {
            Some((_, held)) => {
                held.greeted(GREETING).await;
                if is_stream {
                    held.ended(LASTING).await;
                }
                held.seen()
            }
            None => Seen::default(),
        };
        attempt.opening_ms = millis(started.elapsed());
        let header = headers.iter().find(|(name, _)| GPU_HEADERS.contains(&name.as_str()));
        let in_header = header.and_then(|(_, value)| value.trim_start_matches("cuda:").trim().parse().ok());
        let said = in_header.or_else(|| status::gpu_in_message(&seen.text));
        attempt.accepted = !seen.ended;
        if seen.ended {
            self.held.pop();
            self.ended(&mut attempt, &seen);
            if is_stream && attempt.reason.is_empty() {
                attempt.reason = "the answer came to its end at once: it is no stream that can be held".into();
            }
        }
        (attempt, said)
    }

    /// Notes how the other side ended a connection.
    pub(super) fn ended(&self, attempt: &mut Attempt, seen: &Seen) {
        attempt.accepted = false;
        if let Some((code, reason)) = &seen.close {
            attempt.close_code = Fact::Known(u64::from(*code));
            attempt.reason = self.told(reason);
        }
        if attempt.reason.is_empty() {
            attempt.reason = self.told(&seen.error);
        }
    }
}

/// How an opening ended, in a few words.
fn in_words(attempt: &Attempt) -> String {
    let reason = if attempt.reason.is_empty() { String::new() } else { format!(" ({})", attempt.reason) };
    match (attempt.accepted, attempt.close_code.known(), attempt.status.known()) {
        (true, ..) => "accepted".into(),
        (_, Some(code), _) => format!("closed with {code}{reason}"),
        (_, None, Some(status)) => format!("HTTP {status}{reason}"),
        (_, None, None) => attempt.reason.clone(),
    }
}

/// A connection of which nothing is known yet.
fn untried(number: u64) -> Attempt {
    let refused = || Unknown::new(Why::NotAsked, "the connection was not accepted");
    Attempt {
        number,
        accepted: false,
        ended_while_held: false,
        status: Fact::unknown(Why::Absent, "no answer came"),
        close_code: Fact::unknown(Why::NotAsked, "it was not closed"),
        reason: String::new(),
        opening_ms: 0.0,
        claimed_gpu: Fact::Unknown(refused()),
        measured_gpu: Fact::Unknown(refused()),
        logged_gpu: Fact::Unknown(refused()),
        added_bytes: Fact::Unknown(refused()),
    }
}
