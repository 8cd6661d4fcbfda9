//! The whole conversation, and what it came to: the client's request, the doctor's own, and the proof.

use super::conversation::rejection::Rejection;
use super::conversation::{Added, Answered, Completed, Conversation, as_doctor, by_schema, proof, soft};
use super::message::Message;
use super::recognize::Discovered;
use super::schema::{self, Candidate};
use super::synthesis::Synthesis;
use crate::snapshot::{ContentTypeFault, Fact, MissingField, RequestFacts, Unknown, Why, WrongValue};
use crate::words::count;
use std::time::Duration;

/// What the conversation came to.
pub struct Verdict {
    pub client: Option<Answered>,
    pub rejected: Option<Answered>,
    pub good: Option<Answered>,
    pub missing: Result<Vec<MissingField>, Unknown>,
    wrong_values: Vec<WrongValue>,
}

/// The whole conversation: the client's request, the doctor's, and the proof. `others` are further operations, for a
/// server that lacks the first.
pub fn converse<'a>(
    talk: &mut Conversation<'a>,
    synthesis: &mut Synthesis,
    own: Option<&Message>,
    found: &'a Discovered,
    others: &'a [Candidate],
) -> Verdict {
    let operation = talk.operation;
    // The schema tells of the client's request only if it lists its path.
    talk.operation = operation.filter(|operation| own.is_none_or(|own| schema::same_path(&operation.path, &own.path)));
    let client = own.and_then(|message| talk.ask(message));
    let mut verdict = Verdict {
        client: client.clone(),
        rejected: None,
        good: None,
        missing: Ok(Vec::new()),
        wrong_values: Vec::new(),
    };
    if let Some(answered) = client {
        if answered.exchange.accepted {
            verdict.good = Some(answered);
            return verdict;
        }
        verdict.rejected = Some(answered.clone());
        if let Some(completed) = talk.complete(&answered, synthesis) {
            verdict.prove(talk, &answered, completed);
            return verdict;
        }
    }
    talk.operation = operation;
    let (mut first, mut completed, mut tried) = (None, None, 0);
    let mut others = others.iter();
    while let Some(answered) = talk.operation.and_then(|operation| talk.ask(&by_schema(operation, synthesis))) {
        completed = match answered.exchange.accepted {
            true => Some(Completed::with(answered.clone(), Vec::new())),
            false => talk.complete(&answered, synthesis),
        };
        if completed.is_some() {
            first = Some(answered);
            break;
        }
        // Where a family of servers has several ways, the first answer is the one that is told.
        let absent = matches!(answered.rejection, Some(Rejection::Path | Rejection::Method));
        let next = found.next(&mut tried, &answered.exchange.answer).or_else(|| others.next().filter(|_| absent));
        first.get_or_insert(answered);
        match next {
            Some(next) => talk.operation = Some(next),
            None => break,
        }
    }
    let (first, completed) = match (first, completed) {
        (Some(first), Some(completed)) => (first, completed),
        (first, _) => {
            talk.operation = operation;
            verdict.rejected = verdict.rejected.or(first);
            verdict.missing = Err(verdict.unexplained(talk));
            return verdict;
        }
    };
    match verdict.rejected.clone() {
        Some(client) => verdict.compare(talk, &client, completed),
        None if first.exchange.accepted => verdict.good = Some(first),
        // Only a value of the doctor's own guess was refused: the server misses nothing.
        None if completed.added.is_empty() && talk.content_type_faults.is_empty() => {
            verdict.good = Some(completed.accepted)
        }
        None => {
            verdict.rejected = Some(first.clone());
            verdict.prove(talk, &first, completed);
        }
    }
    verdict
}

impl Verdict {
    fn prove(&mut self, talk: &mut Conversation, rejected: &Answered, completed: Completed) {
        self.wrong_values.clone_from(&completed.corrected);
        if completed.added.is_empty() {
            self.good = Some(completed.accepted);
            let explained =
                !self.wrong_values.is_empty() || talk.content_type_faults.iter().any(|fault| fault.accepted);
            self.missing = if explained { Ok(Vec::new()) } else { Err(self.unexplained(talk)) };
            return;
        }
        let proof = proof::prove(talk, rejected, completed);
        self.good = Some(proof.good);
        self.missing = proof.missing;
    }

    /// The doctor's request was accepted: would the client's be, with the fields that it lacks?
    fn compare(&mut self, talk: &mut Conversation, client: &Answered, completed: Completed) {
        let fields = &completed.accepted.message.fields;
        let lacking = fields.iter().filter(|field| client.message.field(&field.name).is_none());
        let lacking: Vec<_> = lacking.filter(|field| client.message.can_carry(field.place)).cloned().collect();
        self.good = Some(completed.accepted.clone());
        talk.begin_proof();
        let enlarged = talk.enlarged(&as_doctor(&client.message), &lacking);
        let same_place = schema::same_path(&completed.accepted.message.path, &client.message.path);
        let answered = if lacking.is_empty() || !same_place { None } else { talk.ask(&enlarged) };
        match answered.filter(|answered| answered.exchange.accepted) {
            Some(accepted) => {
                let found_by = || "comparing with the doctor's own accepted request".to_owned();
                let added = lacking.into_iter().map(|field| Added { field, found_by: found_by() });
                self.prove(talk, client, Completed::with(accepted, added.collect()));
            }
            None => {
                // Sent in that form, with values of the doctor's own, the same fields are accepted.
                let wanted = &completed.accepted.message.content_type;
                let by_type = |fault: &&mut ContentTypeFault| fault.helped && fault.wanted == *wanted;
                let mut explained = false;
                for fault in talk.content_type_faults.iter_mut().filter(by_type) {
                    (fault.accepted, explained) = (true, lacking.is_empty() && same_place);
                }
                self.missing = if explained { Ok(Vec::new()) } else { Err(self.unexplained(talk)) };
            }
        }
    }

    /// Why it could not be found what the rejected request lacks.
    fn unexplained(&self, talk: &Conversation) -> Unknown {
        let Some(rejected) = self.rejected.as_ref() else {
            return Unknown::new(
                Why::NotAsked,
                "no request was sent: neither a usable schema nor a client's request was there",
            );
        };
        let last = talk.attempts.last().unwrap_or(&rejected.exchange);
        let status = match &last.status {
            Fact::Known(status) => format!("{status} {:?}", last.answer.chars().take(200).collect::<String>()),
            Fact::Unknown(unknown) => unknown.detail.clone(),
        };
        let mut detail = format!(
            "{} {} was rejected, and {} did not find out what it lacks; the last answer: {status}",
            rejected.exchange.method,
            rejected.exchange.path,
            count(talk.attempts.len(), "attempt")
        );
        let sent = |name: &&(String, _)| rejected.message.field(&name.0).is_some();
        let named_though_sent: Vec<&str> =
            rejected.complaint.missing.iter().filter(sent).map(|(name, _)| name.as_str()).collect();
        let listed = talk.operation.filter(|operation| schema::same_path(&operation.path, &rejected.message.path));
        let other = listed
            .filter(|operation| !operation.content_type.is_empty() && operation.encoding != rejected.message.encoding);
        if let (Some(operation), None) = (talk.operation, listed) {
            detail += &format!("; the schema does not list that path, it has {}", operation.path);
        } else if let Some(operation) = listed.filter(|operation| operation.method != rejected.message.method) {
            detail += &format!("; the schema's method there is {}", operation.method);
        } else if let Some(operation) = other {
            let (own, wanted) = (&rejected.message.content_type, &operation.content_type);
            detail += &format!("; its content type is {own:?}, the schema wants {wanted:?}");
        } else if !named_though_sent.is_empty() {
            let (names, own) = (named_though_sent.join(", "), &rejected.message.content_type);
            detail += &format!("; the answer misses {names}, which were sent: the content type {own:?} may be wrong");
        }
        // A search that ran out of time has not shown that there is nothing to find.
        let out_of_time = talk.http.time_left() < Duration::from_secs(1);
        Unknown::new(if out_of_time { Why::TimedOut } else { Why::Unsupported }, detail)
    }

    pub fn record(&self, talk: &mut Conversation, found: &Discovered, room: &mut RequestFacts) {
        let none = |detail: String| Unknown::new(Why::NotAsked, detail);
        let exchange = |answered: &Option<Answered>, unknown: Unknown| match answered {
            Some(answered) => Fact::Known(answered.exchange.clone()),
            None => Fact::Unknown(unknown),
        };
        room.client = exchange(&self.client, none("the client's own request was not given".into()));
        room.attempts = Fact::Known(std::mem::take(&mut talk.attempts));
        let reason = match (&self.missing, &self.rejected) {
            (Err(unknown), Some(_)) => unknown.clone(),
            _ => none(format!("no request was sent: {}", found.lack())),
        };
        room.good = exchange(&self.good, reason);
        room.rejected = exchange(&self.rejected, none("no request was rejected".into()));
        room.missing_fields = match (&self.missing, &self.good) {
            (Ok(_), None) => Fact::Unknown(none(format!("no request was sent: {}", found.lack()))),
            (missing, _) => missing.clone().into(),
        };
    }

    /// What the rejection is, and what stands beside the fields that are missing.
    pub fn record_complaint(&self, talk: &mut Conversation, room: &mut RequestFacts) {
        let none = |detail: &str| Unknown::new(Why::NotAsked, detail);
        let rejected = self.rejected.as_ref().ok_or_else(|| none("no request was rejected"));
        let kind = |answered: &Answered| answered.rejection.map(|kind| kind.name().to_owned());
        room.rejection_kind =
            rejected.clone().and_then(|one| kind(one).ok_or_else(|| none("no request was rejected"))).into();
        let failure = |answered: &Answered| answered.failure.as_deref().map(|text| talk.recorder.clean(text, 300));
        let untold = || Unknown::new(Why::Absent, "neither the answer nor the log tells of a failure");
        room.rejection_failure = rejected.clone().and_then(|one| failure(one).ok_or_else(untold)).into();
        room.log_complaints = rejected.map(|_| ()).map_or_else(Fact::Unknown, |()| talk.evidence.record());
        if self.rejected.is_some() || self.good.is_some() {
            room.content_type_faults = Fact::Known(std::mem::take(&mut talk.content_type_faults));
            room.wrong_values = Fact::Known(self.wrong_values.clone());
        }
        if let Some(good) = &self.good {
            let mut failures = soft::failures(talk, good);
            if let Fact::Known(attempts) = &mut room.attempts {
                attempts.append(&mut talk.attempts);
            }
            if let Some(rejected) = self.rejected.as_ref().filter(|one| one.status.is_some_and(|s| s < 300)) {
                failures.extend(soft::rejected(rejected, talk));
            }
            room.soft_failures = Fact::Known(failures);
        } else if let Some(rejected) = &self.rejected {
            room.soft_failures = Fact::Known(soft::rejected(rejected, talk).into_iter().collect());
        }
    }
}
