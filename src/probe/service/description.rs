//! What a server says of itself, for the command that writes a config file: it is asked for its description only.

use super::recognize;
use super::recognize::questions::Questions;
use super::record::Recorder;
use super::requests::requests;
use super::spoken::Spoken;
use super::transport::{Http, Route, Trust};
use super::{everywhere, without_credentials};
use crate::probe::Ask;
use crate::snapshot::{Facts, Unknown, Why};
use serde_json::Value;
use std::time::Instant;

/// Operations that are told, at most, and characters of a word of the server's.
const OPERATIONS_MAX: usize = 20;
const WORD_MAX: usize = 200;

/// What a server says of itself.
#[derive(Debug)]
pub struct Description {
    /// The family of servers: `fastapi`, `triton`, ...
    pub kind: Option<String>,
    /// What may be asked of it: `POST /asr`.
    pub operations: Vec<String>,
    /// Path of the operation that looks most like an inference.
    pub path: Option<String>,
    /// The fields that this operation requires: name, kind (`file`, `string`, ...; empty if not told), and a value of the
    /// doctor's making.
    pub required: Vec<(String, String, Value)>,
    /// Credentials that it wants and that were not given.
    pub credentials: Vec<String>,
    /// Where that stands, or why it is not known.
    pub told: Result<String, String>,
}

/// Asks the server what it is.
///
/// # Errors
/// That it cannot be reached, or speaks no HTTP.
pub fn describe(ask: &Ask) -> Result<Description, String> {
    let server = ask.server.as_ref().map(without_credentials).ok_or("no server was named")?;
    if Spoken::by(&server) != Spoken::Http {
        return Err(format!("{server} is not asked for a description: only servers of HTTP are"));
    }
    let route = Route { trust: Trust::default(), connection: ask.connection.clone() };
    let http = Http::new(&server, &route, Instant::now() + ask.timeout).map_err(|failure| failure.text)?;
    let everywhere = everywhere(ask);
    let mut questions = Questions::new(&http, &server, &everywhere);
    let facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "only the server's description is asked for"));
    let found = recognize::discover(&server, &mut questions, ask, None, &facts).map_err(|failure| failure.text)?;
    let recorder = Recorder::new(&server, &everywhere);
    let word = |text: &str| recorder.clean(text, WORD_MAX);
    let origin = match &found.schema {
        Some(Ok(url)) => url.clone(),
        _ => server.to_string(),
    };
    let made = found
        .operation
        .as_ref()
        .map(|operation| requests(&origin, &server, ask, found.document.as_ref(), vec![operation.clone()]));
    let request = made.and_then(|made| made.requests.into_iter().next());
    let fields = request.iter().flat_map(|request| &request.fields).filter(|field| field.required);
    Ok(Description {
        kind: found.kind.map(str::to_owned),
        operations: found.listed.iter().take(OPERATIONS_MAX).map(|one| word(one)).collect(),
        path: request.as_ref().map(|request| word(&request.path)),
        required: fields.map(|field| (word(&field.name), field.kind.clone(), field.value.clone())).collect(),
        credentials: request.iter().flat_map(|request| &request.credentials).map(|one| word(one)).collect(),
        told: match found.operation {
            Some(_) => Ok(word(&origin)),
            None => Err(word(found.lack())),
        },
    })
}
