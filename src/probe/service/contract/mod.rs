//! What the server answers to requests that break its contract in one place each. Only with `--contract`.

mod cases;
#[cfg(test)]
mod tests;

use super::conversation::{Answered, Conversation, accepts};
use super::message::Message;
use super::schema::{Described, forbidden, same_path};
use super::transport::Reply;
use crate::snapshot::{ContractCase, Fact, MissingField, Unknown, Why};
use cases::Case;
use serde_json::Value;
use std::time::Duration;

/// Requests in all, at most: those that break the contract and the good ones between them.
const REQUESTS: usize = 24;
/// Longest wait for one answer, and the least time that is worth another request.
const PATIENCE: Duration = Duration::from_secs(10);
const LEAST: Duration = Duration::from_millis(500);
/// Characters kept of an answer.
const ANSWER_CAP: usize = 300;

/// Breaks the good request in one place at a time, one request after the other.
pub fn examine(
    talk: &Conversation,
    asked: bool,
    good: Option<&Answered>,
    missing: &Result<Vec<MissingField>, Unknown>,
) -> Fact<Vec<ContractCase>> {
    let not_asked = |detail: &str| Fact::unknown(Why::NotAsked, detail);
    if !asked {
        return not_asked("the contract is examined with --contract only");
    }
    let Some(good) = good else {
        return not_asked("no request was accepted that could be broken in one place");
    };
    let message = &good.message;
    if forbidden(&message.path) || !matches!(message.method.as_str(), "POST" | "GET") {
        return Fact::unknown(
            Why::NotAsked,
            format!(
                "{} {} may change the server, so that no broken request is sent there",
                message.method, message.path
            ),
        );
    }
    let described: Vec<&Described> = talk
        .operation
        .filter(|operation| same_path(&operation.path, &message.path) || operation.path == message.path)
        .into_iter()
        .flat_map(|operation| &operation.fields)
        .collect();
    let proven: Vec<&str> = missing.iter().flatten().map(|field| field.name.as_str()).collect();
    let cases = cases::of(message, &described, &proven);
    Fact::Known(Examination { talk, good: message, sent: 0 }.run(cases))
}

struct Examination<'a, 'b> {
    talk: &'a Conversation<'b>,
    good: &'a Message,
    sent: usize,
}

impl Examination<'_, '_> {
    fn run(mut self, cases: Vec<Case>) -> Vec<ContractCase> {
        let mut told: Vec<ContractCase> = Vec::new();
        let mut stopped: Option<Unknown> = None;
        for case in cases {
            // One is kept for the good request behind it, one for the last.
            if stopped.is_none() && self.sent + 3 > REQUESTS {
                stopped = Some(Unknown::new(Why::NotAsked, format!("not sent: at most {REQUESTS} requests are")));
            }
            if stopped.is_none() && self.talk.http.time_left() < LEAST {
                stopped = Some(Unknown::new(Why::TimedOut, "not sent: no time was left"));
            }
            let one = match &stopped {
                Some(unknown) => unsent(&case, unknown),
                None => self.send(&case),
            };
            if one.survives == Fact::Known(false) {
                let detail = "not sent: the server no longer accepts the good request";
                stopped = Some(Unknown::new(Why::NotAsked, detail));
            }
            told.push(one);
        }
        // The good request behind all of them clears those that got an answer below 500.
        let open = |one: &ContractCase| one.status.known().is_some() && one.survives.known().is_none();
        let harmed = told.iter().any(|one| one.survives == Fact::Known(false));
        if told.iter().any(open) && !harmed && stopped.as_ref().is_none_or(|unknown| unknown.why != Why::TimedOut) {
            let survives = self.survives();
            if survives == Fact::Known(true) {
                told.iter_mut().filter(|one| open(one)).for_each(|one| one.survives = survives.clone());
            } else if let Some(last) = told.iter_mut().rfind(|one| open(one)) {
                // Which of them did the harm is not known; the last one shows that it was done.
                last.survives = survives;
            }
        }
        told
    }

    fn send(&mut self, case: &Case) -> ContractCase {
        let (reply, failure) = match self.exchange(&case.message) {
            Ok(reply) => (Some(reply), None),
            Err(unknown) => (None, Some(unknown)),
        };
        let accepted = reply.as_ref().is_some_and(accepts);
        let status = match (&reply, failure) {
            (Some(reply), _) => Fact::Known(u64::from(reply.status)),
            (None, unknown) => Fact::Unknown(unknown.unwrap_or_else(|| Unknown::new(Why::Absent, "no answer"))),
        };
        let harmed = status.known().is_none_or(|status| *status >= 500);
        let survives = if harmed {
            self.survives()
        } else {
            Fact::unknown(Why::NotAsked, "the good request was not sent behind it")
        };
        let recorder = &self.talk.recorder;
        ContractCase {
            kind: case.kind.into(),
            field: recorder.clean(&case.field, 120),
            sent: recorder.clean(&case.sent, 120),
            accepted,
            names_field: !accepted && reply.as_ref().is_some_and(|reply| names(&reply.body, &case.field)),
            survives,
            answer: reply.map(|reply| recorder.answer(&reply).chars().take(ANSWER_CAP).collect()).unwrap_or_default(),
            status,
        }
    }

    /// Whether the good request is accepted now.
    fn survives(&mut self) -> Fact<bool> {
        if self.talk.http.time_left() < LEAST {
            return Fact::unknown(Why::TimedOut, "no time was left to send the good request again");
        }
        match self.exchange(self.good) {
            Ok(reply) => Fact::Known(accepts(&reply)),
            // No answer in time is not yet a dead server.
            Err(unknown) if unknown.why == Why::TimedOut => Fact::Unknown(unknown),
            Err(_) => Fact::Known(false),
        }
    }

    fn exchange(&mut self, message: &Message) -> Result<Reply, Unknown> {
        let malformed = || Unknown::new(Why::Malformed, "no request could be formed");
        let outgoing = message.outgoing(self.talk.server, self.talk.everywhere).ok_or_else(malformed)?;
        self.sent += 1;
        let limit = message.limit.unwrap_or(PATIENCE).min(PATIENCE);
        match self.talk.http.send(&outgoing, limit) {
            Ok(reply) => Ok(reply),
            Err(failure) => match failure.partial {
                Some(partial) => Ok(*partial),
                None => {
                    let text = self.talk.recorder.clean(&failure.text, ANSWER_CAP);
                    Err(Unknown::new(failure.why, text))
                }
            },
        }
    }
}

fn unsent(case: &Case, unknown: &Unknown) -> ContractCase {
    ContractCase {
        kind: case.kind.into(),
        field: case.field.clone(),
        sent: case.sent.clone(),
        status: Fact::Unknown(unknown.clone()),
        accepted: false,
        names_field: false,
        survives: Fact::Unknown(unknown.clone()),
        answer: String::new(),
    }
}

/// Whether an answer has the field's name as a word, or one that it abbreviates (`language`: `lang`), outside of what it
/// only repeats of the request.
fn names(body: &[u8], field: &str) -> bool {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(mut answer) => {
            without_input(&mut answer, 32);
            answer.to_string()
        }
        Err(_) => {
            let text = String::from_utf8_lossy(body.get(..body.len().min(64 << 10)).unwrap_or_default());
            // `<html lang=en>` names nothing.
            if text.trim_start().starts_with('<') { without_tags(&text) } else { text.into_owned() }
        }
    };
    let field = field.to_lowercase();
    let text = text.to_lowercase();
    let mut words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
    words.any(|word| word == field || field.len() >= 4 && word.starts_with(&field))
}

fn without_tags(page: &str) -> String {
    let pieces = page.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    pieces.collect::<Vec<_>>().join(" ").replace("&#39;", "'").replace("&quot;", "\"")
}

/// pydantic repeats what it got under `input`.
fn without_input(value: &mut Value, depth: usize) {
    match value {
        _ if depth == 0 => {}
        Value::Array(list) => list.iter_mut().for_each(|one| without_input(one, depth - 1)),
        Value::Object(members) => {
            members.remove("input");
            members.values_mut().for_each(|one| without_input(one, depth - 1));
        }
        _ => {}
    }
}
