//! Talks with the server: the client's own request, a good one held against it, and a measuring window of good ones.

mod client;
mod command;
mod contract;
mod conversation;
pub mod description;
mod engine;
mod grpc;
mod known_good;
mod load;
mod message;
pub mod pages;
pub mod ready;
mod recognize;
mod record;
pub mod requests;
mod schema;
mod secrets;
mod spoken;
mod synthesis;
mod tensor_bytes;
mod transport;
mod verdict;
mod websocket;
pub mod window;

use super::ask::without_credentials;
use super::{Ask, Context, Probe, Ran};
use crate::snapshot::{CountersFacts, ExecutionFacts, Fact, Facts, RequestFacts, Room, Stage, Unknown, Why};
use client::client_request;
use conversation::Conversation;
use recognize::questions::Questions;
use recognize::readiness;
use spoken::{Spoken, plain};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use synthesis::Synthesis;
use transport::{Failure, Http, Route, Trust};
use verdict::converse;

pub use engine::PROBE as ENGINE;
pub(super) use known_good::{known_good, speech};
pub(super) use transport::held;
pub use window::reported::{named_field, named_header};

/// Fills the rooms `request`, `execution`, `counters` and `load`.
pub const PROBE: Probe = Probe {
    id: "service",
    stage: Stage::Request,
    rooms: &["request", "execution", "counters", "load"],
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

/// Fields that the answer to a rejected request names as missing.
pub fn named_missing(answer: &str) -> Vec<String> {
    let read = |text: &str| conversation::complaint::read(text.as_bytes(), &[]).missing;
    let mut missing = read(answer);
    if missing.is_empty() && answer.starts_with(['{', '[']) {
        // As Python prints what was JSON.
        missing = read(&answer.replace('\'', "\""));
    }
    missing.into_iter().map(|(name, _)| name).collect()
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
    facts.counters = CountersFacts::all_unknown(&not_asked("no request was accepted, so there was nothing to repeat"));
    facts.request = RequestFacts::all_unknown(&not_asked("no server was named"));
    facts.load = load::none(context);
    facts.request.client_given = Fact::Known(context.ask.client_request.is_some());
    let Some(server) = context.ask.server.as_ref().map(without_credentials) else {
        facts.execution = ExecutionFacts::all_unknown(&not_asked("no server was named"));
        facts.counters = CountersFacts::all_unknown(&not_asked("no server was named"));
        return Ran::skipped("no server was named");
    };
    let client =
        context.ask.client_request.as_ref().map(|(origin, text)| client_request(origin, text, &context.ask.fields));
    let trust = match &client {
        Some(Ok(request)) => request.trust.clone(),
        _ => Trust::default(),
    };
    let route = Route { trust, connection: context.ask.connection.clone() };
    // The load's time is its own.
    let talk_until = context.deadline.min(Instant::now() + PROBE.budget);
    let (context, loaded) = (&Context { deadline: talk_until, ..context.clone() }, context);
    let http = match Http::new(&server, &route, context.deadline) {
        Ok(http) => http,
        Err(failure) => return unreachable(context, facts, failure),
    };
    let everywhere = everywhere(&context.ask);
    let spoken = Spoken::by(&server);
    let server = plain(&server);
    let given = client.as_ref().and_then(|request| request.as_ref().ok());
    let client_url = given.and_then(|request| request.url.as_ref());
    let way = || Fact::Known(transport::told::way(&http, &server, &everywhere, client_url));
    let own = given.map(|request| &request.message);
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
        let mut watch = window::watch(&talk, &found, &route, context, facts);
        facts.execution = window::measure(&talk, good, &found.light(&server), context, facts, &mut watch);
        facts.counters = watch.told();
        ready.cold_first_request = readiness::cold(&good.exchange, &facts.execution);
        let of = load::Found { talk: &talk, good, found: &found, route: &route, spoken };
        facts.load = load::measure(&of, loaded, facts);
    }
    facts.request.readiness = Fact::Known(ready);
    facts.request.transport = way();
    spoken.record(by, &mut facts.request);
    // Last: it may bring the server down.
    facts.request.contract = contract::examine(&talk, context.ask.contract, verdict.good.as_ref(), &verdict.missing);
    ran
}

/// Which certificates are trusted, by the client's own request.
fn trust(ask: &Ask) -> Trust {
    let given = ask.client_request.as_ref().map(|(origin, text)| client_request(origin, text, &ask.fields));
    given.and_then(Result::ok).map(|request| request.trust).unwrap_or_default()
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
    // That it was not reached says it all: what it does with requests was not asked.
    facts.execution = match failure.own {
        true => ExecutionFacts::all_unknown(&unknown),
        false => ExecutionFacts::all_unknown(&Unknown::new(Why::NotAsked, "the server was not reached")),
    };
    Ran::from(&unknown)
}
