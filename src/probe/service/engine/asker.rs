//! Asks the server's own port and, once its software is recognized, other ports of its host.

use super::quoting::without_secrets;
use crate::probe::server_log::text::masked;
use crate::probe::service::recognize::at;
use crate::probe::service::record::Recorder;
use crate::probe::service::transport::{Http, Outgoing, Payload, Reply, Route};
use crate::snapshot::{EngineAnswer, Fact, Unknown, Why};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use url::Url;

/// Questions at most, the wait for one, and for all.
const MOST: usize = 16;
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_FOR_ALL: Duration = Duration::from_secs(3);
/// Characters kept of an answer, and of one text in it.
const ANSWER_CAP: usize = 300;
const TEXT_CAP: usize = 200;

/// The bounded conversation.
pub struct Asker {
    /// Every answer so far.
    pub answers: Vec<EngineAnswer>,
    server: Url,
    http: Http,
    /// For other ports: plain HTTP.
    beside: Http,
    /// The user's headers, for the server's own port alone.
    headers: Vec<(String, String)>,
    recorder: Recorder,
    /// Ports that did not answer in time.
    silent: BTreeSet<u16>,
    end: Instant,
}

impl Asker {
    /// For a server without credentials in its URL.
    pub fn new(
        server: Url,
        route: Route,
        headers: Vec<(String, String)>,
        recorder: Recorder,
        deadline: Instant,
    ) -> Result<Self, Unknown> {
        let end = deadline.min(Instant::now() + PATIENCE_FOR_ALL);
        let unknown = |failure: crate::probe::service::transport::Failure| Unknown::new(failure.why, failure.text);
        let http = Http::new(&server, &route, deadline).map_err(unknown)?;
        let mut plain = server.clone();
        let _ = plain.set_scheme("http");
        let beside = Http::new(&plain, &Route::default(), deadline).map_err(unknown)?;
        Ok(Self { answers: Vec::new(), server, http, beside, headers, recorder, silent: BTreeSet::new(), end })
    }

    /// The JSON that GET gives at the server's own port.
    pub fn json(&mut self, path: &str) -> Result<Value, Unknown> {
        let reply = self.get(at(&self.server, path), false)?;
        self.parsed(at(&self.server, path), &reply)
    }

    /// The JSON that a POST without content gives at the server's own port. For reading calls only.
    pub fn posted(&mut self, path: &str) -> Result<Value, Unknown> {
        let url = at(&self.server, path);
        let payload = Payload::Bytes { bytes: b"{}".as_slice().into(), content_type: "application/json".into() };
        let reply = self.send("POST", url.clone(), payload, false, excerpt)?;
        self.parsed(url, &reply)
    }

    /// The JSON that GET gives at another port of the same host, without the user's headers.
    pub fn json_beside(&mut self, port: u16, path: &str) -> Result<Value, Unknown> {
        let url = self.beside_url(port, path)?;
        let reply = self.get(url.clone(), true)?;
        self.parsed(url, &reply)
    }

    /// The answer to GET at another port, of whose text `excerpt` is recorded.
    pub fn beside(&mut self, port: u16, path: &str, excerpt: fn(&str) -> String) -> Result<Reply, Unknown> {
        let url = self.beside_url(port, path)?;
        self.send("GET", url, Payload::Empty, true, excerpt)
    }

    /// A text of outside, fit to be recorded.
    pub fn clean(&self, text: &str) -> String {
        self.recorder.clean(&masked(text), TEXT_CAP)
    }

    /// The text in a field of an answer.
    pub fn text_of(&self, value: &Value, name: &str) -> Fact<String> {
        super::answers::text(value, name).map(|text| self.clean(text)).into()
    }

    fn beside_url(&self, port: u16, path: &str) -> Result<Url, Unknown> {
        let mut url = at(&self.server, path);
        match url.set_scheme("http").is_ok() && url.set_port(Some(port)).is_ok() {
            true => Ok(url),
            false => Err(Unknown::new(Why::Unsupported, format!("{} has no other ports", self.server))),
        }
    }

    fn get(&mut self, url: Url, beside: bool) -> Result<Reply, Unknown> {
        self.send("GET", url, Payload::Empty, beside, excerpt)
    }

    fn send(
        &mut self,
        method: &str,
        url: Url,
        payload: Payload,
        beside: bool,
        excerpt: fn(&str) -> String,
    ) -> Result<Reply, Unknown> {
        let port = url.port_or_known_default().unwrap_or(0);
        if self.silent.contains(&port) {
            return Err(Unknown::new(Why::TimedOut, format!("{url}: not asked, the port did not answer before")));
        }
        let limit = PATIENCE.min(self.end.saturating_duration_since(Instant::now()));
        if self.answers.len() >= MOST || limit < Duration::from_millis(50) {
            return Err(Unknown::new(
                Why::TimedOut,
                format!("{url}: not asked, the time or the questions are used up"),
            ));
        }
        let headers = if beside { Vec::new() } else { self.headers.clone() };
        let outgoing = Outgoing { method: method.into(), url: url.clone(), headers, payload, follow: false };
        let sent = if beside { self.beside.send(&outgoing, limit) } else { self.http.send(&outgoing, limit) };
        let (result, status, answer) = match sent {
            Ok(reply) => {
                let text = excerpt(&without_secrets(&String::from_utf8_lossy(&reply.body)));
                let status = Fact::Known(u64::from(reply.status));
                (Ok(reply), status, self.recorder.clean(&text, ANSWER_CAP))
            }
            Err(failure) => {
                if failure.why == Why::TimedOut {
                    self.silent.insert(port);
                }
                let unknown = Unknown::new(failure.why, self.recorder.clean(&failure.text, ANSWER_CAP));
                (Err(unknown.clone()), Fact::Unknown(unknown), String::new())
            }
        };
        self.answers.push(EngineAnswer { url: url.to_string(), status, answer });
        let reply = result?;
        match reply.status {
            200 => Ok(reply),
            status @ (401 | 403) => Err(Unknown::new(Why::Denied, format!("{url} answers {status}"))),
            status => Err(Unknown::new(Why::Absent, format!("{url} answers {status}"))),
        }
    }

    fn parsed(&self, url: Url, reply: &Reply) -> Result<Value, Unknown> {
        if reply.cut {
            let limit = crate::probe::service::transport::BODY_CAP;
            return Err(Unknown::new(Why::Malformed, format!("{url}: the answer is longer than {limit} bytes")));
        }
        serde_json::from_slice(&reply.body).map_err(|error| {
            Unknown::new(Why::Malformed, self.recorder.clean(&format!("{url}: expected JSON: {error}"), ANSWER_CAP))
        })
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(4 * ANSWER_CAP).collect()
}
