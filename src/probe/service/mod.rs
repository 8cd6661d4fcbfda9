//! Talks with the server: the client's own request, a good one held against it, and a measuring window of good ones.

mod client;
mod command;
mod contract;
mod conversation;
mod engine;
mod grpc;
mod message;
mod recognize;
mod record;
pub mod requests;
mod schema;
mod secrets;
mod spoken;
mod synthesis;
mod tensor_bytes;
mod transport;
mod websocket;
mod window;

use super::ask::without_credentials;
use super::{Ask, Context, Probe, Ran};
use crate::snapshot::{ExecutionFacts, Fact, Facts, MissingField, RequestFacts, Room, Stage, Unknown, Why, WrongValue};
use crate::words::count;
use client::client_request;
use conversation::rejection::Rejection;
use conversation::{Answered, Completed, Conversation, as_doctor, by_schema};
use message::Message;
use recognize::questions::Questions;
use recognize::{Discovered, readiness};
use schema::Candidate;
use spoken::{Spoken, plain};
use std::collections::BTreeMap;
use std::time::Duration;
use synthesis::Synthesis;
use transport::{Failure, Http, Route, Trust};

pub use engine::PROBE as ENGINE;

/// Fills the rooms `request` and `execution`.
pub const PROBE: Probe = Probe {
    id: "service",
    stage: Stage::Request,
    rooms: &["request", "execution"],
    needs: &["process", "nvml", "source"],
    this_machine: false,
    budget: Duration::from_secs(30),
    run,
};

/// The URL in the client's own request, if the doctor can send it; nothing where it names only a path. `origin` is the
/// file that it came from, if any: files that it names are looked for beside it. `given` are values for fields that it
/// does not tell. The request itself goes to the server that the user named.
///
/// # Errors
/// What is wrong with the request: the option, the line or the file, by name.
pub fn client_request_url(
    origin: &str,
    text: &str,
    given: &BTreeMap<String, String>,
) -> Result<Option<url::Url>, String> {
    client_request(origin, text, given).map(|request| request.url)
}

/// Whether a file that a field's value names can be sent.
///
/// # Errors
/// The file and the obstacle.
pub fn given_file(path: &str) -> Result<(), String> {
    client::given_file(path).map(drop)
}

/// Whether the files and the proxy of a connection can be used.
///
/// # Errors
/// What is wrong, by the option.
pub fn verify_connection(connection: &super::Connection) -> Result<(), String> {
    transport::told::verify(connection)
}

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let not_asked = |detail: &str| Unknown::new(Why::NotAsked, detail);
    facts.execution =
        ExecutionFacts::all_unknown(&not_asked("no request was accepted, so there was nothing to repeat"));
    facts.request = RequestFacts::all_unknown(&not_asked("no server was named"));
    facts.request.client_given = Fact::Known(context.ask.client_request.is_some());
    let Some(server) = context.ask.server.as_ref().map(without_credentials) else {
        facts.execution = ExecutionFacts::all_unknown(&not_asked("no server was named"));
        return Ran::skipped("no server was named");
    };
    let client =
        context.ask.client_request.as_ref().map(|(origin, text)| client_request(origin, text, &context.ask.fields));
    let trust = match &client {
        Some(Ok(request)) => request.trust.clone(),
        _ => Trust::default(),
    };
    let route = Route { trust, connection: context.ask.connection.clone() };
    let http = match Http::new(&server, &route, context.deadline) {
        Ok(http) => http,
        Err(failure) => return unreachable(context, facts, failure),
    };
    let everywhere = everywhere(&context.ask);
    let spoken = Spoken::by(&server);
    let server = plain(&server);
    let client_url = client.as_ref().and_then(|request| request.as_ref().ok()).and_then(|request| request.url.as_ref());
    let way = || Fact::Known(transport::told::way(&http, &server, &everywhere, client_url));
    let own = client.as_ref().and_then(|request| request.as_ref().ok()).map(|request| &request.message);
    let mut questions = Questions::new(&http, &server, &everywhere);
    let over_http = |questions: &mut Questions| recognize::discover(&server, questions, &context.ask, own, facts);
    let found = spoken.discovered(over_http, &mut questions, &server, &route, context, own);
    let (found, by) = match found {
        Ok(found) => found,
        Err(failure) => {
            let ran = unreachable(context, facts, failure);
            facts.request.transport = way();
            return ran;
        }
    };
    let evidence = conversation::evidence::Evidence::of(&context.ask, facts);
    // Where no schema describes an operation, the server's own source may.
    let by_source = if own.is_none() && found.operation.is_none() {
        evidence.operations(context.ask.operation.as_deref())
    } else {
        Vec::new()
    };
    let mut talk = Conversation::new(&http, &server, &everywhere, evidence);
    // An answer may echo what the client sends.
    own.into_iter().for_each(|message| talk.recorder.learn(message));
    // Before any request, which may wake an engine or load a model.
    let client_path = own.map(|message| message.path.as_str());
    let mut state = recognize::state::ask(&mut questions, &found, client_path, &talk.recorder);
    if spoken == Spoken::Grpc {
        state.push(grpc::port::health(&http, &server, &everywhere, &talk.recorder));
    }
    talk.operation = found.operation.as_ref().or(by_source.first());
    let mut synthesis =
        Synthesis { given: &context.ask.fields, supported: BTreeMap::new(), document: found.document.as_ref() };
    let verdict = converse(&mut talk, &mut synthesis, own, &found, by_source.get(1..).unwrap_or_default());
    let given = client.as_ref().and_then(|request| request.as_ref().ok());
    let (good, missing) = (verdict.good.as_ref(), &verdict.missing);
    let mended = client::mend::mend(&mut talk, given, verdict.client.as_ref(), good, missing);
    let mut ran = Ran::ok();
    found.record(own, &talk.recorder, &mut facts.request);
    facts.request.operation = found.described(talk.operation, own);
    let good = verdict.good.as_ref().map(|good| &good.exchange);
    let mut ready = readiness::of(&found, &state, good);
    facts.request.state_answers = Fact::Known(state);
    verdict.record(&mut talk, &found, &mut facts.request);
    verdict.record_complaint(&mut talk, &mut facts.request);
    mended.record(&mut facts.request);
    if let Some(request) = given {
        facts.request.client_reading = Fact::Known(request.reading.clone());
    }
    if let (Some(operation), Some(_)) = (&found.operation, &found.document) {
        let plan = synthesis::plan::plan(operation, &synthesis);
        facts.request.credentials_lacking = Fact::Known(requests::lacking(&plan, &everywhere));
        facts.request.schema_problems = Fact::Known(plan.problems.into_iter().chain(plan.undecided).collect());
    }
    if let Some(Err(error)) = &client {
        let origin = context.ask.client_request.as_ref().map(|(origin, _)| origin.as_str()).unwrap_or_default();
        let unknown = Unknown::new(Why::Malformed, format!("the client's request ({origin}) cannot be read: {error}"));
        ran = Ran::from(&unknown);
        facts.request.client = Fact::Unknown(unknown.clone());
        facts.request.rejected = Fact::Unknown(unknown.clone());
        facts.request.missing_fields = Fact::Unknown(unknown);
    }
    if let Some(good) = &verdict.good {
        // What the client does is measured; the doctor's completion of it only when the client's is rejected.
        facts.execution = window::measure(&talk, good, &found.light(&server), context, facts);
        ready.cold_first_request = readiness::cold(&good.exchange, &facts.execution);
    }
    facts.request.readiness = Fact::Known(ready);
    facts.request.transport = way();
    spoken.record(by, &mut facts.request);
    // Last: it may bring the server down.
    facts.request.contract = contract::examine(&talk, context.ask.contract, verdict.good.as_ref(), &verdict.missing);
    ran
}

/// Headers of every request: the user's, and the credentials of the server's URL.
fn everywhere(ask: &Ask) -> Vec<(String, String)> {
    let mut headers = ask.headers.clone();
    if let Some(url) = ask.server.as_ref().filter(|url| !url.username().is_empty() || url.password().is_some()) {
        let user = format!("{}:{}", url.username(), url.password().unwrap_or_default());
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            headers.push(("authorization".into(), format!("Basic {}", message::base64(user.as_bytes()))));
        }
    }
    headers
}

fn unreachable(context: &Context, facts: &mut Facts, failure: Failure) -> Ran {
    let unknown = Unknown::new(failure.why, failure.text);
    facts.request = RequestFacts::all_unknown(&unknown);
    facts.request.client_given = Fact::Known(context.ask.client_request.is_some());
    // An obstacle on this side tells nothing of the server.
    if !failure.own {
        facts.request.reachable = Fact::Known(false);
        facts.request.reach_error = Fact::Known(unknown.detail.clone());
    }
    facts.execution = ExecutionFacts::all_unknown(&unknown);
    Ran::from(&unknown)
}

/// What the conversation came to.
struct Verdict {
    client: Option<Answered>,
    rejected: Option<Answered>,
    good: Option<Answered>,
    missing: Result<Vec<MissingField>, Unknown>,
    wrong_values: Vec<WrongValue>,
}

/// The whole conversation: the client's request, the doctor's, and the proof. `others` are further operations, for a
/// server that lacks the first.
fn converse<'a>(
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
        let proof = conversation::proof::prove(talk, rejected, completed);
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
                let added = lacking.into_iter().map(|field| conversation::Added { field, found_by: found_by() });
                self.prove(talk, client, Completed::with(accepted, added.collect()));
            }
            None => {
                // Sent in that form, with values of the doctor's own, the same fields are accepted.
                let wanted = &completed.accepted.message.content_type;
                let by_type = |fault: &&mut crate::snapshot::ContentTypeFault| fault.helped && fault.wanted == *wanted;
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

    fn record(&self, talk: &mut Conversation, found: &Discovered, room: &mut RequestFacts) {
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
    fn record_complaint(&self, talk: &mut Conversation, room: &mut RequestFacts) {
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
            let mut failures = conversation::soft::failures(talk, good);
            if let Fact::Known(attempts) = &mut room.attempts {
                attempts.append(&mut talk.attempts);
            }
            if let Some(rejected) = self.rejected.as_ref().filter(|one| one.status.is_some_and(|s| s < 300)) {
                failures.extend(conversation::soft::rejected(rejected, talk));
            }
            room.soft_failures = Fact::Known(failures);
        } else if let Some(rejected) = &self.rejected {
            room.soft_failures = Fact::Known(conversation::soft::rejected(rejected, talk).into_iter().collect());
        }
    }
}
