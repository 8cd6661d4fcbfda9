//! A request that the server accepts, for those who send it in their own way.

use super::client::{client_request, given_file};
use super::conversation::Conversation;
use super::conversation::evidence::Evidence;
use super::recognize::questions::Questions;
use super::spoken::{Spoken, plain};
use super::synthesis::{Synthesis, samples};
use super::transport::held::Outgoing;
use super::transport::{Http, Route};
use super::verdict::converse;
use super::{everywhere, recognize, trust, websocket, without_credentials};
use crate::probe::{Ask, Context};
use crate::snapshot::{Facts, Unknown, Why};
use std::collections::BTreeMap;

/// Finds the request as `run` does: the client's own, or one by the server's schema, source and answers.
///
/// # Errors
/// The server is not reached, or accepted none of the requests that were tried.
pub fn known_good(context: &Context, facts: &Facts) -> Result<Outgoing, Unknown> {
    let ask = &context.ask;
    let not_asked = || Unknown::new(Why::NotAsked, "no server was named");
    let server = ask.server.as_ref().map(without_credentials).ok_or_else(not_asked)?;
    let (origin, text) = ask.client_request.as_ref().map_or(("", None), |(origin, text)| (origin, Some(text)));
    let client = text.map(|text| client_request(origin, text, &ask.fields)).transpose();
    let client = client.map_err(|problem| {
        Unknown::new(Why::Malformed, format!("the client's request ({origin}) cannot be read: {problem}"))
    })?;
    let route = Route { trust: trust(ask), connection: ask.connection.clone() };
    let unreached = |failure: super::Failure| Unknown::new(failure.why, failure.text);
    let http = Http::new(&server, &route, context.deadline).map_err(unreached)?;
    let everywhere = everywhere(ask);
    let spoken = Spoken::by(&server);
    let server = plain(&server);
    let own = client.as_ref().map(|request| &request.message);
    let mut questions = Questions::new(&http, &server, &everywhere);
    let over_http = |questions: &mut Questions| recognize::discover(&server, questions, ask, own, facts);
    let found = spoken.discovered(over_http, &mut questions, &server, &route, context, own);
    let (found, _) = found.map_err(unreached)?;
    let evidence = Evidence::of(ask, facts);
    let by_source = match own.is_none() && found.operation.is_none() {
        true => evidence.operations(ask.operation.as_deref()),
        false => Vec::new(),
    };
    let mut talk = Conversation::new(&http, &server, &everywhere, evidence);
    own.into_iter().for_each(|message| talk.recorder.learn(message));
    talk.operation = found.operation.as_ref().or(by_source.first());
    let mut synthesis = Synthesis { given: &ask.fields, supported: BTreeMap::new(), document: found.document.as_ref() };
    let verdict = converse(&mut talk, &mut synthesis, own, &found, by_source.get(1..).unwrap_or_default());
    let refused = verdict.rejected.as_ref().and_then(|answered| answered.status);
    let good = verdict.good.ok_or_else(|| {
        let last = refused.map_or(String::new(), |status| format!(" (HTTP {status})"));
        Unknown::new(Why::Absent, format!("the server accepted none of the requests that were tried{last}"))
    })?;
    let unformed = || Unknown::new(Why::Malformed, "the good request could not be formed again");
    good.message.outgoing(&server, &everywhere).ok_or_else(unformed)
}

/// The first half second of speech as it is sent over a WebSocket, from the first file that the user gave or the built-in
/// sample. `greeting` is what the server said first, which tells whether it wants samples or a file.
pub fn speech(ask: &Ask, greeting: &str) -> Vec<u8> {
    let given = ask.fields.values().filter_map(|value| given_file(value.strip_prefix('@')?).ok()).next();
    websocket::first_message(&given.unwrap_or_else(samples::speech).bytes, greeting)
}
