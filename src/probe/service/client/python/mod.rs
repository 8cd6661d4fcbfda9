//! Reads the client's own request from Python: requests, httpx, aiohttp, Locust. The text is read, and nothing of it run.

mod fields;
pub mod literal;
#[cfg(test)]
mod tests;

use super::choice;
use super::patch::Code;
use super::request::{ClientRequest, Draft, Setting};
use super::shell::HOLE;
use crate::probe::service::secrets::shown_url;
use crate::probe::source::syntax::{Argument, Call, Source};
use fields::Sent;
use literal::{Reader, Value};
use std::time::Duration;

/// Longest program that is read, bytes; calls of one that are looked at.
const TEXT_CAP: usize = 256 << 10;
const CALLS: usize = 500;
const METHODS: &[&str] = &["post", "put", "patch", "get", "request"];

/// The library whose conventions a call follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    Requests,
    Httpx,
    Aiohttp,
}

/// A call that sends a request.
struct Sending<'a> {
    call: &'a Call,
    library: Library,
    method: String,
    url: Value,
}

/// Reads `text`: of several requests the first that looks like an inference.
pub fn parse(text: &str, setting: &Setting) -> Result<ClientRequest, String> {
    if text.len() > TEXT_CAP {
        return Err(format!("the Python file is longer than {TEXT_CAP} bytes"));
    }
    let source = Source::of(text);
    let calls = source.calls();
    let sendings: Vec<Sending> = calls.iter().filter_map(|call| sending(&source, &calls, call)).take(CALLS).collect();
    let shown: Vec<String> = sendings.iter().map(outline).collect();
    let likeness = |one: &Sending| choice::likeness(&one.method, &around(&one.url), has_body(one.call));
    let (chosen, one) = choice::first_of_likeliest(sendings, likeness).ok_or(
        "no call that sends a request was found in it (requests.post, httpx.post, session.post, self.client.post)",
    )?;
    let others: Vec<String> =
        shown.iter().enumerate().filter(|(index, _)| *index != chosen).map(|(_, one)| one.clone()).collect();
    let mut draft = Draft::following(one.library != Library::Httpx);
    draft.notes.extend(choice::others(others.len(), &others));
    let reader = Reader::new(&source, &calls, one.call.tokens.start);
    draft.method = Some(one.method.clone());
    let url = url(&reader, &calls, &one, setting, &mut draft)?;
    draft.url(&url)?;
    kept(&reader, &calls, &one, &mut draft)?;
    let mut sent = Sent { reader: &reader, calls: &calls, setting, line: one.call.line, library: one.library, draft };
    let (query, body) = sent.read(one.call, one.method == "GET")?;
    let mut draft = sent.draft;
    for argument in &one.call.arguments {
        options(&reader, argument, &mut draft);
    }
    draft.code = Some(Code::of(&source, one.call, one.library, &calls));
    draft.finish("python", format!("{}:{}", setting.file(), one.call.line), query, body)
}

/// The call as one that sends a request, if it is.
fn sending<'a>(source: &Source, calls: &[Call], call: &'a Call) -> Option<Sending<'a>> {
    let (object, method) = call.callee.rsplit_once('.')?;
    // A decorator (`@app.post("/asr")`) declares a route.
    let decorator = call.tokens.start.checked_sub(1).is_some_and(|before| source.word(before) == "@");
    if decorator || !METHODS.contains(&method) {
        return None;
    }
    let library = library(source, object)?;
    let reader = Reader::new(source, calls, call.tokens.start);
    let positional: Vec<&Argument> = call.arguments.iter().filter(|one| one.name.is_none()).collect();
    let (method, url) = match method {
        "request" => {
            let named = named(call, "method").or(positional.first().copied())?;
            let method = reader.value(named.value.clone()).text().unwrap_or("POST").to_uppercase();
            (method, named_or(call, "url", positional.get(1).copied())?)
        }
        method => (method.to_uppercase(), named_or(call, "url", positional.first().copied())?),
    };
    let url = reader.value(url.value.clone());
    let by_module = matches!(object, "requests" | "httpx");
    // `settings.get("name")` and its kin send nothing.
    let is_address = around(&url).contains('/') || method == "POST" && url.open().is_some();
    (by_module || is_address).then_some(Sending { call, library, method, url })
}

fn library(source: &Source, object: &str) -> Option<Library> {
    let imported = |name: &str| source.imported.contains(name);
    match object.split('.').next().unwrap_or_default() {
        "requests" => Some(Library::Requests),
        "httpx" => Some(Library::Httpx),
        "aiohttp" => Some(Library::Aiohttp),
        "self" if object.ends_with(".client") && imported("locust") => Some(Library::Requests),
        _ if imported("aiohttp") => Some(Library::Aiohttp),
        _ if imported("httpx") || imported("fastapi") || imported("starlette") => Some(Library::Httpx),
        _ if imported("requests") || imported("locust") => Some(Library::Requests),
        _ => None,
    }
}

fn named<'a>(call: &'a Call, name: &str) -> Option<&'a Argument> {
    call.arguments.iter().find(|one| one.name.as_deref() == Some(name))
}

fn named_or<'a>(call: &'a Call, name: &str, other: Option<&'a Argument>) -> Option<&'a Argument> {
    named(call, name).or(other.filter(|one| !one.unpacked))
}

fn has_body(call: &Call) -> bool {
    ["data", "json", "files", "content"].iter().any(|name| named(call, name).is_some())
        || call.arguments.iter().filter(|one| one.name.is_none()).count() > 1
}

/// The text of a URL, with holes for what is not written out.
fn around(url: &Value) -> String {
    match url {
        Value::Open { around, .. } => around.clone(),
        other => other.text().unwrap_or_default().to_owned(),
    }
}

fn outline(one: &Sending) -> String {
    format!("line {}: {} {}", one.call.line, one.method, shown_url(&around(&one.url).replace(HOLE, "...")))
}

/// The URL, or its path where the server is not written out.
fn url(reader: &Reader, calls: &[Call], one: &Sending, setting: &Setting, draft: &mut Draft) -> Result<String, String> {
    let place = format!("{}:{}", setting.file(), one.call.line);
    let text = around(&one.url);
    if let Value::Open { what, .. } = &one.url {
        let path = text.strip_prefix(HOLE).filter(|path| path.starts_with('/') && !path.contains(HOLE));
        let path = path.ok_or_else(|| format!("{place}: the URL is not written out in the file: {what}"))?;
        draft.note(format!(
            "{place}: the server in the URL ({what}) is not written out in the file; it is the one named by --server"
        ));
        return Ok(path.to_owned());
    }
    if text.contains("://") {
        return Ok(text);
    }
    // httpx.Client(base_url=...), aiohttp.ClientSession("http://..."), Locust's host.
    let base = calls.iter().filter(|call| is_session(call)).find_map(|call| {
        let argument = named(call, "base_url").or(call.arguments.iter().find(|one| one.name.is_none()))?;
        reader.value(argument.value.clone()).text().map(str::to_owned)
    });
    let host = || reader.source.assigned_once("host").and_then(|value| reader.value(value).text().map(str::to_owned));
    let base = base.or_else(host).filter(|base| base.contains("://"));
    let path = format!("/{}", text.trim_start_matches('/'));
    Ok(base.map_or(path.clone(), |base| format!("{}{path}", base.trim_end_matches('/'))))
}

fn is_session(call: &Call) -> bool {
    matches!(call.callee.rsplit('.').next(), Some("Client" | "AsyncClient" | "ClientSession" | "Session"))
}

/// What the session keeps for every request: headers.
fn kept(reader: &Reader, calls: &[Call], one: &Sending, draft: &mut Draft) -> Result<(), String> {
    let object = one.call.callee.rsplit_once('.').map_or("", |(object, _)| object);
    let update = format!("{object}.headers.update");
    for call in calls.iter().filter(|call| call.tokens.start < one.call.tokens.start) {
        let argument = match is_session(call) {
            true => named(call, "headers"),
            false if call.callee == update => call.arguments.first(),
            false => None,
        };
        if let Some(argument) = argument {
            headers(&reader.value(argument.value.clone()), call.line, draft)?;
        }
    }
    Ok(())
}

/// Takes headers. One that is not written out is left out, and said.
pub fn headers(value: &Value, line: usize, draft: &mut Draft) -> Result<(), String> {
    let Value::Dict(members) = value else {
        if value != &Value::Plain(serde_json::Value::Null) {
            draft.note(format!(
                "line {line}: the headers ({}) are not written out in the file; they were left out",
                value.open().unwrap_or("?")
            ));
        }
        return Ok(());
    };
    for (name, value) in members {
        match value {
            Value::Plain(serde_json::Value::String(text)) => {
                draft.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
                draft.header(name, text).map_err(|error| format!("line {line}: {error}"))?;
            }
            Value::Plain(serde_json::Value::Null) => {}
            Value::Plain(other) => draft.header(name, &other.to_string()).map_err(|error| format!("line {line}: {error}"))?,
            other => draft.note(format!(
                "line {line}: the value of the header {name} ({}) is not written out in the file; it was left out (credentials: \
                 --bearer-env, --basic-env)",
                other.open().unwrap_or("?")
            )),
        }
    }
    Ok(())
}

/// Options of the call that are no part of the request's body or query.
fn options(reader: &Reader, argument: &Argument, draft: &mut Draft) {
    let line = reader.source.tokens.get(argument.value.start).map_or(0, |token| token.line);
    let value = || reader.value(argument.value.clone());
    let Some(name) = argument.name.as_deref() else {
        if argument.unpacked {
            draft.note(format!(
                "line {line}: {} is not written out in the call; it was left out",
                literal::without_texts(&reader.source.written(argument.value.clone()))
            ));
        }
        return;
    };
    match (name, value()) {
        ("timeout", Value::Plain(serde_json::Value::Number(seconds))) => {
            draft.limit =
                seconds.as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok()).filter(|limit| !limit.is_zero());
        }
        ("verify" | "ssl", Value::Plain(serde_json::Value::Bool(false))) => draft.trust.insecure = true,
        ("allow_redirects" | "follow_redirects", Value::Plain(serde_json::Value::Bool(follow))) => {
            draft.follow = follow
        }
        ("auth", Value::List(parts)) => match parts.as_slice() {
            [user, password] if user.text().is_some() && password.text().is_some() => {
                draft.basic(&format!("{}:{}", user.text().unwrap_or_default(), password.text().unwrap_or_default()));
            }
            _ => draft.note(format!("line {line}: user and password are not written out in the file; use --basic-env")),
        },
        ("auth", _) => draft.note(format!("line {line}: auth= was left out; use --bearer-env or --basic-env")),
        ("cookies", Value::Dict(members)) => {
            let pairs: Vec<String> =
                members.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.text()?))).collect();
            if draft.header("cookie", &pairs.join("; ")).is_err() {
                draft.note(format!("line {line}: the cookies are no valid header and were left out"));
            }
        }
        ("proxies" | "proxy" | "cert", _) => {
            draft.note(format!("line {line}: {name}= is passed over: the doctor connects by its own options"));
        }
        _ => {}
    }
}
